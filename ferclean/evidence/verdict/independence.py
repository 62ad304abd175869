"""Has an outside judge seen the very labels that it is to judge? Asked of its words alone, by what they leave to say.

It never asks where a judge comes from, and says so where the numbers cannot tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.optimize import minimize

from ferclean.errors import BadDataError
from ferclean.evidence.checks import check_labels, check_pred_probs, check_same_length
from ferclean.evidence.constants import STANDARD, Constants
from ferclean.evidence.signals.in_sample import ALWAYS_AGREES, FEWEST
from ferclean.summary import Summary

Verdict = Literal["independent", "contaminated", "cannot tell"]

SURE = 1.96
"""Standard errors in the intervals: 95 %."""
MOST_ROWS = 20_000
"""Of more rows so many are drawn: the answer is as sure, in a second where there are seven classes."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """An estimate with its 95 % interval, and from how many rows; NaN where there is none."""

    estimate: float
    low: float
    high: float
    rows: int


@dataclass(frozen=True, kw_only=True)
class Independence(Summary):
    """What was measured, a verdict and one sentence for people.

    `left`: the weight that the out-of-fold recognizers keep in foreseeing a given label once the judge has spoken, as a
    share of their weight alone. `news` in [0, 1]: the share of what the judge tells about the given labels that the
    recognizers do not tell. `agreement`, `agreement_on_test`, `gap`: how often it names the given label on the judged
    (training) rows and on untouched test images, and the difference. `disputed_given`, `disputed_recognizers`: on the
    fifth of the rows whose label the recognizers find least likely, how often it names the given label, and theirs.
    """

    verdict: Verdict
    sentence: str
    left: Share
    news: float
    agreement: Share
    agreement_on_test: Share
    gap: Share
    disputed_given: Share
    disputed_recognizers: Share


def independence(
    labels: np.ndarray,
    pred_probs: np.ndarray,
    judge_probs: np.ndarray,
    *,
    test: tuple[np.ndarray, np.ndarray] | None = None,
    seed: int = 0,
    by: Constants = STANDARD,
) -> Independence:
    """Weigh whether a judge's probabilities (N, K) were learned from the given `labels` (N,).

    `pred_probs` (N, K) are out-of-fold, from recognizers trained on the same set without the row; `test`: the labels
    (M,) and the judge's probabilities (M, K) of test images, which no recognizer has seen. All columns are classes that
    the judge knows.

    Agreement alone tells nothing: a good judge agrees with right labels, and a net that learned these labels with
    augmentation and averaged weights repeats few of the wrong ones. What differs is what is left to say. Both, judge
    and recognizers, are used to foresee the given label, P(y) ~ softmax(a log P_recognizers + c log P_judge + b)
    (forecast encompassing; Chong and Hendry 1986). Beside an independent judge the recognizers, who know this set's
    habits, keep much of their weight (`left`, a over what it is alone). A judge that was trained on the row holds all
    that they say and the label on top of it: where it differs from them, the label is the reason, so that they are
    given weight against them. FER2013 (6,000 rows, the default pair): .65 for a net from elsewhere, -1.04 and -.79 for
    nets trained on the set, though these repeat 9 and 12 % of the most disputed labels and the net from elsewhere 24 %.

    `contaminated`: the interval of `left` lies below 0, or that of the gap between training and test images, taken wide
    (`judge_gap_sure`), above 0, or the judge contradicts at most ALWAYS_AGREES of the labels. `independent`: the
    interval of `left` lies above `judge_left`, and at most `judge_news` of what it knows is news. Everything else,
    fewer than FEWEST rows, weak recognizers and strong judges of clean sets among it: `cannot tell`.

    What it cannot notice: a judge far weaker than the recognizers that learned these labels by a few points (a
    regularised linear model: .45 of them named, .40 out-of-fold), and one of whose knowledge they are a small part.
    Where test images are labelled with less care than training images, the gap may convict an innocent.

    Raises BadDataError as `check_pred_probs` does. Ours.

    >>> rng = np.random.default_rng(0); truth = rng.integers(0, 3, 900)
    >>> given = np.where(rng.random(900) < 0.2, rng.integers(0, 3, 900), truth)
    >>> def seen(of, sharp): return np.exp(sharp * np.eye(3)[of] + rng.normal(size=(900, 3)))
    >>> def rows(x): return x / x.sum(1, keepdims=True)
    >>> ours = seen(truth, 2)
    >>> independence(given, rows(ours), rows(seen(truth, 2))).verdict
    'independent'
    >>> independence(given, rows(ours), rows(ours * seen(given, 2) ** 0.5)).verdict
    'contaminated'
    """
    probs, judge = check_pred_probs(pred_probs), check_pred_probs(judge_probs)
    labels = check_labels(labels, probs.shape[1])
    count = check_same_length(labels=labels, pred_probs=probs, judge_probs=judge)
    if judge.shape != probs.shape:
        raise BadDataError(f"the judge has {judge.shape[1]} classes and the recognizers {probs.shape[1]}")
    if count > MOST_ROWS:
        drawn = np.sort(np.random.default_rng(seed).choice(count, MOST_ROWS, replace=False))
        labels, probs, judge, count = labels[drawn], probs[drawn], judge[drawn], MOST_ROWS
    named = judge.argmax(1)
    repeats = named == labels
    on_test = np.empty(0, dtype=bool)
    if test is not None:
        on_test = check_pred_probs(test[1]).argmax(1) == check_labels(test[0], probs.shape[1])
    own = probs[np.arange(count), labels]
    disputed = np.argsort(own, kind="stable")[: round(by.judge_disputed * count)]
    left, news = _what_is_left(labels, probs, judge, by) if count >= FEWEST else (_nothing(count), float("nan"))
    measured: dict[str, Any] = {
        "left": left,
        "news": news,
        "agreement": wilson(repeats),
        "agreement_on_test": wilson(on_test),
        "gap": _gap(repeats, on_test),
        "disputed_given": wilson(repeats[disputed]),
        "disputed_recognizers": wilson(named[disputed] == probs[disputed].argmax(1)),
    }
    verdict, sentence = _weigh(count, repeats, on_test, left, news, by)
    return Independence(verdict=verdict, sentence=sentence, **measured)


def _weigh(
    count: int, repeats: np.ndarray, on_test: np.ndarray, left: Share, news: float, by: Constants
) -> tuple[Verdict, str]:
    if count < FEWEST:
        return "cannot tell", f"{count} rows are too few to tell; from {FEWEST} on they may"
    beside = f"beside it the recognizers keep {left.estimate:.0%} ({left.low:.0%} to {left.high:.0%}) of their weight"
    if (~repeats).mean() <= ALWAYS_AGREES:
        return (
            "contaminated",
            f"it contradicts {int((~repeats).sum())} of {count:,} given labels, as only a memory does",
        )
    if left.high < 0:
        return "contaminated", (
            f"{beside} in foreseeing the given labels: it says what they say and knows the labels besides, so it was "
            "trained on them"
        )
    wide = _gap(repeats, on_test, sure=by.judge_gap_sure)
    if wide.low > 0:
        return "contaminated", (
            f"it names {repeats.mean():.0%} of the given labels on the judged images and {on_test.mean():.0%} on test "
            "images: it was trained on the former"
        )
    if np.isnan(left.estimate):
        return "cannot tell", "the recognizers, or the judge itself, do not foresee the given labels at all"
    if left.low >= by.judge_left and news <= by.judge_news:
        return "independent", f"{beside} in foreseeing the given labels, as beside one that never saw them"
    if left.low >= by.judge_left:
        return "cannot tell", (
            f"{news:.0%} of what it knows about the given labels no recognizer sees: it knows the faces much better "
            "than they do, or it has seen the labels"
        )
    return "cannot tell", (
        f"{beside}: too little for a judge of their own strength that never saw the labels, too much for one that has"
    )


def _what_is_left(labels: np.ndarray, probs: np.ndarray, judge: np.ndarray, by: Constants) -> tuple[Share, float]:
    logs = np.log(np.clip(np.stack([probs, judge]), by.smallest_said, 1))  # (2, N, K)
    alone, _, told_ours = _pool(logs[:1], labels, by.judge_ridge)
    _, _, told_alone = _pool(logs[1:], labels, by.judge_ridge)
    together, covariance, told = _pool(logs, labels, by.judge_ridge)
    if alone[0] <= 0 or told_alone <= 0:
        return _nothing(len(labels)), float("nan")  # recognizers or a judge that know nothing about these labels
    error = SURE * float(np.sqrt(covariance[0, 0])) / alone[0]
    left = float(together[0] / alone[0])
    share = Share(estimate=left, low=left - error, high=left + error, rows=len(labels))
    return share, float(np.clip((told - told_ours) / told_alone, 0.0, 1.0))


def _pool(logs: np.ndarray, labels: np.ndarray, held: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Weights (S,) of sources whose log probabilities (S, N, K) foresee the labels, their covariance (S + K, S + K)
    with the classes' intercepts behind, and what they tell beyond the classes' shares, nats a row."""
    sources, count, classes = logs.shape
    rows = np.arange(count)
    ridge = np.full(sources + classes, held)

    def chances(weights: np.ndarray) -> np.ndarray:
        scores = np.tensordot(weights[:sources], logs, 1) + weights[sources:]
        scores = np.exp(scores - scores.max(1, keepdims=True))
        result: np.ndarray = scores / scores.sum(1, keepdims=True)
        return result

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        expected = chances(weights)
        missed = expected.copy()
        missed[rows, labels] -= 1
        fit = -np.log(np.maximum(expected[rows, labels], 1e-300)).sum()
        slope = np.concatenate([np.tensordot(logs, missed, ((1, 2), (0, 1))), missed.sum(0)])
        return fit + 0.5 * ridge @ weights**2, slope + ridge * weights

    start = np.concatenate([np.full(sources, 1 / sources), np.zeros(classes)])
    weights = minimize(loss, start, jac=True, method="BFGS").x
    expected = chances(weights)
    # the covariance of the sources' words and of the classes, within each row, added up
    weighed = expected * logs
    centre = np.concatenate([weighed.sum(2).T, expected], 1)  # (N, S + K)
    information = np.diag(np.concatenate([np.zeros(sources), expected.sum(0)])) - centre.T @ centre
    information[:sources, :sources] += np.einsum("snk,tnk->st", weighed, logs, optimize=True)
    information[:sources, sources:] += weighed.sum(1)
    information[sources:, :sources] += weighed.sum(1).T
    prior = np.bincount(labels, minlength=classes) / count
    told = np.log(np.maximum(expected[rows, labels], 1e-300)).mean() - np.log(prior[labels]).mean()
    return weights[:sources], np.linalg.inv(information + np.diag(ridge)), float(told)


