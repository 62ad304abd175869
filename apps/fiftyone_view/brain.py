"""FiftyOne's brain on what ferclean computed: faces like one, a map, and FiftyOne's own mistakenness and uniqueness.

It never loads or fetches a model: embeddings, map and probabilities are the workspace's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import fiftyone as fo
import fiftyone.brain as fob
import numpy as np

from apps.fiftyone_view.mirror import lock_of
from ferclean.errors import FercleanError, UsageError, among
from ferclean.parts.face_map import map_of
from ferclean.parts.surroundings import spaces_of
from ferclean.progress import Progress, silent
from ferclean.store.embeddings import embedding_digest, has_embeddings, read_embeddings
from ferclean.store.runs import Run, get_run, latest_run
from ferclean.store.scores import get_predictions
from ferclean.store.workspace import Workspace

SIMILARITY, MAP, MAP_PCA = "ferclean_similarity", "ferclean_map", "ferclean_map_pca"
MISTAKENNESS, UNIQUENESS = "fiftyone_mistakenness", "fiftyone_uniqueness"
MOST = 50_000
"""Samples up to which FiftyOne's uniqueness is computed: it compares all pairs."""
_BRAIN = "brain"  # in the dataset's info: key -> what it was computed from


@dataclass(frozen=True, kw_only=True)
class BrainRun:
    """One thing that the brain can be asked for."""

    costs: str
    """What it takes, in words."""
    compute: Callable[[fo.Dataset, Workspace, Run], None]


def run_brain(ws: Workspace, dataset: fo.Dataset, names: Iterable[str], *, progress: Progress = silent) -> list[str]:
    """Compute these of RUNS for the first recognizer behind the latest triage; those that were are left as they are.

    Returns what was computed now. Raises UsageError for an unknown name, FercleanError where nothing was scored.
    """
    wanted = list(names)
    if unknown := [name for name in wanted if name not in RUNS]:
        raise UsageError(f"the brain has no run {unknown[0]!r}; {among(unknown[0], tuple(RUNS))}")
    run = scored_run(ws)
    done = []
    with lock_of(ws):
        for place, name in enumerate(wanted):
            progress(f"FiftyOne's brain: {name}", place, len(wanted))
            basis = _basis(ws, dataset, run, name)
            if dataset.info.get(_BRAIN, {}).get(name) == basis:
                continue
            RUNS[name].compute(dataset, ws, run)
            dataset.info = dataset.info | {_BRAIN: dataset.info.get(_BRAIN, {}) | {name: basis}}
            dataset.save()
            done.append(name)
        progress("FiftyOne's brain", len(wanted), len(wanted))
    return done


def scored_run(ws: Workspace) -> Run:
    """The first recognizer behind the latest triage. Raises FercleanError where there is none."""
    triage = latest_run(ws, "triage")
    runs = triage.config.get("score_runs", []) if triage else []
    run = get_run(ws, runs[0]) if runs else None
    if run is None:
        raise FercleanError("nothing was scored and triaged here, so FiftyOne's brain has nothing to go by")
    return run


def _basis(ws: Workspace, dataset: fo.Dataset, run: Run, name: str) -> str:
    """What a run of the brain follows from: when that is another, it is computed again."""
    found = map_of(ws, run.run_id) if name == "map" else None
    about = (run.run_id, embedding_digest(ws, run.run_id), dataset.count(), found and found.name)
    # the mean of all recognizers, as the triage that named them has it
    triage = latest_run(ws, "triage") if name == "mistakenness" else None
    return repr((*about, triage and (triage.run_id, str(triage.finished_at))))


def _named(dataset: fo.Dataset, ids: Sequence[str], values: np.ndarray) -> dict[str, np.ndarray]:
    """FiftyOne sample id -> its row of `values` (N, D), which are of the samples `ids`, where the dataset has it."""
    row = {sample_id: place for place, sample_id in enumerate(ids)}
    shown = zip(*dataset.values(["id", "ferclean_id"]), strict=True)
    return {sample: values[row[key]] for sample, key in shown if key in row}


def in_one_space(embedding: np.ndarray, space: np.ndarray) -> np.ndarray:
    """Embeddings (N, D) of several spaces (N,) as (N, D + spaces) of one, whose cosines never mix them up.

    Each row becomes a unit vector and gets sqrt(2) in a coordinate of its space: cosines within a space are then
    (cosine + 2) / 3, so their order is kept and at least 1/3, and those across are at most 1/3.
    """
    length = np.linalg.norm(embedding, axis=1, keepdims=True)
    unit = embedding / np.maximum(length, 1e-12)
    names, code = np.unique(space, return_inverse=True)
    return np.concatenate([unit, np.sqrt(2) * np.eye(len(names))[code]], axis=1).astype(np.float32)


