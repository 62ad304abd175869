"""Take the probabilities of any model instead of training one: a checked file -> predictions, signals, embeddings.

It trains nothing, repairs nothing, and takes no probability that was not made out-of-fold, as far as that shows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ferclean.errors import BadDataError, UsageError, few
from ferclean.evidence import checks
from ferclean.evidence import labels as label_names
from ferclean.evidence import splits as split_room
from ferclean.evidence.class_order import find_permutation
from ferclean.evidence.signals import label_signals as signal_room
from ferclean.evidence.signals.in_sample import in_sample_evidence, refuse_in_sample
from ferclean.parts.copies import pair_rows
from ferclean.parts.face_map import map_when_scored
from ferclean.parts.surroundings import keep_nearest, seek
from ferclean.progress import Progress, Tell, silent, unheard
from ferclean.sources.pred_probs import PredictionFile, read_predictions
from ferclean.store import embeddings, ensembles, runs, samples, scores, verdicts
from ferclean.store.workspace import Workspace
from ferclean.summary import Summary


@dataclass(frozen=True, kw_only=True)
class FileScoreSummary(Summary):
    """What a file brought: its run (as `score` lists runs), and what was left aside.

    `folds` is 0 for probabilities stated to be out-of-sample, `embedding` the number of its dimensions (0: none).
    `missing`: samples of the scored splits without a row; `elsewhere`: rows of samples that are not scored (other
    splits, quarantined); `copies_across_folds`: groups of copies that the file's folds tear apart, so that a model
    judged an image whose copy it was trained on. `evidence`: see `in_sample.InSampleEvidence`.
    """

    file: str
    samples: int
    classes: int
    folds: int
    embedding: int
    runs: list[dict[str, Any]]
    reused: int
    missing: int
    elsewhere: int
    copies_across_folds: int
    evidence: dict[str, Any]


def score_file(
    ws: Workspace,
    path: Path | str,
    *,
    name: str = "file",
    id_column: str | None = None,
    classes: Sequence[str] | None = None,
    out_of_sample: bool = False,
    splits: Sequence[str] | None = None,
    allow_missing: bool = False,
    force: bool = False,
    progress: Progress = silent,
    tell: Tell = unheard,
) -> FileScoreSummary:
    """Store the probabilities in `path` as a scoring run of method `name`, ready for triage.

    The file's form is told in `sources.pred_probs.read_predictions`. It says with a column `fold` which part was held
    out, or the caller states with `out_of_sample` that the model never saw any of these labels; such predictions are
    stored as fold 0, since their embeddings share one space. The same file with the same settings is reused.

    Raises BadDataError, naming samples, for rows that are no probabilities, double or unknown ids, samples without
    a row (unless `allow_missing`: they then stay without a verdict), neither folds nor the statement, columns under
    evidently wrong names, and evidently in-sample probabilities. Nothing is stored then.
    """
    path = Path(path)
    if not name.strip():
        raise UsageError("the name of the model must not be empty")
    dataset = samples.get_dataset(ws)
    progress("reading probabilities", 0, 3)
    found = read_predictions(path, dataset.classes, id_column=id_column, classes=classes)
    frame, chosen_splits = _scorable(ws, splits)
    rows, frame, missing, elsewhere = _joined(ws, found, frame, allow_missing=allow_missing)
    ids = list(frame["sample_id"])
    fold = _folds(found, rows, path, out_of_sample=out_of_sample)

    progress("checking probabilities", 1, 3)
    pred_probs = checks.check_pred_probs(found.pred_probs[rows], num_classes=len(dataset.classes), ids=ids)
    embedding = None if found.embedding is None else _finite(found.embedding[rows], ids)
    given = label_names.encode(list(frame["given_label"]), dataset.classes)
    _refuse_permuted(given, pred_probs, dataset.classes)
    pairs = _pairs(ws, frame)
    groups = split_room.group_ids(len(frame), pairs, list(frame["content_hash"]))
    # stated to be out-of-sample, all share fold 0 and one space
    nearest = None if embedding is None else seek(embedding, fold=fold, groups=groups)
    within = None if out_of_sample else fold
    evidence = refuse_in_sample(
        in_sample_evidence(given, pred_probs, embedding, within, groups=groups, pairs=pairs, nearest=nearest)
    )

    progress("storing", 2, 3)
    config = {
        "splits": chosen_splits,
        "epochs": None,
        # members of an ensemble must judge the same samples
        "samples": _digest(ids) if missing else "all",
        "file": {
            "sha256": found.sha256,
            "classes": list(found.classes),
            "id_column": found.id_column,
            "embedding": embedding is not None,
            "fold": not out_of_sample,
            "out_of_sample": out_of_sample,
        },
    }
    fingerprint = samples.fingerprint(ws, splits=chosen_splits)
    run_id = runs.run_id("score", name, config, 0, fingerprint)
    known = runs.get_run(ws, run_id)
    fault = embeddings.fault_of(ws, run_id)
    reused = known is not None and known.state == "done" and not force and fault is None and not known.lacking
    metrics = {
        "file": path.name,
        "accuracy_on_given": 1 - evidence.disagreement,
        "in_sample": evidence.as_dict(),
    }
    if not reused:
        with runs.running(ws, kind="score", method=name, config=config, seed=0, fingerprint=fingerprint):
            if embedding is not None:
                embeddings.write_embeddings(ws, run_id, ids, embedding)
            if nearest is not None:
                keep_nearest(ws, run_id, ids, nearest, fold=fold, groups=groups)
            available = {
                "labels": given, "pred_probs": pred_probs, "embedding": embedding, "fold": fold, "groups": groups,
                "nearest": nearest,
            }  # fmt: skip
            scores.put_predictions(ws, run_id, ids, fold, pred_probs, signal_room.compute_signals(available))
            runs.finish_run(ws, run_id, metrics)
    ensembles.choose_ensemble(ws, [run_id])
    map_when_scored(ws, progress=progress, tell=tell)
    progress("storing", 3, 3)
    return FileScoreSummary(
        file=str(path),
        samples=len(ids),
        classes=len(dataset.classes),
        folds=0 if out_of_sample else len(np.unique(fold)),
        embedding=0 if embedding is None else embedding.shape[1],
        runs=[{"run_id": run_id, "method": name, "seed": 0}],
        reused=int(reused),
        missing=missing,
        elsewhere=elsewhere,
        copies_across_folds=_torn(fold, groups),
        evidence=evidence.as_dict(),
    )


def _scorable(ws: Workspace, splits: Sequence[str] | None) -> tuple[pd.DataFrame, list[str]]:
    """Labelled, readable samples of the splits; train by default, or everything where there is no train."""
    frame, chosen = samples.get_labelled(ws, splits=splits)
    if not len(frame):
        raise BadDataError(f"no labelled, readable image in {', '.join(chosen) or 'this workspace'}: nothing to score")
    return frame, chosen


def _joined(
    ws: Workspace, found: PredictionFile, frame: pd.DataFrame, *, allow_missing: bool
) -> tuple[np.ndarray, pd.DataFrame, int, int]:
    """The file's row for each scored sample, those samples, how many have none, how many rows lie elsewhere."""
    everything = samples.get_samples(ws, include_quarantined=True)
    if not found.ids:
        raise BadDataError("the file of probabilities has no rows")
    if found.id_column in ("sample_id", "source_key"):
        key = found.id_column
    else:
        hits = {name: everything[name].isin(found.ids).sum() for name in ("sample_id", "source_key")}
        key = max(hits, key=lambda name: hits[name])
    unknown = sorted(set(found.ids) - set(everything[key]))
    if unknown:
        raise BadDataError(f"{found.id_column}: {len(unknown):,} unknown to this workspace: {few(unknown)}")
    place: dict[str, int] = {}
    twice: dict[str, None] = {}
    for row, identity in enumerate(found.ids):
        if place.setdefault(identity, row) != row:
            twice[identity] = None
    if twice:
        raise BadDataError(f"{found.id_column}: more than one row for {few(list(twice))}")
    shared = frame[key][frame[key].duplicated() & frame[key].isin(place)]
    if len(shared):
        raise BadDataError(f"several samples have the source key {few(list(shared))}: join by sample_id instead")
    has_row = frame[key].isin(place)
    missing = int((~has_row).sum())
    if missing and (not allow_missing or missing == len(frame)):
        raise BadDataError(
            f"{missing:,} of {len(frame):,} samples to score have no row: {few(list(frame['sample_id'][~has_row]))}; "
            "give --splits for other splits, or --allow-missing to leave these without a verdict"
        )
    scored = frame[has_row].reset_index(drop=True)
    return scored[key].map(place).to_numpy(np.int64), scored, missing, len(found.ids) - len(scored)


