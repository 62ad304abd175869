"""Say in words that a reviewer understands why a sample was judged as it was.

It only reads the evidence; nothing is computed here that a verdict rests on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def in_words(
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
) -> list[list[str]]:
    """A few short sentences per sample, the most telling first; names of classes, never bare indices.

    `labels` and `suggested` (N,) index `names`; `pred_probs` and `knn_shares` (N, K) are told as percentages;
    `learned_share` (N,) is told when it is 0, with the number of `epochs` when known; `unusable` (N,) is the
    chance of those called so, 1 for blank ones, else 0; `ambiguous` (N,) is a mask; `duplicates` (N,) are groups of
    copies, of which differing labels are told; `recognizer_probs` (R, N, K) tells how many of several recognizers
    prefer the same; `votes` (N, K) counts of people are told first.

    >>> in_words(np.array([1]), np.array([[0.71, 0.29]]), np.array([0]), names=["anger", "fear"])
    [['the recognizer gives anger 71 %, the given label fear 29 %']]
    """

    def percent(value: float) -> str:
        return f"{100 * value:.0f} %"

    def share(probs: np.ndarray, label: int) -> str:
        return f"{names[label]} {percent(probs[label])}"

    favourite, recognizers = None, 1 if recognizer_probs is None else len(recognizer_probs)
    if recognizer_probs is not None and recognizers > 1:
        favourite = np.asarray(recognizer_probs).argmax(2)
    copies = _labels_of_copies(labels, duplicates)
    told: list[list[str]] = []
    for row, given in enumerate(labels):
        probs, said = pred_probs[row], []
        # where the label is left as it is, what the recognizer would rather say is still evidence
        best = int(suggested[row]) if suggested[row] != given else int(np.argmax(probs))
        if unusable is not None and unusable[row]:
            said.append(
                "no readable face: blank or broken"
                if unusable[row] == 1
                else "perhaps no face: a face detector sees none, or it is unlike all other images"
            )
        if votes is not None and votes[row].any():
            most = int(np.argmax(votes[row]))
            said.append(f"{votes[row][most]} of {votes[row].sum()} people say {names[most]}")
            if most != given:
                said[-1] += f", {votes[row][given]} {names[given]}"
        if best == given:
            said.append(f"the recognizer gives the given label {share(probs, given)}")
        else:
            said.append(f"the recognizer gives {share(probs, best)}, the given label {share(probs, given)}")
        if favourite is not None:
            said[-1] += f" ({(favourite[:, row] == best).sum()} of {recognizers} recognizers prefer {names[best]})"
        if ambiguous is not None and ambiguous[row] and len(names) > 1:
            first, second = np.argsort(-probs, kind="stable")[:2]
            said.append(f"torn between {names[first]} ({probs[first]:.0%}) and {names[second]} ({probs[second]:.0%})")
        if knn_shares is not None and knn_shares[row].sum() > 0:  # neither NaN nor empty
            around = int(np.argmax(knn_shares[row]))
            said.append(f"{percent(knn_shares[row][around])} of the nearest faces are labelled {names[around]}")
            if around != given:
                said[-1] += f", {percent(knn_shares[row][given])} {names[given]}"
        if learned_share is not None and learned_share[row] == 0:
            said.append("never learned in training" if epochs is None else f"never learned in {epochs} epochs")
        if copies[row]:
            said.append(f"a copy of it is labelled {' and '.join(names[label] for label in copies[row])}")
        told.append(said)
    return told


def judges_in_words(
    labels: np.ndarray, judge_probs: np.ndarray, *, judges: Sequence[str], names: Sequence[str]
) -> list[list[str]]:
    """What each outside judge says of a face, one sentence each; none where it has no say.

    `labels` (N,) index `names`; `judge_probs` (J, N, K), NaN for classes that a judge does not know.

    >>> said = np.array([[[0.9, 0.1]], [[np.nan, 1.0]]])
    >>> judges_in_words(np.array([1]), said, judges=["one", "two"], names=["anger", "fear"])
    [['one, an outside judge, gives anger 90 %, the given label 10 %',
      'two, an outside judge, gives the given label fear 100 %']]
    """
    told: list[list[str]] = [[] for _ in labels]
    for judge, probs in zip(judges, judge_probs, strict=True):
        # a row without a say is NaN throughout; a class that it does not know is never its best
        best = np.where(np.isnan(probs), -1.0, probs).argmax(1)
        for row in np.flatnonzero(~np.isnan(probs).all(1)):
            label, most = int(labels[row]), int(best[row])
            shown = f"{names[most]} {100 * probs[row, most]:.0f} %"
            if most == label:
                said = f"gives the given label {shown}"
            elif np.isnan(probs[row, label]):
                said = f"gives {shown} and does not know the given label"
            else:
                said = f"gives {shown}, the given label {100 * probs[row, label]:.0f} %"
            told[row].append(f"{judge}, an outside judge, {said}")
    return told


def _labels_of_copies(labels: np.ndarray, duplicates: np.ndarray | None) -> list[list[int]]:
    """For each sample the labels, other than its own, that its copies carry."""
    if duplicates is None:
        return [[] for _ in labels]
    carried: dict[object, set[int]] = {}
    for group, label in zip(np.asarray(duplicates).tolist(), labels.tolist(), strict=True):
        carried.setdefault(group, set()).add(label)
    return [
        sorted(carried[group] - {label})
        for group, label in zip(np.asarray(duplicates).tolist(), labels.tolist(), strict=True)
    ]
