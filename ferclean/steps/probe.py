"""Score with an encoder that is there already: K-fold linear probes on its embedding, in seconds instead of hours.

It trains no network, and refuses to judge labels that the encoder learned from.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ferclean import hashes
from ferclean.errors import BadDataError, UsageError
from ferclean.evidence import labels as label_names
from ferclean.evidence.signals import label_signals as signal_room
from ferclean.evidence.signals.probing import linear_probe
from ferclean.parts.copies import folds_of
from ferclean.parts.face_map import map_when_scored
from ferclean.parts.pixels import pixels_of
from ferclean.parts.surroundings import keep_nearest, seek
from ferclean.progress import Progress, Tell, silent, unheard
from ferclean.store import embeddings, encoders, ensembles, pictures, runs, samples, scores, verdicts
from ferclean.store.workspace import Workspace
from ferclean.summary import Summary

FOLDS = 5


@dataclass(frozen=True, kw_only=True)
class ProbeSummary(Summary):
    """What a probe did. `runs` as `score` lists them."""

    encoder: str
    samples: int
    classes: int
    folds: int
    embedding: int
    """Dimensions of the encoder's features."""
    seen: int
    """Of these images, how many the encoder was trained on (without their labels)."""
    near: int
    """How many are near copies of images whose labels it learned: what it says of them is not out-of-fold."""
    training_known: bool
    """Whether it is written down what the encoder was trained on."""
    accuracy_on_given: float
    runs: list[dict[str, Any]]
    reused: int
    quarantined: dict[str, int]
    """Reason -> images that this call has set aside, since they are no longer what was ingested."""


def score_probe(
    ws: Workspace,
    encoder: str | Path,
    *,
    folds: int = FOLDS,
    seed: int = 0,
    splits: Sequence[str] | None = None,
    device: str = "auto",
    force: bool = False,
    progress: Progress = silent,
    tell: Tell = unheard,
) -> ProbeSummary:
    """Embed every image with `encoder` (a name of this workspace, or a file) and judge it by linear probes.

    Folds are stratified and keep copies together; each row is judged by a probe fitted without it. Everything is
    stored as a scoring run of method `probe:NAME`, ready for triage. `tell` hears who is waited for.

    Raises UsageError when there is no such encoder or fewer than two folds, and BadDataError when the encoder was
    trained on given labels of these images, whose own labels would vouch for themselves, or when there are fewer than
    two classes.
    """
    from ferclean.recognition.checkpoint import load_checkpoint
    from ferclean.recognition.inference import predict

    if folds < 2:
        raise UsageError(f"folds is at least 2, not {folds}")
    path = encoders.find(ws, encoder)
    seen = encoders.get_seen(path, ws)
    dataset = samples.get_dataset(ws)
    lost = pictures.set_aside_lost(ws, progress=progress)
    frame, chosen_splits = samples.get_labelled(ws, splits=splits)
    given = label_names.encode(list(frame["given_label"]), dataset.classes)
    if len(np.unique(given)) < 2:
        raise BadDataError(
            f"{len(frame):,} labelled, readable image(s) of {len(np.unique(given))} class(es) in "
            f"{', '.join(chosen_splits) or 'this workspace'}: no probe can doubt a label; it takes at least two classes"
        )
    contents = list(frame["content_hash"])
    fold, groups, _ = folds_of(ws, frame, given, folds=folds, seed=seed, progress=progress, tell=tell)
    taught, near = _taught(ws, frame, seen)
    if taught:
        raise BadDataError(
            f"the encoder {path.stem} was trained on the labels of {taught:,} of these {len(contents):,} images, which "
            "would vouch for themselves: probe with a label-free one (`ferclean encode --method distilled`), or score "
            "with `ferclean score --methods`, where each fold trains its own"
        )
    config = {
        "splits": chosen_splits, "epochs": None, "folds": folds,
        "probe": {"sha256": hashes.of_file(path, what="encoder"), "known": seen.known},
    }  # fmt: skip
    method = f"probe:{path.stem}"
    fingerprint = samples.fingerprint(ws, splits=chosen_splits)
    run_id = runs.run_id("score", method, config, seed, fingerprint)
    known = runs.get_run(ws, run_id)
    metrics: dict[str, Any]
    fault = embeddings.fault_of(ws, run_id)
    if fault is not None and not force:
        tell(fault)
    if known is not None and known.state == "done" and not force and fault is None and not known.lacking:
        metrics = known.metrics
        reused = 1
    else:
        reused = 0
        started = time.perf_counter()
        trained = load_checkpoint(path)
        with runs.running(ws, kind="score", method=method, config=config, seed=seed, fingerprint=fingerprint):
            progress("reading images", 0, 3)
            pixels = pixels_of(ws, frame, size=trained.input_size, channels=trained.channels, tell=tell)
            progress("embedding", 1, 3)
            embedding = predict(trained, pixels, device=device)["embedding"]
            progress("probing", 2, 3)
            probs = linear_probe(given, embedding, fold, num_classes=len(dataset.classes), seed=seed)
            ids = list(frame["sample_id"])
            embeddings.write_embeddings(ws, run_id, ids, embedding)
            # the encoder saw no label, so all folds share its space: neighbours are sought everywhere
            nearest = seek(embedding, fold=None, groups=groups)
            keep_nearest(ws, run_id, ids, nearest, fold=None, groups=groups)
            found = signal_room.compute_signals(
                {"labels": given, "pred_probs": probs, "embedding": embedding, "groups": groups, "nearest": nearest}
            )
            scores.put_predictions(ws, run_id, ids, fold, probs.astype(np.float32), found)
            metrics = {
                "accuracy_on_given": float(np.mean(probs.argmax(1) == given)),
                "embedding": int(embedding.shape[1]),
                "shared_space": True,
                # by what name it is found again
                "encoder": path.stem if path == encoders.path_of(ws, path.stem) else str(path.absolute()),
                "seconds": round(time.perf_counter() - started, 1),
            }
            runs.finish_run(ws, run_id, metrics)
        progress("probing", 3, 3)
    ensembles.choose_ensemble(ws, [run_id])
    map_when_scored(ws, progress=progress, tell=tell)
    return ProbeSummary(
        encoder=path.stem, samples=len(frame), classes=len(dataset.classes), folds=int(fold.max()) + 1,
        embedding=int(metrics["embedding"]), seen=sum(value in seen.labels for value in contents), near=near,
        training_known=seen.known, accuracy_on_given=float(metrics["accuracy_on_given"]),
        runs=[{"run_id": run_id, "method": method, "seed": seed}], reused=reused,
        quarantined=dict(Counter(lost.values())),
    )  # fmt: skip


def _taught(ws: Workspace, frame: pd.DataFrame, seen: encoders.Seen) -> tuple[int, int]:
    """How many samples of `frame` gave the encoder their label, and how many others are near copies of such ones."""
    learned = {value for value, label in seen.labels.items() if label is not None}
    if not learned:
        return 0, 0
    everything = samples.get_samples(ws).set_index("sample_id")["content_hash"]
    inside = set(everything.index[everything.isin(learned)])
    pairs = verdicts.get_pairs(ws)
    twins = set(pairs.loc[pairs["sample_b"].isin(inside), "sample_a"])
    twins |= set(pairs.loc[pairs["sample_a"].isin(inside), "sample_b"])
    own = frame["sample_id"].isin(inside)
    return int(own.sum()), int((~own & frame["sample_id"].isin(twins)).sum())
