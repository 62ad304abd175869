"""What is each face's true label? One model, from the automatic posterior to what people's decisions teach about it.

It never judges a decided row by a model that saw it, and without decisions it is the automatic posterior.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ferclean.evidence.checks import check_same_length
from ferclean.evidence.constants import STANDARD, Constants
from ferclean.evidence.people.people import Decided, effective_number
from ferclean.evidence.verdict import calibration
from ferclean.evidence.verdict.panel import normalised


@dataclass(frozen=True, kw_only=True)
class Learned:
    """`p_true` (N, K): P(true label), of a face that has one, rows sum to 1. `p_ambiguous` (N,): P(it has none).

    Decided rows get what a model fitted without them says. `decisions`: how many were learned from. `log_loss_before`,
    `log_loss_after`: mean log loss in nats of what people said (the true label, or that there is none) under the
    automatic and the learned probabilities, each row judged by a model that had not seen it, weighted as drawn; None
    when nothing was learned.
    """

    p_true: np.ndarray
    p_ambiguous: np.ndarray
    decisions: int
    log_loss_before: float | None
    log_loss_after: float | None

    @property
    def gain(self) -> float:
        """Share of the automatic log loss that the decisions removed: above 0 = they taught something."""
        if self.log_loss_before is None or self.log_loss_after is None or self.log_loss_before <= 0:
            return 0.0
        return 1.0 - self.log_loss_after / self.log_loss_before


def calibrated_sources(
    labels: np.ndarray, recognizer_probs: np.ndarray, judge_probs: np.ndarray | None = None
) -> np.ndarray:
    """Everyone who says something about the faces, calibrated to the given `labels` (N,): (R + J, N, K), rows sum to 1.

    `recognizer_probs` (R, N, K) out-of-fold; `judge_probs` (J, N, K) of nets from elsewhere, NaN for classes that a
    judge does not know, and for images that it could not read. A judge is calibrated over the classes that it knows.
    One that it does not know gets what it says, on average, of those that the recognizers take the face for, so that
    it is moved neither up nor down; an image that it could not read gets the same for every class.

    >>> both = calibrated_sources(np.array([0, 0, 1]), np.full((1, 3, 2), 0.5), np.full((1, 3, 2), 0.5))
    >>> both.shape, both.sum(2).round(6).min()
    ((2, 3, 2), np.float64(1.0))
    """
    said = [_calibrated(np.asarray(probs, dtype=np.float64), labels) for probs in recognizer_probs]
    ours = np.mean(said, axis=0)
    for probs in judge_probs if judge_probs is not None else ():
        known, heard = ~np.isnan(probs).all(0), ~np.isnan(probs).all(1)
        whole = np.full(probs.shape, 1 / probs.shape[1])
        if known.sum() > 1 and heard.any():
            equal = np.full((int(heard.sum()), int(known.sum())), 1 / known.sum())
            place = (np.cumsum(known) - 1)[labels[heard]]  # of the given label among the known classes
            inside = _calibrated(normalised(np.nan_to_num(probs[heard][:, known]), equal), place, known[labels[heard]])
            taken_for = normalised(ours[heard][:, known], equal)
            spoken = np.repeat((taken_for * inside).sum(1, keepdims=True), len(known), axis=1)
            spoken[:, known] = inside
            whole[heard] = spoken / spoken.sum(1, keepdims=True)
        said.append(whole)
    return np.stack(said)


def _calibrated(probs: np.ndarray, labels: np.ndarray, witnesses: np.ndarray | None = None) -> np.ndarray:
    """`probs` (N, K) at the temperature that fits the `labels` (N,) of the `witnesses`, a mask, default all rows."""
    rows = np.ones(len(labels), dtype=bool) if witnesses is None else witnesses
    return calibration.apply_temperature(probs, calibration.fit_temperature(probs[rows], labels[rows]))


def with_judges(panel: np.ndarray, judges: np.ndarray, *, by: Constants = STANDARD) -> np.ndarray:
    """The `panel` (N, K) after hearing calibrated `judges` (J, N, K): (N, K), rows sum to 1; none change nothing.

    >>> with_judges(np.array([[0.5, 0.5]]), np.array([[[0.9, 0.1]]])).round(2).tolist()
    [[0.79, 0.21]]
    """
    if not len(judges):
        return panel
    return _softmax(_logs(panel, by) + by.judge_share * _logs(judges, by).sum(0))


def automatic(
    labels: np.ndarray,
    wrong: np.ndarray,
    sources: np.ndarray,
    *,
    panel: np.ndarray | None = None,
    judges: int = 0,
    by: Constants = STANDARD,
) -> np.ndarray:
    """P(true label) before anyone has decided: (N, K), rows sum to 1; the given label keeps one minus `wrong` (N,).

    The rest goes to the other classes as `sources` (S, N, K), the last `judges` of them from elsewhere, say, without
    the noise of the set's labels: which label is often given for which says that a label is wrong, but, of those that
    are, hardly what is right. Judges together have `by.judge_share` of the say where they have any. Sources hold each
    class as often true as it is given; where there is a `panel` (N, K), P(true label | face), each class has its share
    there instead (Saerens, Latinne and Decaestecker, 2002). On the even half of FER2013's development rows the best
    other label is right for .59 of the wrong ones instead of .565, with face-api's net for .76 instead of .72.

    >>> automatic(np.array([0]), np.array([0.4]), np.array([[[0.5, 0.3, 0.2]]])).round(2).tolist()
    [[0.6, 0.28, 0.12]]
    """
    given = np.eye(sources.shape[2])[labels]
    if sources.shape[2] < 2:
        return given
    own = len(sources) - judges
    ours, ours_speak = _heard(sources[:own], by)
    theirs, theirs_speak = _heard(sources[own:], by)
    share = np.where(ours_speak, by.judge_share, 1.0) * theirs_speak
    others = np.exp(by.sharpness * ((1 - share) * ours + share * theirs + _growth(labels, panel))) * (1 - given)
    others /= others.sum(1, keepdims=True)
    return (1 - wrong)[:, None] * given + wrong[:, None] * others


def _growth(labels: np.ndarray, panel: np.ndarray | None) -> np.ndarray | float:
    """By what each class's share is larger in the `panel` (N, K) than among the given `labels` (N,), in logarithms:
    (K,); 0 for classes that nobody was given, and without a panel."""
    if panel is None:
        return 0.0
    members = np.bincount(labels, minlength=panel.shape[1])
    # as if one sample more of each class were right
    return np.where(members > 0, np.log((panel.sum(0) + 1) / (members + 1)), 0.0)


def preferred(sources: np.ndarray, *, by: Constants = STANDARD) -> np.ndarray:
    """The class that `sources` (S, N, K) prefer together: (N,) int, -1 where none of them has a say.

    >>> preferred(np.array([[[0.2, 0.8], [0.5, 0.5]]])).tolist()
    [1, -1]
    """
    logs, speak = _heard(sources, by)
    return np.where(speak[:, 0], logs.argmax(1), -1)


def _heard(sources: np.ndarray, by: Constants) -> tuple[np.ndarray, np.ndarray]:
    """Mean log probabilities (N, K) of those of `sources` (S, N, K) that have a say, and whether any has: (N, 1)."""
    speaks = np.ptp(sources, axis=2) > 0  # who says the same of every class would only blunt the others
    logs = np.einsum("sn,snk->nk", speaks / np.maximum(speaks.sum(0), 1), _logs(sources, by))
    return logs, speaks.any(0)[:, None]


def learn_truth(
    labels: np.ndarray,
    prior: np.ndarray,
    sources: np.ndarray,
    torn: np.ndarray,
    people: Decided,
    *,
    start: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    seed: int = 0,
    by: Constants = STANDARD,
) -> Learned:
    """Move the automatic posterior towards what people said.

    `labels` (N,) given; `prior` (N, K) from `automatic`; `sources` (S, N, K) from `calibrated_sources`; `torn` (N,) the
    automatic P(ambiguous); `people`: keep stands for the given label, relabel for the chosen one, ambiguous for none of
    them, exclude says nothing about a label. `people.weight` (N,): one over the chance with which a row was drawn;
    only ratios matter, uneven ones teach less, and none counts for more than `tempered` allows. `groups` (N,): copies,
    kept together when fitting without a row. `start` (N, K): the posterior that the fit starts from, default `prior`.

    A multinomial logistic model of K + 1 outcomes, each true label and "no clear one": the score of true label k for a
    face with given label y is (a_0 + t z) log prior_k + sum_s a_s log q_s(k) + b_k + d [k = y] + M[y, k], that of no
    clear one c log(torn / (1 - torn)) + h H + b_K + M[y, K]; z are the log-odds of torn and H the entropy of the
    sources' geometric mean, both with mean 0 and deviation 1 in the set: where people do not agree, the prior deserves
    less belief. Ridges hold a_0 and c at 1 and the rest at 0, so that no decision means the start and few move it
    little. Ours, after Dawid and Skene's noise model (1979) and matrix scaling (Guo et al., 2017). Decided rows that
    are unlike the set (`unlikeness`), as the first of a queue are, say little about the rest of it: the ridges hold
    more tightly then, the more so the fewer they are. Costs six fits over the decided rows and one pass over all.

    >>> from ferclean.evidence.people.people import check_decisions
    >>> nobody = check_decisions(np.array([0]), np.array([""]), None, None, num_classes=2)
    >>> prior = np.array([[0.7, 0.3]])
    >>> learn_truth(np.array([0]), prior, prior[None], np.array([0.1]), nobody).p_true.tolist()
    [[0.7, 0.3]]
    """
    count = check_same_length(labels=labels, prior=prior, torn=torn, said=people.said, groups=groups)
    classes = prior.shape[1]
    outcome = np.where(people.said == "ambiguous", classes, people.known)
    rows = np.flatnonzero(outcome >= 0)
    if len(rows) < by.fewest_decisions:
        return Learned(
            p_true=prior.copy(), p_ambiguous=torn.copy(), decisions=len(rows), log_loss_before=None, log_loss_after=None
        )
    weight = tempered(people.weight[rows], by=by)
    model = _Model(labels=labels, prior=prior if start is None else start, sources=sources, torn=torn, by=by)
    likely = prior[np.arange(count), labels]
    # uneven weights leave less to learn from, and rows that are unlike the others less about those
    ridge = len(rows) / effective_number(weight) * (1 + by.unlike_ridge * unlikeness(likely, rows, weight) / len(rows))

    def fit(chosen: np.ndarray) -> np.ndarray:
        return model.fit(rows[chosen], outcome[rows[chosen]], weight[chosen], ridge)

    chance = model.probabilities(np.arange(count), fit(np.ones(len(rows), dtype=bool)))
    fold = folds(rows if groups is None else np.asarray(groups)[rows], seed=seed, by=by)
    for number in np.unique(fold):
        mine = fold == number
        chance[rows[mine]] = model.probabilities(rows[mine], fit(~mine))
    before = np.column_stack([(1 - torn)[:, None] * prior, torn])
    return Learned(
        p_true=normalised(chance[:, :classes], prior),
        p_ambiguous=chance[:, classes],
        decisions=len(rows),
        log_loss_before=_log_loss(before[rows], outcome[rows], weight),
        log_loss_after=_log_loss(chance[rows], outcome[rows], weight),
    )


def tempered(weight: np.ndarray, *, by: Constants = STANDARD) -> np.ndarray:
    """Design weights (M,) with mean 1, none of whose squares is over `by.heaviest` times the mean square.

    One row that was drawn with a tiny chance would otherwise be all that is heard. It is cut until nothing is left to
    cut; the bias is small beside the variance that goes. Source: Potter, A study of procedures to identify and trim
    extreme sampling weights, 1990.

    >>> tempered(np.array([1.0] * 99 + [1e6])).round(1)[[0, -1]].tolist()
    [1.0, 3.2]
    """
    weight = np.asarray(weight, dtype=np.float64) / weight.mean()
    while (over := weight**2 > 1.001 * (most := by.heaviest * (weight**2).mean())).any():
        weight = np.where(over, most**0.5, weight)
    return weight / weight.mean()


def unlikeness(value: np.ndarray, rows: np.ndarray, weight: np.ndarray) -> float:
    """How far weighted `rows` (M,) differ from the whole set in a `value` (N,), beyond what a random draw would.

    The largest distance of the two distribution functions, less what 19 in 20 random draws stay under (Kolmogorov and
    Smirnov), of as many rows as the weights (M,) leave: 0 = as drawn at random, towards 1 = from one end alone.

    >>> value, rows = np.arange(1000) / 1000, np.arange(50)
    >>> round(unlikeness(value, rows, np.ones(50)), 2), unlikeness(value, rows * 20, np.ones(50))
    (0.76, 0.0)
    """
    order = np.argsort(value[rows], kind="stable")
    reached = np.cumsum(weight[order]) / weight.sum()
    at, everyone = value[rows][order], np.sort(value)
    upto = np.searchsorted(everyone, at, side="right") / len(value)
    below = np.searchsorted(everyone, at, side="left") / len(value)
    last = np.r_[np.diff(at) > 0, True]  # equal values take their step together
    first = np.r_[True, last[:-1]]
    distance = max(np.abs(reached - upto)[last].max(), np.abs(np.r_[0.0, reached[:-1]] - below)[first].max())
    return max(0.0, float(distance - 1.36 / effective_number(weight) ** 0.5))


def folds(groups: np.ndarray, *, seed: int = 0, by: Constants = STANDARD) -> np.ndarray:
    """A fold for each decided row, rows of one group together: (M,), from 0 below `by.left_out_folds`.

    >>> found = folds(np.array([3, 3, 8])); bool(found[0] == found[1])
    True
    """
    names, index = np.unique(groups, return_inverse=True)
    return (np.random.default_rng(seed).permutation(len(names)) % by.left_out_folds)[index]


class _Model:
    """The scores of K + 1 outcomes as a function of the parameters, kept in one vector: a and t (S + 2), c and h (2),
    d, b (K + 1), M (K, K + 1)."""

    def __init__(
        self, *, labels: np.ndarray, prior: np.ndarray, sources: np.ndarray, torn: np.ndarray, by: Constants
    ) -> None:
        self.labels, self.classes = labels, prior.shape[1]
        odds = calibration.log_odds(torn)
        said, own = _logs(sources, by), _logs(prior, by)
        mean = _softmax(said.mean(0))
        doubt = -(mean * np.log(np.maximum(mean, calibration.SMALLEST))).sum(1)
        leaning = _standard(odds)[:, None] * (own - own.mean(1, keepdims=True))
        self.logs = np.concatenate([own[None], said, leaning[None]])  # (S + 2, N, K)
        self.doubts = np.stack([odds, _standard(doubt)])  # (2, N)
        k, s = self.classes, len(self.logs)
        self.at = np.cumsum([s, 2, 1, k + 1])
        self.start = np.r_[1.0, np.zeros(s - 1), 1.0, np.zeros(2 + (k + 1) ** 2)]
        self.ridge = np.r_[
            np.full(s + 2, by.source_ridge),
            by.keep_ridge,
            np.full(k + 1, by.class_ridge),
            np.full(k * (k + 1), by.flow_ridge),
        ]

    def scores(self, rows: np.ndarray, beta: np.ndarray) -> np.ndarray:
        a, c, d, b, flow = np.split(beta, self.at)
        given = self.labels[rows]
        scores = flow.reshape(self.classes, -1)[given] + b
        scores[:, : self.classes] += np.tensordot(a, self.logs[:, rows], 1)
        scores[np.arange(len(rows)), given] += d[0]
        scores[:, self.classes] += c @ self.doubts[:, rows]
        return scores

    def probabilities(self, rows: np.ndarray, beta: np.ndarray) -> np.ndarray:
        return _softmax(self.scores(rows, beta))

    def fit(self, rows: np.ndarray, outcome: np.ndarray, weight: np.ndarray, ridge: float) -> np.ndarray:
        """Penalised weighted maximum likelihood, the ridges times `ridge`: the parameters."""
        from scipy.optimize import minimize

        k, given = self.classes, self.labels[rows]
        happened = np.eye(k + 1)[outcome]
        told = np.eye(k)[given]
        penalty = self.ridge * ridge

        def objective(beta: np.ndarray) -> tuple[float, np.ndarray]:
            scores = self.scores(rows, beta)
            top = scores.max(1, keepdims=True)
            logs = scores - top - np.log(np.exp(scores - top).sum(1, keepdims=True))
            excess = weight[:, None] * (np.exp(logs) - happened)
            away = beta - self.start
            gradient = np.r_[
                np.tensordot(self.logs[:, rows], excess[:, :k], ((1, 2), (0, 1))),
                self.doubts[:, rows] @ excess[:, k],
                excess[np.arange(len(rows)), given].sum(),
                excess.sum(0),
                (told.T @ excess).ravel(),
            ]
            loss = -(weight[:, None] * happened * logs).sum() + 0.5 * penalty @ away**2
            return float(loss), gradient + penalty * away

        found = minimize(objective, self.start, jac=True, method="L-BFGS-B", options={"maxiter": 500})
        return np.asarray(found.x)


def _logs(probs: np.ndarray, by: Constants) -> np.ndarray:
    return np.asarray(np.log(np.maximum(probs, by.smallest_said)))


def _softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def _standard(value: np.ndarray) -> np.ndarray:
    """With mean 0 and standard deviation 1; 0 where all are alike."""
    away = value - value.mean()
    return np.asarray(away / max(float(value.std()), calibration.SMALLEST))


def _log_loss(chance: np.ndarray, outcome: np.ndarray, weight: np.ndarray) -> float:
    losses = -np.log(np.maximum(chance[np.arange(len(outcome)), outcome], 1e-6))
    return float(weight @ losses / weight.sum())
