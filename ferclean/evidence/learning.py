"""Learning from people's decisions: a small logistic model that starts at the automatic verdict and moves away slowly.

It never sees a row that it judges (cross-fitted among the decided), and with no decision it changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ferclean.errors import BadDataError
from ferclean.evidence import calibration
from ferclean.evidence.checks import check_labels, check_pred_probs, check_same_length
from ferclean.evidence.people import effective_number

RIDGE = 60.0
"""How strongly weights are held at zero (and the automatic verdict's at one), in units of decisions per squared weight
of a standardised feature: with few decisions little moves. Of 20, 40 and 80, on the even half of FER2013's development
rows, 40 and 80 rank alike after 100 and after 300 decisions; the more, the better calibrated."""
AMBIGUOUS_RIDGE = 3000.0
"""The same for the verdict ambiguous, of which a hundred decisions hold only about ten: less of it
makes the order worse."""
LEAST = 10
"""Fewer decisions than this, or fewer than three of either kind, change nothing."""
FOLDS = 5
SMALLEST = 1e-6


@dataclass(frozen=True, kw_only=True)
class Learned:
    """`probability` (N,) in [0, 1] of the event; decided rows get what a model fitted without them says.

    `decisions`: how many were learned from. `log_loss_before`, `log_loss_after`: mean log loss in nats of the
    automatic and of the learned probability over the decided rows, each judged by a model that had not seen it,
    weighted as drawn; None when nothing was learned.
    """

    probability: np.ndarray
    decisions: int
    log_loss_before: float | None
    log_loss_after: float | None

    @property
    def gain(self) -> float:
        """Share of the automatic verdict's log loss that the decisions removed: above 0 = they taught something."""
        if self.log_loss_before is None or self.log_loss_after is None or self.log_loss_before <= 0:
            return 0.0
        return 1.0 - self.log_loss_after / self.log_loss_before


def decision_features(
    labels: np.ndarray,
    pred_probs: np.ndarray,
    signals: Mapping[str, np.ndarray],
    *,
    knn_shares: np.ndarray | None = None,
) -> np.ndarray:
    """What the model looks at, (N, F) float64, each column with mean 0 and spread 1: permuting rows permutes rows.

    Log probabilities and their margin, shares of the neighbours' labels, every signal given (NaN counts as its mean),
    which label was given and which is the best other one: the set's own systematic shifts show in the last two.
    """
    probs = check_pred_probs(pred_probs)
    labels = check_labels(labels, probs.shape[1])
    count = check_same_length(labels=labels, pred_probs=probs, knn_shares=knn_shares, **signals)
    rows = np.arange(count)
    logs = np.log(np.maximum(probs, 1e-4))
    others = logs.copy()
    others[rows, labels] = -np.inf
    runner_up = others.argmax(1) if probs.shape[1] > 1 else labels
    one_hot = np.eye(probs.shape[1])
    columns = [
        logs,
        logs[rows, labels] - logs[rows, runner_up],
        logs[rows, labels],
        one_hot[labels],
        one_hot[runner_up],
    ]
    if knn_shares is not None:
        shares = np.nan_to_num(np.asarray(knn_shares, dtype=np.float64))
        columns += [shares, shares[rows, labels], shares[rows, runner_up]]
    columns += [np.asarray(signals[name], dtype=np.float64) for name in sorted(signals)]
    table = np.column_stack(columns) if count else np.empty((0, 1))
    table = np.where(np.isfinite(table), table, np.nan)
    known = ~np.isnan(table)
    size = np.maximum(known.sum(0), 1)
    mean = np.where(known, table, 0.0).sum(0) / size
    centred = np.where(known, table - mean, 0.0)
    spread = np.sqrt((centred**2).sum(0) / size)
    # a column that hardly varies says nothing; dividing by its spread would blow up noise
    return np.where(spread > 1e-9, centred / np.where(spread > 1e-9, spread, 1.0), 0.0)


def learn(
    automatic: np.ndarray,
    features: np.ndarray,
    happened: np.ndarray,
    *,
    held_out: np.ndarray | None = None,
    before: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    ridge: float = RIDGE,
    seed: int = 0,
) -> Learned:
    """Move the `automatic` probabilities (N,) of an event towards what people found.

    `features` (N, F) from `decision_features`; `happened` (N,) float: 1 = a person found the event, 0 = did not, NaN =
    undecided. `before` (N,): the probabilities without any decision, by which the gain is measured and which stay while
    there are too few (default: the automatic ones). `held_out` (N,): where the automatic probabilities themselves rest
    on decisions, what they are at a decided row without those of its fold (`folds`). `weight` (N,): one over the chance
    with which a decided row was drawn, so that a queue's top does not pass for the whole set; only ratios matter, and
    uneven ones teach less. `groups` (N,): copies, kept together when fitting without a row.

    log-odds = intercept + slope * automatic log-odds + features . weights, with a ridge that holds intercept and
    weights at 0 and the slope at 1 (a Bayesian prior centred on the automatic verdict). Ours.

    >>> auto = np.array([0.1, 0.9, 0.2]); nothing = np.full(3, np.nan)
    >>> learn(auto, np.zeros((3, 1)), nothing).probability.tolist()
    [0.1, 0.9, 0.2]
    """
    automatic = np.asarray(automatic, dtype=np.float64)
    happened = np.asarray(happened, dtype=np.float64)
    count = check_same_length(automatic=automatic, features=features, happened=happened, weight=weight, groups=groups)
    rows = np.flatnonzero(~np.isnan(happened))
    if not np.isin(happened[rows], (0.0, 1.0)).all():
        raise BadDataError("happened is 1, 0 or NaN for undecided rows")
    positive = int(happened[rows].sum())
    if len(rows) < LEAST or min(positive, len(rows) - positive) < 3:
        unchanged = automatic if before is None else np.asarray(before, dtype=np.float64)
        return Learned(probability=unchanged.copy(), decisions=len(rows), log_loss_before=None, log_loss_after=None)
    share = np.ones(count) if weight is None else np.asarray(weight, dtype=np.float64)
    if not (share[rows] > 0).all():
        raise BadDataError("weights of decided rows must be above 0")
    # keep the ridge's meaning: weights of mean one, and no single row shouting down the others
    scaled = share[rows] / share[rows].mean()
    scaled = np.minimum(scaled, 10.0)
    # uneven weights leave less to learn from
    ridge *= len(rows) / effective_number(share[rows])
    offset = calibration.log_odds(automatic)
    design = np.column_stack([np.ones(count), offset, np.asarray(features, dtype=np.float64)])
    penalty = np.full(design.shape[1], ridge)
    penalty[0] = ridge / 10  # the base rate is learned first

    def fit(chosen: np.ndarray) -> np.ndarray:
        take = rows[chosen]
        return _newton(design[take], offset[take], happened[take], scaled[chosen], penalty)

    everything = np.ones(len(rows), dtype=bool)
    log_odds = offset + design @ fit(everything)
    fold = folds(rows if groups is None else np.asarray(groups)[rows], seed=seed)
    unseen = offset if held_out is None else calibration.log_odds(np.asarray(held_out, dtype=np.float64))
    blind = np.column_stack([design[:, :1], unseen, design[:, 2:]])
    for number in range(FOLDS):
        mine = fold == number
        if mine.any() and not mine.all():
            log_odds[rows[mine]] = unseen[rows[mine]] + blind[rows[mine]] @ fit(~mine)
    probability = 1 / (1 + np.exp(-log_odds))
    return Learned(
        probability=probability,
        decisions=len(rows),
        log_loss_before=_log_loss((automatic if before is None else before)[rows], happened[rows], scaled),
        log_loss_after=_log_loss(probability[rows], happened[rows], scaled),
    )


def _newton(
    design: np.ndarray, offset: np.ndarray, happened: np.ndarray, weight: np.ndarray, penalty: np.ndarray
) -> np.ndarray:
    """Penalised weighted logistic regression with an offset: the correction (F,), by damped Newton steps."""

    def objective(beta: np.ndarray) -> float:
        log_odds = offset + design @ beta
        losses = np.logaddexp(0.0, log_odds) - happened * log_odds
        return float(weight @ losses + 0.5 * penalty @ beta**2)

    beta = np.zeros(design.shape[1])
    value = objective(beta)
    for _ in range(50):
        chance = 1 / (1 + np.exp(-(offset + design @ beta)))
        gradient = design.T @ (weight * (chance - happened)) + penalty * beta
        curvature = (design * (weight * chance * (1 - chance))[:, None]).T @ design + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        length = 1.0
        while (new := objective(beta - length * step)) > value and length > 1e-6:
            length /= 2
        beta = beta - length * step
        if abs(value - new) < 1e-9 * (1 + abs(value)):
            break
        value = new
    return beta


def folds(groups: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """A fold for each decided row, rows of one group together: (M,) in 0..FOLDS-1.

    >>> found = folds(np.array([3, 3, 8])); bool(found[0] == found[1])
    True
    """
    names, index = np.unique(groups, return_inverse=True)
    return (np.random.default_rng(seed).permutation(len(names)) % FOLDS)[index]


def _log_loss(probability: np.ndarray, happened: np.ndarray, weight: np.ndarray) -> float:
    safe = np.clip(probability, SMALLEST, 1 - SMALLEST)
    losses = -(happened * np.log(safe) + (1 - happened) * np.log(1 - safe))
    return float((weight * losses).sum() / weight.sum())
