"""From signals to verdicts: one fused label quality, four probabilities, a suggestion, reasons, an order of looking.

Without decisions the probabilities are informed estimates from labels and models alone; it never reads votes or truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ferclean.errors import BadDataError, UsageError
from ferclean.evidence import calibration, reasons
from ferclean.evidence.checks import check_labels, check_pred_probs, check_same_length
from ferclean.evidence.learning import Learned, decision_features, learn

KNN_SHARE = 0.5
"""How much the neighbours' labels weigh beside the calibrated probabilities: half, which on the even half of FER2013's
development rows ranks errors as well as either alone."""
SPARE_NOISE = 0.1
"""Share of the noise that is taken to be spread as the given labels are, beside the estimated transitions: less of it
ranks FER2013's errors a little better and CIFAR-10N's a little worse."""
DYNAMICS_SHARE = 0.1
"""Weight of how training went (`aum`) beside the posterior, both in standard deviations of log-odds: a little helps
where errors follow no pattern, more would drown the pattern where they do."""
TORN_SIGNALS = {"neighbour_entropy": 1.0, "mean_confidence": -1.0, "confidence_spread": -1.0}
"""What orders faces by ambiguity beside the panel's top share, with the direction: mixed surroundings, a label that
training hardly learned, steadily so."""
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
    below a half because a reviewer would rather see one face too many than miss one.
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

    `label_quality` (N,) in [0, 1], low = likely mislabelled: one minus the chance that the label of a usable image is
    clearly wrong. `p_mislabelled`, `p_ambiguous`,
    `p_unusable`, `p_clean` (N,) in [0, 1] sum to 1. `suggested_label` (N,) int64, never the given label where `kind`
    is mislabelled. `kind` (N,) str: mislabelled, ambiguous, unusable or clean. `rank` (N,) int64, 1 = look first.
    `reasons`: a few sentences per sample. `soft_label` (N, K) float64, rows sum to 1: a training target. `taught`: what
    people's decisions changed about the verdicts mislabelled and ambiguous; empty without decisions.
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
    taught: Mapping[str, Learned]


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
    decided: np.ndarray | None = None,
    decided_weight: np.ndarray | None = None,
    thresholds: Thresholds | None = None,
    class_names: Sequence[str] | None = None,
    epochs: int | None = None,
) -> Verdicts:
    """Judge every sample from out-of-fold `pred_probs` (N, K), its given `labels` (N,) and `signals` ((N,) each).

    `knn_shares` (N, K) are the classes among the neighbours (a row of NaN or zeros has no say), `unusable` (N,) a mask
    or probability, `duplicates` (N,) groups of copies, whose other labels are told. `decided` (N,) str: what people
    said, keep, relabel, ambiguous or exclude, empty for undecided; `decided_weight` (N,): one over the chance with
    which a decided row was drawn. `class_names` and `epochs` only serve the reasons.

    How the probabilities come about (ours). The panel is the mean of temperature-calibrated probabilities and the
    neighbours' labels. P(given label wrong) is one minus the posterior of the given label under the panel and the noise
    transitions that the set itself shows, so that a label which the set often gives wrongly is doubted sooner; all
    log-odds are shifted until their mean is the estimated error rate. P(ambiguous) falls with the top share of the
    panel, sharpened until AMBIGUOUS_SHARE of the set lies below CLEAR_PANEL, in the order of TORN_SIGNALS where there
    are any, and out of what P(mislabelled) leaves: the two exclude each other. Decisions then move both (`learning`).

    >>> probs = np.array([[0.9, 0.1], [0.1, 0.9], [0.95, 0.05], [0.1, 0.9], [0.9, 0.1], [0.05, 0.95]])
    >>> judge(np.array([0, 1, 1, 1, 0, 1]), probs, {}).rank.argmin()
    np.int64(2)
    """
    thresholds = thresholds or Thresholds()
    probs = check_pred_probs(pred_probs)
    labels = check_labels(labels, probs.shape[1])
    count = check_same_length(
        labels=labels, pred_probs=probs, knn_shares=knn_shares, unusable=unusable, duplicates=duplicates,
        decided=decided, decided_weight=decided_weight, **signals,
    )  # fmt: skip
    spoilt = np.zeros(count) if unusable is None else np.asarray(unusable, dtype=np.float64)
    if not ((spoilt >= 0) & (spoilt <= 1)).all():
        raise BadDataError("unusable must be a mask or probabilities in [0, 1]")

    calibrated = calibration.apply_temperature(probs, calibration.fit_temperature(probs, labels))
    panel = _blended(calibrated, knn_shares)
    transitions = _transitions(labels, probs)
    wrong = _probability_wrong(labels, probs, panel, transitions, signals.get("aum"))
    sharp = _sharpened(panel)
    torn = _probability_ambiguous(sharp, signals)
    # Which faces are torn is known far less well than which labels are wrong: the chance of being torn lowers every
    # mislabelled one alike, and takes only what is left of each, so that it cannot spoil the order.
    mislabelled = wrong * (1 - torn.mean()) if count else wrong
    torn = np.minimum(torn, 1 - mislabelled)
    taught: dict[str, Learned] = {}
    if decided is not None:
        features = decision_features(labels, probs, signals, knn_shares=knn_shares)
        known = np.asarray(decided).astype(str)
        for name, action, automatic in (("mislabelled", "relabel", mislabelled), ("ambiguous", "ambiguous", torn)):
            happened = np.where(known == "", np.nan, (known == action).astype(np.float64))
            taught[name] = learn(automatic, features, happened, weight=decided_weight, groups=duplicates)
        mislabelled, torn = taught["mislabelled"].probability, taught["ambiguous"].probability
        # two models of exclusive events: where they claim more than there is, both give way alike
        total = np.maximum(mislabelled + torn, 1.0)
        mislabelled, torn = mislabelled / total, torn / total
    p_ambiguous = (1 - spoilt) * torn
    p_mislabelled = (1 - spoilt) * mislabelled
    p_clean = (1 - spoilt) * (1 - torn - mislabelled).clip(min=0.0)

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
    quality = 1 - mislabelled
    rank = np.empty(count, dtype=np.int64)
    # equal worth: lower quality first; rounding keeps noise in the last bits from deciding
    rank[np.lexsort((quality, -np.round(worth, 9)))] = np.arange(1, count + 1)
    given = np.eye(probs.shape[1])[labels]
    others = panel * (1 - given)
    rest = others.sum(1, keepdims=True)
    others = np.where(rest > 0, others / np.where(rest > 0, rest, 1.0), given)
    doubt = np.divide(mislabelled, 1 - torn, out=np.zeros(count), where=torn < 1).clip(0.0, 1.0)
    settled = (1 - doubt)[:, None] * given + doubt[:, None] * others
    soft = torn[:, None] * panel + (1 - torn)[:, None] * settled
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
        taught=taught,
    )


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


def _probability_ambiguous(panel: np.ndarray, signals: Mapping[str, np.ndarray]) -> np.ndarray:
    if panel.shape[1] < 2:
        return np.zeros(len(panel))
    torn = 1 / (1 + np.exp((panel.max(1) - CLEAR_PANEL) / 0.06))
    present = {name: sign * np.asarray(signals[name]) for name, sign in TORN_SIGNALS.items() if name in signals}
    if not present:
        return torn
    # the panel says how many are how torn, all signals together which ones
    order = fuse_by_rank({"panel": torn} | present)
    # by average ranks, so that equal faces stay equal in whichever order they come
    place = np.round(_unit_ranks(order) * (len(torn) - 1), 9)
    return np.interp(place, np.arange(len(torn)), np.sort(torn))


def _transitions(labels: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """P(given | true), (K, K), with a little of every label that occurs, so that nothing is impossible."""
    classes = probs.shape[1]
    if not len(labels):
        return np.eye(classes)
    prior = np.bincount(labels, minlength=classes) / len(labels)
    return (1 - SPARE_NOISE) * calibration.noise_transitions(labels, probs) + SPARE_NOISE * prior


def _suggested(labels: np.ndarray, panel: np.ndarray, transitions: np.ndarray) -> np.ndarray:
    """The given label where the panel prefers it, else the class that most likely lies behind it: (N,)."""
    rows = np.arange(len(labels))
    behind = panel * transitions[:, labels].T  # P(true k | x) P(given y | true k)
    behind[rows, labels] = -1.0
    return np.where(panel.argmax(1) == labels, labels, behind.argmax(1))


def _probability_wrong(
    labels: np.ndarray, probs: np.ndarray, panel: np.ndarray, transitions: np.ndarray, aum: np.ndarray | None
) -> np.ndarray:
    """P(given label wrong): (N,), its mean the estimated error rate."""
    if not len(labels):
        return np.empty(0)
    # where nothing speaks for errors, half a case is still possible
    rate = calibration.estimated_error_rate(labels, probs) or 0.5 / len(labels)
    posterior = panel * transitions[:, labels].T  # P(true k | x) P(given y | true k)
    right = posterior[np.arange(len(labels)), labels] / posterior.sum(1)
    wrong = 1 - right
    if aum is not None and np.isfinite(aum).any():
        known = np.isfinite(aum)
        middle, spread = np.mean(aum[known]), np.std(aum[known])
        against = np.where(known, middle - np.where(known, aum, middle), 0.0) / (spread if spread > 0 else 1.0)
        log_odds = calibration.log_odds(wrong)
        wrong = 1 / (1 + np.exp(-log_odds - DYNAMICS_SHARE * log_odds.std() * against))
    return _shifted(wrong, rate)


def _shifted(probability: np.ndarray, mean: float) -> np.ndarray:
    """Move all log-odds by the one amount that brings the mean to `mean`."""
    log_odds = calibration.log_odds(probability)
    low, high = -40.0, 40.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if (1 / (1 + np.exp(-log_odds - middle))).mean() < mean else (low, middle)
    return 1 / (1 + np.exp(-log_odds - low))
