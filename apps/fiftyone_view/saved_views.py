"""The saved views a person starts from: the queue, each verdict, what is decided, duplicates.

It only filters and sorts what the dataset holds, and never touches views that people saved themselves.
"""

from __future__ import annotations

import fiftyone as fo
from fiftyone import ViewField as F

from apps.fiftyone_view.looks import VERDICT_COLOURS

QUEUE = "Queue (undecided, by rank)"
# view name -> verdict kind
VERDICT_VIEWS = {"Mislabelled": "mislabelled", "Ambiguous": "ambiguous", "Unusable": "unusable", "Leaks": "leak"}
_COLOURS = {
    QUEUE: "#0067A5", "Decided": "#00705A", **{name: VERDICT_COLOURS[kind] for name, kind in VERDICT_VIEWS.items()},
}  # fmt: skip
_ALWAYS = (QUEUE, "Mislabelled", "Ambiguous", "Unusable", "Decided")


def save_views(dataset: fo.Dataset) -> dict[str, int]:
    """Save ferclean's views into the dataset, each under its fixed name; returns name -> number of samples.

    Duplicates, Leaks and Quarantined appear only when there are any, the others always.
    """
    sizes = {}
    for name, (view, description) in _views(dataset).items():
        size = len(view)
        if size or name in _ALWAYS:
            # saving makes a new view, which an App that is open on the old one would no longer find
            if not dataset.has_saved_view(name) or dataset.load_saved_view(name) != view:
                dataset.save_view(name, view, description=description, color=_COLOURS.get(name), overwrite=True)
            sizes[name] = size
        elif dataset.has_saved_view(name):
            dataset.delete_saved_view(name)
    return sizes


def of_verdict(dataset: fo.Dataset, kind: str | None, *, undecided: bool) -> fo.DatasetView:
    """What has this verdict, or any, most suspicious first; of `undecided` what nobody decided about."""
    view = dataset.match(F("verdict") == kind if kind else F("verdict") != None)  # noqa: E711
    return (view.match(F("decision") == None) if undecided else view).sort_by("rank")  # noqa: E711


def _views(dataset: fo.Dataset) -> dict[str, tuple[fo.DatasetView, str]]:
    undecided = dataset.match((F("rank") != None) & (F("decision") == None)).sort_by("rank")  # noqa: E711
    views = {QUEUE: (undecided, "what nobody has decided yet, most suspicious first")}
    for name, kind in VERDICT_VIEWS.items():
        views[name] = (dataset.match(F("verdict") == kind).sort_by("rank"), f"verdict {kind}, most suspicious first")
    views["Decided"] = (dataset.match(F("decision") != None), "what people decided")  # noqa: E711
    views["Duplicates"] = (
        dataset.match(F("duplicates").length() > 0).sort_by("duplicates"),
        "exact and near duplicates",
    )
    views["Quarantined"] = (
        dataset.match(F("quarantine_reason") != None),  # noqa: E711
        "left out of scoring, with the reason",
    )
    return views
