"""From signals to verdicts: one fused label quality, four probabilities, a suggestion, reasons, an order of looking.

First version: no truth and no decision has been seen, so the probabilities are informed estimates. It trains nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ferclean.errors import BadDataError, UsageError
from ferclean.evidence import calibration, reasons
from ferclean.evidence.checks import check_labels, check_pred_probs, check_same_length
from ferclean.evidence.signals import SIGNALS, self_confidence

FUSION_WEIGHTS = {
    "self_confidence": 0.5,
    "logit_margin": 0.5,
    "aum": 0.5,
    "mean_confidence": 0.5,
    "knn_agreement_wide": 1.0,
}
"""The default fusion: one vote each for what the models say out-of-fold, how training went, and the neighbours. Chosen
among some fourteen on half of FER2013's development rows with a small network on HOG features; on the other half
(AUROC / AUPRC) fused 0.768 / 0.511, self-confidence 0.724 / 0.460, AUM 0.752 / 0.512: no gain in AUPRC over AUM."""

KNN_SHARE = 0.3
"""How much the neighbours' labels weigh in a suggestion, against the calibrated probabilities."""
CLEAR_PANEL = 0.55
"""The top share from which a panel clearly agrees."""
AMBIGUOUS_SHARE = 0.1
"""The share of faces without a clear majority that is assumed before anyone has looked (FERPlus: 0.11)."""
USEFULNESS = {"mislabelled": 1.0, "unusable": 0.5, "ambiguous": 0.3}
"""What finding one is worth to a reviewer: the queue is ordered by the expected worth."""


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """The probabilities from which a sample is flagged; changing them needs no new scores.

    They are compared in this order: unusable, mislabelled, ambiguous; what reaches none is clean. `mislabelled` is
    below a half because this version's probabilities are cautious: at 0.4, 98 % or more of those flagged in CIFAR-10N
    are errors, and three in four among drawn faces with a weak recognizer.
    """

    unusable: float = 0.5
    mislabelled: float = 0.4
    ambiguous: float = 0.5

    def __post_init__(self) -> None:
        for name in ("unusable", "mislabelled", "ambiguous"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"the threshold of {name} is a probability, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """One entry per sample, in the order of the labels.

    `label_quality` (N,) in [0, 1], low = likely mislabelled: the pure fused ranking. `p_mislabelled`, `p_ambiguous`,
    `p_unusable`, `p_clean` (N,) in [0, 1] sum to 1. `suggested_label` (N,) int64, never the given label where `kind`
    is mislabelled. `kind` (N,) str: mislabelled, ambiguous, unusable or clean. `rank` (N,) int64, 1 = look first.
    `reasons`: a few sentences per sample. `soft_label` (N, K) float64, rows sum to 1: a training target.
    """

    label_quality: np.ndarray
    p_mislabelled: np.ndarray
    p_ambiguous: np.ndarray
    p_unusable: np.ndarray
    p_clean: np.ndarray
    suggested_label: np.ndarray
    kind: np.ndarray
    rank: np.ndarray
    reasons: list[list[str]]
    soft_label: np.ndarray


def fuse_by_rank(
    signals: Mapping[str, np.ndarray], labels: np.ndarray | None = None, *, weights: Mapping[str, float] | None = None
) -> np.ndarray:
    """Weighted mean of the signals' ranks within the set: (N,) in [0, 1], low = likely mislabelled.

    Every signal must be low = bad; ties get their average rank; a NaN has no say for that sample, and a sample
    without any signal gets 0.5. With `labels`, ranks are taken within each class (a per-class ranking). `weights`
    defaults to 1 for each signal; signals without a weight in it are left out.

    >>> fuse_by_rank({"a": np.array([0.1, 0.5, 0.9]), "b": np.array([3, 1, 9])}).tolist()
    [0.25, 0.25, 1.0]
    """
    chosen = {name: 1.0 for name in signals} if weights is None else dict(weights)
    used = {name: float(weight) for name, weight in chosen.items() if name in signals and weight > 0}
    if not used:
        raise UsageError(
            f"no signal to fuse: weights name {', '.join(chosen) or 'none'}, given are {', '.join(signals) or 'none'}"
        )
    arrays = {name: np.asarray(signals[name], dtype=np.float64) for name in used}
    count = check_same_length(labels=labels, **arrays)
    parts = np.zeros(count, dtype=np.int64) if labels is None else np.asarray(labels)
    total, weight_of = np.zeros(count), np.zeros(count)
    for name, weight in used.items():
        for part in np.unique(parts):
            rows = np.flatnonzero((parts == part) & ~np.isnan(arrays[name]))
            total[rows] += weight * _unit_ranks(arrays[name][rows])
            weight_of[rows] += weight
    return np.where(weight_of > 0, total / np.where(weight_of > 0, weight_of, 1.0), 0.5)


def judge(
    labels: np.ndarray,
    pred_probs: np.ndarray,
    signals: Mapping[str, np.ndarray],
    *,
    knn_shares: np.ndarray | None = None,
    unusable: np.ndarray | None = None,
    duplicates: np.ndarray | None = None,
    thresholds: Thresholds | None = None,
    weights: Mapping[str, float] | None = None,
    class_names: Sequence[str] | None = None,
    epochs: int | None = None,
) -> Verdicts:
    """Judge every sample from out-of-fold `pred_probs` (N, K), its given `labels` (N,) and `signals` ((N,) each).

    `weights` defaults to FUSION_WEIGHTS; when none of those signals is there, all label-aware ones count alike, and
    without any, self-confidence is computed. `knn_shares` (N, K) are the classes among the neighbours (a row of NaN or
    zeros has no say), `unusable` (N,) a mask or probability, `duplicates` (N,) groups of copies, whose other labels are
    told. `class_names` and `epochs` only serve the reasons.

    How the probabilities come about (ours; not yet fitted to planted errors or decisions): P(given label wrong) is
    one minus the posterior of the given label under temperature-calibrated probabilities and the estimated noise
    transitions, shifted to the estimated error rate and made monotone in `label_quality`. P(ambiguous) falls with the
    top share of the blended distribution, sharpened until AMBIGUOUS_SHARE of the set lies below CLEAR_PANEL, so that
    what a weak recognizer does not know is not taken for ambiguity. An ambiguous sample is not also mislabelled.

    >>> probs = np.array([[0.9, 0.1], [0.1, 0.9], [0.95, 0.05], [0.1, 0.9], [0.9, 0.1], [0.05, 0.95]])
    >>> judge(np.array([0, 1, 1, 1, 0, 1]), probs, {}).rank.argmin()
    np.int64(2)
    """
    thresholds = thresholds or Thresholds()
    probs = check_pred_probs(pred_probs)
    labels = check_labels(labels, probs.shape[1])
    count = check_same_length(
        labels=labels, pred_probs=probs, knn_shares=knn_shares, unusable=unusable, duplicates=duplicates, **signals
    )
    quality = _label_quality(labels, probs, signals, weights)
    spoilt = np.zeros(count) if unusable is None else np.asarray(unusable, dtype=np.float64)
    if not ((spoilt >= 0) & (spoilt <= 1)).all():
        raise BadDataError("unusable must be a mask or probabilities in [0, 1]")

    calibrated = calibration.apply_temperature(probs, calibration.fit_temperature(probs, labels))
    panel = _sharpened(_blended(calibrated, knn_shares))
    transitions = _transitions(labels, probs)
    wrong = _probability_wrong(labels, probs, calibrated, quality, transitions)
    torn = _probability_ambiguous(panel)
    p_ambiguous = (1 - spoilt) * torn
    p_mislabelled = (1 - spoilt) * (1 - torn) * wrong
    p_clean = (1 - spoilt) * (1 - torn) * (1 - wrong)

    suggested = _suggested(labels, panel, transitions)
    differs = suggested != labels
    kind = np.full(count, "clean", dtype="<U11")
    kind[p_ambiguous >= thresholds.ambiguous] = "ambiguous"
    kind[(p_mislabelled >= thresholds.mislabelled) & differs] = "mislabelled"
    kind[spoilt > thresholds.unusable] = "unusable"
    worth = (
        USEFULNESS["mislabelled"] * p_mislabelled
        + USEFULNESS["unusable"] * spoilt
        + USEFULNESS["ambiguous"] * p_ambiguous
    )
    rank = np.empty(count, dtype=np.int64)
    # equal worth: lower quality first; rounding keeps noise in the last bits from deciding
    rank[np.lexsort((quality, -np.round(worth, 9)))] = np.arange(1, count + 1)
    given = np.eye(probs.shape[1])[labels]
    others = panel * (1 - given)
    rest = others.sum(1, keepdims=True)
    others = np.where(rest > 0, others / np.where(rest > 0, rest, 1.0), given)
    decided = (1 - wrong)[:, None] * given + wrong[:, None] * others
    soft = torn[:, None] * panel + (1 - torn)[:, None] * decided
    return Verdicts(
        label_quality=quality,
        p_mislabelled=p_mislabelled,
        p_ambiguous=p_ambiguous,
        p_unusable=spoilt,
        p_clean=p_clean,
        suggested_label=suggested.astype(np.int64),
        kind=kind,
        rank=rank,
        reasons=reasons.in_words(
            labels,
            calibrated,
            suggested,
            names=class_names or [f"class {k}" for k in range(probs.shape[1])],
            knn_shares=knn_shares,
            learned_share=signals.get("learned_share"),
            epochs=epochs,
            unusable=spoilt > thresholds.unusable,
            ambiguous=kind == "ambiguous",
            duplicates=duplicates,
        ),
        soft_label=soft / soft.sum(1, keepdims=True),
    )


def _label_quality(
    labels: np.ndarray, probs: np.ndarray, signals: Mapping[str, np.ndarray], weights: Mapping[str, float] | None
) -> np.ndarray:
    if weights is not None:
        return fuse_by_rank(signals, weights=weights)
    if any(name in signals for name in FUSION_WEIGHTS):
        return fuse_by_rank(signals, weights=FUSION_WEIGHTS)
    aware = {name: values for name, values in signals.items() if name in SIGNALS and SIGNALS[name].label_aware}
    return fuse_by_rank(aware or {"self_confidence": self_confidence(labels=labels, pred_probs=probs)})


def _unit_ranks(values: np.ndarray) -> np.ndarray:
    """Average ranks scaled to [0, 1]; 0.5 for a single value."""
    from scipy.stats import rankdata

    if len(values) < 2:
        return np.full(len(values), 0.5)
    return (rankdata(values) - 1) / (len(values) - 1)


def _blended(calibrated: np.ndarray, knn_shares: np.ndarray | None) -> np.ndarray:
    if knn_shares is None:
        return calibrated
    shares = np.asarray(knn_shares, dtype=np.float64)
    if shares.shape != calibrated.shape:
        raise BadDataError(f"knn_shares must be like pred_probs, {calibrated.shape}, got {shares.shape}")
    known = shares.sum(1, keepdims=True) > 0  # false for NaN and for all-zero rows
    return np.where(known, (1 - KNN_SHARE) * calibrated + KNN_SHARE * shares, calibrated)


def _sharpened(blend: np.ndarray) -> np.ndarray:
    """Raise to a power (at least 1) until only AMBIGUOUS_SHARE of the rows lie below CLEAR_PANEL."""
    if blend.shape[1] < 2 or not len(blend):
        return blend

    def powered(power: float) -> np.ndarray:
        logits = power * np.log(np.maximum(blend, calibration.SMALLEST))
        logits -= logits.max(1, keepdims=True)
        exp = np.exp(logits)
        return exp / exp.sum(1, keepdims=True)

    low, high = 0.0, np.log(30.0)
    if (blend.max(1) < CLEAR_PANEL).mean() <= AMBIGUOUS_SHARE:
        return blend
    for _ in range(25):
        middle = (low + high) / 2
        if (powered(np.exp(middle)).max(1) < CLEAR_PANEL).mean() > AMBIGUOUS_SHARE:
            low = middle
        else:
            high = middle
    return powered(np.exp(high))


def _probability_ambiguous(panel: np.ndarray) -> np.ndarray:
    if panel.shape[1] < 2:
        return np.zeros(len(panel))
    return 1 / (1 + np.exp((panel.max(1) - CLEAR_PANEL) / 0.06))


def _transitions(labels: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """P(given | true), (K, K), with a little of every label that occurs, so that nothing is impossible."""
    classes = probs.shape[1]
    if not len(labels):
        return np.eye(classes)
    prior = np.bincount(labels, minlength=classes) / len(labels)
    return 0.99 * calibration.noise_transitions(labels, probs) + 0.01 * prior


def _suggested(labels: np.ndarray, panel: np.ndarray, transitions: np.ndarray) -> np.ndarray:
    """The given label where the panel prefers it, else the class that most likely lies behind it: (N,)."""
    rows = np.arange(len(labels))
    behind = panel * transitions[:, labels].T  # P(true k | x) P(given y | true k)
    behind[rows, labels] = -1.0
    return np.where(panel.argmax(1) == labels, labels, behind.argmax(1))


def _probability_wrong(
    labels: np.ndarray, probs: np.ndarray, calibrated: np.ndarray, quality: np.ndarray, transitions: np.ndarray
) -> np.ndarray:
    """P(given label wrong): (N,), falling with `quality`, its mean the estimated error rate."""
    from sklearn.isotonic import IsotonicRegression

    if not len(labels):
        return np.empty(0)
    rows = np.arange(len(labels))
    # where nothing speaks for errors, half a case is still possible
    rate = calibration.estimated_error_rate(labels, probs) or 0.5 / len(labels)
    posterior = calibrated * transitions[:, labels].T  # P(true k | x) P(given y | true k)
    right = posterior[rows, labels] / posterior.sum(1)
    wrong = _shifted(1 - right, rate)
    if len(labels) < 2:
        return wrong
    fitted = IsotonicRegression(increasing=False, y_min=0.0, y_max=1.0).fit_transform(quality, wrong)
    return np.clip(fitted, 0.0, 1.0)


def _shifted(probability: np.ndarray, mean: float) -> np.ndarray:
    """Move all log-odds by the one amount that brings the mean to `mean`."""
    safe = np.clip(probability, 1e-6, 1 - 1e-6)
    log_odds = np.log(safe / (1 - safe))
    low, high = -40.0, 40.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if (1 / (1 + np.exp(-log_odds - middle))).mean() < mean else (low, middle)
    return 1 / (1 + np.exp(-log_odds - low))
