"""torchvision beside a torch that it was not built for: mended once, and a matching pair left alone."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from ferclean.recognition import torchvision_fix


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The module as before its first call, with torch's operator library replaced by a list of definitions."""
    defined: list[str] = []

    class Library:
        def __init__(self, namespace: str, kind: str) -> None:
            assert (namespace, kind) == ("torchvision", "FRAGMENT")

        def define(self, schema: str) -> None:
            defined.append(schema)

    monkeypatch.setattr(torchvision_fix, "_library", None)
    monkeypatch.setattr(torchvision_fix, "_is_known", lambda name: False)
    monkeypatch.setattr(torch.library, "Library", Library)
    return defined


def test_timm_can_be_imported_after_the_fix_in_a_fresh_process() -> None:
    code = "from ferclean.recognition.torchvision_fix import mend_torchvision as m; m(); m(); import timm, torchvision"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_pair_that_does_not_fit_gets_both_operators_once(fresh: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision_fix, "_compiled_part_loads", lambda folder: False)
    assert torchvision_fix.mend_torchvision()
    assert torchvision_fix.mend_torchvision()
    assert [schema.split("(")[0] for schema in fresh] == ["nms", "qnms"]


def test_a_matching_pair_is_left_untouched(fresh: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision_fix, "_compiled_part_loads", lambda folder: True)
    assert not torchvision_fix.mend_torchvision()
    assert fresh == []
    assert torchvision_fix._library is None


def test_operators_that_are_there_are_not_declared_again(fresh: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision_fix, "_is_known", lambda name: True)
    monkeypatch.setattr(torchvision_fix, "_compiled_part_loads", lambda folder: False)
    assert not torchvision_fix.mend_torchvision()
    assert fresh == []


def test_without_torchvision_nothing_happens(fresh: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision_fix, "_folder", lambda: None)
    assert not torchvision_fix.mend_torchvision()


def test_a_library_that_cannot_load_counts_as_not_loading(tmp_path, caplog: pytest.LogCaptureFixture) -> None:
    import importlib.machinery

    (tmp_path / f"_C{importlib.machinery.EXTENSION_SUFFIXES[0]}").write_bytes(b"not a library")
    with caplog.at_level("DEBUG"):
        assert not torchvision_fix._compiled_part_loads(tmp_path)
    assert {record.levelname for record in caplog.records} == {"DEBUG"}
    assert not torchvision_fix._compiled_part_loads(tmp_path / "absent")


def test_the_fix_speaks_at_debug_level_only(
    fresh: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torchvision_fix, "_compiled_part_loads", lambda folder: False)
    with caplog.at_level("DEBUG"):
        torchvision_fix.mend_torchvision()
    assert [record.levelname for record in caplog.records] == ["DEBUG"]
