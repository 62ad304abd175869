"""Do the columns of the probabilities mean the classes that they are named after? A permuted order looks like noise.

It only accuses where the named order is as good as chance and another one is clearly right; it never reorders.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ferclean.errors import BadDataError
from ferclean.evidence.checks import check_labels, check_pred_probs, check_same_length

LEAST_LIFT = 0.1
"""By how much the mean probability under the other order must exceed chance."""
CHANCE_LIKE = 0.25
"""The named order counts as chance up to this share of the other order's lift: a swapped pair of classes that are
often confused still keeps a little of it."""
FEWEST = 5
SURE = 6.0
"""By how many standard errors the other order must be better."""


def find_permutation(labels: np.ndarray, pred_probs: np.ndarray) -> np.ndarray | None:
    """The order of columns that explains the labels where the named one does not: (K,) int64, or None when all is well.

    Entry k is the column that holds what column k is named after. The best assignment of columns to given labels
    (their summed probabilities) is compared with the named one, for each cycle of classes that it moves: their mean
    probability under the named order, less what chance would give, must be at most CHANCE_LIKE of that under the
    other. So label noise, confusion and weak models raise no alarm, unless more than half of two classes' labels
    are exchanged, which is the same thing. Classes without a sample stay where they are. Ours, not a paper's.

    >>> labels = np.arange(90) % 3; probs = np.where(np.eye(3)[labels] > 0, 0.8, 0.1)
    >>> find_permutation(labels, probs) is None, find_permutation(labels, probs[:, [1, 0, 2]]).tolist()
    (True, [1, 0, 2])
    """
    from scipy.optimize import linear_sum_assignment

    probs = check_pred_probs(pred_probs)
    classes = probs.shape[1]
    labels = check_labels(labels, classes)
    count = check_same_length(labels=labels, pred_probs=probs)
    if not count or classes < 2:
        return None
    # what a column holds beyond chance, summed over the samples of each given label
    above = probs - probs.mean(0)
    lift = np.eye(classes)[labels].T @ above  # (K given, K columns)
    order = linear_sum_assignment(lift, maximize=True)[1]
    found = np.arange(classes)
    for cycle in _cycles(order):
        rows = np.flatnonzero(np.isin(labels, cycle))
        if not len(rows):
            continue
        named = above[rows, labels[rows]]
        other = above[rows, order[labels[rows]]]
        gain = other - named
        error = float(gain.std(ddof=1) / np.sqrt(len(rows))) if len(rows) > 1 else np.inf
        better = gain.mean() > SURE * error and other.mean() >= LEAST_LIFT
        if better and named.mean() <= CHANCE_LIKE * other.mean():
            found[cycle] = order[cycle]
    return None if (found == np.arange(classes)).all() else found


def refuse_permuted(labels: np.ndarray, pred_probs: np.ndarray, classes: Sequence[str]) -> None:
    """Raise BadDataError, naming the columns that seem to hold other classes, when `find_permutation` finds any.

    >>> labels = np.arange(90) % 3; probs = np.where(np.eye(3)[labels] > 0, 0.8, 0.1)
    >>> refuse_permuted(labels, probs, ("fear", "anger", "neutral"))
    """
    order = find_permutation(labels, pred_probs)
    if order is None:
        return
    # `order[k]` holds what k is named after; people ask what the column named k holds
    moved = [(classes[order[k]], classes[k]) for k in range(len(classes)) if order[k] != k]
    told = ", ".join(f"the column {column} seems to hold {holds}" for column, holds in moved)
    raise BadDataError(
        f"permuted classes: {told}; read as named, the probabilities are no better than chance. Name the columns, or "
        "give the classes, in the order in which the model was trained"
    )


def _cycles(order: np.ndarray) -> list[np.ndarray]:
    """The cycles of a permutation that move anything, each as the classes in it."""
    left, found = set(range(len(order))), []
    while left:
        cycle = [left.pop()]
        while (following := int(order[cycle[-1]])) != cycle[0]:
            cycle.append(following)
            left.discard(following)
        if len(cycle) > 1:
            found.append(np.array(cycle))
    return found


def permuted_classes(labels: np.ndarray, pred_probs: np.ndarray) -> dict[int, int]:
    """`find_permutation` as {column: the class that it seems to hold}; empty when all is well.

    Silent where a class that would move has fewer than FEWEST samples.

    >>> labels = np.arange(90) % 3; probs = np.where(np.eye(3)[labels] > 0, 0.8, 0.1)
    >>> permuted_classes(labels, probs), permuted_classes(labels, probs[:, [1, 0, 2]])
    ({}, {1: 0, 0: 1})
    """
    order = find_permutation(labels, pred_probs)
    if order is None:
        return {}
    moved = {int(column): k for k, column in enumerate(order) if column != k}
    members = np.bincount(np.asarray(labels), minlength=len(order))
    return moved if min(members[k] for k in moved) >= FEWEST else {}