def _embedded(dataset: fo.Dataset, ws: Workspace, run: Run) -> dict[str, np.ndarray]:
    ids, embedding = read_embeddings(ws, run.run_id)
    said = get_predictions(ws, run.run_id)
    fold = dict(zip(said.sample_ids, spaces_of(run, said.fold), strict=True))
    return _named(dataset, ids, in_one_space(embedding, np.array([fold[one] for one in ids])))


def _similarity(dataset: fo.Dataset, ws: Workspace, run: Run) -> None:
    vectors = _embedded(dataset, ws, run)
    _forget(dataset, SIMILARITY)
    fob.compute_similarity(dataset, embeddings=vectors, brain_key=SIMILARITY, backend="sklearn", metric="cosine")


def _map(dataset: fo.Dataset, ws: Workspace, run: Run) -> None:
    found = map_of(ws, run.run_id)
    for key in (MAP, MAP_PCA):
        _forget(dataset, key)
    if found is not None:
        fob.compute_visualization(dataset, points=_named(dataset, found.sample_ids, found.at), brain_key=MAP)
        return
    from sklearn.decomposition import PCA  # takes a second, which few openings need

    # embeddings of different folds have nothing to do with each other, probabilities mean the same in all of them
    said = get_predictions(ws, run.run_id)
    logits = np.log(np.maximum(np.asarray(said.pred_probs, dtype=np.float64), 1e-12))
    points = PCA(n_components=2, random_state=0).fit_transform(logits)
    fob.compute_visualization(dataset, points=_named(dataset, said.sample_ids, points), brain_key=MAP_PCA)


def _mistakenness(dataset: fo.Dataset, ws: Workspace, run: Run) -> None:
    _forget(dataset, MISTAKENNESS)
    fob.compute_mistakenness(
        dataset.exists("predictions").exists("ground_truth"),
        "predictions",
        label_field="ground_truth",
        mistakenness_field=MISTAKENNESS,
        use_logits=True,
        progress=False,
    )
    _describe(dataset, MISTAKENNESS, "FiftyOne's own mistakenness, of the same logits, 0..1, HIGH = likely wrong")


def _uniqueness(dataset: fo.Dataset, ws: Workspace, run: Run) -> None:
    vectors = _embedded(dataset, ws, run)
    if len(vectors) > MOST:
        raise FercleanError(
            f"FiftyOne's uniqueness compares all pairs of samples: it is not computed for {len(vectors):,} of them, "
            f"more than {MOST:,}"
        )
    _forget(dataset, UNIQUENESS)
    fob.compute_uniqueness(dataset, uniqueness_field=UNIQUENESS, embeddings=vectors, progress=False)
    _describe(dataset, UNIQUENESS, "FiftyOne's own uniqueness, of ferclean's embeddings, 0..1, HIGH = like no other")


def _forget(dataset: fo.Dataset, key: str) -> None:
    if dataset.has_brain_run(key):
        dataset.delete_brain_run(key)


def _describe(dataset: fo.Dataset, name: str, description: str) -> None:
    field = dataset.get_field(name)
    field.description = description
    field.save()


RUNS = {
    "similarity": BrainRun(costs="2 s for 12,000 faces", compute=_similarity),
    "map": BrainRun(costs="a second; `ferclean map` makes a better one", compute=_map),
    "mistakenness": BrainRun(costs="half a minute for 12,000 faces", compute=_mistakenness),
    "uniqueness": BrainRun(costs=f"compares all pairs: 20 s for 12,000 faces, not above {MOST:,}", compute=_uniqueness),
}
"""What can be asked for; every opening brings the first two up to date, the others only the operator or `--brain`."""
_CHEAP = ("similarity", "map")
_EMBEDDED = ("similarity", "uniqueness")


def at_opening(ws: Workspace, dataset: fo.Dataset, *, everything: bool, progress: Progress = silent) -> list[str]:
    """`run_brain` of what costs little, or of `everything`. Before a triage, or without embeddings, there is less to
    do; who asks for everything is told."""
    names = list(RUNS if everything else _CHEAP)
    if not everything and latest_run(ws, "triage") is None:
        return []
    if not everything and not has_embeddings(ws, scored_run(ws).run_id):
        names = [name for name in names if name not in _EMBEDDED]
    return run_brain(ws, dataset, names, progress=progress)
