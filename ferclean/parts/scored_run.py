"""One scoring run: a recognizer trained out-of-fold, and what it said stored, by whichever process ends it.

It never chooses what is scored, nor judges.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ferclean.evidence import labels as label_names
from ferclean.evidence.signals import label_signals as signal_room
from ferclean.evidence.signals.nearest import Nearest
from ferclean.leases import Work, share
from ferclean.parts.surroundings import keep_nearest, seek
from ferclean.progress import Progress, Tell
from ferclean.recognition.profiles import Profile
from ferclean.store import embeddings, runs, scores
from ferclean.store.runs import Run
from ferclean.store.workspace import Workspace

if TYPE_CHECKING:
    from ferclean.recognition.crossval import OutOfFold
    from ferclean.recognition.pixels import Pixels


def train_and_keep(
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
