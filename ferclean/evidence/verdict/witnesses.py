"""How many labels are wrong where a judge from elsewhere is heard too: three witnesses, each erring on its own."""

from __future__ import annotations

import numpy as np

from ferclean.evidence.checks import check_same_length
from ferclean.evidence.constants import STANDARD, Constants
from ferclean.evidence.verdict.calibration import ErrorRate, standard_error


def error_rate(
    labels: np.ndarray, preferred: np.ndarray, judged: np.ndarray, *, within: ErrorRate, by: Constants = STANDARD
) -> ErrorRate:
    """Share of wrong given labels, with an interval, told by how three witnesses agree.

    `labels` (N,) given, `preferred` (N,) the class that the recognizers prefer out-of-fold, `judged` (N,) the class
    that judges prefer who never saw the labels, -1 where none could say. Each has a confusion matrix of its own, and
    given the true label none errs because another does: then the three matrices follow from how often each combination
    occurs (Dawid and Skene, 1979). `within`: what is known without the judges. It stays as it is where judges and
    recognizers hardly agree (`witness_agreement`), and where the witnesses say something outside it: they contradict
    what the recognizers know about themselves, as a judge does that has learned these very labels.

    >>> labels = np.repeat([0, 1], 50); seen = labels.copy(); labels[:10] = 1
    >>> wide = ErrorRate(estimate=0.2, low=0.0, high=0.4)
    >>> round(error_rate(labels, seen, seen, within=wide).estimate, 2)
    0.1
    """
    check_same_length(labels=labels, preferred=preferred, judged=judged)
    heard = judged >= 0
    if _agreement(preferred[heard], judged[heard]) < by.witness_agreement:
        return within
    found, number = np.unique(np.column_stack([labels, preferred, judged])[heard], axis=0, return_counts=True)
    classes = int(found.max()) + 1
    told = np.eye(classes)[found]  # (combinations, 3, K)
    true, wrong = told.mean(1), 1.0
    for _ in range(by.witness_rounds):
        mass = number[:, None] * true
        scores = np.log(mass.sum(0) + 1e-12) + np.zeros_like(true)
        for witness in range(3):
            confusion = mass.T @ told[:, witness] + 1 / classes  # as if one sample more of each class were unclear
            scores += np.log(confusion / confusion.sum(1, keepdims=True))[:, found[:, witness]].T
        true = np.exp(scores - scores.max(1, keepdims=True))
        true /= true.sum(1, keepdims=True)
        before, wrong = wrong, float(number @ (1 - true[np.arange(len(found)), found[:, 0]]) / number.sum())
        if abs(before - wrong) < by.witness_change:
            break
    if not within.low < wrong < within.high:
        return within
    margin = by.witness_margin + 1.96 * standard_error(wrong, int(number.sum())) + classes**2 / float(number.sum())
    return ErrorRate(estimate=wrong, low=max(within.low, wrong - margin), high=min(within.high, wrong + margin))


def _agreement(one: np.ndarray, other: np.ndarray) -> float:
    """Cohen's kappa of two columns of classes: 0 = by chance, 1 = always; 0 where there is nothing to compare."""
    if not len(one):
        return 0.0
    classes = int(max(one.max(), other.max())) + 1
    shares = [np.bincount(said, minlength=classes) / len(said) for said in (one, other)]
    chance = float(shares[0] @ shares[1])
    return (float((one == other).mean()) - chance) / (1 - chance) if chance < 1 else 0.0
