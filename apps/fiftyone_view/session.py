"""One sitting in FiftyOne: bring the dataset up to date, serve the App, turn tags into decisions as they come.

It listens on the loopback address it is given, and never opens a browser without being asked.
"""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from collections.abc import Callable
from typing import Any

import fiftyone as fo
import fiftyone.core.session.session as fiftyone_sessions

from apps.fiftyone_view.brain import at_opening
from apps.fiftyone_view.database import connect
from apps.fiftyone_view.decide import TagSync, sync_decisions
from apps.fiftyone_view.guarded_server import GuardedServer
from apps.fiftyone_view.mirror import DatasetUpdate, update_dataset
from apps.fiftyone_view.saved_views import QUEUE, save_views
from ferclean.errors import WorkspaceBusyError
from ferclean.progress import Progress, silent
from ferclean.store.samples import get_dataset
from ferclean.store.workspace import Workspace

TAG_INTERVAL = 5.0
"""Seconds between two looks for tags while the App is open."""


def bring_up_to_date(
    ws: Workspace, *, reviewer: str | None = None, whole: bool = False, brain: bool = False, progress: Progress = silent
) -> tuple[DatasetUpdate, dict[str, int], TagSync]:
    """Connect, record waiting tags, update the dataset and its views: (update, view sizes, what came of tags).

    `whole` as in `update_dataset`; `brain` has FiftyOne's brain compute everything, not what costs little alone.
    """
    connect(ws)
    # first the tags: the update then already shows what they decided
    tags = sync_decisions(ws, reviewer=reviewer)
    update = update_dataset(ws, whole=whole, progress=progress)
    at_opening(ws, update.dataset, everything=brain, progress=progress)
    return update, save_views(update.dataset), tags


def serve(
    ws: Workspace,
    update: DatasetUpdate,
    *,
    address: str,
    port: int,
    open_browser: bool,
    reviewer: str | None,
    ready: Callable[[str], None],
    told: Callable[[str], None],
    stop: threading.Event,
) -> TagSync:
    """Serve the App until `stop` is set; tags and edits become decisions every few seconds and once more at the end.

    `told` hears at once of each edit that was put back.
    """
    dataset = update.dataset
    queue = dataset.load_saved_view(QUEUE)
    roots = [get_dataset(ws).root, str(ws.images)]
    # FiftyOne asks this table for a server on the port before it starts its own, which has no guard
    fiftyone_sessions._server_services[port] = GuardedServer(port, address=address, roots=roots)
    session = fo.launch_app(
        **{"view": queue} if len(queue) else {"dataset": dataset},
        # of a view FiftyOne does not ask the data set for its colours
        color_scheme=dataset.app_config.color_scheme,
        # remote: FiftyOne would otherwise open a browser by itself
        remote=True,
        address=address,
        port=port,
    )
    url = f"http://{address}:{port}/datasets/{dataset.slug}"
    ready(url)
    if open_browser and _has_desktop():
        webbrowser.open(url, new=2)
    recorded = 0
    put_back: list[str] = []
    while True:
        ended = stop.wait(TAG_INTERVAL)
        try:
            tags = sync_decisions(ws, reviewer=reviewer)
        except WorkspaceBusyError as error:
            # the tags stay where they are, and are found again in a moment or by the next `ferclean browse`
            tags = TagSync(recorded=0, problems=(f"tags not recorded yet: {error}",))
        recorded += tags.recorded
        put_back += tags.put_back
        for text in tags.put_back:
            told(text)
        if ended:
            session.close()
            return TagSync(recorded=recorded, problems=tags.problems, put_back=tuple(put_back))
        if tags.recorded or tags.put_back:
            session.refresh()


def summary(update: DatasetUpdate, views: dict[str, int], tags: TagSync, url: str | None) -> dict[str, Any]:
    """What `ferclean.steps.browse.BrowseSummary` is made of."""
    return {
        "dataset": update.dataset.name,
        "url": url,
        "samples": len(update.dataset),
        "added": update.added,
        "changed": update.changed,
        "left_out": update.left_out,
        "views": views,
        "decisions": tags.recorded,
        "problems": [*tags.put_back, *tags.problems],
    }


def _has_desktop() -> bool:
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
