"""The README's commands and the guide's do what they say, in the order in which they stand there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ferclean.cli import run
from tests.browser import answering, free_port

ROOT = Path(__file__).parents[2]
SMALL = """
[score]
methods = "cross_entropy"
folds = 2
epochs = 1
input_size = 32
[retrain]
method = "cross_entropy"
epochs = 1
input_size = 32
seeds = 1
"""
"""Settings as a user's ferclean.toml has them: flags of the documents still win."""


def commands(page: str) -> list[list[str]]:
    """The words of each command line of a document's blocks, without what the shell takes for a comment."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / page).read_text("utf-8"), re.S | re.M)
    lines = [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]
    return [words for words in lines if words[:3] == ["ferclean", "-w", "W"]]


def test_the_guide_goes_the_whole_way_and_holds_each_command_of_the_readme(
    drawn_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    guide = commands("data_cards/GUIDE.md")
    for words in commands("README.md"):
        assert any(set(words) <= set(longer) for longer in guide), words

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(drawn_set, tmp_path / "RAF-DB/basic")
    for words in guide:
        said = [os.path.expanduser(word) for word in words[1:]]
        if "review" in said:
            serve(said)
            continue
        code = run(said)
        told = capsys.readouterr()
        # planted copies and errors are findings, and so are other counts than the card's
        assert code == (3 if "doctor" in said else 0), f"{words}\n{told.err}"
        if "ingest" in said:
            (tmp_path / "W/ferclean.toml").write_text(SMALL, "utf-8")
    assert (tmp_path / "my-set-v1/README.md").is_file()
    assert (tmp_path / "my-rafdb-v1/EmoLabel/list_patition_label.txt").is_file()
    assert (tmp_path / "M/model.safetensors").is_file()
    assert list((tmp_path / "W/reports").glob("*.html"))


def serve(said: list[str]) -> None:
    """Start the screen as the guide does, see that it answers, and end it."""
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-c", "from ferclean.cli import main; main()", *said, "--port", str(port), "--no-open"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with answering(server, port):
        pass
