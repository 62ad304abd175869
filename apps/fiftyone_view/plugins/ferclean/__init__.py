"""Operators for the FiftyOne App: decide about the selected samples, and turn tags into decisions now.

It runs inside FiftyOne's server; it only asks, then calls `apps.fiftyone_view.decide`.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from ferclean.bundled_files import bundled_path
from ferclean.errors import FercleanError
from ferclean.steps.review import ASK_ABOVE, OFFER
from ferclean.store.samples import get_dataset
from ferclean.store.workspace import Workspace

if (_root := str(bundled_path("apps").parent)) not in sys.path:
    sys.path.insert(0, _root)

_ACTIONS = (
    (OFFER, "What each verdict proposes: accept the suggestion, keep, ambiguous or exclude"),
    ("keep", "Keep: the given label is right"),
    ("relabel", "Relabel: another expression is right"),
    ("ambiguous", "Ambiguous: people would not agree"),
    ("exclude", "Exclude: no readable face"),
)


class Decide(foo.Operator):
    """Ask for an action, and for a label where one is needed; applies to the selected samples or the open one."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(name="decide", label="ferclean: decide about labels", dynamic=True)

    def resolve_input(self, ctx: Any) -> types.Property:
        inputs = types.Object()
        actions = types.RadioGroup()
        for value, label in _ACTIONS:
            actions.add_choice(value, label=label)
        inputs.enum("action", actions.values(), required=True, label="Decision", view=actions)
        if ctx.params.get("action") == "relabel":
            labels = types.DropdownView()
            for name in get_dataset(_workspace(ctx)).classes:
                labels.add_choice(name, label=name)
            inputs.enum("label", labels.values(), required=True, label="Right label", view=labels)
        chosen = len(_chosen(ctx))
        if chosen:
            inputs.view("count", types.Notice(label=f"Applies to {chosen} sample(s); undo with `ferclean undo`"))
            if chosen > ASK_ABOVE:
                sure = inputs.bool("sure", required=True, default=False, label=f"Yes, decide about all {chosen:,}")
                if not ctx.params.get("sure"):
                    sure.invalid, sure.error_message = True, "so many at once: are they all meant?"
        else:
            inputs.view("none", types.Error(label="Select one or more samples first"))
        return types.Property(inputs, view=types.View(label="Decide about labels"))

    def execute(self, ctx: Any) -> dict[str, int]:
        from apps.fiftyone_view.decide import record

        ws, dataset, ids = _workspace(ctx), ctx.dataset, _chosen(ctx)
        if not ids:
            raise FercleanError("select one or more samples first")
        action = ctx.params["action"]
        # the form keeps a label that was chosen before another action was
        label = ctx.params["label"] if action == "relabel" else None
        made = record(ws, dataset, ids, action=action, label=label, reviewer=_reviewer())
        # a selection that stays would get the next decision too
        ctx.ops.clear_selected_samples()
        ctx.ops.reload_samples()
        ctx.ops.notify(str(made), variant="success" if made.recorded else "warning")
        return {"recorded": made.recorded}


class RecordTags(foo.Operator):
    """Turn tags such as `keep`, `exclude` or `relabel:anger` into decisions at once."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(name="record_tags", label="ferclean: record tags as decisions")

    def execute(self, ctx: Any) -> dict[str, Any]:
        from apps.fiftyone_view.decide import sync_decisions

        result = sync_decisions(_workspace(ctx), reviewer=_reviewer())
        ctx.ops.reload_samples()
        ctx.ops.notify(f"{result.recorded} decision(s) recorded", variant="success")
        for problem in result.problems[:5]:
            ctx.ops.notify(problem, variant="warning")
        return {"recorded": result.recorded, "problems": list(result.problems)}


def _workspace(ctx: Any) -> Workspace:
    """The workspace this server was started for; another dataset's samples are refused."""
    from apps.fiftyone_view.workspace_dataset import dataset_name

    ws = Workspace.open(os.environ["FERCLEAN_WORKSPACE"])
    if ctx.dataset is None or ctx.dataset.name != dataset_name(ws):
        raise FercleanError(f"this dataset is not the workspace {ws.root}; open {dataset_name(ws)}")
    return ws


def _chosen(ctx: Any) -> list[str]:
    return list(ctx.selected or ([ctx.current_sample] if ctx.current_sample else []))


def _reviewer() -> str | None:
    return os.environ.get("FERCLEAN_REVIEWER") or None


def register(plugin: Any) -> None:
    """FiftyOne calls this when it loads the plugin."""
    plugin.register(Decide)
    plugin.register(RecordTags)