def wilson(hits: np.ndarray) -> Share:
    """A share with its Wilson interval."""
    count = len(hits)
    if not count:
        return _nothing(0)
    share, square = float(np.mean(hits)), SURE**2 / count
    middle = (share + square / 2) / (1 + square)
    reach = SURE * np.sqrt(share * (1 - share) / count + square / (4 * count)) / (1 + square)
    return Share(estimate=share, low=float(middle - reach), high=float(middle + reach), rows=count)


def _gap(on_train: np.ndarray, on_test: np.ndarray, *, sure: float = SURE) -> Share:
    """How much more often the judge names the given label on training than on test images."""
    if not len(on_train) or not len(on_test):
        return _nothing(0)
    gap = float(on_train.mean() - on_test.mean())
    # half a hit and half a miss more on either side: small samples without a miss are not sure of it
    spread = [((hits.sum() + 0.5) / (len(hits) + 1), len(hits)) for hits in (on_train, on_test)]
    error = sure * float(np.sqrt(sum(share * (1 - share) / rows for share, rows in spread)))
    return Share(estimate=gap, low=gap - error, high=gap + error, rows=len(on_test))


def _nothing(rows: int) -> Share:
    nan = float("nan")
    return Share(estimate=nan, low=nan, high=nan, rows=rows)
