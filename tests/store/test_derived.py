"""Every file that can be made again: damaged, cut off, emptied or another's, it is named with the way to a new one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ferclean.derived import DamagedFileError, reading
from ferclean.errors import FercleanError, WorkspaceBusyError
from ferclean.recognition import fold_files
from ferclean.recognition.pretraining import read_state, write_state
from ferclean.store import embeddings, neighbours, run_files, runs, scores, table, verdicts
from ferclean.store.workspace import Workspace
from tests.bare_workspace import bare, held_by_another, triaged

HEAD = 12  # bytes that tell what a file is


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def overwritten(path: Path) -> None:
    """Some of what a full disk or a bad block leaves: zeros, with both ends of the file as they were."""
    whole = path.read_bytes()
    path.write_bytes(whole[:HEAD] + bytes(len(whole) - 2 * HEAD) + whole[-HEAD:])


DAMAGES = (emptied, cut, overwritten)


def scored(ws: Workspace, ids: list[str], method: str) -> str:
    with runs.running(ws, kind="score", method=method, config={}, seed=0, fingerprint="f") as run_id:
        embeddings.write_embeddings(ws, run_id, ids, np.arange(len(ids) * 8).reshape(-1, 8) + len(method))
        fold = np.zeros(len(ids), dtype=np.int64)
        scores.put_predictions(ws, run_id, ids, fold, np.eye(3)[fold], {"margin": np.arange(len(ids)) / 8})
        flip = {"sample_id": ids[0], "fold": 0, "epoch": 1, "from_label": "fear", "to_label": "anger", "p": 1.0}
        scores.put_flips(ws, run_id, pd.DataFrame([flip]))
        runs.finish_run(ws, run_id)
    return run_id


def looked(ws: Workspace, ids: list[str], seed: int = 0) -> str:
    with runs.running(ws, kind="pairs", method="thumbnails", config={}, seed=seed, fingerprint="f") as run_id:
        pair = {"sample_a": ids[:1], "sample_b": ids[1:2], "kind": ["near"], "similarity": [0.99]}
        verdicts.put_pairs(ws, run_id, pd.DataFrame(pair))
        runs.finish_run(ws, run_id)
    return run_id


def both(ws: Workspace, ids: list[str], kind: str) -> tuple[str, str]:
    if kind == "score":
        return scored(ws, ids, "one"), scored(ws, ids, "another")
    make = looked if kind == "pairs" else triaged
    return make(ws, ids, seed=1), make(ws, ids, seed=0)


READERS: dict[str, tuple[str, Callable[[Workspace, str], object]]] = {
    "predictions of scores.parquet": ("score", scores.get_predictions),
    "signals of scores.parquet": ("score", scores.get_signals),
    "flips of flips.parquet": ("score", scores.get_flips),
    "embeddings of embeddings.parquet": ("score", embeddings.read_embeddings),
    "verdicts of verdicts.parquet": ("triage", verdicts.get_verdicts),
    "queue of verdicts.parquet": ("triage", lambda ws, _: table.queue(ws)),
    "pairs of pairs.parquet": ("pairs", verdicts.get_pairs),
}


@pytest.mark.parametrize("what", READERS)
def test_a_damaged_file_of_a_run_is_named_with_its_run_and_what_makes_it_again(tmp_path: Path, what: str) -> None:
    kind, read = READERS[what]
    ws, ids = bare(tmp_path)
    _, run_id = both(ws, ids, kind)
    path = ws.runs / run_id / what.split(" of ")[1]
    whole = path.read_bytes()
    assert read(ws, run_id) is not None
    for damage in (overwritten,) if "flips" in what else DAMAGES:
        path.write_bytes(whole)
        damage(path)
        if what.startswith("signals") and damage is not overwritten:
            continue  # as good as deleted: whoever needs a signal reads probabilities first
        with pytest.raises(
            FercleanError, match=r"(is damaged \(|was cut off).*; .*`ferclean (status|score|triage)"
        ) as told:
            read(ws, run_id)
        assert str(path) in str(told.value)
        assert "\n" not in str(told.value)


@pytest.mark.parametrize("what", READERS)
def test_a_file_of_another_run_in_its_place_is_never_read(tmp_path: Path, what: str) -> None:
    kind, read = READERS[what]
    ws, ids = bare(tmp_path)
    other, run_id = both(ws, ids, kind)
    read(ws, run_id)
    name = what.split(" of ")[1]
    shutil.copyfile(ws.runs / other / name, ws.runs / run_id / name)
    with pytest.raises(DamagedFileError, match=rf"{name} was made for run {other}, not for run {run_id}: "):
        read(ws, run_id)


@pytest.mark.parametrize("what", [what for what in READERS if what.startswith(("predictions", "verdicts", "pairs"))])
def test_bytes_changed_anywhere_in_a_file_of_a_run_are_never_an_error_of_its_reader(tmp_path: Path, what: str) -> None:
    kind, read = READERS[what]
    ws, ids = bare(tmp_path)
    _, run_id = both(ws, ids, kind)
    path = ws.runs / run_id / what.split(" of ")[1]
    whole = np.fromfile(path, np.uint8)
    rng = np.random.default_rng(5)
    end = len(whole) - 8 - int.from_bytes(whole[-8:-4].tobytes(), "little")
    told = []
    for number in range(14):
        first, last = (4, end) if number % 2 else (end, len(whole) - 8)  # of the content, of the file's directory
        at, size = int(rng.integers(first, last)), int(rng.choice([1, 4, 16, len(whole) // 10]))
        changed = whole.copy()
        changed[at : min(at + size, last)] ^= 0x5A
        path.write_bytes(changed.tobytes())
        try:
            read(ws, run_id)
        except DamagedFileError as error:
            told.append(str(error))
    assert len(told) > 6
    assert all(str(path) in line for line in told)


def test_embeddings_are_read_while_another_holds_the_database_unless_they_are_damaged(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path, timeout=0.2)
    run_id = scored(ws, ids, "one")
    with held_by_another(ws.root):
        assert embeddings.read_embeddings(ws, run_id)[0] == ids
        assert embeddings.embedding_digest(ws, run_id)
        emptied(ws.runs / run_id / embeddings.FILE)
        with pytest.raises(WorkspaceBusyError):
            embeddings.read_embeddings(ws, run_id)


def test_a_damaged_file_of_scores_is_replaced_by_scoring_anew(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    run_id = scored(ws, ids, "one")
    before = scores.get_signals(ws, run_id)
    for damage in DAMAGES:
        damage(run_files.path_of(ws, run_id, "scores"))
        scored(ws, ids, "one")
        pd.testing.assert_frame_equal(scores.get_signals(ws, run_id), before)


def test_neighbours_that_cannot_be_read_or_are_of_another_run_are_none(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    for run_id in ("one", "two"):
        neighbours.write_neighbours(
            ws, run_id, ids, at=np.arange(12).reshape(6, 2) % 6, cosine=np.ones((6, 2)),
            tied=np.empty((0, 2), np.int64), crowd=np.zeros(6, bool), made_for="here", embedding="0",
        )  # fmt: skip
    path = neighbours.path_of(ws, "one")
    whole = path.read_bytes()
    held = neighbours.read_neighbours(ws, "one")
    assert held is not None
    for damage in DAMAGES:
        path.write_bytes(whole)
        damage(path)
        assert neighbours.read_neighbours(ws, "one") is None
    for content in (held.at, held.cosine):  # another number, as good as the one that was written
        there = whole.index(content.tobytes())
        path.write_bytes(whole[:there] + bytes([whole[there] ^ 1]) + whole[there + 1 :])
        assert neighbours.read_neighbours(ws, "one") is None
    path.write_bytes(whole)
    assert neighbours.read_neighbours(ws, "one") is not None
    shutil.copyfile(neighbours.path_of(ws, "two"), path)
    assert neighbours.read_neighbours(ws, "one") is None


def fold(path: Path) -> None:
    some = np.arange(64, dtype=np.float32).reshape(4, 16)
    fold_files.write(
        path,
        fold_files.Fold(
            held_out=np.arange(4), outputs={"embedding": some}, train=np.arange(4, 8), given_prob=some[:2, :4],
            margin=some[:2, :4], flips=[], history=[{"loss": 1.0}],
        ),
    )  # fmt: skip


def state(path: Path) -> None:
    import torch

    write_state(path, {"weight": torch.arange(64.0)})


@pytest.mark.parametrize(
    ("write", "read", "name"),
    [(fold, fold_files.read, "fold-0-a.parquet"), (state, read_state, "encoder-a.safetensors")],
)
def test_a_damaged_fold_or_encoder_and_one_written_under_another_name_are_refused(
    tmp_path: Path, write: Callable[[Path], None], read: Callable[[Path], object], name: str
) -> None:
    path = tmp_path / name
    # what safetensors holds has no checksum: of its numbers nobody can tell
    for damage in DAMAGES if name.endswith("parquet") else (emptied, cut):
        write(path)
        read(path)
        damage(path)
        with pytest.raises(DamagedFileError, match=rf"{name} is damaged \(.*; .*trained again"):
            read(path)
    write(tmp_path / f"other-{name}")
    shutil.copyfile(tmp_path / f"other-{name}", path)
    with pytest.raises(DamagedFileError, match="another file lies in its place"):
        read(path)


def test_what_the_system_does_not_let_be_read_is_not_called_damaged(tmp_path: Path) -> None:
    def refused() -> None:
        raise PermissionError(13, "Permission denied", "a")

    with pytest.raises(FercleanError, match="cannot be read: Permission denied") as told, reading(Path("a"), "mend"):
        refused()
    assert not isinstance(told.value, DamagedFileError)
