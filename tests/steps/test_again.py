"""Facts about files of runs that were deleted: the command that is named, typed as it stands, makes the very run."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from ferclean.cli import run
from ferclean.errors import FercleanError, UsageError
from ferclean.steps.ingest import ingest
from ferclean.steps.score import score, score_again
from ferclean.steps.status import status
from ferclean.steps.triage import triage
from ferclean.store import again, embeddings, ensembles, neighbours, run_files, runs
from ferclean.store.workspace import Workspace
from tests.steps.test_score import SMALL, small_set


def typed(ws: Workspace, told: str) -> None:
    """Type the one command that a sentence names."""
    (command,) = re.findall("`ferclean ([^`]+)`", told)
    assert run(["-w", str(ws.root), *shlex.split(command)]) == 0


def states(ws: Workspace, kind: str = "score") -> dict[str, str]:
    return {run.run_id: run.state for run in runs.list_runs(ws) if run.kind == kind}


def test_runs_with_settings_of_their_own_are_made_again_to_the_byte_by_the_one_command_that_is_named(
    tmp_path: Path,
) -> None:
    ws = small_set(tmp_path)
    made = score(ws, **SMALL, seeds=2, seed=3, learning_rate=1e-3).runs
    ids = [one["run_id"] for one in made]
    chosen = ensembles.list_ensembles(ws)
    whole = [run_files.path_of(ws, run_id, "scores").read_bytes() for run_id in ids]
    for run_id in ids:
        shutil.rmtree(ws.runs / run_id)
    with pytest.raises(FercleanError, match=f"run `ferclean score --again {','.join(ids)}` first"):
        triage(ws)
    (line,) = status(ws).deleted
    typed(ws, line)
    assert states(ws) == dict.fromkeys(ids, "done")
    assert [run_files.path_of(ws, run_id, "scores").read_bytes() for run_id in ids] == whole
    assert ensembles.list_ensembles(ws) == chosen
    assert status(ws).deleted == []
    # one of two stays one of two, and for other labels another run takes its place
    shutil.rmtree(ws.runs / ids[0])
    Image.new("L", (40, 40), 90).save(tmp_path / "a" / "anger" / "later.png")
    ingest(ws, "image_folder", tmp_path / "a")
    typed(ws, next(line for line in status(ws).deleted if ids[0] in line))
    first, second = ensembles.list_ensembles(ws)[-1].members
    assert (first in ids, second) == (False, ids[1])
    assert not [line for line in status(ws).deleted if "score" in line]


def test_whatever_file_of_a_run_is_missing_or_damaged_is_told_and_made_from_its_folds(tmp_path: Path) -> None:
    ws = small_set(tmp_path)
    run_id = score(ws, **SMALL).runs[0]["run_id"]
    flips, embedding = (run_files.path_of(ws, run_id, file) for file in ("flips", "embeddings"))
    whole, beside = {path: path.read_bytes() for path in (flips, embedding)}, neighbours.path_of(ws, run_id)
    folds = {path: path.stat().st_mtime_ns for path in (ws.runs / run_id).glob("fold-*.parquet")}

    def mended(mend: Callable[[], object]) -> None:
        mend()
        assert {path: path.read_bytes() for path in whole} == whole
        assert beside.exists()
        assert {path: path.stat().st_mtime_ns for path in folds} == folds
        assert status(ws).deleted == []

    flips.unlink()
    (line,) = status(ws).deleted
    assert line.startswith(f"files of {run_id} (flips) were deleted from runs/; ")
    mended(lambda: typed(ws, line))
    flips.unlink()
    embedding.unlink()
    beside.unlink()
    (both,) = status(ws).deleted
    assert "(embeddings, flips)" in both
    with pytest.raises(FercleanError, match="make the embeddings again with") as error:
        embeddings.read_embeddings(ws, run_id)
    mended(lambda: score(ws, **SMALL))
    embedding.write_bytes(b"PAR1" + bytes(100) + b"PAR1")
    with pytest.raises(FercleanError, match=r"is damaged .* make the embeddings again with") as error:
        embeddings.read_embeddings(ws, run_id)
    mended(lambda: typed(ws, str(error.value)))
    embeddings.write_embeddings(ws, "another", *embeddings.read_embeddings(ws, run_id))
    shutil.copy(run_files.path_of(ws, "another", "embeddings"), embedding)
    heard: list[str] = []
    mended(lambda: score(ws, **SMALL, tell=heard.append))
    assert "was made for run another" in heard[0]


def test_verdicts_are_made_again_with_the_options_that_they_had(judged_copy: Path) -> None:
    ws = Workspace.open(judged_copy)
    made = triage(ws, mislabelled_at=0.6, random_share=0.5, teaching_round=0).run_id
    for run_id in states(ws, "triage"):
        shutil.rmtree(ws.runs / run_id)
    (line,) = status(ws).deleted
    typed(ws, line)
    assert states(ws, "triage")[made] == "done"
    assert status(ws).deleted == []


def test_what_another_verb_scored_is_named_with_that_verb_and_its_settings(tmp_path: Path) -> None:
    file = {"id_column": "source_key", "classes": ["a", "b c"], "embedding": True, "out_of_sample": True}
    config = {"splits": ["train", "dev"], "samples": "x", "file": file}
    ws = small_set(tmp_path)
    runs.start_run(ws, kind="score", method="mine", config=config, seed=0, fingerprint="f")
    (one,) = runs.list_runs(ws)
    assert list(again.commands([replace(one, metrics={"file": "p q.csv"})])) == [
        "import-scores 'p q.csv' --name mine --id-column source_key --classes 'a,b c' --out-of-sample "
        "--allow-missing --splits train,dev"
    ]


def test_a_run_named_to_be_made_again_says_itself_how(tmp_path: Path) -> None:
    ws = small_set(tmp_path)
    with pytest.raises(UsageError, match="'score-x' is no run of `ferclean score`"):
        score_again(ws, ["score-x"])
    assert run(["-w", str(ws.root), "score", "--again", "score-x", "--epochs", "2"]) == 2
    assert run(["-w", str(ws.root), "triage", "--again", "--random-share", "0"]) == 2
