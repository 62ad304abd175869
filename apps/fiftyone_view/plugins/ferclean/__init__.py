"""Operators for the FiftyOne App: one for each decision, undo, ways to look, and what brings the dataset up to date.

It runs inside FiftyOne's server; it only asks, then calls `apps.fiftyone_view`.
"""

from __future__ import annotations

import os
import sys
from typing import Any, ClassVar

import fiftyone.operators as foo
from fiftyone.operators import types

from ferclean.bundled_files import bundled_path
from ferclean.errors import FercleanError
from ferclean.review.desk import default_reviewer
from ferclean.review.serve import DEFAULT_PORT
from ferclean.steps.review import ASK_ABOVE, OFFER
from ferclean.store.samples import get_dataset
from ferclean.store.verdicts import KINDS
from ferclean.store.workspace import Workspace

if (_root := str(bundled_path("apps").parent)) not in sys.path:
    sys.path.insert(0, _root)

_EVERY = "every verdict"
_MANY = "so many at once: are they all meant? The list of operators (key `) asks"


class _Operator(foo.Operator):
    """One of ours: its name, what it is called, and whether it has a button above the faces."""

    named: ClassVar[str]
    titled: ClassVar[str]
    button: ClassVar[bool] = False
    asks: ClassVar[bool] = True
    """It has a form."""
    at_once: ClassVar[bool] = False
    """Its button does without the form; what the form would refuse is refused all the same, with its words."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(name=self.named, label=f"ferclean: {self.titled}", dynamic=self.asks)

    def resolve_placement(self, ctx: Any) -> types.Placement | None:
        if not self.button:
            return None
        word = self.titled.partition(":")[0]
        shown = types.Button(label=word, prompt=self.asks and not self.at_once)
        return types.Placement(types.Places.SAMPLES_GRID_SECONDARY_ACTIONS, shown)


class _Decide(_Operator):
    """Decide about the selected samples, or about the open one; asks first where they are many."""

    action: ClassVar[str]

    at_once = True

    def resolve_input(self, ctx: Any) -> types.Property:
        inputs = types.Object()
        self._ask(ctx, inputs)
        chosen = len(_chosen(ctx))
        if not chosen:
            inputs.view("none", types.Error(label="Select one or more samples first"))
        else:
            inputs.view("count", types.Notice(label=f"Applies to {chosen:,} sample(s); undo takes it back"))
        if chosen > ASK_ABOVE:
            sure = inputs.bool("sure", required=True, default=False, label=f"Yes, decide about all {chosen:,}")
            if not ctx.params.get("sure"):
                sure.invalid, sure.error_message = True, _MANY
        return types.Property(inputs, view=types.View(label=self.titled))

    def _ask(self, ctx: Any, inputs: types.Object) -> None:
        """What else the form asks for."""

    def execute(self, ctx: Any) -> dict[str, int]:
        from apps.fiftyone_view.decide import record

        ws, ids = _workspace(ctx), _chosen(ctx)
        if not ids:
            raise FercleanError("select one or more samples first")
        made = record(ws, ctx.dataset, ids, action=self.action, label=ctx.params.get("label"), reviewer=_reviewer())
        # a selection that stays would get the next decision too
        ctx.ops.clear_selected_samples()
        ctx.ops.reload_samples()
        ctx.ops.notify(str(made), variant="success" if made.recorded else "warning")
        return {"recorded": made.recorded}


class Accept(_Decide):
    named, action, button = "accept", OFFER, True
    titled = "Accept: what each verdict proposes (see the field proposal)"


class Keep(_Decide):
    named, action, button = "keep", "keep", True
    titled = "Keep: the given label is right"


class Relabel(_Decide):
    named, action, button = "relabel", "relabel", True
    titled = "Relabel: another expression is right"
    at_once = False

    def _ask(self, ctx: Any, inputs: types.Object) -> None:
        labels = types.DropdownView()
        for name in get_dataset(_workspace(ctx)).classes:
            labels.add_choice(name, label=name)
        inputs.enum("label", labels.values(), required=True, label="Right label", view=labels)


class Ambiguous(_Decide):
    named, action, button = "ambiguous", "ambiguous", True
    titled = "Ambiguous: people would not agree"


class Exclude(_Decide):
    named, action, button = "exclude", "exclude", True
    titled = "Exclude: no readable face"


class Skip(_Decide):
    named, action = "skip", "skip"
    titled = "Skip: decide later; on the review screen it comes last"


class Undo(_Operator):
    named, button, asks = "undo", True, False
    titled = "Undo: take your last act back, wherever it was made"

    def execute(self, ctx: Any) -> dict[str, Any]:
        from apps.fiftyone_view.decide import take_back

        about = take_back(_workspace(ctx), ctx.dataset, reviewer=_reviewer())
        ctx.ops.reload_samples()
        named = ", ".join(about[:3]) + (f" and {len(about) - 3:,} more" if len(about) > 3 else "")
        ctx.ops.notify(f"taken back: {named}" if about else "nothing to undo", variant="success" if about else "info")
        return {"undone": len(about)}


class RecordTags(_Operator):
    """At once, without waiting for the next look."""

    named, asks = "record_tags", False
    titled = "Record tags (keep, exclude, relabel:anger) and corrected labels as decisions"

    def execute(self, ctx: Any) -> dict[str, Any]:
        from apps.fiftyone_view.decide import sync_decisions

        result = sync_decisions(_workspace(ctx), reviewer=_reviewer())
        problems = [*result.put_back, *result.problems]
        ctx.ops.reload_samples()
        ctx.ops.notify(f"{result.recorded} decision(s) recorded", variant="success")
        for problem in problems[:5]:
            ctx.ops.notify(problem, variant="warning")
        return {"recorded": result.recorded, "problems": problems}


class ShowInReview(_Operator):
    """A link to the face on the review screen, which `ferclean review` serves."""

    named, asks = "show_in_review", False
    titled = "Show in review"

    def execute(self, ctx: Any) -> dict[str, str]:
        from apps.fiftyone_view.looking import review_address

        ws, ids = _workspace(ctx), _chosen(ctx)
        if len(ids) != 1:
            raise FercleanError(f"select one sample to show in review, not {len(ids)}")
        return {
            "link": review_address(ctx.dataset, ids[0], reviewer=_reviewer() or default_reviewer()),
            "help": f"nothing there? start it with: ferclean -w {ws.root} review (port {DEFAULT_PORT})",
        }

    def resolve_output(self, ctx: Any) -> types.Property:
        outputs = types.Object()
        outputs.str("link", label="The face on the review screen", view=types.LinkView(open_in_new_tab=True))
        outputs.str("help", label="")
        return types.Property(outputs)


class FilterByVerdict(_Operator):
    named = "filter_by_verdict"
    titled = "Filter by verdict"

    def resolve_input(self, ctx: Any) -> types.Property:
        inputs = types.Object()
        kinds = types.DropdownView()
        for kind in (_EVERY, *KINDS):
            kinds.add_choice(kind, label=kind)
        inputs.enum("verdict", kinds.values(), required=True, label="Verdict", view=kinds)
        inputs.bool("undecided", default=True, label="Only what nobody has decided")
        return types.Property(inputs, view=types.View(label=self.titled))

    def execute(self, ctx: Any) -> dict[str, int]:
        from apps.fiftyone_view.saved_views import of_verdict

        _workspace(ctx)
        kind = ctx.params["verdict"]
        view = of_verdict(ctx.dataset, None if kind == _EVERY else kind, undecided=ctx.params.get("undecided", True))
        ctx.ops.set_view(view=view)
        return {"samples": len(view)}


class SimilarFaces(_Operator):
    """The selected face and the nearest to it, of the neighbours that were found when the set was scored."""

    named, asks = "similar_faces", False
    titled = "Similar faces"
    button = True

    def execute(self, ctx: Any) -> dict[str, int]:
        from apps.fiftyone_view.looking import similar_to

        ws, ids = _workspace(ctx), _chosen(ctx)
        if len(ids) != 1:
            raise FercleanError(f"select one sample to find faces like it, not {len(ids)}")
        view = similar_to(ws, ctx.dataset, ids[0])
        ctx.ops.clear_selected_samples()
        ctx.ops.set_view(view=view)
        return {"samples": len(view)}


class Refresh(_Operator):
    named, asks = "refresh", False
    titled = "Refresh: compare all of the dataset with the workspace"

    def execute(self, ctx: Any) -> dict[str, Any]:
        from apps.fiftyone_view.session import bring_up_to_date

        update, _, tags = bring_up_to_date(_workspace(ctx), reviewer=_reviewer(), whole=True)
        ctx.ops.reload_dataset()
        ctx.ops.notify(f"{update.added:,} samples are new, {update.changed:,} changed", variant="success")
        return {"added": update.added, "changed": update.changed, "problems": [*tags.put_back, *tags.problems]}


class Brain(_Operator):
    named = "brain"
    titled = "Brain: similarity, map, FiftyOne's own mistakenness and uniqueness"

    def resolve_input(self, ctx: Any) -> types.Property:
        from apps.fiftyone_view.brain import RUNS

        inputs = types.Object()
        for name, run in RUNS.items():
            inputs.bool(name, default=False, label=f"{name}: {run.costs}")
        return types.Property(inputs, view=types.View(label=self.titled))

    def execute(self, ctx: Any) -> dict[str, Any]:
        from apps.fiftyone_view.brain import RUNS, run_brain

        ws = _workspace(ctx)
        done = run_brain(ws, ctx.dataset, [name for name in RUNS if ctx.params.get(name)])
        ctx.ops.reload_dataset()
        return {"done": done}


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


OPERATORS = (
    Accept, Keep, Relabel, Ambiguous, Exclude, Skip, Undo, RecordTags, ShowInReview, FilterByVerdict, SimilarFaces,
    Refresh, Brain,
)  # fmt: skip


def register(plugin: Any) -> None:
    """FiftyOne calls this when it loads the plugin."""
    for operator in OPERATORS:
        plugin.register(operator)
