"""The neighbours of a run: sought once, when it is scored, kept in its folder, and read by everything after that.

It judges nothing and reads no label. A run of an older ferclean gets its file the first time that somebody asks.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

import numpy as np

from ferclean.errors import FercleanError
from ferclean.evidence import splits as split_room
from ferclean.evidence.signals import nearest as search
from ferclean.evidence.signals.label_signals import WIDE
from ferclean.evidence.signals.nearest import Nearest
from ferclean.parts.copies import pair_rows
from ferclean.store import embeddings, neighbours, runs, samples, scores, verdicts
from ferclean.store.workspace import Workspace


def keep_nearest(
    ws: Workspace, run_id: str, ids: Sequence[str], found: Nearest, *, fold: np.ndarray | None, groups: np.ndarray
) -> None:
    """Put what `seek` found into the run's folder, after its embeddings."""
    neighbours.write_neighbours(
        ws, run_id, ids, at=found.at, cosine=found.cosine, tied=found.tied, crowd=found.crowd,
        made_for=_within(fold, groups), embedding=str(embeddings.embedding_digest(ws, run_id)),
    )  # fmt: skip


def seek(embedding: np.ndarray, *, fold: np.ndarray | None, groups: np.ndarray) -> Nearest:
    """As many neighbours as anything here asks for; arguments as in `nearest.find`."""
    return search.find(embedding, k=WIDE, fold=fold, groups=groups)


def nearest_of(
    ws: Workspace, run_id: str, ids: Sequence[str], *, fold: np.ndarray | None, groups: np.ndarray
) -> Nearest:
    """The neighbours of the samples `ids` of a run, in their order, within each `fold` (N,) and outside of `groups`.

    From the run's folder; where the file is missing or damaged, or was made for other samples, folds, copies (found
    since) or embeddings, they are sought and kept again. Raises DamagedFileError when that takes embeddings that are
    gone, and where those that lie there are damaged or another run's.
    """
    stored = _stored(ws, run_id)
    if stored is not None and len(stored.sample_ids) == len(ids) and stored.at.shape[1] >= WIDE:
        place = {sample_id: row for row, sample_id in enumerate(ids)}
        order = np.array([place.get(sample_id, -1) for sample_id in stored.sample_ids], dtype=np.int64)
        if (order >= 0).all() and stored.made_for == _within(None if fold is None else fold[order], groups[order]):
            found = Nearest(at=stored.at, cosine=stored.cosine, tied=stored.tied, crowd=stored.crowd)
            return found if (order == np.arange(len(ids))).all() else found.in_order(np.argsort(order))
    own, embedding = embeddings.read_embeddings(ws, run_id)
    if own != list(ids):
        row = {sample_id: i for i, sample_id in enumerate(own)}
        embedding = embedding[[row[sample_id] for sample_id in ids]]
    found = seek(embedding, fold=fold, groups=groups)
    if os.access(ws.root, os.W_OK):  # a workspace that can only be read is as good, and seeks again
        keep_nearest(ws, run_id, ids, found, fold=fold, groups=groups)
    return found


def nearest_for_screens(ws: Workspace, run_id: str) -> tuple[list[str], Nearest]:
    """The samples of a run and their neighbours in its embeddings, whatever copies they were made for; sought only
    where there is no file.

    Raises FercleanError when there is neither a file nor embeddings.
    """
    stored = _stored(ws, run_id)
    if stored is not None:
        return stored.sample_ids, Nearest(at=stored.at, cosine=stored.cosine, tied=stored.tied, crowd=stored.crowd)
    run = runs.get_run(ws, run_id)
    if run is None:
        raise FercleanError(f"unknown run {run_id!r}; `ferclean status` lists the runs")
    said = scores.get_predictions(ws, run_id)
    contents = samples.get_samples(ws, include_quarantined=True).set_index("sample_id")["content_hash"]
    groups = split_room.group_ids(
        len(said.sample_ids), pair_rows(said.sample_ids, verdicts.get_pairs(ws)), list(contents.loc[said.sample_ids])
    )
    fold = spaces_of(run, said.fold)
    return said.sample_ids, nearest_of(ws, run_id, said.sample_ids, fold=fold, groups=groups)


def _stored(ws: Workspace, run_id: str) -> neighbours.StoredNeighbours | None:
    """What lies in the run's folder, if it is of the embeddings beside it. Deleted ones cannot be others."""
    found = neighbours.read_neighbours(ws, run_id)
    if found is None or embeddings.embedding_digest(ws, run_id) not in (None, found.embedding):
        return None
    return found


def spaces_of(run: runs.Run, fold: np.ndarray) -> np.ndarray:
    """Which samples of a run share an embedding space: (N,); a label-free encoder puts all folds into one."""
    return np.zeros_like(fold) if run.metrics.get("shared_space") else fold


def _within(fold: np.ndarray | None, groups: np.ndarray) -> str:
    """A digest of who may be whose neighbour: the same however folds and groups of copies are numbered."""
    digest = hashlib.sha256()
    for values in (np.zeros(len(groups), dtype=np.int64) if fold is None else fold, groups):
        _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
        digest.update(np.argsort(np.argsort(first))[inverse].astype(np.int64).tobytes())
    return digest.hexdigest()[:16]
