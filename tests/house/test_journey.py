"""The three uses in one journey: review in a real browser, export cleaned splits, retrain on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ferclean.cli import run
from ferclean.steps.triage import triage
from ferclean.store import decisions, releases, samples
from ferclean.store.workspace import Workspace
from tests.browser import browser_page, review_server
from tests.review.test_review_browser import Screen

KEYS = [
    "Enter",
    "k",
    "a",
    "3",
    "Enter",
    "a",
    "k",
    "Enter",
    "1",
    "a",
    "Enter",
    "k",
    "7",
    "a",
    "Enter",
    "5",
    "k",
    "a",
    "2",
    "k",
]
TINY = ["--epochs", "1", "--input-size", "32", "--seeds", "1", "--method", "cross_entropy"]


def spoken(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """The JSON object that a verb prints."""
    assert run([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_review_release_export_and_retrain(
    judged_copy: Path, drawn_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ws = Workspace.open(judged_copy)
    triage(ws, mislabelled_at=0.1)  # a tiny recognizer is unsure: flag enough faces for a sitting
    with review_server(ws.root) as url, browser_page() as page:
        screen = Screen(page, ws)
        screen.open(url)
        for key in KEYS:
            screen.press(key)
        page.goto("about:blank")  # at once: what was pressed last goes out with the page, or with the next
        screen.open(url)
        screen.saved()
    decided = decisions.current_decisions(ws)
    assert len(decided) == 20
    assert (decided["action"] == "ambiguous").sum() == 5

    w = ("-w", str(ws.root))
    made = spoken(capsys, *w, "release", "v1")
    corrected = set(decided.loc[decided["action"] == "relabel", "sample_id"])
    changed = {change["sample_id"] for change in made["changes"] if change["change"] == "relabelled"}
    assert changed == corrected
    items = releases.get_release_items(ws, "v1").set_index("sample_id")

    # RAF-DB's layout: only the corrected lines differ, and it comes in again with the same labels
    decided_too = ("--release", "v1", "--configuration", "decided_test")
    spoken(capsys, *w, "export", "--form", "rafdb", *decided_too, "--out", str(tmp_path / "rafdb"))
    name = Path("EmoLabel") / "list_patition_label.txt"
    frame = samples.get_samples(ws, include_quarantined=True)
    out = set(frame.loc[frame["quarantine_reason"].notna(), "sample_id"])
    out |= set(decided.loc[decided["action"] == "exclude", "sample_id"])  # Enter's proposal for an unusable face
    left_out = set(frame.loc[frame["sample_id"].isin(out), "source_key"])
    before = [line for line in (drawn_set / name).read_text().splitlines() if line.split(".")[0] not in left_out]
    after = (tmp_path / "rafdb" / name).read_text().splitlines()
    assert len(before) == len(after)
    key = frame.set_index("sample_id")["source_key"]
    different = {old.split(".")[0] for old, new in zip(before, after, strict=True) if old != new}
    assert different == {key[sample_id] for sample_id in corrected}
    spoken(capsys, "-w", str(tmp_path / "again"), "ingest", "rafdb", str(tmp_path / "rafdb"))
    again = samples.get_samples(Workspace.open(tmp_path / "again")).set_index("source_key")["given_label"]
    expected = items[items["included"]].rename(index=key)["label"]
    assert again.to_dict() == expected.to_dict()

    # the Hugging Face form opens with the library itself, and retrain trains on it
    spoken(capsys, *w, "export", "--form", "hf", "--release", "v1", "--out", str(tmp_path / "hf"))
    import datasets

    opened = datasets.load_dataset(str(tmp_path / "hf"), cache_dir=str(tmp_path / "cache"))
    assert opened["train"].features["label"].names == list(samples.get_dataset(ws).classes)
    assert opened["train"].num_rows == int((items["included"] & (items["split"] == "train")).sum())
    assert opened["train"][0]["image"].size == (100, 100)
    done = spoken(capsys, *w, "retrain", "--dataset", str(tmp_path / "hf"), *TINY)
    # copies of test images are left out of training, so their corrections are too
    copies = done["left_out_copies_of_test"]
    assert len(corrected) - copies <= done["changed_labels"] <= len(corrected)
    assert done["changed_labels"] > 0
    assert done["test_images"] == opened["test"].num_rows
    assert done["gain"] in ("measurable gain", "measurable loss", "no measurable gain")
