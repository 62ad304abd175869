"""Score every sample out-of-fold: recognizers x seeds x folds -> predictions, embeddings, dynamics and signals.

It never judges (that is triage) and never lets a model score an image, or a copy of it, that it was trained on.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ferclean.errors import BadDataError, UsageError, among
from ferclean.evidence import labels as label_names
from ferclean.parts.copies import folds_of
from ferclean.parts.face_map import map_when_scored
from ferclean.parts.pixels import pixels_of
from ferclean.parts.scored_run import train_and_keep
from ferclean.parts.specification import (
    ScoreSpec,
    device_of,
    find_run,
    profile_of,
    read_spec,
    shared_settings,
    spec_of,
)
from ferclean.progress import Progress, Tell, silent, unheard
from ferclean.recognition.profiles import Profile, get_profile
from ferclean.store import embeddings, ensembles, pictures, runs, samples
from ferclean.store.runs import Run
from ferclean.store.workspace import Workspace
from ferclean.summary import Summary

if TYPE_CHECKING:
    from ferclean.recognition.pixels import Pixels


@dataclass(frozen=True, kw_only=True)
class ScoreSummary(Summary):
    """What one call of `score` did: `runs` are those asked for, `reused` how many of them were done before."""

    profile: str
    samples: int
    classes: int
    folds: int
    runs: list[dict[str, Any]]
    reused: int
    folds_reused: int
    """Folds of the other runs that an interrupted call had finished, or that another process trained."""
    near_duplicates: int
    quarantined: dict[str, int]
    """Reason -> images that this call has set aside, since they are no longer what was ingested."""
    weights: list[str]
    """What `--weights` brought to the networks that were trained, and what not."""


def score(
    ws: Workspace,
    *,
    profile: str = "quick",
    methods: Sequence[str] | None = None,
    seeds: int | None = None,
    seed: int = 0,
    splits: Sequence[str] | None = None,
    device: str = "auto",
    force: bool = False,
    keep_weights: bool = False,
    progress: Progress = silent,
    tell: Tell = unheard,
    **overrides: Any,
) -> ScoreSummary:
    """Train `methods` on K-1 folds and let each judge the fold it has not seen.

    Folds are stratified by given label and keep exact and near-duplicates together. A run that is done for the
    same samples, labels and settings is reused unless `force`; an interrupted one goes on at its unfinished fold, and
    several processes that are asked for the same share its folds: each ends when the run is done, and trains none that
    another is at (`leases`: between machines, as long as their clocks and the file server's agree within two minutes).
    With `keep_weights` each fold's recognizer lies beside its predictions in the run's folder, as .safetensors, and a
    run that lacks them is trained again. `splits` defaults to `train` (or to everything when there is no such split).
    `overrides` replace fields of the profile (epochs, folds, backbone, input_size, batch_size, weights ...); None
    means: as the profile says. `tell` hears of each fold when it is done, of what is reused, and who is waited for.
    Images that are no longer what was ingested are quarantined first, and the run is about the others.

    Raises BadDataError when nothing can be scored: no labelled image, or fewer than two classes.
    """
    chosen = get_profile(profile, methods=methods, seeds=seeds, **overrides)
    asked = [
        _Asked(profile=chosen, method=method, seed=run_seed, named=None)
        for method in chosen.methods
        for run_seed in range(seed, seed + chosen.seeds)
    ]
    return _score(
        ws, asked, fold_seed=seed, splits=splits, device=device, force=force, keep_weights=keep_weights,
        progress=progress, tell=tell,
    )  # fmt: skip


def score_again(
    ws: Workspace,
    run_ids: Sequence[str],
    *,
    weights: str | Path | None = None,
    progress: Progress = silent,
    tell: Tell = unheard,
) -> ScoreSummary:
    """Make what is missing of runs of `score`, from the settings and the seed that are stored with each: the same runs,
    and what lies there of their folds is taken. They stay in, or out of, the ensemble that is chosen.

    Where the labels are others since, or the device is not here, other runs with those settings take their places.
    `weights` is the file that they started from, where they did. Raises UsageError for an unknown run, and for one that
    `score` did not make.
    """
    classes = samples.get_dataset(ws).classes
    groups: dict[str, tuple[ScoreSpec, list[_Asked]]] = {}
    for run_id in dict.fromkeys(run_ids):
        run = runs.get_run(ws, run_id)
        spec = None if run is None or run.kind != "score" else read_spec(run.config)
        if run is None or spec is None:
            known = [one.run_id for one in runs.list_runs(ws) if read_spec(one.config)]
            raise UsageError(f"{run_id!r} is no run of `ferclean score`; {among(run_id, known)}")
        profile = profile_of(spec, run.method, classes, weights=weights)
        settings = json.dumps([shared_settings(run.config), spec.device], sort_keys=True)
        own = _Asked(profile=profile, method=run.method, seed=run.seed, named=run)
        groups.setdefault(settings, (spec, []))[1].append(own)
    done = [
        _score(
            ws, asked, fold_seed=spec.fold_seed, splits=spec.splits, device=device_of(spec), force=False,
            keep_weights=False, progress=progress, tell=tell,
        )
        for spec, asked in groups.values()
    ]  # fmt: skip
    return replace(
        done[-1],
        runs=[run for one in done for run in one.runs],
        reused=sum(one.reused for one in done),
        folds_reused=sum(one.folds_reused for one in done),
        weights=list(dict.fromkeys(line for one in done for line in one.weights)),
    )


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """One recognizer that is to be scored; `named` is the run that was named to be made again."""

    profile: Profile
    method: str
    seed: int
    named: Run | None


def _score(
    ws: Workspace,
    asked: Sequence[_Asked],
    *,
    fold_seed: int,
    splits: Sequence[str] | None,
    device: str,
    force: bool,
    keep_weights: bool,
    progress: Progress,
    tell: Tell,
) -> ScoreSummary:
    """Their profiles differ in `method_options` alone."""
    from ferclean.recognition.devices import choose_device
    from ferclean.recognition.methods.base import starting_weights
    from ferclean.recognition.pixels import Pixels

    chosen = asked[0].profile
    dataset = samples.get_dataset(ws)
    # of all splits: copies are looked for in all of them
    lost = pictures.set_aside_lost(ws, progress=progress)
    frame, chosen_splits = _scorable(ws, splits)
    given = label_names.encode(list(frame["given_label"]), dataset.classes)
    if len(np.unique(given)) < 2:
        raise BadDataError(
            f"only one class ({dataset.classes[int(given[0])]}) is present in {', '.join(chosen_splits)}: "
            "no recognizer can be trained to doubt a label; ingest a set with at least two classes"
        )

    fold, groups, pairs = folds_of(
        ws, frame, given, folds=chosen.folds, seed=fold_seed, force=force, progress=progress, tell=tell
    )

    folds = int(fold.max()) + 1
    fingerprint = samples.fingerprint(ws, splits=chosen_splits)
    pixels: Pixels | None = None
    reused = folds_reused = 0
    brought: dict[str, None] = {}
    wanted: list[dict[str, Any]] = []
    configs: list[dict[str, Any]] = []
    for one in asked:
        spec = spec_of(one.profile, one.method, chosen_splits, dataset.classes, fold_seed=fold_seed, device=device)
        known = find_run(
            ws, spec, one.method, one.seed, fingerprint, any_device=device == "auto" and not force, named=one.named
        )
        if keep_weights and _lacks_weights(ws, known, folds):
            # a fold that is trained here now belongs to no run of another device
            known = find_run(ws, spec, one.method, one.seed, fingerprint, any_device=False)
        # a run of an older ferclean keeps its name, also when it goes on or is made anew
        configs.append(spec.as_config() if known is None else known.config)
        run_id = runs.run_id("score", one.method, configs[-1], one.seed, fingerprint)
        wanted.append({"run_id": run_id, "method": one.method, "seed": one.seed})
        if one.named and run_id != one.named.run_id:
            tell(f"{one.named.run_id} was of other labels or another device; {run_id} takes its place")
    members = _members(ws, asked, [run["run_id"] for run in wanted])
    # what was asked for last is what triage reads, and nothing else joins it; said before, so that some of it, where
    # this breaks off, is never taken for all
    ensembles.choose_ensemble(ws, members, begun=True)
    for one, run, config in zip(asked, wanted, configs, strict=True):
        method, run_seed, known = one.method, one.seed, runs.get_run(ws, run["run_id"])
        # what is lacking is made from the folds that are kept
        fault = embeddings.fault_of(ws, run["run_id"])
        lacking = (keep_weights and _lacks_weights(ws, known, folds)) or fault is not None
        if known is not None and known.state == "done" and not force and not lacking and not known.lacking:
            reused += 1
            tell(f"{method}, seed {run_seed}: done before, reused")
            continue
        if fault is not None and not force:
            tell(fault)
        if report := starting_weights(
            method, one.profile.train_config(), channels=chosen.channels, input_size=chosen.input_size
        ):
            brought[str(report)] = None
        if pixels is None:
            arrays = pixels_of(
                ws, frame, size=chosen.input_size, channels=chosen.channels, progress=progress, tell=tell
            )
            # one copy on the device for all recognizers, seeds and folds
            pixels = Pixels(arrays, choose_device(device))
        folds_reused += train_and_keep(
            ws, one.profile, method, run_seed, config, fingerprint, frame, pixels, given, fold, groups, known,
            classes=dataset.classes, device=device, fresh=force, keep_weights=keep_weights, progress=progress,
            tell=tell,
        )  # fmt: skip
    if not any(one.named for one in asked):
        ensembles.choose_ensemble(ws, members)  # also where others were chosen meanwhile
    map_when_scored(ws, progress=progress, tell=tell)
    return ScoreSummary(
        profile=chosen.name,
        samples=len(frame),
        classes=len(dataset.classes),
        folds=folds,
        runs=wanted,
        reused=reused,
        folds_reused=folds_reused,
        near_duplicates=pairs,
        quarantined=dict(Counter(lost.values())),
        weights=list(brought),
    )


def _members(ws: Workspace, asked: Sequence[_Asked], run_ids: Sequence[str]) -> list[str]:
    """Whom triage is to read: those asked for; where runs were named, those read now, with what takes their places."""
    known = ensembles.list_ensembles(ws)
    places = {one.named.run_id: run_id for one, run_id in zip(asked, run_ids, strict=True) if one.named}
    return [places.get(member, member) for member in known[-1].members] if places and known else list(run_ids)


def _scorable(ws: Workspace, splits: Sequence[str] | None) -> tuple[pd.DataFrame, list[str]]:
    frame, chosen = samples.get_labelled(ws, splits=splits)
    if len(frame) < 2:
        raise BadDataError(
            f"{len(frame)} labelled, readable image(s) in {', '.join(chosen) or 'this workspace'}: scoring "
            "out-of-fold needs at least two; `ferclean status` shows what was quarantined and why"
        )
    return frame, chosen


def _lacks_weights(ws: Workspace, run: Run | None, folds: int) -> bool:
    return run is None or len(list((ws.runs / run.run_id).glob("fold-*.safetensors"))) < folds
