"""Names of files, classes, people and notes on a terminal: every verb shows them, none lets them act."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferclean.cli import run
from ferclean.printable import json_line, printable
from ferclean.store.decisions import Decision, append_decisions
from ferclean.store.samples import get_samples
from ferclean.store.workspace import Workspace
from tests.workspaces import make_workspace

# clears the screen, sets the window's title, overwrites the line, forges a line, turns the text around, hides a letter
HOSTILE = "\x1b[2J\x1b]0;owned\x07\r\nall is well\x9b31m\u202egpj.\u2066\u200b[red]:smile:\u00ad\udcff"
CLASSES = (f"joy{HOSTILE.replace(chr(0xDCFF), '')}", "笑顔", "خشم\u200cگین")


@given(st.text(st.characters(codec=None)))
def test_what_is_printable_has_no_effect_and_json_reads_back(text: str) -> None:
    shown = printable(text)
    for char in shown:
        assert unicodedata.category(char) not in ("Cc", "Cs", "Cn", "Zl", "Zp"), hex(ord(char))
        assert unicodedata.category(char) != "Cf" or char in "\u200c\u200d", hex(ord(char))
    line = json_line({"text": text, "list": [text]})
    assert line.isprintable()
    assert json.loads(line) == {"text": text, "list": [text]}


def test_other_scripts_stay_readable() -> None:
    for text in ("surprise", "笑顔", "خشم\u200cگین", "élan vital", "\u3000", "👩\u200d🚀", "क्\u200dष"):
        assert printable(text) == text
    assert printable("an\u200dger") == r"an\u200dger"
    assert printable("tab\tand\x1b") == r"tab\tand\x1b"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace whose first file, first class, reviewer and note are hostile, released once."""
    name = HOSTILE.replace("\udcff", "")
    ws = make_workspace(tmp_path_factory.mktemp("hostile"), n=12, classes=CLASSES, names=(name,))
    ids = get_samples(ws)["sample_id"].tolist()
    append_decisions(
        ws,
        [
            Decision(sample_id=ids[0], action="relabel", label=CLASSES[1], reviewer=name, note=name),
            Decision(sample_id=ids[1], action="exclude", label=None, reviewer=name, note=name),
            Decision(sample_id=ids[2], action="keep", label=None, reviewer=name, note=name),
        ],
    )
    assert run(["-w", str(ws.root), "--quiet", "release", "v1"]) == 0
    return ws


@pytest.mark.parametrize(
    "words",
    [
        ["status"],
        ["diff", "original", "v1"],
        ["release", "v2", "--dry-run"],
        ["doctor"],
        ["config"],
        ["undo", "--dry-run"],
        ["decide", HOSTILE, "keep"],
        ["decide", "face_0001", "relabel", "--label", HOSTILE],
        ["release", HOSTILE, "--dry-run"],
        ["diff", "v1", HOSTILE],
        ["export", "--release", HOSTILE, "--out", HOSTILE, "--dry-run"],
        ["export", "--form", HOSTILE, "--release", "v1", "--out", "x", "--dry-run"],
        ["export", "--release", "v1", "--out", "y" + HOSTILE, "--dry-run"],
        [HOSTILE],
        ["status", f"--{HOSTILE}"],
        ["score", "--seeds", HOSTILE],
        ["decide", "--from-file", HOSTILE],
    ],
    ids=lambda words: printable(" ".join(words))[:40],
)
def test_no_verb_sends_a_name_to_the_terminal_as_it_is(
    hostile: Workspace, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run(["-w", str(hostile.root), *words])
    told = capsys.readouterr()
    assert told.out + told.err
    for line in (told.out + told.err).split("\n"):
        assert printable(line) == line
        assert line.strip() != "all is well"


def test_a_name_is_shown_whole_in_tables_and_is_exact_in_json(
    hostile: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    name = HOSTILE.replace("\udcff", "")
    assert run(["-w", str(hostile.root), "diff", "original", "v1"]) == 0
    shown = capsys.readouterr().out
    assert printable(name) in shown
    assert "[red]:smile:" in shown
    assert run(["-w", str(hostile.root), "diff", "original", "v1", "--json"]) == 0
    line = capsys.readouterr().out
    assert line.removesuffix("\n").isprintable()
    assert name in {change["source_key"] for change in json.loads(line)["changes"]}


def test_what_to_run_next_is_quoted_for_the_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ws = make_workspace(tmp_path / "a folder; echo owned", n=4)
    assert run(["-w", str(ws.root), "status"]) == 0
    assert re.search(r"next: ferclean -w '.*a folder; echo owned/workspace' ", capsys.readouterr().err)
