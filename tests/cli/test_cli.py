"""Facts about the command line itself: options anywhere, exit codes, help with examples, one line per error."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from disks import read_only
from rich.console import Console
from small_workspace import small

from ferclean import __version__
from ferclean.cli import VERBS, data_verbs, run, split_verb
from ferclean.cli.plumbing import Session, read_settings, split_global_options
from ferclean.errors import FercleanError
from ferclean.evidence.attributes import PEOPLE
from ferclean.sources.cards import layouts
from tests.loaded import loaded


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FERCLEAN_WORKSPACE", raising=False)
    monkeypatch.chdir(tmp_path)


def test_global_options_are_found_anywhere_before_a_double_dash() -> None:
    assert split_global_options(["-w", "A", "status", "--json"]) == ({"workspace": "A", "json": True}, ["status"])
    assert split_global_options(["status", "--workspace=B"]) == ({"workspace": "B"}, ["status"])
    assert split_global_options(["decide", "--", "--json"]) == ({}, ["decide", "--", "--json"])


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_help_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([verb, "--help"]) == 0
    shown = capsys.readouterr().out
    assert re.search(rf"Example: ferclean .*{verb}", shown)


def test_help_of_ingest_names_every_layout_that_takes_an_option_of_few() -> None:
    takers: dict[str, set[str]] = {}
    for layout in layouts():
        for name in inspect.signature(importlib.import_module(f"ferclean.sources.{layout}").read).parameters:
            takers.setdefault(name, set()).add(layout)
    named = {}
    for option in inspect.signature(data_verbs.ingest, eval_str=True).parameters.values():
        told = str(getattr((get_args(option.annotation) or [""])[-1], "help", ""))
        first, colon, _ = told.partition(": ")
        if colon and set(first.split(", ")) & set(layouts()):
            named[option.name] = set(first.split(", "))
    assert named == {name: takers[name] for name in named}
    assert {"images", "label_column", "image_column", "key_column"} <= set(named)


def test_help_of_split_names_every_attribute_that_is_taken_for_people() -> None:
    by = inspect.signature(split_verb.split, eval_str=True).parameters["by"]
    told = set(re.findall(r"\w+", get_args(by.annotation)[-1].help))
    assert {name.removesuffix("_id") for name in PEOPLE} <= told
    assert "person_id" in told


def test_the_fixed_verbs_exist() -> None:
    assert set(VERBS) >= {
        "demo", "ingest", "doctor", "score", "triage", "review", "browse", "decide", "undo", "release", "diff",
        "export", "retrain", "report", "status", "methods", "config",
    }  # fmt: skip


def test_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"ferclean {__version__}"


def test_an_unknown_verb_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["scrub"]) == 2
    assert "scrub" in capsys.readouterr().err


def test_an_unknown_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status", "--colour"]) == 2
    assert "--colour" in capsys.readouterr().err


def test_a_missing_workspace_is_one_line_that_says_how_to_make_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["-w", "nowhere", "status"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "nowhere" in captured.err
    assert "ingest" in captured.err
    assert "Traceback" not in captured.err


def test_debug_adds_the_traceback_and_keeps_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["-w", "nowhere", "export", "--form", "nothing", "--out", "x", "--debug"]) == 1
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert shown.splitlines()[-1].startswith("ferclean: no workspace at ")


def test_methods_as_json_is_a_list_with_name_paper_and_year(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["methods", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {"supcon_relabel", "cross_entropy"} <= {method["name"] for method in listed}
    assert all({"name", "paper", "year"} <= set(method) for method in listed)


def test_config_names_where_each_value_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "W").mkdir()
    (tmp_path / "W" / "ferclean.toml").write_text("[retrain]\nseeds = 7\n")
    monkeypatch.setenv("FERCLEAN_PROFILE", "standard")
    assert run(["-w", "W", "config", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["settings"]}
    assert rows["score.profile"] == {
        "name": "score.profile", "value": "standard", "origin": "environment FERCLEAN_PROFILE"
    }  # fmt: skip
    assert (rows["retrain.seeds"]["value"], rows["retrain.seeds"]["origin"]) == (7, "ferclean.toml")
    assert rows["release.policy"]["origin"] == "default"
    assert rows["workspace"]["origin"] == "flag"


def test_a_typo_in_the_settings_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "W").mkdir()
    for text, word in (("[score]\nepocs = 3\n", "epocs"), ("[scroe]\nepochs = 3\n", "scroe")):
        (tmp_path / "W" / "ferclean.toml").write_text(text)
        assert run(["-w", "W", "methods"]) == 2
        assert word in capsys.readouterr().err


def test_broken_settings_are_named(tmp_path: Path) -> None:
    file = tmp_path / "ferclean.toml"
    file.write_text("[score\n")
    with pytest.raises(FercleanError, match=r"ferclean\.toml is not valid TOML"):
        read_settings(file)


def test_help_answers_without_loading_anything_heavy() -> None:
    heavy = ("torch", "duckdb", "numpy", "pandas", "streamlit", "fiftyone")
    assert loaded("from ferclean.cli import run; run(['--help'])", of=heavy) == []


def test_a_table_without_rows_is_not_printed(
    tmp_path: Path, drawn_set: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["-w", str(tmp_path / "W")]
    assert run([*place, "ingest", "drawn_faces", str(drawn_set), "--limit", "20"]) == 0
    capsys.readouterr()
    assert run([*place, "status"]) == 0
    shown = capsys.readouterr().out
    assert "split" in shown
    assert "decision" not in shown
    assert "verdict" not in shown


def into(monkeypatch: pytest.MonkeyPatch, output: int) -> None:
    """What is printed goes to an open file, as a shell would send it."""
    monkeypatch.setattr(sys, "stdout", os.fdopen(output, "w", encoding="utf-8"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("words", [["--version"], ["config"], ["config", "--json"], ["score", "--help"]])
def test_output_that_finds_no_room_is_one_line_and_a_failure(
    words: list[str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        into(patch, os.open("/dev/full", os.O_WRONLY))
        assert run(words) == 1
        sys.stdout.close()
    said = capfd.readouterr().err
    assert said == (
        "ferclean: cannot write standard output: No space left on device; free some space there, or send the output "
        "elsewhere\n"
    )


@pytest.mark.parametrize("words", [["--version"], ["config"], ["config", "--json"]])
def test_a_reader_that_has_gone_ends_the_verb_without_a_word(
    words: list[str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with monkeypatch.context() as patch:
        into(patch, writing)
        assert run(words) == 0
        sys.stdout.close()
    assert capfd.readouterr().err == ""


def test_a_verb_runs_with_its_output_closed() -> None:
    code = "import sys; from ferclean.cli import main; sys.argv = ['ferclean', '--version']; main()"
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" >&-', sys.executable, code], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert (done.returncode, done.stdout) == (0, "")


def test_a_file_that_the_system_refuses_is_named_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "ferclean.toml").symlink_to("ferclean.toml")
    (tmp_path / "workspace" / "ferclean.duckdb").symlink_to("ferclean.duckdb")
    assert run(["status"]) == 1
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "OSError" not in said


def test_verbs_that_read_work_on_a_read_only_workspace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(small(tmp_path, released=True).ws.root)
    with read_only(Path(root)):
        for words in (
            ["status"], ["config"], ["diff", "original", "v1"], ["decide", "--adjudicate"],
            ["export", "--form", "image_folder", "--release", "v1", "--out", "faces"],
            ["export", "--form", "table", "--out", "table.csv"], ["report", "--out", "report.html"],
        ):  # fmt: skip
            assert run([*words, "-w", root]) == 0, capsys.readouterr().err
        assert run(["doctor", "-w", root]) in (0, 3)
        capsys.readouterr()
        for words in (["report"], ["decide", "train_00001", "keep"], ["undo", "--reviewer", "ann"], ["release", "v2"]):
            assert run([*words, "-w", root]) == 1
            said = capsys.readouterr().err
            assert len(said.splitlines()) == 1
            assert "Read-only file system; make the folder writable" in said


def test_a_table_too_wide_for_its_place_is_turned_and_cuts_no_name(capsys: pytest.CaptureFixture[str]) -> None:
    session = Session(workspace=Path("W"), workspace_origin="default")
    names = [f"{at} very surprised" for at in range(40)]
    session.table(["split", *names], [["train", *range(40)], ["test", *range(1000, 1040)]])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["split", "train", "test"]
    assert [line.rsplit(maxsplit=2) for line in lines[1:]] == [[n, str(i), f"1,{i:03}"] for i, n in enumerate(names)]
    session.table(["split", "fear"], [["train", 3]])
    assert capsys.readouterr().out.splitlines()[0].split() == ["split", "fear"]


def test_a_long_name_is_folded_in_a_terminal_and_squeezes_no_other_column(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ferclean.cli.plumbing._console", lambda: Console(width=60, force_terminal=True, color_system=None)
    )
    session, name = Session(workspace=Path("W"), workspace_origin="default"), "".join(map(str, range(100)))
    session.table(
        ["sample", "split", "from", "to"], [[name, "train", "happiness", "fear"], *[["b", "test", "x", 2]] * 4]
    )
    first, *rest = capsys.readouterr().out.splitlines()[1:]
    assert first.split()[1:] == ["train", "happiness", "fear"]
    assert len(first.rstrip()) == 60
    assert "".join([first.split()[0], *(line.strip() for line in rest[:-4])]) == name
