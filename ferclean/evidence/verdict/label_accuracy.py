"""How many labels of a set are right, with an interval; of how many changes how sure; where a look is worth most.

It never sees the truth: everything follows from P(true label), P(no true label) and what people decided.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from scipy.special import expit

from ferclean.errors import BadDataError
from ferclean.evidence.checks import check_same_length
from ferclean.evidence.constants import STANDARD, Constants
from ferclean.evidence.verdict.calibration import ErrorRate, log_odds

STEPS = 10
"""Changes are told by tenths of their probability."""


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Share of the faces with a true label whose label is that one, in [0, 1]: `estimate`, and 95 % from `low` to
    `high`. `faces`: how many faces with a true label are expected."""

    estimate: float
    low: float
    high: float
    faces: float

    def as_dict(self) -> dict[str, float]:
        """For JSON, rounded."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def label_accuracy(
    p_right: np.ndarray,
    p_labelled: np.ndarray,
    known: np.ndarray,
    *,
    rate: ErrorRate | None = None,
    learned: float = 0.0,
    by: Constants = STANDARD,
) -> Accuracy | None:
    """The share of right labels among the faces on which people would agree; None where there is no such face.

    `p_right` (N,) in [0, 1]: P(the face's label is the true one), of a face that has one; `p_labelled` (N,): P(it has
    one), so not ambiguous and not unusable; `known` (N,) bool: people decided, both numbers are certain. `learned`: how
    many faces that a random draw chose the probabilities were fitted to, in equal ones
    (`people.effective_number`); `rate`: the error rate as estimated before any decision.

    Two things are uncertain: which of the labels are right, each by itself, and the common level of all P(right). Of
    that level nothing is known at first but that it is off by about `level_spread` in log-odds, or by as much as the
    interval of the error rate is wide where that is more. The more faces that were drawn at random have been learned
    from, the more the level is theirs, as uncertain as their own mean (variance p (1 - p) / n), and the less what was
    thought before, which is held by `level_held`: the variance of a ridge estimate, and without decisions
    `level_spread` squared. A dozen faces say less than nobody thought to know, so the interval is widest there. Ours.

    >>> half = np.full(1000, 0.8); nobody = np.zeros(1000, dtype=bool)
    >>> before = label_accuracy(half, np.ones(1000), nobody)
    >>> taught = label_accuracy(half, np.ones(1000), nobody, learned=300)
    >>> round(before.low, 2), round(before.high, 2), round(taught.low, 2), round(taught.high, 2)
    (0.69, 0.88, 0.74, 0.85)
    """
    check_same_length(p_right=p_right, p_labelled=p_labelled, known=known)
    p, w = np.asarray(p_right, dtype=np.float64), np.asarray(p_labelled, dtype=np.float64)
    if not ((p >= 0) & (p <= 1) & (w >= 0) & (w <= 1)).all():
        raise BadDataError("p_right and p_labelled must be (N,) probabilities in [0, 1]")
    open_ = ~np.asarray(known, dtype=bool)
    faces, settled = float(w.sum()), float((w * p)[~open_].sum())
    if faces <= 0:
        return None
    p, w = p[open_], w[open_]
    rest = float(w.sum())
    if rest <= 0:
        return Accuracy(estimate=settled / faces, low=settled / faces, high=settled / faces, faces=faces)
    mean = float(w @ p) / rest
    # each face's own chance of having a true label enters: the share is a ratio
    single = w * (p * (1 - mean) ** 2 + (1 - p) * mean**2) - (w * (p - mean)) ** 2
    slope = max(mean * (1 - mean), 1e-6)  # of a probability by its log-odds
    own = float(single.sum()) / rest**2 / slope**2
    mixed = float(w @ (p * (1 - p))) / rest / slope**2
    middle = float(log_odds(np.array(mean)))
    ends = []
    for sign, told in zip((-1, 1), (None, None) if rate is None else (rate.high, rate.low), strict=True):
        level = by.level_spread
        if rate is not None and told is not None:
            off = float(log_odds(np.array(1 - told)) - log_odds(np.array(1 - rate.estimate)))
            level = max(level, sign * off / 1.96)
        heard = learned / max(mixed, 1e-6)
        variance = (heard + level**2 / by.level_held**4) / (1 / by.level_held**2 + heard) ** 2
        ends.append(float(expit(middle + sign * 1.96 * np.sqrt(own + variance))))
    # log-odds end at a millionth: the estimate may lie beyond
    ends = [min(ends[0], mean), max(ends[1], mean)]
    estimate, low, high = (min((settled + rest * share) / faces, 1.0) for share in (mean, *ends))
    return Accuracy(estimate=estimate, low=low, high=high, faces=faces)


def by_certainty(p_suggested: np.ndarray, p_given: np.ndarray, p_labelled: np.ndarray) -> list[dict[str, float | int]]:
    """What becomes of automatic changes, by the probability of the new label, the surest first.

    `p_suggested`, `p_given` (M,): P(the new label is the true one) and P(the old one is) of each changed face, if it
    has one; `p_labelled` (M,): P(it has one). Each dict: `from_p`, `to_p`, `changes`, and of those the expected numbers
    `mended` (wrong to right), `spoiled` (right to wrong), `still_wrong` (wrong to wrong), `no_true_label` (ambiguous or
    unusable), which sum to `changes`.

    >>> by_certainty(np.array([0.75]), np.array([0.05]), np.array([0.8]))[0]["mended"]
    0.6
    """
    check_same_length(p_suggested=p_suggested, p_given=p_given, p_labelled=p_labelled)
    step = np.minimum((np.asarray(p_suggested) * STEPS + 1e-9).astype(int), STEPS - 1)
    told: list[dict[str, float | int]] = []
    for number in sorted(set(step.tolist()), reverse=True):
        mine = step == number
        new, old, w = p_suggested[mine], p_given[mine], p_labelled[mine]
        sums = {
            "mended": w @ new,
            "spoiled": w @ old,
            "still_wrong": w @ (1 - new - old).clip(min=0.0),
            "no_true_label": (1 - w).sum(),
        }
        told.append(
            {"from_p": number / STEPS, "to_p": (number + 1) / STEPS, "changes": int(mine.sum())}
            | {name: round(float(value), 1) for name, value in sums.items()}
        )
    return told


def worth_a_look(p_right: np.ndarray, p_labelled: np.ndarray, budget: int) -> np.ndarray:
    """The rows at which a person should look: at most `budget` of them, the largest expected gain first.

    A look at a face mends its label if the face has a true one (`p_labelled` (N,)) and the label is not it (one minus
    `p_right` (N,)); rows where nothing is to be gained are left out.

    >>> worth_a_look(np.array([0.9, 0.2, 0.1]), np.array([1.0, 1.0, 0.3]), 2).tolist()
    [1, 2]
    """
    gain = p_labelled * (1 - p_right)
    first = np.argsort(-gain, kind="stable")[:budget]
    return np.asarray(first[gain[first] > 0])
