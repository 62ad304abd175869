"""How many labels are wrong where a judge from elsewhere is heard too: three witnesses, each erring on its own."""

from __future__ import annotations

import numpy as np

from ferclean.evidence.checks import check_same_length
from ferclean.evidence.verdict.calibration import ErrorRate, standard_error

ROUNDS, ENOUGH = 200, 1e-5
"""Most rounds of expectation-maximisation, over the combinations that occur, and the change that ends them. A million
samples of 7 classes take 2 s, 200,000 of 100 classes a minute."""
MARGIN = 0.05
"""How far the estimate may be off because witnesses do not err quite independently. On FER2013's development rows, with
face-api's net, it says .30 where the votes say .29 to .31; on CIFAR-10N's worst labels, with nets taught by the
aggregate ones, .38 for .40. As many numbers as the square of the classes are estimated: their share of the samples is
added."""
HEARD = 0.3
"""The agreement of judges and recognizers beyond chance (Cohen's kappa) from which on they bear witness. Of weak ones,
or a judge who says the same of every face, the estimate counts their own errors as those of the labels. face-api's net
and FER2013's recognizers reach .5."""


def error_rate(labels: np.ndarray, preferred: np.ndarray, judged: np.ndarray, *, within: ErrorRate) -> ErrorRate:
    """Share of wrong given labels, with an interval, told by how three witnesses agree.

    `labels` (N,) given, `preferred` (N,) the class that the recognizers prefer out-of-fold, `judged` (N,) the class
    that judges prefer who never saw the labels, -1 where none could say. Each has a confusion matrix of its own, and
    given the true label none errs because another does: then the three matrices follow from how often each combination
    occurs (Dawid and Skene, 1979). `within`: what is known without the judges. It stays as it is where judges and
    recognizers hardly agree (HEARD), and where the witnesses say something outside it: they contradict what the
    recognizers know about themselves, as a judge does that has learned these very labels.

    >>> labels = np.repeat([0, 1], 50); seen = labels.copy(); labels[:10] = 1
    >>> wide = ErrorRate(estimate=0.2, low=0.0, high=0.4)
    >>> round(error_rate(labels, seen, seen, within=wide).estimate, 2)
    0.1
    """
    check_same_length(labels=labels, preferred=preferred, judged=judged)
    heard = judged >= 0
    if _agreement(preferred[heard], judged[heard]) < HEARD:
        return within
    found, number = np.unique(np.column_stack([labels, preferred, judged])[heard], axis=0, return_counts=True)
    classes = int(found.max()) + 1
    told = np.eye(classes)[found]  # (combinations, 3, K)
    true, wrong = told.mean(1), 1.0
    for _ in range(ROUNDS):
        mass = number[:, None] * true
        scores = np.log(mass.sum(0) + 1e-12) + np.zeros_like(true)
        for witness in range(3):
            confusion = mass.T @ told[:, witness] + 1 / classes  # as if one sample more of each class were unclear
            scores += np.log(confusion / confusion.sum(1, keepdims=True))[:, found[:, witness]].T
        true = np.exp(scores - scores.max(1, keepdims=True))
        true /= true.sum(1, keepdims=True)
        before, wrong = wrong, float(number @ (1 - true[np.arange(len(found)), found[:, 0]]) / number.sum())
        if abs(before - wrong) < ENOUGH:
            break
    if not within.low < wrong < within.high:
        return within
    margin = MARGIN + 1.96 * standard_error(wrong, int(number.sum())) + classes**2 / float(number.sum())
    return ErrorRate(estimate=wrong, low=max(within.low, wrong - margin), high=min(within.high, wrong + margin))


def _agreement(one: np.ndarray, other: np.ndarray) -> float:
    """Cohen's kappa of two columns of classes: 0 = by chance, 1 = always; 0 where there is nothing to compare."""
    if not len(one):
        return 0.0
    classes = int(max(one.max(), other.max())) + 1
    shares = [np.bincount(said, minlength=classes) / len(said) for said in (one, other)]
    chance = float(shares[0] @ shares[1])
    return (float((one == other).mean()) - chance) / (1 - chance) if chance < 1 else 0.0
