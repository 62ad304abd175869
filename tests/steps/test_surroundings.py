"""Facts about a run's neighbours: sought once, kept in its folder, made anew only where they no longer fit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import TINY

from ferclean.errors import FercleanError
from ferclean.evidence.signals import nearest as search
from ferclean.parts.ensemble import current_score_runs
from ferclean.parts.gathering import gather
from ferclean.parts.surroundings import nearest_for_screens
from ferclean.review.beside import beside, open_album
from ferclean.steps.ingest import ingest
from ferclean.steps.report import report
from ferclean.steps.score import score
from ferclean.steps.triage import triage
from ferclean.store import embeddings, neighbours, runs, samples, verdicts
from ferclean.store.workspace import Workspace
from tests.steps.test_score import image_folder


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the number of samples whenever neighbours are sought."""
    counted: list[int] = []
    seek = search.find

    def counting(embedding: np.ndarray, **options: object) -> search.Nearest:
        counted.append(len(embedding))
        return seek(embedding, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(search, "find", counting)
    return counted


def test_neighbours_are_sought_once_per_run_from_score_to_report_and_a_face_on_the_desk(
    tmp_path: Path, searches: list[int]
) -> None:
    ws = Workspace.create(tmp_path / "W")
    ingest(ws, "image_folder", image_folder(tmp_path / "a", {"anger": 9, "fear": 9}))
    score(ws, **(TINY | {"epochs": 1, "methods": ["cross_entropy"]}))
    assert searches == [18]
    for again in range(2):
        triage(ws, random_share=0.1 * again)
    report(ws)
    album = open_album(ws)
    assert all(beside(album, sample_id, count=4) for sample_id in samples.get_samples(ws)["sample_id"])
    assert searches == [18]


def test_embeddings_and_neighbours_that_were_deleted_are_made_again_from_the_folds(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "W")
    ingest(ws, "image_folder", image_folder(tmp_path / "a", {"anger": 9, "fear": 9}))
    asked = TINY | {"epochs": 1, "methods": ["cross_entropy"]}
    made = score(ws, **asked)
    triage(ws)
    folder = ws.runs / made.runs[0]["run_id"]
    files = [folder / name for name in (embeddings.FILE, neighbours.path_of(ws, folder.name).name)]
    held = [file.read_bytes() for file in files]
    assert score(ws, **asked).reused == 1
    for file in files:
        file.unlink()
    again = score(ws, **asked)
    assert (again.reused, again.folds_reused) == (0, made.folds)
    assert [file.read_bytes() for file in files] == held
    assert len(triage(ws).score_runs) == 1


def test_a_run_of_an_older_ferclean_gets_its_neighbours_at_the_first_triage_and_the_same_verdicts(
    judged_copy: Path, searches: list[int]
) -> None:
    ws = Workspace.open(judged_copy)
    run, other = current_score_runs(ws)
    file = neighbours.path_of(ws, run.run_id)
    scored, judged = file.read_bytes(), verdicts.get_verdicts(ws)
    file.unlink()
    triage(ws)
    assert len(searches) == 1
    assert file.read_bytes() == scored
    pd.testing.assert_frame_equal(verdicts.get_verdicts(ws), judged)
    # and at the desk, should that be first
    file.unlink()
    ids, found = nearest_for_screens(ws, run.run_id)
    assert len(ids) == len(found.at)
    gather(ws)
    assert len(searches) == 2
    assert neighbours.path_of(ws, other.run_id).is_file()


def test_embeddings_of_an_older_ferclean_are_read_once_though_they_say_no_digest_and_others_are_noticed(
    judged_copy: Path, searches: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    ws = Workspace.open(judged_copy)
    run, _ = current_score_runs(ws)
    path = ws.runs / run.run_id / embeddings.FILE
    own, embedding = embeddings.read_embeddings(ws, run.run_id)
    read = []
    whole = embeddings.read_embeddings

    def counting(ws: Workspace, run_id: str) -> tuple[list[str], np.ndarray]:
        read.append(run_id)
        return whole(ws, run_id)

    monkeypatch.setattr(embeddings, "read_embeddings", counting)
    for made in (embedding, embedding * np.float32(0.5)):
        embeddings.write_embeddings(ws, run.run_id, own, made)
        pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
        searches.clear()
        read.clear()
        for _ in range(2):
            triage(ws)
            nearest_for_screens(ws, run.run_id)
        assert len(searches) == 1
        assert read == [run.run_id]


def test_neighbours_of_an_older_format_are_sought_again_once(judged_copy: Path, searches: list[int]) -> None:
    ws = Workspace.open(judged_copy)
    run, _ = current_score_runs(ws)
    path = neighbours.path_of(ws, run.run_id)
    kept = path.read_bytes()
    with pa.ipc.open_file(kept) as file:
        table = file.read_all()
    about = json.loads(table.schema.metadata[b"ferclean"])
    del about["embedding"], about["run"]
    table = table.replace_schema_metadata({"ferclean": json.dumps(about | {"format": 1})})
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
    for _ in range(2):
        triage(ws)
    assert len(searches) == 1
    assert path.read_bytes() == kept


def test_neighbours_made_for_other_copies_or_embeddings_are_sought_again(
    judged_copy: Path, searches: list[int]
) -> None:
    ws = Workspace.open(judged_copy)
    run, other = current_score_runs(ws)
    ids, found = nearest_for_screens(ws, run.run_id)
    row = int(np.flatnonzero(found.at[:, 0] >= 0)[0])
    twin = int(found.at[row, 0])
    copies = pd.DataFrame({"sample_a": [ids[row]], "sample_b": [ids[twin]], "kind": ["near"], "similarity": [0.99]})
    look = runs.latest_run(ws, "pairs")
    assert look is not None
    verdicts.put_pairs(ws, look.run_id, pd.concat([verdicts.get_pairs(ws), copies], ignore_index=True))
    seen = gather(ws)
    assert len(searches) == len((run, other))
    assert seen.around is not None
    assert seen.around[seen.ids.index(ids[row]), seen.ids.index(ids[twin])] == 0
    gather(ws)
    assert len(searches) == 2
    own, embedding = embeddings.read_embeddings(ws, run.run_id)
    embeddings.write_embeddings(ws, run.run_id, own, embedding[:, ::-1])
    gather(ws)
    assert len(searches) == 3
    # by hand, as an older ferclean wrote it
    path = ws.runs / run.run_id / embeddings.FILE
    stored = pq.read_table(path).replace_schema_metadata(None)
    pq.write_table(stored.take(np.arange(len(own))[::-1]), path)
    gather(ws)
    assert len(searches) == 4
    nearest_for_screens(ws, run.run_id)
    assert len(searches) == 4
    # with the neighbours at hand nobody needs the embeddings; without either, the way is told
    (ws.runs / run.run_id / embeddings.FILE).unlink()
    gather(ws)
    neighbours.path_of(ws, run.run_id).unlink()
    with pytest.raises(FercleanError, match=f"make the embeddings again with `ferclean score --again {run.run_id}`"):
        gather(ws)
