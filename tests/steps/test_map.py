"""Facts about the map verb: made once, made again where it was deleted or damaged, and missed without a word."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ferclean.parts import face_map
from ferclean.parts.ensemble import current_score_runs
from ferclean.parts.face_map import map_of, map_when_scored
from ferclean.progress import silent
from ferclean.steps.map import map_faces
from ferclean.store import embeddings, maps
from ferclean.store.workspace import Workspace


def test_a_map_is_made_once_and_again_where_it_was_deleted_damaged_or_of_other_embeddings(judged_copy: Path) -> None:
    ws = Workspace.open(judged_copy)
    run = current_score_runs(ws)[0].run_id
    own, embedding = embeddings.read_embeddings(ws, run)
    assert map_of(ws, run) is None, "so few faces have none by themselves"
    assert map_faces(ws).maps == {run: len(own)}
    file = maps.path_of(ws, run)
    made, written = file.read_bytes(), file.stat().st_mtime_ns
    held = map_of(ws, run)
    assert held is not None
    assert held.sample_ids == own
    map_faces(ws)
    assert file.stat().st_mtime_ns == written
    file.unlink()
    map_faces(ws)
    assert file.read_bytes() == made
    file.write_bytes(made[: len(made) // 2] + b"?" + made[len(made) // 2 + 1 :])
    assert map_of(ws, run) is None
    map_faces(ws)
    assert file.read_bytes() == made
    embeddings.write_embeddings(ws, run, own, embedding[:, ::-1])
    assert map_of(ws, run) is None


def test_scoring_makes_the_map_from_so_many_faces_on_and_without_the_extra_gives_a_hint(
    judged_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws = Workspace.open(judged_copy)
    run = current_score_runs(ws)[0].run_id
    told: list[str] = []
    map_when_scored(ws, progress=silent, tell=told.append)
    assert (told, map_of(ws, run)) == ([], None)
    monkeypatch.setattr(face_map, "LEAST", 10)
    monkeypatch.setitem(sys.modules, "umap", None)
    map_when_scored(ws, progress=silent, tell=told.append)
    assert told == [
        "the map of the faces needs umap, which is not installed: pip install 'ferclean[map]', then ferclean map"
    ]
    monkeypatch.delitem(sys.modules, "umap")
    map_when_scored(ws, progress=silent, tell=told.append)
    assert map_of(ws, run) is not None
