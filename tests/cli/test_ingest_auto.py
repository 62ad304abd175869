"""`ingest auto` says what it takes a set for and why, and stores nothing that nobody agreed to."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ferclean.cli import run
from ferclean.errors import BadDataError, UsageError
from ferclean.steps.ingest import ingest
from ferclean.store.workspace import Workspace
from tests.made_sets import rafdb_pairs, write_folder, write_rafdb


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """RAF-DB below two folders, one of them with a space in its name."""
    write_rafdb(tmp_path / "my sets/RAF-DB/basic", rafdb_pairs())
    return tmp_path / "my sets"


def test_without_a_terminal_the_command_is_printed_and_nothing_stored(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ws = tmp_path / "W"
    assert run(["-w", str(ws), "ingest", "auto", str(copy)]) == 3
    told = capsys.readouterr()
    assert shlex.split(told.out) == [
        "ferclean", "-w", str(ws), "ingest", "rafdb", str(copy / "RAF-DB/basic"),
    ]  # fmt: skip
    assert "certain: RAF-DB/basic/EmoLabel/list_patition_label.txt has lines as 'train_00001.jpg 1'" in told.err
    assert "nothing was ingested" in told.err
    assert not ws.exists()
    assert run(shlex.split(told.out)[1:]) == 0


def test_as_json_it_tells_what_it_is_and_the_command(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["-w", str(tmp_path / "W"), "--json", "ingest", "auto", str(copy)]) == 3
    (guess,) = json.loads(capsys.readouterr().out)["recognised"]
    assert (guess["card"], guess["confidence"], guess["options"]) == ("rafdb", "certain", {})
    assert guess["command"].endswith(f"ingest rafdb '{copy}/RAF-DB/basic'")


def test_with_yes_it_is_done_and_what_lies_beside_unseen_is_told(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for n in range(41):
        (copy / f"more/{n}").mkdir(parents=True)
        (copy / f"RAF-DB/basic/Image/spare/{n}").mkdir(parents=True)
    unseen = "not looked at: more (40 folders of one are looked into); name the folder of a set that lies there"
    assert run(["-w", str(tmp_path / "W"), "ingest", "auto", str(copy)]) == 3
    assert f"note: {unseen}\n" in capsys.readouterr().err
    assert run(["-w", str(tmp_path / "W"), "--json", "ingest", "auto", str(copy), "--yes"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["dataset"] == "rafdb"
    assert "certain: rafdb at" in told.err
    assert unseen in told.err
    assert unseen in ingest(Workspace.create(tmp_path / "python"), "auto", copy, dry_run=True).notes


def test_two_equally_likely_sets_are_not_chosen_between(copy: Path, tmp_path: Path) -> None:
    write_folder(tmp_path / "my sets/more", ["train/happy/a.png", "train/sad/b.png"])
    assert ingest(Workspace.create(tmp_path / "one"), "auto", copy).dataset == "rafdb"
    write_rafdb(tmp_path / "my sets/compound", [(f"train_{code:05d}", code) for code in range(1, 12)])
    with pytest.raises(UsageError, match=r"say which: ferclean ingest rafdb.*; ferclean ingest rafdb"):
        ingest(Workspace.create(tmp_path / "two"), "auto", copy)
    assert run(["-w", str(tmp_path / "W"), "ingest", "auto", str(copy), "--yes"]) == 2


def test_what_is_unknown_is_bad_data_that_says_what_was_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folder(tmp_path / "pets", ["cats/a.png", "dogs/b.png"])
    assert run(["-w", str(tmp_path / "W"), "ingest", "auto", str(tmp_path / "pets"), "--yes"]) == 4
    assert "the folders cats, dogs in . name no expressions" in capsys.readouterr().err


def test_an_error_does_not_send_back_to_what_was_asked_for(copy: Path, tmp_path: Path) -> None:
    base, ws = copy / "RAF-DB/basic", Workspace.create(tmp_path / "W")
    with pytest.raises(BadDataError, match=r"By a look it is rafdb in .*basic, for "):
        ingest(ws, "rafdb", copy)
    with (base / "EmoLabel/list_patition_label.txt").open("a", encoding="utf-8") as out:
        out.write("\n" * 70_000 + "train_00001.jpg 1 2\n")  # beyond the look
    with pytest.raises(BadDataError) as refused:
        ingest(ws, "rafdb", base)
    assert "3 fields instead of" in str(refused.value)
    assert "By a look" not in str(refused.value)


def test_on_a_terminal_it_asks(copy: Path, tmp_path: Path) -> None:
    for answer, code in ((b"n\n", 3), (b"1\n", 0)):
        ours, theirs = os.openpty()
        words = [sys.executable, "-c", "from ferclean.cli import main; main()", "-w", "W", "ingest", "auto", str(copy)]
        with subprocess.Popen(words, cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs) as child:
            os.close(theirs)
            os.write(ours, answer)
            shown = b""
            while child.poll() is None or b"ingest 1 to 1" not in shown:
                try:
                    shown += os.read(ours, 4096)
                except OSError:  # a terminal whose other end has closed
                    break
        os.close(ours)
        assert child.returncode == code, shown
        assert (tmp_path / "W").exists() == (code == 0)
