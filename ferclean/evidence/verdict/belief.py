"""What is believed of each face: who is heard, what they say of it together, what decisions and votes change in that.

It flags no face and orders none (verdicts.py does); each step here takes a belief and gives the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import sparse

from ferclean.errors import BadDataError
from ferclean.evidence.checks import check_labels, check_pred_probs, check_same_length
from ferclean.evidence.constants import Constants
from ferclean.evidence.people.people import Decided, Voted, count_votes
from ferclean.evidence.people.votes import majority_chances
from ferclean.evidence.verdict import ambiguity, calibration, planting, truth, witnesses
from ferclean.evidence.verdict import panel as panel_room


@dataclass(frozen=True, kw_only=True)
class Faces:
    """What is known about N faces of K classes before people decide, one entry per face; no array is changed.

    `labels` (N,) given; `pred_probs` (N, K) out-of-fold; `signals` (N,) each. `around` (N, N) sparse: the weights of
    each face's neighbours (`neighbours.Neighbourhood.weights`; an empty row has no say), None where nobody knows any.
    `unusable` (N,): a mask or probability. `duplicates` (N,): groups of copies, whose other labels are told. `votes`
    (N, K): how many people chose each class, in sets that were ingested with them; rows without any are zeros.
    `recognizer_probs` (R, N, K): the members that `pred_probs` is the mean of, default itself alone. `judge_probs`
    (J, N, K): what nets from elsewhere say, NaN for classes that they do not know. `class_names` and `epochs` only
    serve the reasons.
    """

    labels: np.ndarray
    pred_probs: np.ndarray
    signals: Mapping[str, np.ndarray] = field(default_factory=dict)
    around: sparse.csr_matrix | None = None
    unusable: np.ndarray | None = None
    duplicates: np.ndarray | None = None
    votes: np.ndarray | None = None
    recognizer_probs: np.ndarray | None = None
    judge_probs: np.ndarray | None = None
    class_names: Sequence[str] | None = None
    epochs: int | None = None

    def checked(self) -> Faces:
        """The same with float64 probabilities, int64 labels and `unusable` as probabilities.

        Raises BadDataError as `check_pred_probs` and `check_labels` do, for lengths that differ, and for `unusable`
        outside [0, 1].
        """
        probs = check_pred_probs(self.pred_probs)
        labels = check_labels(self.labels, probs.shape[1])
        count = check_same_length(
            labels=labels, pred_probs=probs, unusable=self.unusable, duplicates=self.duplicates, votes=self.votes,
            **self.signals,
        )  # fmt: skip
        spoilt = np.zeros(count) if self.unusable is None else np.asarray(self.unusable, dtype=np.float64)
        if not ((spoilt >= 0) & (spoilt <= 1)).all():
            raise BadDataError("unusable must be a mask or probabilities in [0, 1]")
        return replace(self, labels=labels, pred_probs=probs, unusable=spoilt)


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What everyone who was asked says.

    `sources` (S, N, K): recognizers, the last `judges` of them from elsewhere, each calibrated; `calibrated` (N, K):
    their mean, as it was given, calibrated; `noise` (K, K): P(given | true); `panel` (N, K): P(true label | face)
    without its own label, judges included; `rate`: how many labels are wrong.
    """

    sources: np.ndarray
    judges: int
    calibrated: np.ndarray
    noise: np.ndarray
    panel: np.ndarray
    rate: calibration.ErrorRate


@dataclass(frozen=True, kw_only=True)
class Belief:
    """`true_label` (N, K): P(true label) of a face that has one, rows sum to 1. `torn` (N,): P(no clear majority of
    people would agree on it). `mislabelled` (N,): P(people would clearly call it something else). `quality` (N,):
    P(the given label is the true one) of a face that has one; of a face with votes P(it is not mislabelled)."""

    true_label: np.ndarray
    torn: np.ndarray
    mislabelled: np.ndarray
    quality: np.ndarray


@dataclass(frozen=True, kw_only=True)
class PeoplesVotes:
    """`voted`: the faces with votes; `half` (V, K): P(a very large panel gives the class at least half)."""

    voted: Voted
    half: np.ndarray

    @property
    def undivided(self) -> np.ndarray:
        """P(such a panel gives some class at least half): (V,)."""
        return np.asarray(self.half.sum(1).clip(max=1.0))


