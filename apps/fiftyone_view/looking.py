"""Ways to look at faces of the dataset: those like one of them, and one of them on the review screen.

It records nothing.
"""

from __future__ import annotations

from urllib.parse import urlencode

import fiftyone as fo

from ferclean.errors import FercleanError
from ferclean.parts.surroundings import nearest_for_screens
from ferclean.review.serve import DEFAULT_PORT
from ferclean.store.runs import latest_run
from ferclean.store.workspace import Workspace

_ALIKE = 24


def similar_to(ws: Workspace, dataset: fo.Dataset, sample: str) -> fo.DatasetView:
    """The FiftyOne sample and the faces nearest to it by the embeddings of the first recognizer, nearest first.

    Raises FercleanError where nothing was scored with embeddings, or not this sample.
    """
    (key,) = dataset.select([sample]).values("ferclean_id")
    triage = latest_run(ws, "triage")
    runs = triage.config.get("score_runs", []) if triage else []
    if not runs:
        raise FercleanError("nothing was scored here, so nothing is known to be like it; run `ferclean score`")
    ids, nearest = nearest_for_screens(ws, runs[0])
    if key not in ids:
        raise FercleanError("this sample was not scored, so nothing is known to be like it")
    near = [ids[place] for place in nearest.at[ids.index(key)][:_ALIKE] if place >= 0]
    shown = dict(
        zip(*dataset.match(fo.ViewField("ferclean_id").is_in(near)).values(["ferclean_id", "id"]), strict=True)
    )
    return dataset.select([sample, *(shown[one] for one in near if one in shown)], ordered=True)


def review_address(dataset: fo.Dataset, sample: str, *, reviewer: str, port: int = DEFAULT_PORT) -> str:
    """Where the review screen of this machine shows the sample, if `ferclean review` serves it on that port."""
    (key,) = dataset.select([sample]).values("ferclean_id")
    # picked: it is shown whatever its verdict, and whoever's it is by the team's plan
    asked = {"reviewer": reviewer, "page": "review", "sample": key, "pick": "1"}
    return f"http://127.0.0.1:{port}/?{urlencode(asked)}"
