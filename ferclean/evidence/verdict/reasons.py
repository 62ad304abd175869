"""What there is to tell a reviewer about why a sample was judged as it was: its kind, and what stands in the sentence.

It only reads the evidence; nothing is computed here that a verdict rests on. `ferclean.store.reasons` has the words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Told = list[list[tuple[str | int, ...]]]
"""Per sample its reasons: the kind of each, then names and whole numbers (percentages, counts)."""


def to_tell(
    labels: np.ndarray,
    pred_probs: np.ndarray,
    suggested: np.ndarray,
    *,
    names: Sequence[str],
    knn_shares: np.ndarray | None = None,
    learned_share: np.ndarray | None = None,
    epochs: int | None = None,
    unusable: np.ndarray | None = None,
    ambiguous: np.ndarray | None = None,
    duplicates: np.ndarray | None = None,
    recognizer_probs: np.ndarray | None = None,
    votes: np.ndarray | None = None,
) -> Told:
    """A few reasons per sample, the most telling first; names of classes, never bare indices.

    `labels` and `suggested` (N,) index `names`; `pred_probs` and `knn_shares` (N, K) are told as percentages;
    `learned_share` (N,) is told when it is 0, with the number of `epochs` when known; `unusable` (N,) is the
    chance of those called so, 1 for blank ones, else 0; `ambiguous` (N,) is a mask; `duplicates` (N,) are groups of
    copies, of which differing labels are told; `recognizer_probs` (R, N, K) tells how many of several recognizers
    prefer the same; `votes` (N, K) counts of people are told first.

    >>> to_tell(np.array([1]), np.array([[0.71, 0.29]]), np.array([0]), names=["anger", "fear"])
    [[('other', 'anger', 71, 'fear', 29)]]
    """
    told: Told = [[] for _ in labels]
    named = np.array(names, dtype=object)
    # where the label is left as it is, what the recognizer would rather say is still evidence
    best = np.where(suggested != labels, suggested, pred_probs.argmax(1))
    if unusable is not None:
        _tell(told, unusable == 1, "unreadable")
        _tell(told, (unusable != 1) & (unusable != 0), "faceless")
    if votes is not None:
        most, total = votes.argmax(1), votes.sum(1)
        said, against = (_at(votes, most), total, named[most]), (_at(votes, labels), named[labels])
        _tell(told, votes.any(1) & (most == labels), "votes", *said)
        _tell(told, votes.any(1) & (most != labels), "votes against", *said, *against)
    kind, among = "", list[np.ndarray]()
    if recognizer_probs is not None and len(recognizer_probs) > 1:
        prefer = (np.asarray(recognizer_probs).argmax(2) == best).sum(0)
        kind, among = " of several", [prefer, np.full_like(prefer, len(recognizer_probs))]
    own = named[labels], _percent(pred_probs, labels)
    _tell(told, best == labels, f"given{kind}", *own, *among)
    _tell(told, best != labels, f"other{kind}", named[best], _percent(pred_probs, best), *own, *among)
    if ambiguous is not None and len(names) > 1:
        first, second = np.argsort(-pred_probs, axis=1, kind="stable")[:, :2].T
        shares = [column for k in (first, second) for column in (named[k], _percent(pred_probs, k))]
        _tell(told, ambiguous, "torn", *shares)
    if knn_shares is not None:
        near, known = knn_shares.argmax(1), knn_shares.sum(1) > 0  # neither NaN nor empty
        around, against = (_percent(knn_shares, near), named[near]), (_percent(knn_shares, labels), named[labels])
        _tell(told, known & (near == labels), "nearest", *around)
        _tell(told, known & (near != labels), "nearest against", *around, *against)
    if learned_share is not None:
        ran = () if epochs is None else (np.full(len(labels), epochs),)
        _tell(told, learned_share == 0, "unlearned in" if ran else "unlearned", *ran)
    for row, others in _labels_of_copies(labels, duplicates).items():
        told[row].append(("copy labelled", " and ".join(names[label] for label in others)))
    return told


def add_judges(
    told: Told, labels: np.ndarray, judge_probs: np.ndarray, *, judges: Sequence[str], names: Sequence[str]
) -> None:
    """Add to what is `told` what each outside judge says of a face, one reason each; none where it has no say.

    `labels` (N,) index `names`; `judge_probs` (J, N, K), NaN for classes that a judge does not know.

    >>> told = [[]]
    >>> said = np.array([[[0.9, 0.1]], [[np.nan, 1.0]]])
    >>> add_judges(told, np.array([1]), said, judges=["one", "two"], names=["anger", "fear"])
    >>> told
    [[('judge other', 'one', 'anger', 90, 10), ('judge given', 'two', 'fear', 100)]]
    """
    named = np.array(names, dtype=object)
    for judge, probs in zip(judges, judge_probs, strict=True):
        # a row without a say is NaN throughout; a class that it does not know is never its best
        best = np.where(np.isnan(probs), -1.0, probs).argmax(1)
        heard, knows, agrees = ~np.isnan(probs).all(1), ~np.isnan(_at(probs, labels)), best == labels
        said = np.full(len(labels), judge, dtype=object), named[best], _percent(probs, best)
        _tell(told, heard & agrees, "judge given", *said)
        _tell(told, heard & ~agrees & ~knows, "judge unknown", *said)
        _tell(told, heard & ~agrees & knows, "judge other", *said, _percent(probs, labels))


def _tell(told: Told, which: np.ndarray, kind: str, *columns: np.ndarray) -> None:
    """Add a reason to those samples `which` (N,) names; `columns` (N,) each hold what stands in it."""
    rows = np.flatnonzero(which)
    kinds = [kind] * len(rows)
    for row, *reason in zip(rows.tolist(), kinds, *(column[rows].tolist() for column in columns), strict=True):
        told[row].append(tuple(reason))


def _at(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N, K) -> (N,): of each row what stands at its label."""
    return np.asarray(values[np.arange(len(labels)), labels])


def _percent(probs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """As `_at`, in whole percent; 0 for NaN, which is not told."""
    return np.asarray(np.rint(100 * np.nan_to_num(_at(probs, labels))).astype(np.int64))


def _labels_of_copies(labels: np.ndarray, duplicates: np.ndarray | None) -> dict[int, list[Any]]:
    """Of each sample with copies that carry other labels than its own: those."""
    if duplicates is None:
        return {}
    _, group, size = np.unique(duplicates, return_inverse=True, return_counts=True)
    shared = np.flatnonzero(size[group] > 1).tolist()
    carried: dict[int, set[int]] = {}
    for row in shared:
        carried.setdefault(group[row], set()).add(int(labels[row]))
    found = {row: sorted(carried[group[row]] - {int(labels[row])}) for row in shared}
    return {row: others for row, others in found.items() if others}
