"""`ferclean doctor CARD PATH` looks at a set before it is ingested, and leaves nothing behind."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import pytest

from ferclean.cli import run
from tests.made_sets import rafdb_pairs, write_folder, write_rafdb


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made; the working directory is empty, too."""
    for name in ("temporary", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "temporary"


def test_a_set_is_looked_at_as_a_workspace_is_and_nothing_stays(
    tmp_path: Path, temporary: Path, drawn_set: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    assert run(["doctor", "drawn_faces", str(drawn_set), "--fail-on", "error", "--html", str(page), "--json"]) == 3
    before = json.loads(capsys.readouterr().out)
    assert page.read_text("utf-8").count("<img") > 3
    assert [*temporary.iterdir(), *(tmp_path / "here").iterdir()] == []
    ws = str(tmp_path / "W")
    run(["-w", ws, "ingest", "drawn_faces", str(drawn_set), "--quiet"])
    capsys.readouterr()
    assert run(["-w", ws, "doctor", "--json"]) == 3
    assert json.loads(capsys.readouterr().out) == before


def test_the_compound_list_is_told_as_another_set(
    tmp_path: Path, temporary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = rafdb_pairs()
    write_rafdb(tmp_path / "set", [(name, str(number % 11 + 1)) for number, (name, *_) in enumerate(pairs)])
    page = tmp_path / "page.html"
    assert run(["doctor", "rafdb", str(tmp_path / "set"), "--html", str(page)]) == 3
    told = capsys.readouterr()
    assert "other_set: " in told.out
    assert "compound set (codes 1 to 11)" in told.out
    assert "no page: " in told.out
    assert not page.exists()
    assert list(temporary.iterdir()) == []
    assert run(["doctor", "rafdb", str(tmp_path / "set"), "--fail-on", "never"]) == 0


def test_what_cannot_be_read_as_the_card_says_is_a_finding_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "set").mkdir()
    assert run(["doctor", "rafdb", str(tmp_path / "set"), "--json"]) == 3
    assert [one["kind"] for one in json.loads(capsys.readouterr().out)["findings"]] == ["refused"]


def test_another_layout_is_named_with_the_way_and_nobody_is_asked_to_keep_what_goes_away(
    tmp_path: Path, temporary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {"happy": 4, "sad": 5}
    names = [f"train/{code}/train_{n + 3 * code:05d}_aligned.jpg" for code in words.values() for n in range(3)]
    write_folder(tmp_path / "set/DATASET", names)
    assert run(["doctor", "rafdb", str(tmp_path / "set")]) == 3
    assert f"`ferclean doctor auto {tmp_path / 'set'}`) reads it so" in capsys.readouterr().out
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "set")
    run(["doctor", "auto", packed])
    told = capsys.readouterr()
    assert f"taken for rafdb in {packed}/DATASET: " in told.err
    assert str(temporary) not in told.out + told.err


@pytest.mark.parametrize(
    ("words", "said"),
    [(["rafdb"], "doctor CARD PATH"), (["rafdb", "set", "--fix"], "ingest the set first"), (["rafbd", "set"], "rafdb")],
)
def test_a_call_that_means_nothing_is_refused(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["doctor", *words]) == 2
    assert said in capsys.readouterr().err
