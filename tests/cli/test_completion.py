"""TAB offers what fits, also after the global options; it is quick, writes nothing and never disturbs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ferclean.bundled_files import known_cards
from ferclean.cli import VERBS, completion, run
from ferclean.exports import EXPORTS
from ferclean.recognition.methods.catalogue import METHODS
from ferclean.recognition.profiles import PROFILES
from ferclean.steps.release import release
from ferclean.store import samples
from ferclean.store.decisions import ACTIONS
from ferclean.store.workspace import Workspace


def offered(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, line: str) -> set[str]:
    """What bash gets for a line whose last word is being typed; a space at its end begins a new word."""
    with monkeypatch.context() as patch:
        patch.setenv(completion.VARIABLE, "complete_bash")
        patch.setenv("COMP_WORDS", line)
        patch.setenv("COMP_CWORD", str(len(line.split()) - (not line.endswith(" "))))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            run([])
    told = capsys.readouterr()
    assert ended.value.code == 0
    assert told.err == ""
    return set(told.out.split())


def contents(root: Path) -> dict[str, tuple[int, int]]:
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(root.rglob("*"))}


def test_names_are_offered_wherever_the_global_options_stand(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, judged_copy: Path, tmp_path: Path
) -> None:
    monkeypatch.delenv("FERCLEAN_WORKSPACE", raising=False)
    monkeypatch.chdir(tmp_path)
    ws = Workspace.open(judged_copy)
    release(ws, "v1", policy="auto")
    (ws.root / "encoders").mkdir()
    (ws.root / "encoders" / "mine.safetensors").touch()
    before = contents(ws.root)
    expected = {
        "ferclean ": set(VERBS),
        "ferclean sc": {"score"},
        "ferclean -w W sc": {"score"},
        "ferclean --json --workspace W sta": {"status"},
        "ferclean --j": {"--json"},
        "ferclean -w W score --jso": {"--json"},
        "ferclean -w W score --works": {"--workspace"},
        # the shell's own file names
        "ferclean -w ": set(),
        "ferclean status -w ": set(),
        "ferclean ingest rafdb ": set(),
        "ferclean -w W score --profile ": set(PROFILES),
        "ferclean score --profile qu": {"quick"},
        "ferclean -w W encode --method ": set(METHODS),
        "ferclean score --methods eac,cross_e": {"eac,cross_entropy"},
        "ferclean score --device ": {"auto", "cpu", "cuda"},
        "ferclean -w W score --splits ": {"train", "test"},
        "ferclean -w W probe ": {"mine"},
        "ferclean -w W decide x relabel --label ": set(samples.get_dataset(ws).classes),
        "ferclean decide x relabel -w W --label hap": {"happiness"},
        "ferclean -w W decide x ": set(ACTIONS),
        "ferclean -w W export --release ": {"v1"},
        "ferclean export -w W --json --release ": {"v1"},
        "ferclean -w W diff or": {"original"},
        "ferclean -w W diff original ": {"original", "v1"},
        "ferclean export --form ": set(EXPORTS),
        "ferclean -w W ingest ": {"auto", *known_cards()},
        "ferclean doctor --fail-on ": {"error", "warning", "never"},
        # nothing to look into: nothing is offered, nothing is said
        "ferclean -w nowhere export --release ": set(),
        "ferclean export --release ": set(),
    }
    found = {line: offered(capsys, monkeypatch, line) for line in expected}
    assert found == expected
    monkeypatch.setenv("FERCLEAN_WORKSPACE", str(ws.root))
    assert offered(capsys, monkeypatch, "ferclean retrain --release ") == {"v1"}
    assert contents(ws.root) == before
    assert not (tmp_path / "nowhere").exists()


def test_a_workspace_that_cannot_be_read_just_now_offers_nothing_and_says_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ferclean.duckdb").write_text("no database")
    assert offered(capsys, monkeypatch, f"ferclean -w {tmp_path} export --release ") == set()
    monkeypatch.setenv(completion.VARIABLE, "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "ferclean -w ~no-such-person/W export --release ")
    monkeypatch.setenv("COMP_CWORD", "5")
    assert run([]) == 1
    assert capsys.readouterr() == ("", "")


def test_completion_loads_nothing_that_takes_long(judged_folder: Path) -> None:
    code = (
        "import sys; from ferclean.cli import run\n"
        "try: run([])\n"
        "finally: print(sorted({'torch', 'pandas', 'numpy', 'datasets', 'sklearn'} & set(sys.modules)))"
    )
    for line in (f"ferclean -w {judged_folder} decide x relabel --label ", "ferclean score --methods "):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            env=os.environ
            | {completion.VARIABLE: "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split()))},
        )  # fmt: skip
        assert done.stdout.splitlines()[-1] == "[]"
        assert len(done.stdout.splitlines()) > 5
