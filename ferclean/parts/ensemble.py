"""Who has a say in the verdicts: the members of the ensemble that was chosen, and outside judges that were accepted.

It knows runs, and reads nothing that they said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ferclean.errors import FercleanError, UsageError, among
from ferclean.parts.specification import shared_settings
from ferclean.store import again, ensembles, run_files, runs, samples
from ferclean.store.runs import Run
from ferclean.store.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Heard:
    """Who has a say, and who has none though somebody may think so."""

    members: list[Run]
    judges: list[Run]
    """The newest run of each outside judge, where its word was accepted; by name. What a judge says rests on pictures
    alone, so it holds whatever became of the labels since."""
    unheard: list[str]
    """Recognizers that were scored like the members, for the same labels, but belong to no member, by name."""
    passed_over: list[str]
    """That the ensemble chosen last is not the one that is read, and why; or nothing."""
    lost: list[str]
    """A line per accepted judge whose answers are not there."""


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What the store says of runs and ensembles; runs by their ids, oldest first."""

    runs: dict[str, Run]
    scorings: dict[str, Run]
    """Those of recognizers."""
    fitting: dict[str, Run]
    """Those of them for the labels as they are now, in whatever state."""
    chosen: list[tuple[str, ...]]
    """The members of each ensemble, the newest first."""


def heard(ws: Workspace) -> Heard:
    """The members of the ensemble that was chosen last (`ensembles.choose_ensemble`), of those whose members were all
    scored for the labels as they are now, by method and seed; `passed_over` tells of a newer one that was not.

    In a workspace of an earlier version, which names none, the newest finished run per method and seed of the newest
    settings. Raises FercleanError where nothing was scored for these labels, where the scoring of the one ensemble for
    them was broken off, or a member's scores are not there (they were deleted, or are being made anew).
    """
    known = _known(ws)
    fresh = _fresh(known)
    fitting = known.fitting
    usable = next((one for one in known.chosen if not _unscored(ws, one, known)), None)
    if usable is not None:
        members = _in_order([fitting[run_id] for run_id in usable])
        missing = [run.run_id for run in members if run.state != "done"]
    elif begun := next((one for one in known.chosen if fitting.keys() & set(one)), None):
        members, missing = [], _unscored(ws, begun, known)
    else:
        members = _alike([run for run in fitting.values() if run.state in ("done", "deleted")])
        missing = [run.run_id for run in members if run.state != "done"]
    if missing:
        raise FercleanError(
            f"the ensemble that was chosen lacks the scores of {_named(missing, known)}; run {_mend(missing, known)}, "
            "or choose others with `ferclean triage --members`"
        )
    wanted = shared_settings(members[0].config)
    alike = {run.method for run in fresh if shared_settings(run.config) == wanted}
    judges = _ever_accepted(known.runs)
    return Heard(
        members=members,
        judges=[run for run in judges if run.state == "done"],
        unheard=sorted(alike - {run.method for run in members}),
        passed_over=_passed_over(ws, known),
        lost=[_lost(run) for run in judges if run.state != "done"],
    )


def current_score_runs(ws: Workspace) -> list[Run]:
    """The members alone. Raises as `heard` does."""
    return heard(ws).members


def accepted_judges(ws: Workspace) -> list[Run]:
    """The judges alone, also where nothing was scored."""
    return [run for run in _ever_accepted({run.run_id: run for run in runs.list_runs(ws)}) if run.state == "done"]


def choose_members(ws: Workspace, names: Sequence[str]) -> None:
    """Make the newest runs of these recognizers (all seeds) the ensemble that is read from now on.

    Raises UsageError for a name without a finished run for these labels, and for runs with other settings than the
    others': they are another experiment.
    """
    fresh = _fresh(_known(ws))
    known = sorted({run.method for run in fresh})
    if unknown := [name for name in names if name not in known]:
        raise UsageError(f"{unknown[0]!r} was not scored for these labels; {among(unknown[0], known)}")
    chosen = {name: _alike([run for run in fresh if run.method == name]) for name in dict.fromkeys(names)}
    for name, own in chosen.items():
        if shared_settings(own[0].config) != shared_settings(chosen[names[0]][0].config):
            raise UsageError(
                f"{name} was scored with other settings than {names[0]}, so they make no ensemble; score them together "
                f"with `ferclean score --methods {','.join(chosen)}`"
            )
    ensembles.choose_ensemble(ws, [run.run_id for own in chosen.values() for run in own])


