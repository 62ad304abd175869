"""Were these probabilities made by a model that had seen the very labels it judges? Then they can find no wrong label.

It recognises only the glaring cases, corrects nothing, and takes no one's word for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ferclean.errors import BadDataError
from ferclean.evidence.checks import check_labels, check_pred_probs, check_same_length
from ferclean.evidence.signals.nearest import Nearest
from ferclean.evidence.signals.neighbours import neighbourhood
from ferclean.summary import Summary

Verdict = Literal["in_sample", "doubtful", "plausible"]

ALWAYS_AGREES = 0.001
"""Up to this share of disagreement a model counts as never contradicting a label (MNIST's best reach 0.0013)."""
HARDLY_DISAGREES = 0.01
"""Up to this share, what neighbours and copies say against the labels is held against the model."""
FEWEST = 100
"""So many samples are needed before never contradicting a label means anything."""
ANNOUNCED = 0.05
"""Below this ratio of disagreements to those that the probabilities announce, they are doubtful. Measured out-of-fold:
0.09 (a random forest on clean digits) to 5; in-sample: 0 to 0.4."""
SURROUNDED = 10
"""So many samples whose neighbours speak for another class are needed before they count."""
SIDES = (0.5, 0.9)
"""From which share of those a model that repeats their labels is doubtful, and from which it is convicted. Measured
out-of-fold: 0 to 0.19; over-fitted in-sample: 0.43 to 1."""
FEW_COPIES = 3
SAME_COPIES = 0.8


@dataclass(frozen=True, kw_only=True)
class InSampleEvidence(Summary):
    """What speaks for and against: numbers, a verdict and one sentence for people.

    `disagreement` in [0, 1]: share of samples whose predicted label is not the given one. `announced` in [0, 1]: the
    share that the probabilities themselves announce, the mean of 1 - max P; honest ones disagree about that often.
    `log_loss` >= 0 on the given labels, nats. `neighbour_disagreement` in [0, 1]: share of samples whose ten nearest
    lean to another class. `surrounded`: how many of the quarter with the most united neighbours stand among another
    class; `sides_with_label` in [0, 1]: for how many of those the model repeats the given label all the same.
    `conflicts`: pairs of copies with two given labels; `copies_as_given` in [0, 1]: for how many the model repeats
    both. None where there was nothing to measure it on.
    """

    samples: int
    disagreement: float
    announced: float
    log_loss: float
    neighbour_disagreement: float | None
    surrounded: int
    sides_with_label: float | None
    conflicts: int
    copies_as_given: float | None
    verdict: Verdict
    sentence: str


def in_sample_evidence(
    labels: np.ndarray,
    pred_probs: np.ndarray,
    features: np.ndarray | None = None,
    fold: np.ndarray | None = None,
    *,
    groups: np.ndarray | None = None,
    pairs: np.ndarray | None = None,
    nearest: Nearest | None = None,
) -> InSampleEvidence:
    """Weigh whether `pred_probs` (N, K) were made on the labels (N,) that they are to judge.

    `features` (N, D) are embeddings, compared within each `fold` (N,) only; copies share a number in `groups` (N,)
    and do not count as neighbours; `pairs` (M, 2) are the row numbers of copies. `nearest`: as in `neighbourhood`.

    The verdict is `in_sample` when one of these holds:

    - the model contradicts at most ALWAYS_AGREES of FEWEST or more labels, and no features vouch for such labels
      (their neighbours agree with 99 % of them, each fold in its own space). Honest probabilities near a tie are
      right about as often as not, so they disagree about as often as they announce; those of a memory never do;
    - it contradicts at most HARDLY_DISAGREES of them, and repeats the given label of nearly every sample that stands
      in the midst of another class. Out-of-fold models side with the neighbours there;
    - it contradicts at most HARDLY_DISAGREES of them, and gives copies of one picture their different labels.

    `doubtful` are a weaker form of the second, disagreements far rarer than announced (also so when honest
    probabilities were flattened), and sets too small to tell.

    What it cannot notice: a model that saw the labels but did not learn them by heart (few epochs, strong
    regularisation, k nearest neighbours with itself as one of many); without features, one that contradicts a few
    labels in a thousand; with its own features, one that moved its wrong labels all the way to their new class. It
    errs the other way, and says so, where a model without features is right about every label: nothing in such
    numbers tells a perfect model from a memory, and no label in them could be doubted either.

    Raises BadDataError as `check_pred_probs` and `neighbourhood` do. Ours, not a paper's.

    >>> labels = np.arange(200) % 2; honest = np.where(np.eye(2)[labels] > 0, 0.9, 0.1)
    >>> honest[:20] = honest[:20, ::-1]
    >>> in_sample_evidence(labels, honest).verdict, in_sample_evidence(labels, np.eye(2)[labels]).verdict
    ('plausible', 'in_sample')
    """
    probs = check_pred_probs(pred_probs)
    labels = check_labels(labels, probs.shape[1])
    count = check_same_length(labels=labels, pred_probs=probs, features=features, fold=fold, groups=groups)
    if not count:
        raise BadDataError("no sample, so nothing says how the probabilities were made")
    repeats = probs.argmax(1) == labels
    own = probs[np.arange(count), labels]
    measured: dict[str, Any] = {
        "samples": count,
        "disagreement": float(1 - repeats.mean()),
        "announced": float((1 - probs.max(1)).mean()),
        "log_loss": float(-np.log(np.maximum(own, 1e-12)).mean()),
        **_among_neighbours(labels, repeats, probs.shape[1], features, fold, groups, nearest),
        **_among_copies(labels, repeats, pairs),
    }
    verdict, sentence = _weigh(measured, classes=len(np.unique(labels)), by_fold=fold is not None)
    return InSampleEvidence(**measured, verdict=verdict, sentence=sentence)


def refuse_in_sample(found: InSampleEvidence) -> InSampleEvidence:
    """The evidence, when it does not convict. Raises BadDataError, with the reason and the way out, when it does.

    >>> probs = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    >>> refuse_in_sample(in_sample_evidence(np.array([0, 1, 1]), probs)).verdict
    'plausible'
    """
    if found.verdict == "in_sample":
        raise BadDataError(f"in-sample probabilities: {found.sentence}")
    return found


def _among_neighbours(
    labels: np.ndarray,
    repeats: np.ndarray,
    classes: int,
    features: np.ndarray | None,
    fold: np.ndarray | None,
    groups: np.ndarray | None,
    nearest: Nearest | None,
) -> dict[str, Any]:
    nothing = {"neighbour_disagreement": None, "surrounded": 0, "sides_with_label": None}
    if features is None:
        return nothing
    shares = neighbourhood(labels, features, num_classes=classes, fold=fold, groups=groups, nearest=nearest).shares
    known = np.flatnonzero(~np.isnan(shares).any(1))
    if not len(known):
        return nothing
    against = shares[known].argmax(1) != labels[known]
    # a quarter, whatever the embedding is worth; ties with the last of them belong to it too
    top = shares[known].max(1)
    united = top >= np.sort(top)[-max(1, len(known) // 4)]
    surrounded = known[against & united]
    return {
        "neighbour_disagreement": float(against.mean()),
        "surrounded": len(surrounded),
        "sides_with_label": float(repeats[surrounded].mean()) if len(surrounded) else None,
    }


def _among_copies(labels: np.ndarray, repeats: np.ndarray, pairs: np.ndarray | None) -> dict[str, Any]:
    index = np.empty((0, 2), dtype=np.int64) if pairs is None else np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
    index = index[labels[index[:, 0]] != labels[index[:, 1]]]
    return {
        "conflicts": len(index),
        "copies_as_given": float(repeats[index].all(1).mean()) if len(index) else None,
    }


def _weigh(found: dict[str, Any], *, classes: int, by_fold: bool) -> tuple[Verdict, str]:
    count, disagreement = found["samples"], found["disagreement"]
    opposed = round(disagreement * count)
    announced = found["announced"] * count
    says = f"they contradict {opposed:,} of {count:,} given labels"
    around, side, copies = found["neighbour_disagreement"], found["sides_with_label"], found["copies_as_given"]
    surrounded = found["surrounded"] >= SURROUNDED
    hardly = disagreement <= HARDLY_DISAGREES
    way_out = "predict each image with a model that was not trained on it"
    if classes < 2:
        return "doubtful", "with a single given class nothing tells how the probabilities were made"
    if hardly and found["conflicts"] >= FEW_COPIES and copies >= SAME_COPIES:
        return "in_sample", (
            f"{says}, and give {copies:.0%} of {found['conflicts']} pairs of copies their two different labels; "
            f"{way_out}"
        )
    if hardly and surrounded and side >= SIDES[1]:
        return "in_sample", (
            f"{says}, and repeat {side:.0%} of the {found['surrounded']:,} labels whose nearest neighbours agree on "
            f"another class; {way_out}"
        )
    # in one common space an over-fitted network has moved its wrong labels among their new class: no witness there
    vouched = by_fold and around is not None and around <= HARDLY_DISAGREES
    if count >= FEWEST and disagreement <= ALWAYS_AGREES and not vouched:
        told = (
            f"but the nearest neighbours contradict {around:.1%}"
            if around is not None and around > HARDLY_DISAGREES
            else "as only a model does that was trained on them (or one with nothing to find: give fold and embedding, "
            "so that neighbours can vouch for the labels)"
        )
        return "in_sample", f"{says}, {told}; {way_out}"
    if surrounded and side >= SIDES[0]:
        return "doubtful", (
            f"they repeat {side:.0%} of the {found['surrounded']:,} labels whose nearest neighbours agree on another "
            "class: the model may have seen these labels, or the embedding is much weaker than the model"
        )
    if opposed < ANNOUNCED * announced and announced >= 1:
        return "doubtful", (
            f"{says}, but announce {round(announced):,} doubts: the model may have seen these "
            "labels, or its probabilities were flattened"
        )
    if not opposed:
        return "doubtful", f"{says}: too few, or too clean, to tell how the probabilities were made"
    return "plausible", f"{says} and announce {round(announced):,}: nothing says that the model saw them"
