"""Make the map of the faces that the review screen shows, where scoring has made none or it was deleted.

It scores and judges nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from ferclean.parts.face_map import make_maps
from ferclean.progress import Progress, silent
from ferclean.store.workspace import Workspace
from ferclean.summary import Summary


@dataclass(frozen=True, kw_only=True)
class MapSummary(Summary):
    """Which maps there are now: run -> faces on its map."""

    maps: dict[str, int]
    seconds: float


def map_faces(ws: Workspace, *, force: bool = False, progress: Progress = silent) -> MapSummary:
    """Project the embeddings of the recognizer whose neighbours the screens show; a map that is there stays, unless
    `force`.

    Raises FercleanError where nothing was scored, where the recognizer tells no embeddings, and where umap-learn is not
    installed.
    """
    started = time.perf_counter()
    made = make_maps(ws, force=force, progress=progress)
    return MapSummary(
        maps={run_id: len(one.sample_ids) for run_id, one in made.items()},
        seconds=round(time.perf_counter() - started, 1),
    )