def _known(ws: Workspace) -> _Known:
    """Runs and ensembles of one moment; labels, which take 3 s per million samples, after it."""
    with ws.reading("reading the ensemble"):
        every = {run.run_id: run for run in runs.list_runs(ws)}
        chosen = [one.members for one in reversed(ensembles.list_ensembles(ws))]
    scorings = {name: run for name, run in every.items() if run.kind == "score" and "judge" not in run.config}
    splits_of = {name: tuple(run.config["splits"]) for name, run in scorings.items()}
    now = {splits: samples.fingerprint(ws, splits=splits) for splits in dict.fromkeys(splits_of.values())}
    fitting = {name: run for name, run in scorings.items() if run.fingerprint == now[splits_of[name]]}
    return _Known(runs=every, scorings=scorings, fitting=fitting, chosen=chosen)


def _fresh(known: _Known) -> list[Run]:
    """Finished scorings of the labels as they are now. Raises FercleanError where there is none."""
    if not (fresh := [run for run in known.fitting.values() if run.state == "done"]):
        gone = [run for run in known.fitting.values() if run.state == "deleted"]
        if asked := [run for run in gone if run.run_id in next(iter(known.chosen), ())] or gone:
            raise FercleanError(
                f"nothing to judge: the scores for these labels were deleted; run {again.in_words(asked)} first"
            )
        since = any(run.state == "done" for run in known.scorings.values())
        raise FercleanError(
            f"nothing to judge: no finished scoring for these labels"
            f"{' (samples were added or set aside since)' if since else ''}; run `ferclean score` first"
        )
    return fresh


def _ever_accepted(known: Mapping[str, Run]) -> list[Run]:
    """The newest run of each accepted judge, those too whose answers were deleted or are being asked for again."""
    newest: dict[str, Run] = {}
    for run in sorted(known.values(), key=lambda run: run.finished_at or run.started_at):
        # a judge that is only being asked has said nothing yet, unless it was accepted before
        said = run.state in ("done", "deleted") or run.metrics.get("accepted")
        if run.kind == "score" and "judge" in run.config and said:
            newest[run.method] = run
    return [newest[name] for name in sorted(newest) if newest[name].metrics.get("accepted")]


def _lost(run: Run) -> str:
    return (
        f"the judge {run.method} has no say: its answers were deleted"
        f"{'' if run.state == 'deleted' else f', and asking again is not finished ({run.state})'}; "
        f"{again.in_words([run])} asks it again"
    )


def _passed_over(ws: Workspace, known: _Known) -> list[str]:
    # the newest ensemble is read unless it lacks something
    if not (lacking := _unscored(ws, next(iter(known.chosen), ()), known)):
        return []
    return [
        f"the ensemble that was chosen last has no say: it lacks the scores of {_named(lacking, known)}; run "
        f"{_mend(lacking, known)} for them, `ferclean triage --members` chooses others"
    ]


def _unscored(ws: Workspace, members: Sequence[str], known: _Known) -> list[str]:
    """Which of these runs were never finished for the labels as they are now. One that is being made anew was: what it
    said before lies there."""
    return [
        run_id
        for run_id in members
        if run_id not in known.fitting
        or not (known.fitting[run_id].state in ("done", "deleted") or run_files.complete(ws, run_id, "score"))
    ]


def _named(missing: Sequence[str], known: _Known) -> str:
    return "; ".join(_told(run_id, known.runs.get(run_id), here=run_id in known.fitting) for run_id in missing)


def _told(run_id: str, run: Run | None, *, here: bool) -> str:
    if run is None:
        return f"{run_id} (not begun)"
    return f"{run.method}, seed {run.seed} ({run.state if here else 'for other labels'})"


def _mend(missing: Sequence[str], known: _Known) -> str:
    """What makes these runs; of one that was not begun no settings are known."""
    if any(run_id not in known.runs for run_id in missing):
        return "`ferclean score` again, with the options that it was given"
    return again.in_words([known.runs[run_id] for run_id in missing])


def _alike(fresh: Sequence[Run]) -> list[Run]:
    """The newest of `fresh` and those with its settings, the newest of each method and seed."""
    by_time = sorted(fresh, key=lambda run: run.finished_at or run.started_at)
    wanted = shared_settings(by_time[-1].config)
    chosen = {(run.method, run.seed): run for run in by_time if shared_settings(run.config) == wanted}
    return _in_order(list(chosen.values()))


def _in_order(members: Sequence[Run]) -> list[Run]:
    return sorted(members, key=lambda run: (run.method, run.seed))
