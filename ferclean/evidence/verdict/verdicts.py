"""From signals to verdicts: one fused label quality, four probabilities, a suggestion, reasons, an order of looking.

Without decisions the probabilities are informed estimates from labels and models alone; it never reads votes or truth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ferclean.errors import UsageError
from ferclean.evidence.constants import STANDARD, Constants
from ferclean.evidence.people.people import Decided
from ferclean.evidence.verdict import belief as steps
from ferclean.evidence.verdict import calibration, reasons, truth
from ferclean.evidence.verdict.belief import Belief, Faces, Heard, PeoplesVotes


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

    `label_quality` (N,) in [0, 1], low = likely mislabelled: P(the given label is the true one) of a face that has one,
    so that doubt whether people would agree cannot spoil the order. `p_mislabelled`, `p_ambiguous`, `p_unusable`,
    `p_clean` (N,) in [0, 1] sum to 1. `suggested_label` (N,) int64, never the given label where `kind` is mislabelled,
    and `p_suggested` (N,), its own probability: `true_label` (N, K) = P(true label | everything) of a face that has
    one, rows sum to 1. `kind` (N,) str: mislabelled, ambiguous, unusable or clean. `rank` (N,) int64, 1 = look first.
    `reasons`: what there is to tell of each (`reasons.to_tell`). `soft_label` (N, K) float64, rows sum to 1: the shares
    of a large panel's votes, a training target. `taught`: what people's decisions taught; None without decisions.
    `error_rate`: the share of wrong given labels, ambiguous faces included, as estimated before any decision or vote.
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
    reasons: reasons.Told
    soft_label: np.ndarray
    taught: truth.Learned | None
    error_rate: calibration.ErrorRate
    true_label: np.ndarray


def judge(
    faces: Faces,
    *,
    people: Decided | None = None,
    thresholds: Thresholds | None = None,
    constants: Constants = STANDARD,
) -> Verdicts:
    """Judge every one of the `faces`, after what `people` decided (`people.check_decisions`; None = nobody was asked).

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
    P(mislabelled), the suggestion and its probability, and the soft label. A row with votes is judged by them
    (`belief.settled_by`), the recognizer's panel standing for a few votes more, and such rows teach how many of the
    others are how surely torn (`ambiguity.learned_from_votes`).

    A logistic stack and boosted trees fitted on errors planted by the same transitions, over these and other signals,
    were tried in place of the posterior: AUPRC 0.59 to 0.62 against 0.66 on the even half of FER2013's development
    rows.

    Raises BadDataError as `Faces.checked` does.

    >>> probs = np.array([[0.9, 0.1], [0.1, 0.9], [0.95, 0.05], [0.1, 0.9], [0.9, 0.1], [0.05, 0.95]])
    >>> judge(Faces(labels=np.array([0, 1, 1, 1, 0, 1]), pred_probs=probs)).rank.argmin()
    np.int64(2)
    """
    thresholds, by = thresholds or Thresholds(), constants
    faces = faces.checked()
    heard = steps.hear(faces, by)
    votes = steps.hear_votes(faces, heard, by)
    belief = steps.automatic(faces, heard, votes, by)
    belief, taught = steps.taught_by(people, faces, heard, belief, by)
    belief = steps.settled_by(votes, faces, belief)

    spoilt, labels = np.asarray(faces.unusable), faces.labels
    torn = np.minimum(belief.torn, 1 - belief.mislabelled)
    p_ambiguous = (1 - spoilt) * torn
    p_mislabelled = (1 - spoilt) * belief.mislabelled
    suggested, p_other = _suggestions(labels, belief.true_label, sure=p_mislabelled >= thresholds.mislabelled)
    kind = np.full(len(labels), "clean", dtype="<U11")
    kind[p_ambiguous >= thresholds.ambiguous] = "ambiguous"
    kind[(p_mislabelled >= thresholds.mislabelled) & (suggested != labels)] = "mislabelled"
    kind[spoilt > thresholds.unusable] = "unusable"
    return Verdicts(
        label_quality=belief.quality,
        p_mislabelled=p_mislabelled,
        p_ambiguous=p_ambiguous,
        p_unusable=spoilt,
        p_clean=(1 - spoilt) * (1 - torn - belief.mislabelled).clip(min=0.0),
        suggested_label=suggested,
        p_suggested=belief.true_label[np.arange(len(labels)), suggested],
        kind=kind,
        rank=_ranks(
            belief, torn, p_other, spoilt, votes, by, taught=bool(taught and taught.log_loss_after is not None)
        ),
        reasons=_reasons(faces, heard, suggested, kind, thresholds),
        soft_label=_soft_labels(belief, torn, heard, votes, by),
        taught=taught,
        error_rate=heard.rate,
        true_label=belief.true_label,
    )


def _suggestions(labels: np.ndarray, true_label: np.ndarray, *, sure: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The label that each face should have, (N,), and the probability of the best one but the given, (N,), -1 where
    there is but one class. A face that is `sure` (N,) to be mislabelled is not offered its own."""
    count = len(labels)
    others = true_label.copy()
    others[np.arange(count), labels] = -1.0
    best, own = others.max(1), true_label[np.arange(count), labels]
    changes = (best > own) | sure
    return np.where(changes & (best >= 0), others.argmax(1), labels).astype(np.int64), best


