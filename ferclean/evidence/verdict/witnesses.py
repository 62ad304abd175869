"""How many labels are wrong where a judge from elsewhere is heard too: three witnesses, each erring on its own."""

from __future__ import annotations

import numpy as np

from ferclean.evidence.checks import check_same_length
from ferclean.evidence.verdict.calibration import ErrorRate, standard_error

ROUNDS = 200
"""Of expectation-maximisation, over the combinations that occur: what it costs does not grow with the samples."""
MARGIN = 0.05
"""How far the estimate may be off because witnesses do not err quite independently. On FER2013's development rows, with
face-api's net, it says .30 where the votes say .29 to .31; on CIFAR-10N's worst labels, with nets taught by the
aggregate ones, .38 for .40."""


def error_rate(labels: np.ndarray, preferred: np.ndarray, judged: np.ndarray, *, within: ErrorRate) -> ErrorRate:
    """Share of wrong given labels, with an interval, told by how three witnesses agree.

    `labels` (N,) given, `preferred` (N,) the class that the recognizers prefer out-of-fold, `judged` (N,) the class
    that judges prefer who never saw the labels, -1 where none could say. Each has a confusion matrix of its own, and
    given the true label none errs because another does: then the three matrices follow from how often each combination
    occurs (Dawid and Skene, 1979). `within`: what is known without the judges; nothing outside it is said.

    >>> labels = np.repeat([0, 1], 50); seen = labels.copy(); labels[:10] = 1
    >>> wide = ErrorRate(estimate=0.2, low=0.0, high=0.4)
    >>> round(error_rate(labels, seen, seen, within=wide).estimate, 2)
    0.1
    """
    check_same_length(labels=labels, preferred=preferred, judged=judged)
    heard = judged >= 0
    if not heard.any():
        return within
    found, number = np.unique(np.column_stack([labels, preferred, judged])[heard], axis=0, return_counts=True)
    classes = int(found.max()) + 1
    told = np.eye(classes)[found]  # (combinations, 3, K)
    true = told.mean(1)
    for _ in range(ROUNDS):
        mass = number[:, None] * true
        scores = np.log(mass.sum(0) + 1e-12) + np.zeros_like(true)
        for witness in range(3):
            confusion = mass.T @ told[:, witness] + 1 / classes  # as if one sample more of each class were unclear
            scores += np.log(confusion / confusion.sum(1, keepdims=True))[:, found[:, witness]].T
        true = np.exp(scores - scores.max(1, keepdims=True))
        true /= true.sum(1, keepdims=True)
    wrong = float(number @ (1 - true[np.arange(len(found)), found[:, 0]]) / number.sum())
    estimate = min(max(wrong, within.low), within.high)
    margin = MARGIN + 1.96 * standard_error(estimate, int(number.sum()))
    return ErrorRate(
        estimate=estimate, low=max(within.low, estimate - margin), high=min(within.high, estimate + margin)
    )
