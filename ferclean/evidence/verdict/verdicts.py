"""From signals to verdicts: one fused label quality, four probabilities, a suggestion, reasons, an order of looking.

Without decisions the probabilities are informed estimates from labels and models alone; it never reads votes or truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ferclean.errors import BadDataError, UsageError
from ferclean.evidence.checks import check_labels, check_pred_probs, check_same_length
from ferclean.evidence.people.people import check_decisions, count_votes
from ferclean.evidence.people.votes import majority_chances
from ferclean.evidence.verdict import ambiguity, calibration, planting, reasons, truth, witnesses
from ferclean.evidence.verdict import panel as panel_room

UNUSABLE_WORTH = 0.5
"""What finding an unusable image is worth to a reviewer beside a label that is mended: the queue is ordered by the
expected worth. Ambiguous faces are worth nothing there: they are a list of their own."""
CLEARLY = 0.82
"""Of labels that people would change, how many a large panel would *clearly* call something else (six in ten): where
five of ten say so, the other five often do not agree. From the votes of FER2013's development rows, even half."""
VOTES_SPREAD = 0.7
"""Power of P(true label) that gives the soft label: which label most people would choose is surer than what the next
one would say. On the even half of FER2013's development rows, of 0.4 to 1, with and without decisions and judges, 0.6
and 0.7 come nearest to the votes' shares (mean squared distance .144 to .217, against .161 to .236 with 1)."""


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """The probabilities from which a sample is flagged; changing them needs no new scores.

    They are compared in this order: unusable, mislabelled, ambiguous; what reaches none is clean. `mislabelled` is
    below a half because a reviewer would rather see one face too many than miss one; `ambiguous` is where a face is
    about three times as likely torn as any, because nothing says it with more certainty.
    """

    unusable: float = 0.5
    mislabelled: float = 0.4
    ambiguous: float = 0.3

    def __post_init__(self) -> None:
        for name in ("unusable", "mislabelled", "ambiguous"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"the threshold of {name} is a probability, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """One entry per sample, in the order of the labels.

    `label_quality` (N,) in [0, 1], low = likely mislabelled: one minus the chance that the label of a usable image is
    clearly wrong. `p_mislabelled`, `p_ambiguous`, `p_unusable`, `p_clean` (N,) in [0, 1] sum to 1. `suggested_label`
    (N,) int64, never the given label where `kind` is mislabelled, and `p_suggested` (N,), its own probability:
    `true_label` (N, K) = P(true label | everything) of a face that has one, rows sum to 1. `kind` (N,) str:
    mislabelled, ambiguous, unusable or clean. `rank` (N,) int64, 1 = look first. `reasons`: a few sentences per sample.
    `soft_label` (N, K) float64, rows sum to 1: the shares of a large panel's votes, a training target. `taught`: what
    people's decisions taught; None without decisions. `error_rate`: the share of wrong given labels, ambiguous faces
    included, as estimated before any decision or vote.
    """

    label_quality: np.ndarray
    p_mislabelled: np.ndarray
    p_ambiguous: np.ndarray
    p_unusable: np.ndarray
    p_clean: np.ndarray
    suggested_label: np.ndarray
    p_suggested: np.ndarray
    kind: np.ndarray
    rank: np.ndarray
    reasons: list[list[str]]
    soft_label: np.ndarray
    taught: truth.Learned | None
    error_rate: calibration.ErrorRate
    true_label: np.ndarray


def judge(
    labels: np.ndarray,
    pred_probs: np.ndarray,
    signals: Mapping[str, np.ndarray],
    *,
    around: sparse.csr_matrix | None = None,
    unusable: np.ndarray | None = None,
    duplicates: np.ndarray | None = None,
    votes: np.ndarray | None = None,
    decided: np.ndarray | None = None,
    decided_label: np.ndarray | None = None,
    decided_weight: np.ndarray | None = None,
    thresholds: Thresholds | None = None,
    class_names: Sequence[str] | None = None,
    epochs: int | None = None,
    recognizer_probs: np.ndarray | None = None,
    judge_probs: np.ndarray | None = None,
) -> Verdicts:
    """Judge every sample from out-of-fold `pred_probs` (N, K), its given `labels` (N,) and `signals` ((N,) each).

    `around` (N, N) sparse: the weights of each sample's neighbours (`neighbours.Neighbourhood.weights`; an empty row
    has no say), `unusable` (N,) a mask or probability, `duplicates` (N,) groups of copies, whose other labels are told.
    `votes` (N, K): how many people chose each class, in sets that were ingested with them; rows without any are zeros.
    `decided` (N,) str: what people said, keep, relabel, ambiguous or exclude, empty for undecided; `decided_label` (N,)
    int: the label that a relabel chose, -1 elsewhere; `decided_weight` (N,): one over the chance with which a decided
    row was drawn. `recognizer_probs` (R, N, K) are the members that `pred_probs` is the mean of, default itself alone;
    `judge_probs` (J, N, K) what nets from elsewhere say, NaN for classes that they do not know. `class_names` and
    `epochs` only serve the reasons.

    How the probabilities come about (ours). The panel (`panel.consult`) is what the calibrated probabilities and the
    neighbours, their own labels corrected, say about a face. P(given label wrong) is one minus the posterior of the
    given label under the panel and the noise transitions that the set itself shows, so that a label which the set often
    gives wrongly is doubted sooner, with the classes' true shares in place of the given ones (`panel.at_true_shares`);
    all log-odds are shifted until their mean is the estimated error rate (`planting.error_rate`; `witnesses.error_rate`
    where a judge is heard too). Where no neighbours are known, the posterior leans towards plain self-confidence, the
    more so the smaller the set (`panel.hedged`, `calibration.error_rate_interval`). Where they are, it is averaged with
    what it would be if people's errors were as blatant as planted ones (`planting.planted_probability`): the one is too
    flat where they are, the other too steep where they are not, and both rank alike. P(ambiguous) is
    `ambiguity.probability_torn`; the two exclude each other.
    What is right where a label is wrong, the members and judges say (`truth.automatic`). Decisions move the whole
    P(true label | face, given label) and P(ambiguous) with it (`truth.learn_truth`): from that one model follow
    P(mislabelled), the suggestion and its probability, and the soft label. A row with votes is judged by them:
    mislabelled if a very large panel would give another label at least half, ambiguous if it would give none that much,
    the recognizer's panel standing for a few votes more, and such rows teach how many of the others are how surely
    torn (`ambiguity.learned_from_votes`).

    A logistic stack and boosted trees fitted on errors planted by the same transitions, over these and other signals,
    were tried in place of the posterior: AUPRC 0.59 to 0.62 against 0.66 on the even half of FER2013's development
    rows.

    >>> probs = np.array([[0.9, 0.1], [0.1, 0.9], [0.95, 0.05], [0.1, 0.9], [0.9, 0.1], [0.05, 0.95]])
    >>> judge(np.array([0, 1, 1, 1, 0, 1]), probs, {}).rank.argmin()
    np.int64(2)
    """
    thresholds = thresholds or Thresholds()
    probs = check_pred_probs(pred_probs)
    labels = check_labels(labels, probs.shape[1])
    count = check_same_length(
        labels=labels, pred_probs=probs, unusable=unusable, duplicates=duplicates, votes=votes,
        decided=decided, decided_label=decided_label, decided_weight=decided_weight, **signals,
    )  # fmt: skip
    spoilt = np.zeros(count) if unusable is None else np.asarray(unusable, dtype=np.float64)
    if not ((spoilt >= 0) & (spoilt <= 1)).all():
        raise BadDataError("unusable must be a mask or probabilities in [0, 1]")

    members = probs[None] if recognizer_probs is None else np.asarray(recognizer_probs)
    sources = truth.calibrated_sources(labels, members, judge_probs)
    calibrated = calibration.apply_temperature(probs, calibration.fit_temperature(probs, labels))
    noise = panel_room.transitions(labels, probs)
    panel = panel_room.consult(labels, calibrated, noise, around=around)
    judges = sources[len(members) :]
    rate = _error_rate(labels, probs, panel, noise, around)
    if len(judges):
        ours, theirs = truth.preferred(sources[: len(members)]), truth.preferred(judges)
        rate = witnesses.error_rate(labels, np.where(ours < 0, labels, ours), theirs, within=rate)
    panel = truth.with_judges(panel, judges)
    torn = ambiguity.probability_torn(labels, panel, signals)
    voted = count_votes(votes, panel)
    if voted is not None:
        # a very large panel gives at least half of its votes to no label, to another one, or to the given one
        half = majority_chances(voted.shares, voted.number)
        undivided = half.sum(1).clip(max=1.0)
        torn = ambiguity.learned_from_votes(torn, voted.rows, 1 - undivided)
    wrong = _probability_wrong(labels, panel, noise, rate.estimate, planted=around is not None)
    true_label = truth.automatic(labels, wrong, sources, judges=len(judges))
    # Which faces are torn is known far less well than which labels are wrong: the share of torn ones among the wrong
    # lowers every P(wrong) alike, so that it cannot spoil the order.
    mislabelled = wrong * (1 - _torn_share(wrong, torn))
    taught = None
    if decided is not None:
        people = check_decisions(labels, decided, decided_label, decided_weight, num_classes=probs.shape[1])
        taught = truth.learn_truth(labels, true_label, sources, torn, people, groups=duplicates)
        if taught.log_loss_after is not None:
            true_label, torn = taught.p_true, taught.p_ambiguous
            mislabelled = CLEARLY * (1 - torn) * (1 - true_label[np.arange(count), labels])
    if voted is not None:
        true_label, torn = true_label.copy(), torn.copy()
        true_label[voted.rows] = voted.shares
        own = half[np.arange(len(half)), labels[voted.rows]]
        torn[voted.rows] = 1 - undivided
        mislabelled = mislabelled.copy()
        mislabelled[voted.rows] = (undivided - own).clip(min=0.0)
    torn = np.minimum(torn, 1 - mislabelled)
    p_ambiguous = (1 - spoilt) * torn
    p_mislabelled = (1 - spoilt) * mislabelled
    p_clean = (1 - spoilt) * (1 - torn - mislabelled).clip(min=0.0)

    others = true_label.copy()
    others[np.arange(count), labels] = -1.0
    best, own = others.max(1), true_label[np.arange(count), labels]
    changes = (best > own) | (p_mislabelled >= thresholds.mislabelled)
    suggested = np.where(changes & (best >= 0), others.argmax(1), labels)
    kind = np.full(count, "clean", dtype="<U11")
    kind[p_ambiguous >= thresholds.ambiguous] = "ambiguous"
    kind[(p_mislabelled >= thresholds.mislabelled) & (suggested != labels)] = "mislabelled"
    kind[spoilt > thresholds.unusable] = "unusable"
    # A reviewer's look is worth most where it is likely that the best other label stands in the end. P(ambiguous)
    # counts twice: it is too flat to keep torn faces, of which a reviewer can make nothing, out of the first hundreds.
    mends = best.clip(min=0.0) * (1 - torn) ** 2
    if voted is not None:
        mends[voted.rows] = mislabelled[voted.rows]
    worth = (1 - spoilt) * mends + UNUSABLE_WORTH * spoilt
    quality = 1 - mislabelled
    rank = np.empty(count, dtype=np.int64)
    # equal worth: lower quality first; rounding keeps noise in the last bits from deciding
    rank[np.lexsort((quality, -np.round(worth, 9)))] = np.arange(1, count + 1)
    # a face on which people do not agree is no example of one expression: there the panel's own doubt is kept
    soft = ((1 - torn)[:, None] * true_label + torn[:, None] * panel) ** VOTES_SPREAD
    soft /= soft.sum(1, keepdims=True)
    if voted is not None:
        soft[voted.rows] = voted.shares
    return Verdicts(
        label_quality=quality,
        p_mislabelled=p_mislabelled,
        p_ambiguous=p_ambiguous,
        p_unusable=spoilt,
        p_clean=p_clean,
        suggested_label=suggested.astype(np.int64),
        p_suggested=true_label[np.arange(count), suggested],
        kind=kind,
        rank=rank,
        reasons=reasons.in_words(
            labels,
            calibrated,
            suggested,
            names=class_names or [f"class {k}" for k in range(probs.shape[1])],
            knn_shares=None if around is None else np.asarray(around @ np.eye(probs.shape[1])[labels]),
            learned_share=signals.get("learned_share"),
            epochs=epochs,
            unusable=np.where(spoilt > thresholds.unusable, spoilt, 0.0),
            ambiguous=kind == "ambiguous",
            duplicates=duplicates,
            recognizer_probs=recognizer_probs,
            votes=votes,
        ),
        soft_label=soft,
        taught=taught,
        error_rate=rate,
        true_label=true_label,
    )


def _torn_share(wrong: np.ndarray, torn: np.ndarray) -> float:
    """Expected share of torn faces among the wrong labels."""
    return float(wrong @ torn / wrong.sum()) if wrong.sum() > 0 else 0.0


def _error_rate(
    labels: np.ndarray, probs: np.ndarray, panel: np.ndarray, noise: np.ndarray, around: sparse.csr_matrix | None
) -> calibration.ErrorRate:
    if around is None:
        return calibration.error_rate_interval(labels, probs)
    return planting.error_rate(labels, probs, panel, noise, around)


def _probability_wrong(
    labels: np.ndarray, panel: np.ndarray, noise: np.ndarray, rate: float, *, planted: bool
) -> np.ndarray:
    """P(given label wrong): (N,), its mean about the error rate."""
    if not len(labels):
        return np.empty(0)
    if planted:
        panel = panel_room.at_true_shares(labels, panel, noise)
    true = panel_room.posterior(labels, panel, noise) if planted else panel_room.hedged(labels, panel, noise)
    wrong = 1 - true[np.arange(len(labels)), labels]
    if not rate:
        # where nothing speaks for errors, half a case is still possible
        return np.minimum(wrong, 0.5 / len(labels))
    wrong = calibration.shifted(wrong, rate)
    if not planted:
        return wrong
    return (wrong + planting.planted_probability(labels, panel, noise, rate)) / 2