def _ranks(
    belief: Belief,
    torn: np.ndarray,
    p_other: np.ndarray,
    spoilt: np.ndarray,
    votes: PeoplesVotes | None,
    by: Constants,
    *,
    taught: bool,
) -> np.ndarray:
    """In which order to look, 1 first: (N,) int64.

    A reviewer's look is worth most where it is likely that the best other label (`p_other`) stands in the end and
    (`by.torn_power`) that people would agree.
    """
    mends = p_other.clip(min=0.0) * (1 - torn) ** (by.torn_power_taught if taught else by.torn_power)
    if votes is not None:
        mends[votes.voted.rows] = belief.mislabelled[votes.voted.rows]
    worth = (1 - spoilt) * mends + by.unusable_worth * spoilt
    rank = np.empty(len(worth), dtype=np.int64)
    # equal worth: lower quality first; rounding keeps noise in the last bits from deciding
    rank[np.lexsort((1 - belief.mislabelled, -np.round(worth, 9)))] = np.arange(1, len(worth) + 1)
    return rank


def _soft_labels(
    belief: Belief, torn: np.ndarray, heard: Heard, votes: PeoplesVotes | None, by: Constants
) -> np.ndarray:
    """The shares of a large panel's votes: (N, K), rows sum to 1."""
    # a face on which people do not agree is no example of one expression: there the panel's own doubt is kept
    soft = ((1 - torn)[:, None] * belief.true_label + torn[:, None] * heard.panel) ** by.votes_spread
    soft /= soft.sum(1, keepdims=True)
    if votes is not None:
        soft[votes.voted.rows] = votes.voted.shares
    return np.asarray(soft)


def _reasons(
    faces: Faces, heard: Heard, suggested: np.ndarray, kind: np.ndarray, thresholds: Thresholds
) -> reasons.Told:
    classes, spoilt = faces.pred_probs.shape[1], np.asarray(faces.unusable)
    return reasons.to_tell(
        faces.labels,
        heard.calibrated,
        suggested,
        names=faces.class_names or [f"class {k}" for k in range(classes)],
        knn_shares=None if faces.around is None else np.asarray(faces.around @ np.eye(classes)[faces.labels]),
        learned_share=faces.signals.get("learned_share"),
        epochs=faces.epochs,
        unusable=np.where(spoilt > thresholds.unusable, spoilt, 0.0),
        ambiguous=kind == "ambiguous",
        duplicates=faces.duplicates,
        recognizer_probs=faces.recognizer_probs,
        votes=faces.votes,
    )
