"""The noisy-label protocol on a few drawn faces: noise as asked, alike for all, and figures that follow from hits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ferclean.errors import UsageError
from pipelines import noise_sweep


def test_symmetric_noise_changes_exactly_its_share_and_never_to_the_same_label() -> None:
    labels = np.arange(700) % 7
    noisy = noise_sweep.plant_symmetric(labels, 0.2, num_classes=7, seed=3)
    assert (noisy != labels).sum() == 140
    assert set(noisy) == set(range(7))
    np.testing.assert_array_equal(noisy, noise_sweep.plant_symmetric(labels, 0.2, num_classes=7, seed=3))
    assert (noisy != noise_sweep.plant_symmetric(labels, 0.2, num_classes=7, seed=4)).any()
    moves = np.bincount((noisy - labels)[noisy != labels] % 7, minlength=7)
    assert moves[1:].min() > 10  # each of the others alike likely


def test_methods_are_compared_on_the_same_noise_and_test_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from ferclean.recognition.profiles import PROFILES

    small = replace(PROFILES["quick"], input_size=32, train_size=28)
    monkeypatch.setitem(PROFILES, "quick", small)
    result = noise_sweep.run(
        tmp_path / "W", drawn=120, methods=["cross_entropy", "supcon_relabel"], noises=[0.2], seeds=2, epochs=2
    )
    json.dumps(result, allow_nan=False)
    assert (result["train_images"], result["test_images"]) == (120, 60)
    plain, other = result["table"]
    own = [row for row in result["rows"] if row["method"] == "supcon_relabel"]
    assert other["last_epoch"] == pytest.approx(np.mean([row["last_epoch"] for row in own]), abs=1e-4)
    assert other["minus_plain"]["mean"] == pytest.approx(other["last_epoch"] - plain["last_epoch"], abs=2e-4)
    assert "minus_plain" not in plain
    for row in own:
        assert (row["flip_precision"] is None) == (row["changed"] == 0)
    text = noise_sweep.markdown(result)
    assert text.count("\n") == 4
    assert "| `supcon_relabel` | 20% |" in text
    readme = tmp_path / "README.md"
    readme.write_text("# A\n\n<!-- noise sweep -->\nold\n<!-- /noise sweep -->\n\nbelow\n", "utf-8")
    for _ in range(2):
        noise_sweep.write_readme(result, readme)
    written = readme.read_text("utf-8")
    assert text in written
    assert "old" not in written
    assert "2 paired seeds" in written
    assert written.startswith("# A\n\n<!-- noise sweep -->\n|")
    assert written.endswith("\n<!-- /noise sweep -->\n\nbelow\n")
    noise_sweep.plot(result, tmp_path / "plot.svg")
    assert "<svg" in (tmp_path / "plot.svg").read_text("utf-8")


def test_a_readme_without_the_marks_is_left_alone(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("<!-- /noise sweep -->\n<!-- noise sweep -->\n", "utf-8")
    result = {"table": [], "data": "d", "train_images": 1, "test_images": 1}
    with pytest.raises(UsageError, match="once each"):
        noise_sweep.write_readme(result, readme)
    assert readme.read_text("utf-8") == "<!-- /noise sweep -->\n<!-- noise sweep -->\n"