def _folds(found: PredictionFile, rows: np.ndarray, path: Path, *, out_of_sample: bool) -> np.ndarray:
    if out_of_sample:
        if found.fold is not None:
            raise UsageError(f"{path} has a column fold, which contradicts --out-of-sample: leave one of them out")
        return np.zeros(len(rows), dtype=np.int64)
    if found.fold is None:
        raise BadDataError(
            f"{path} does not say how the probabilities were made: add a column fold (the part held out when the "
            "sample was predicted), or state with --out-of-sample that the model was trained on none of these samples"
        )
    fold = found.fold[rows]
    if len(np.unique(fold)) < 2:
        raise BadDataError(
            f"{path}: every sample is in fold {fold[0]}, so nothing was held out in turn; if the model was trained on "
            "none of these samples, leave the column out and state --out-of-sample"
        )
    return fold


def _finite(embedding: np.ndarray, ids: Sequence[str]) -> np.ndarray:
    bad = np.flatnonzero(~np.isfinite(embedding).all(1)).tolist()
    if bad:
        raise BadDataError(f"embedding is NaN or infinite for {few([ids[row] for row in bad])}")
    if not embedding.shape[1]:
        raise BadDataError("embedding has no numbers; leave the column out")
    return embedding


def _refuse_permuted(given: np.ndarray, pred_probs: np.ndarray, classes: Sequence[str]) -> None:
    order = find_permutation(given, pred_probs)
    if order is not None:
        told = ", ".join(
            f"the column {classes[int(column)]} speaks of {classes[k]}" for k, column in enumerate(order) if column != k
        )
        raise BadDataError(
            f"the classes are permuted: {told} (by the given labels); give the columns their right names, or mend "
            "the class order of the data set"
        )


def _pairs(ws: Workspace, frame: pd.DataFrame) -> np.ndarray:
    """Row numbers (M, 2) of copies, as far as is known: stored pairs, and neighbours in a list of the same bytes."""
    found = {(int(a), int(b)) for a, b in pair_rows(list(frame["sample_id"]), verdicts.get_pairs(ws))}
    last: dict[str, int] = {}
    for i, content in enumerate(frame["content_hash"]):
        if content in last and (i, last[content]) not in found:
            found.add((last[content], i))
        last[content] = i
    return np.array(sorted(found), dtype=np.int64).reshape(-1, 2)


def _torn(fold: np.ndarray, groups: np.ndarray) -> int:
    return int((pd.Series(fold).groupby(groups).nunique() > 1).sum())


def _digest(ids: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()[:16]