def hear(faces: Faces, by: Constants) -> Heard:
    """Ask the recognizers, the neighbours, the set's own noise and the judges; `faces` are checked ones."""
    labels, probs, around = faces.labels, faces.pred_probs, faces.around
    members = probs[None] if faces.recognizer_probs is None else np.asarray(faces.recognizer_probs)
    sources = truth.calibrated_sources(labels, members, faces.judge_probs)
    calibrated = calibration.apply_temperature(probs, calibration.fit_temperature(probs, labels))
    noise = panel_room.transitions(labels, probs, by=by)
    panel = panel_room.consult(labels, calibrated, noise, around=around, by=by)
    judges = sources[len(members) :]
    if around is None:
        rate = calibration.error_rate_interval(labels, probs, by=by)
    else:
        rate = planting.error_rate(labels, probs, panel, noise, around, by=by)
    if len(judges):
        ours, theirs = truth.preferred(sources[: len(members)], by=by), truth.preferred(judges, by=by)
        rate = witnesses.error_rate(labels, np.where(ours < 0, labels, ours), theirs, within=rate, by=by)
    panel = truth.with_judges(panel, judges, by=by)
    return Heard(sources=sources, judges=len(judges), calibrated=calibrated, noise=noise, panel=panel, rate=rate)


def hear_votes(faces: Faces, heard: Heard, by: Constants) -> PeoplesVotes | None:
    """What people voted, the panel's word counting for as many votes as the set suggests; None without any."""
    voted = count_votes(faces.votes, heard.panel, by=by)
    return None if voted is None else PeoplesVotes(voted=voted, half=majority_chances(voted.shares, voted.number))


def automatic(faces: Faces, heard: Heard, votes: PeoplesVotes | None, by: Constants) -> Belief:
    """What is believed before anyone has decided; of `votes` only how many faces are how surely torn is learned."""
    torn = ambiguity.probability_torn(faces.labels, heard.panel, faces.signals, by=by)
    if votes is not None:
        torn = ambiguity.learned_from_votes(torn, votes.voted.rows, 1 - votes.undivided, by=by)
    wrong = probability_wrong(faces.labels, heard, planted=faces.around is not None, by=by)
    true_label = truth.automatic(faces.labels, wrong, heard.sources, panel=heard.panel, judges=heard.judges, by=by)
    # Which faces are torn is known far less well than which labels are wrong: the share of torn ones among the wrong
    # lowers every P(wrong) alike, so that it cannot spoil the order.
    among_wrong = float(wrong @ torn / wrong.sum()) if wrong.sum() > 0 else 0.0
    return Belief(true_label=true_label, torn=torn, mislabelled=wrong * (1 - among_wrong), quality=1 - wrong)


def probability_wrong(labels: np.ndarray, heard: Heard, *, planted: bool, by: Constants) -> np.ndarray:
    """P(given label wrong): (N,), its mean about the error rate; where neighbours are known it is also `planted`."""
    if not len(labels):
        return np.empty(0)
    panel, noise, rate = heard.panel, heard.noise, heard.rate.estimate
    if planted:
        panel = panel_room.at_true_shares(labels, panel, noise, by=by)
        true = panel_room.posterior(labels, panel, noise)
    else:
        true = panel_room.hedged(labels, panel, noise, by=by)
    wrong = 1 - true[np.arange(len(labels)), labels]
    if not rate:
        # where nothing speaks for errors, half a case is still possible
        return np.minimum(wrong, 0.5 / len(labels))
    wrong = calibration.shifted(wrong, rate)
    if not planted:
        return wrong
    return (wrong + planting.planted_probability(labels, panel, noise, rate)) / 2


def taught_by(
    people: Decided | None, faces: Faces, heard: Heard, belief: Belief, by: Constants
) -> tuple[Belief, truth.Learned | None]:
    """The belief that people's decisions leave, and what they taught; too few leave it as it was."""
    if people is None:
        return belief, None
    count = check_same_length(labels=faces.labels, decided=people.said)
    # how often each class is the true one is learned from decisions, better than on top of what the panel guesses
    wrong = 1 - belief.true_label[np.arange(count), faces.labels]
    start = truth.automatic(faces.labels, wrong, heard.sources, judges=heard.judges, by=by)
    taught = truth.learn_truth(
        faces.labels, belief.true_label, heard.sources, belief.torn, people, start=start, groups=faces.duplicates, by=by
    )
    if taught.log_loss_after is None:
        return belief, taught
    given = taught.p_true[np.arange(count), faces.labels]
    mislabelled = by.clearly * (1 - taught.p_ambiguous) * (1 - given)
    return Belief(true_label=taught.p_true, torn=taught.p_ambiguous, mislabelled=mislabelled, quality=given), taught


def settled_by(votes: PeoplesVotes | None, faces: Faces, belief: Belief) -> Belief:
    """The belief with voted faces judged by their votes: mislabelled if a very large panel would give another label at
    least half, ambiguous if it would give none that much."""
    if votes is None:
        return belief
    rows = votes.voted.rows
    true_label, torn, mislabelled = belief.true_label.copy(), belief.torn.copy(), belief.mislabelled.copy()
    quality = belief.quality.copy()
    true_label[rows] = votes.voted.shares
    torn[rows] = 1 - votes.undivided
    own = votes.half[np.arange(len(rows)), faces.labels[rows]]
    mislabelled[rows] = (votes.undivided - own).clip(min=0.0)
    quality[rows] = 1 - mislabelled[rows]
    return Belief(true_label=true_label, torn=torn, mislabelled=mislabelled, quality=quality)
