"""Score every sample out-of-fold: recognizers x seeds x folds -> predictions, embeddings, dynamics and signals.

It never judges (that is triage) and never lets a model score an image, or a copy of it, that it was trained on.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ferclean.errors import BadDataError
from ferclean.evidence import labels as label_names
from ferclean.evidence.signals import label_signals as signal_room
from ferclean.evidence.signals.nearest import Nearest
from ferclean.leases import Work, share
from ferclean.parts.copies import folds_of
from ferclean.parts.pixels import pixels_of
from ferclean.parts.specification import find_run, spec_of
from ferclean.parts.surroundings import keep_nearest, seek
from ferclean.progress import Progress, Tell, silent, unheard
from ferclean.recognition.profiles import Profile, get_profile
from ferclean.store import embeddings, ensembles, pictures, runs, samples, scores
from ferclean.store.runs import Run
from ferclean.store.workspace import Workspace
from ferclean.summary import Summary

if TYPE_CHECKING:
    from ferclean.recognition.crossval import OutOfFold
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
    from ferclean.recognition.devices import choose_device
    from ferclean.recognition.methods.base import starting_weights
    from ferclean.recognition.pixels import Pixels

    chosen = get_profile(profile, methods=methods, seeds=seeds, **overrides)
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
        ws, frame, given, folds=chosen.folds, seed=seed, force=force, progress=progress, tell=tell
    )

    folds = int(fold.max()) + 1
    fingerprint = samples.fingerprint(ws, splits=chosen_splits)
    pixels: Pixels | None = None
    reused = folds_reused = 0
    brought: dict[str, None] = {}
    wanted: list[dict[str, Any]] = []
    configs: list[dict[str, Any]] = []
    for method in chosen.methods:
        for run_seed in range(seed, seed + chosen.seeds):
            spec = spec_of(chosen, method, chosen_splits, dataset.classes, fold_seed=seed, device=device)
            known = find_run(ws, spec, method, run_seed, fingerprint, any_device=device == "auto" and not force)
            if keep_weights and _lacks_weights(ws, known, folds):
                # a fold that is trained here now belongs to no run of another device
                known = find_run(ws, spec, method, run_seed, fingerprint, any_device=False)
            # a run of an older ferclean keeps its name, also when it goes on or is made anew
            configs.append(spec.as_config() if known is None else known.config)
            run_id = runs.run_id("score", method, configs[-1], run_seed, fingerprint)
            wanted.append({"run_id": run_id, "method": method, "seed": run_seed})
    # what was asked for last is what triage reads, and nothing else joins it; said before, so that some of it, where
    # this breaks off, is never taken for all
    ensembles.choose_ensemble(ws, [run["run_id"] for run in wanted], begun=True)
    for run, config in zip(wanted, configs, strict=True):
        method, run_seed, known = run["method"], run["seed"], runs.get_run(ws, run["run_id"])
        # what is lacking is made from the folds that are kept
        lacking = (keep_weights and _lacks_weights(ws, known, folds)) or not embeddings.has_embeddings(
            ws, run["run_id"]
        )
        if known is not None and known.state == "done" and not force and not lacking:
            reused += 1
            tell(f"{method}, seed {run_seed}: done before, reused")
            continue
        if report := starting_weights(
            method, chosen.train_config(), channels=chosen.channels, input_size=chosen.input_size
        ):
            brought[str(report)] = None
        if pixels is None:
            arrays = pixels_of(
                ws, frame, size=chosen.input_size, channels=chosen.channels, progress=progress, tell=tell
            )
            # one copy on the device for all recognizers, seeds and folds
            pixels = Pixels(arrays, choose_device(device))
        folds_reused += _run_one(
            ws, chosen, method, run_seed, config, fingerprint, frame, pixels, given, fold, groups, known,
            classes=dataset.classes, device=device, fresh=force, keep_weights=keep_weights, progress=progress,
            tell=tell,
        )  # fmt: skip
    ensembles.choose_ensemble(ws, [run["run_id"] for run in wanted])  # also where others were chosen meanwhile
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


def _run_one(
    ws: Workspace,
    profile: Profile,
    method: str,
    seed: int,
    config: dict[str, Any],
    fingerprint: str,
    frame: pd.DataFrame,
    pixels: Pixels,
    given: np.ndarray,
    fold: np.ndarray,
    groups: np.ndarray,
    known: Run | None,
    *,
    classes: Sequence[str],
    device: str,
    fresh: bool,
    keep_weights: bool,
    progress: Progress,
    tell: Tell,
) -> int:
    """Returns how many folds this call did not train. `known` is the run as it was before."""
    from ferclean.recognition.crossval import cross_validate
    from ferclean.recognition.methods.base import hook, with_class_names
    from ferclean.recognition.methods.catalogue import get_method

    # a whole run that only lacks weights is read meanwhile, and also when this breaks off
    with runs.running(
        ws, kind="score", method=method, config=config, seed=seed, fingerprint=fingerprint, stays_done=not fresh
    ) as run_id:
        folder = ws.runs / run_id
        if fresh:
            # what is stored of the run stays until it is stored anew: a triage may rest on it
            for part in [*sorted(folder.glob("fold-*")), *sorted(folder.glob("encoder-*"))]:
                if part.suffix != ".lease":  # somebody is at it
                    part.unlink(missing_ok=True)
        started = time.perf_counter()
        result = cross_validate(
            method,
            pixels,
            given,
            fold,
            num_classes=len(classes),
            config=with_class_names(profile.train_config(seed=seed, device=device), method, classes),
            out_dir=folder,
            keep_weights=keep_weights,
            progress=progress,
            tell=tell,
        )
        shared = bool(hook(get_method(method), "LABEL_FREE"))

        def ended() -> bool | None:
            run = None if fresh else runs.get_run(ws, run_id)
            at = None if run is None or run.state != "done" else run.finished_at
            # what was done before is stored anew, as what was asked for: only now its folds have their recognizers
            return True if at is not None and at != (known and known.finished_at) else None

        def end(_: Progress) -> bool:
            _keep(ws, run_id, frame, given, fold, groups, result, classes=classes, shared=shared, started=started)
            return True

        last = Work(title=f"the end of {run_id}", lease=ws.runs / f"{run_id}.lease", read=ended, make=end)
        list(share([last], tell=tell))
    return result.folds_reused


def _keep(
    ws: Workspace,
    run_id: str,
    frame: pd.DataFrame,
    given: np.ndarray,
    fold: np.ndarray,
    groups: np.ndarray,
    result: OutOfFold,
    *,
    classes: Sequence[str],
    shared: bool,
    started: float,
) -> None:
    """Store what all folds said, and end the run; `shared`: one label-free encoder serves all folds."""
    ids = list(frame["sample_id"])
    embeddings.write_embeddings(ws, run_id, ids, result.embedding)
    # in one shared space neighbours are sought everywhere
    space = None if shared else fold
    nearest = seek(result.embedding, fold=space, groups=groups)
    keep_nearest(ws, run_id, ids, nearest, fold=space, groups=groups)
    signals = out_of_fold_signals(given, space, groups, nearest, result)
    scores.put_predictions(ws, run_id, ids, fold, result.pred_probs, signals)
    flips = pd.DataFrame(result.flips, columns=["index", "fold", "epoch", "from_label", "to_label", "p"])
    flips["sample_id"] = np.asarray(ids, dtype=object)[flips.pop("index").to_numpy(np.int64)]
    for side in ("from_label", "to_label"):
        flips[side] = label_names.decode(flips[side].to_numpy(np.int64), classes)
    scores.put_flips(ws, run_id, flips)
    metrics = {
        "accuracy_on_given": float(np.mean(result.pred_probs.argmax(1) == given)),
        "shared_space": shared,
        "seconds": round(time.perf_counter() - started, 1),
    }
    runs.finish_run(ws, run_id, metrics)


def out_of_fold_signals(
    given: np.ndarray, fold: np.ndarray | None, groups: np.ndarray, nearest: Nearest, result: OutOfFold
) -> dict[str, np.ndarray]:
    """Every signal whose inputs this run has, plus what the method itself reports (such as `uerm_weight`).

    `fold` is None where all folds share one embedding space.
    """
    available: dict[str, Any] = {
        "labels": given,
        "pred_probs": result.pred_probs,
        "embedding": result.embedding,
        "fold": fold,
        # a copy must not vouch for its own label
        "groups": groups,
        "nearest": nearest,
        "given_prob": result.given_prob,
        "margin": result.margin,
    }
    return signal_room.compute_signals(available) | dict(result.signals)
