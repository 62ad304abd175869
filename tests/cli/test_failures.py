"""A verb that fails says so in one line, with --json in one object, and a stopped one says how to go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ferclean.cli import run
from ferclean.cli.failures import failure_of
from ferclean.errors import WorkspaceBusyError
from ferclean.steps import status as status_step
from ferclean.steps.ingest import ingest
from ferclean.steps.release import release
from ferclean.steps.score import score
from ferclean.store import runs, samples
from ferclean.store.workspace import Workspace

COMMAND = [sys.executable, "-c", "from ferclean.cli import main; main()"]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FERCLEAN_WORKSPACE", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "circle").symlink_to("circle")


def failing(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the error's fields, and stderr. There is exactly one object on stdout, with a schema version."""
    capsys.readouterr()
    code = run(argv)
    told = capsys.readouterr()
    (line,) = told.out.splitlines()
    whole = json.loads(line)
    assert set(whole) == {"schema", "verb", "error"}
    assert whole["schema"] == 1
    assert whole["error"]["exit_code"] == code
    # Typer puts an empty line before an EOFError
    assert told.err.lstrip("\n") == f"ferclean: {whole['error']['message']}\n"
    return code, whole["error"], whole["verb"]


@pytest.mark.parametrize(
    ("argv", "code", "kind", "words"),
    [
        (["wash"], 2, "usage", "no verb 'wash'; known: demo, ingest"),
        (["statsu"], 2, "usage", "did you mean 'status'? known: demo, ingest"),
        ([], 2, "usage", "no verb is given; known: demo"),
        (["status", "--quite"], 2, "usage", "did you mean '--quiet'?"),
        (["triage", "--mislabeled-at", "0.5"], 2, "usage", "did you mean '--mislabelled-at'?"),
        (["diff", "a"], 2, "usage", "Missing argument 'b'"),
        (["doctor", "--fail-on", "eror"], 2, "usage", "did you mean 'error'? known: error, warning, never"),
        (["triage", "--mislabelled-at", "nan"], 2, "usage", "--mislabelled-at"),
        (["triage", "--mislabelled-at", "-0.1"], 2, "usage", "--mislabelled-at"),
        (["score", "--seed", "-1"], 2, "usage", "--seed"),
        (["score", "--seed", "99999999999999999999"], 2, "usage", "--seed"),
        (["score", "--epochs", "three"], 2, "usage", "--epochs"),
        (["score", "--epochs="], 2, "usage", "an empty value after --epochs="),
        (["ingest", "table", ""], 2, "usage", "an empty value after table"),
        (["decide", "a", "keep", "--note", "\udcff"], 2, "usage", "'\\udcff' is not UTF-8"),
        (["status", "-w", ""], 2, "usage", "an empty value after -w"),
        (["status", "-w"], 2, "usage", "-w/--workspace needs a folder"),
        (["status", "-w", "~no such person/W"], 2, "usage", "cannot be found"),
        (["status", "-w", "file"], 2, "usage", "file is a file, not a folder"),
        (["ingest", "table", "file", "-w", "file"], 2, "usage", "file is a file, not a folder"),
        (["status", "-w", "x" * 300], 1, "failure", "name too long"),
        (["status", "-w", "nowhere"], 1, "failure", "no workspace at"),
        (["status", "-wnowhere"], 1, "failure", "no workspace at"),
        (["status", "--quiet=yes"], 2, "usage", "--quiet takes no value"),
        (["status", "-w", "circle/W"], 1, "failure", "cannot look into the workspace circle/W"),
        (["ingest", "table", "x" * 300], 1, "failure", "name too long"),
        (["ingest", "table", "file", "--classes", ","], 2, "usage", "',' has an empty name between its commas"),
        (["ingest", "image_folder", "empty", "--classes", "a,,b"], 2, "usage", "'a,,b' has an empty name"),
        (["methods", "--measure", "--device", "cpu:7:x"], 2, "usage", "unknown device 'cpu:7:x'"),
        (["ingest", "image_folder", "empty"], 4, "bad_data", "empty"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_failing_verb_prints_one_object_with_its_error(
    argv: list[str], code: int, kind: str, words: str, first: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    found, error, verb = failing(capsys, *(["--json", *argv] if first else [*argv, "--json"]))
    assert (found, error["kind"]) == (code, kind)
    assert words.lower() in error["message"].lower()
    assert verb == (argv[0] if argv and argv[0] not in ("wash", "statsu") else None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[score]\nepochs = "three"', "ferclean.toml: Invalid value for '--epochs'"),
        ("[triage]\nrandom_share = nan", "ferclean.toml: Invalid value for '--random-share'"),
        ("[triage]\nrandom_share = true", "[triage] random_share is no yes or no"),
        ('[release]\npolicy = "atuo"', "ferclean.toml: --policy cannot be 'atuo'; did you mean 'auto'?"),
        ('profile = "quick"', "ferclean.toml: profile stands outside of a verb's table"),
        ('[score]\nmethods = ["eac", "cross-entropi"]', "unknown method 'cross-entropi'; did you mean 'cross_entropy'"),
    ],
)
def test_a_wrong_setting_names_its_file(
    text: str, words: str, capsys: pytest.CaptureFixture[str], judged_copy: Path
) -> None:
    (judged_copy / "ferclean.toml").write_text(text)
    verb = ["release", "v1"] if "release" in text else ["triage"] if "triage" in text else ["score"]
    code, told, _ = failing(capsys, "-w", str(judged_copy), *verb, "--json")
    assert (code, told["kind"]) == (2, "usage")
    assert words in told["message"]


def test_too_little_memory_says_what_needs_less() -> None:
    failure = failure_of(MemoryError("135 TiB"), ["score"], "score")
    assert (failure.kind, failure.exit_code) == ("failure", 1)
    assert "--input-size" in failure.message


def test_a_busy_workspace_has_its_own_kind() -> None:
    failure = failure_of(WorkspaceBusyError("in use"), ["status"], "status")
    assert (failure.kind, failure.exit_code) == ("busy", 5)


def test_findings_are_the_normal_object(capsys: pytest.CaptureFixture[str], judged_copy: Path) -> None:
    assert run(["-w", str(judged_copy), "doctor", "--fail-on", "warning", "--json"]) == 3
    whole = json.loads(capsys.readouterr().out)
    assert whole["findings"]
    assert "error" not in whole


def test_an_error_that_nobody_foresaw_is_one_line_with_the_way_to_its_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, judged_folder: Path
) -> None:
    for error, words in ((RuntimeError("first\nsecond"), "RuntimeError: first second ("), (EOFError(), "EOFError (")):

        def broken(ws: Workspace, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(status_step, "status", broken)
        code, told, verb = failing(capsys, "-w", str(judged_folder), "status", "--json")
        assert (code, told["kind"], verb) == (1, "unexpected", "status")
        assert told["message"].startswith(words)
        assert told["message"].endswith("(run again with --debug for the traceback)")


def test_ctrl_c_names_the_command_that_goes_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, judged_folder: Path
) -> None:
    def stopped(ws: Workspace) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(status_step, "status", stopped)
    code, told, _ = failing(capsys, "-w", str(judged_folder), "status", "--json")
    assert (code, told["kind"]) == (130, "interrupted")
    assert told["resume"] == f"ferclean -w {judged_folder} status --json"
    assert told["resume"] in told["message"]


def test_what_a_forced_score_has_finished_is_not_made_again() -> None:
    line = ["-w", "my set", "score", "--force", "--epochs", "3"]
    assert failure_of(KeyboardInterrupt(), line, "score").resume == "ferclean -w 'my set' score --epochs 3"
    # an encoder is replaced when it is finished, so here --force is still needed
    assert failure_of(KeyboardInterrupt(), ["encode", "--force"], "encode").resume == "ferclean encode --force"


def test_being_told_to_end_is_a_ctrl_c(judged_folder: Path) -> None:
    slow = (
        "import sys, time; import ferclean.steps.status as s\n"
        "s.status = lambda ws: (print('ready', file=sys.stderr, flush=True), time.sleep(60))\n"
        "from ferclean.cli import main; main()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", slow, "-w", str(judged_folder), "status"], stderr=subprocess.PIPE, text=True
    )
    assert child.stderr is not None
    assert child.stderr.readline() == "ready\n"
    child.send_signal(signal.SIGTERM)
    told = child.communicate(timeout=60)[1]
    assert child.returncode == 130
    assert told.startswith("ferclean: stopped; ")


def test_ctrl_c_while_the_command_line_is_still_imported_ends_it_without_a_traceback() -> None:
    early = (
        "import os, signal, sys\n"
        "class Here:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in ('typer', 'ferclean.cli.settings') and name == sys.argv[1]:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Here())\n"
        "from ferclean.cli import main; main()"
    )
    for module in ("typer", "ferclean.cli.settings"):
        done = subprocess.run(
            [sys.executable, "-c", early, module], capture_output=True, text=True, check=False, timeout=60
        )
        assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_stopped_score_leaves_no_run_running_and_goes_on_at_its_unfinished_fold(
    tmp_path: Path, drawn_set: Path
) -> None:
    ws = Workspace.create(tmp_path / "W")
    ingest(ws, "drawn_faces", drawn_set, limit=100)
    # long enough a fold that the signal comes before the last one also where the machine is busy
    tiny: dict[str, Any] = {"epochs": 24, "folds": 4, "input_size": 32, "batch_size": 32}
    options = [word for name, value in tiny.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    line = ["-w", str(ws.root), "score", "--methods", "cross_entropy", *options]
    child = subprocess.Popen(
        [*COMMAND, *line], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    assert child.stderr is not None
    first = child.stderr.readline()
    child.send_signal(signal.SIGINT)
    out, told = child.communicate(timeout=120)
    assert child.returncode == 130, told
    assert first.startswith("cross_entropy, seed 0, fold 1/4: ")
    assert " images in " in first
    assert told.splitlines()[-1].endswith(f"finished folds are kept; go on with: ferclean {' '.join(line)}")
    assert out == ""
    states = {run.kind: run.state for run in runs.list_runs(ws)}
    assert states == {"pairs": "done", "score": "interrupted"}

    heard: list[str] = []
    again = score(ws, methods=["cross_entropy"], **tiny, tell=heard.append)
    assert again.folds_reused >= 1
    assert len(heard) == 4
    assert heard[0] == "cross_entropy, seed 0, fold 1/4: done before, reused"
    heard.clear()
    assert score(ws, methods=["cross_entropy"], **tiny, tell=heard.append).reused == 1
    assert heard == ["cross_entropy, seed 0: done before, reused"]


@pytest.mark.parametrize(
    ("argv", "nearest"),
    [
        (["score", "--profile", "quik"], "quick"),
        (["score", "--methods", "supcon-relable"], "supcon_relabel"),
        (["encode", "--method", "destilled"], "distilled"),
        (["methods", "--measure", "--device", "cude"], "cuda"),
        (["score", "--splits", "trian"], "train"),
        (["decide", "train_00001", "relable", "--label", "fear"], "relabel"),
        (["decide", "train_00001", "relabel", "--label", "hapines"], "happiness"),
        (["export", "--form", "imagefolder", "--release", "v1", "--out", "x"], "image_folder"),
        (["export", "--release", "v_l", "--out", "x"], "v-1"),
        (["ingest", "rafbd", "empty"], "rafdb"),
        (["ingest", "rafdb", "empty", "--layout", "tabel"], "table"),
        (["ingest", "table", "faces.csv", "--label-column", "lable"], "label"),
        (["import-scores", "preds.csv", "--id-column", "sampleid"], "sample_id"),
    ],
)
def test_a_name_that_is_nearly_right_is_guessed_and_the_known_ones_are_told(
    argv: list[str], nearest: str, capsys: pytest.CaptureFixture[str], judged_copy: Path, tmp_path: Path
) -> None:
    ws = Workspace.open(judged_copy)
    if "v_l" in argv:
        release(ws, "v-1", policy="auto")
    key = samples.get_samples(ws)["source_key"].iloc[0]
    (tmp_path / "faces.csv").write_text("path,label\n1.png,fear\n")
    (tmp_path / "preds.csv").write_text("sample_id,fear\na,1\n")
    argv = [key if word == "train_00001" else word for word in argv]
    code, told, _ = failing(capsys, "-w", str(ws.root), *argv, "--json")
    assert (code, told["kind"]) == (2, "usage")
    assert f"did you mean {nearest!r}? known: " in told["message"]
    assert f"{nearest}" in told["message"].split("known: ")[1]
