"""Signals from how training went: per-epoch margins and probabilities of the given label, (E, N) in, (N,) out.

In-sample by nature, and named so: they never enter a probability that claims to be out-of-fold.
"""

from __future__ import annotations

import numpy as np

from ferclean.errors import BadDataError


def aum(*, margin: np.ndarray) -> np.ndarray:
    """Area under the margin: the mean over epochs of the train-mode logit margin, (N,), low = likely mislabelled.

    `margin` is (E, N), z_y - max other z against the given label, NaN where a sample was not trained on; a sample
    never trained on gets NaN. In-sample by nature. Source: Pleiss et al., NeurIPS 2020.

    >>> aum(margin=np.array([[1.0, -2.0], [3.0, np.nan]])).tolist()
    [2.0, -2.0]
    """
    return _mean_over_epochs(_dynamics(margin, "margin"))


def mean_confidence(*, given_prob: np.ndarray) -> np.ndarray:
    """Cartography's confidence: the mean over epochs of P_y in training, (N,) in [0, 1], low = likely mislabelled.

    `given_prob` is (E, N), NaN where not trained on. Early epochs tell most, since noise is memorised late.
    Source: data set cartography, EMNLP 2020.

    >>> mean_confidence(given_prob=np.array([[0.5, 0.0], [1.0, 0.5]])).tolist()
    [0.75, 0.25]
    """
    return _mean_over_epochs(_dynamics(given_prob, "given_prob"))


def confidence_spread(*, given_prob: np.ndarray) -> np.ndarray:
    """Cartography's variability: the standard deviation of P_y over epochs, (N,) in [0, 0.5], high = ambiguous.

    Not an error score: a label that is never learned has little spread. Source: data set cartography, EMNLP 2020.

    >>> confidence_spread(given_prob=np.array([[0.25, 0.5], [0.75, 0.5]])).tolist()
    [0.25, 0.0]
    """
    given_prob = _dynamics(given_prob, "given_prob")
    return np.sqrt(_mean_over_epochs((given_prob - _mean_over_epochs(given_prob)) ** 2))


def learned_share(*, margin: np.ndarray) -> np.ndarray:
    """Share of epochs in which training predicted the given label: (N,) in [0, 1], low = likely mislabelled.

    `margin` as in `aum`; an epoch counts when the margin is above 0. 0 = never learned; NaN = never trained on.

    >>> learned_share(margin=np.array([[1.0, -2.0], [-1.0, -1.0]])).tolist()
    [0.5, 0.0]
    """
    margin = _dynamics(margin, "margin")
    return _mean_over_epochs(np.where(np.isnan(margin), np.nan, margin > 0))


def forgetting_events(*, margin: np.ndarray) -> np.ndarray:
    """How often a sample was right in one epoch and wrong in its next: (N,) counts, high = hard or ambiguous.

    `margin` as in `aum`; epochs without the sample are skipped. A label that is never learned is never forgotten,
    so this is no error score by itself. Source: Toneva et al., ICLR 2019.

    >>> forgetting_events(margin=np.array([[1.0, -1.0], [np.nan, -1.0], [-1.0, -1.0]])).tolist()
    [1.0, 0.0]
    """
    margin = _dynamics(margin, "margin")
    events = np.zeros(margin.shape[1])
    last = np.zeros(margin.shape[1], dtype=bool)
    for epoch in margin:
        trained = ~np.isnan(epoch)
        events += last & trained & ~(epoch > 0)
        last = np.where(trained, epoch > 0, last)
    events[np.isnan(margin).all(0)] = np.nan
    return events


def _dynamics(values: np.ndarray, name: str) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or not len(values):
        raise BadDataError(f"{name} must be (epochs, N) with at least one epoch, got {values.shape}")
    if np.isinf(values).any():
        raise BadDataError(f"{name} is infinite in {int(np.isinf(values).sum())} places")
    return values


def _mean_over_epochs(values: np.ndarray) -> np.ndarray:
    """Mean of (E, N) over the epochs that are not NaN; NaN where none is."""
    known = ~np.isnan(values)
    counts = known.sum(0)
    return np.where(known, values, 0.0).sum(0) / np.where(counts > 0, counts, np.nan)
