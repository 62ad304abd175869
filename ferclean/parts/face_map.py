"""The map of a run's faces: projected once, when they are scored, kept in the run's folder, and read by the screens.

It judges nothing. A map that is gone, damaged or of other embeddings is no error: it is missed until it is made again.
"""

from __future__ import annotations

import numpy as np

from ferclean.errors import FercleanError
from ferclean.evidence import labels as label_names
from ferclean.evidence.projection import project
from ferclean.extras import require
from ferclean.parts.ensemble import current_score_runs
from ferclean.parts.surroundings import nearest_for_screens, spaces_of
from ferclean.progress import Progress, Tell, silent
from ferclean.store import embeddings, maps, runs, samples, scores
from ferclean.store.maps import StoredMap
from ferclean.store.workspace import Workspace

LEAST = 500
"""Faces from which scoring makes the map by itself: fewer are seen at a glance in the grid, and starting the projection
takes 6 s however few they are."""
COMMAND = "ferclean map"
"""What makes the map without scoring again."""
_NEEDS = "the map of the faces"


def make_maps(ws: Workspace, *, force: bool = False, progress: Progress = silent) -> dict[str, StoredMap]:
    """The maps that the screens show, now and after the next triage, made where they are missing; by run.

    Raises FercleanError where nothing was scored, where the recognizers tell no embeddings, and where umap-learn is not
    installed.
    """
    require("map", _NEEDS)
    triage = runs.latest_run(ws, "triage")
    shown = [] if triage is None else triage.config.get("score_runs", [])[:1]
    wanted = dict.fromkeys([*shown, current_score_runs(ws)[0].run_id])
    return {run_id: _made(ws, run_id, force=force, progress=progress) for run_id in wanted}


def map_when_scored(ws: Workspace, *, progress: Progress, tell: Tell) -> None:
    """`make_maps` at the end of a scoring, of the run that the screens show. Where the extra is missing, that is a hint
    and no error; where scores that are shown cannot be read, there is no map."""
    try:
        run = current_score_runs(ws)[0]
        count = len(scores.get_predictions(ws, run.run_id).sample_ids)
    except FercleanError:  # of another run than the one that was scored: triage, which needs it, says what to mend
        return
    if count < LEAST or not embeddings.has_embeddings(ws, run.run_id) or map_of(ws, run.run_id) is not None:
        return
    try:
        require("map", _NEEDS)
    except FercleanError as error:
        tell(f"{error}, then {COMMAND}")
        return
    _made(ws, run.run_id, force=False, progress=progress)


def map_of(ws: Workspace, run_id: str) -> StoredMap | None:
    """The run's map, if it is of the embeddings beside it. Deleted ones cannot be others."""
    found = maps.read_map(ws, run_id)
    if found is None or embeddings.embedding_digest(ws, run_id) not in (None, found.embedding):
        return None
    return found


def _made(ws: Workspace, run_id: str, *, force: bool, progress: Progress) -> StoredMap:
    found = None if force else map_of(ws, run_id)
    if found is None:
        progress("drawing the map", 0, 1)
        ids, embedding = embeddings.read_embeddings(ws, run_id)
        order, near = nearest_for_screens(ws, run_id)
        if order != ids:
            row = {sample_id: place for place, sample_id in enumerate(order)}
            near = near.in_order(np.array([row[sample_id] for sample_id in ids]))
        said, run = scores.get_predictions(ws, run_id), runs.get_run(ws, run_id)
        assert run is not None
        place = {sample_id: row for row, sample_id in enumerate(said.sample_ids)}
        fold = spaces_of(run, said.fold)[[place[sample_id] for sample_id in ids]]
        table = samples.get_samples(ws, include_quarantined=True).set_index("sample_id")["given_label"]
        given = label_names.encode(list(table.loc[ids]), samples.get_dataset(ws).classes)
        at = project(embedding, given, near, fold=fold)
        maps.write_map(ws, run_id, ids, at, embedding=str(embeddings.embedding_digest(ws, run_id)))
        found = maps.read_map(ws, run_id)
        progress("drawing the map", 1, 1)
    if found is None:
        raise FercleanError(f"{maps.path_of(ws, run_id)} was written and cannot be read; look at its disk")
    return found
