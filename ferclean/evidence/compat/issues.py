"""The front door for scripts that know cleanlab: its two functions, its words, its flags; and ferclean's own verdict.

It refuses what cannot be probabilities, never changes an input, and starts no process.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ferclean.errors import BadDataError, UsageError, among
from ferclean.evidence.checks import check_labels, check_pred_probs, check_same_length
from ferclean.evidence.compat import pruning
from ferclean.evidence.verdict.calibration import ErrorRate, error_rate_interval

PRUNING = ("prune_by_noise_rate", "prune_by_class", "both")
COUNTING = ("confident_learning", "predicted_neq_given", "low_normalized_margin", "low_self_confidence")
FILTERS = (*PRUNING, *COUNTING, "mislabelled")
"""Every `filter_by`: cleanlab's seven and ferclean's verdict."""


def find_label_issues(
    labels: Any,
    pred_probs: Any,
    features: Any = None,
    *,
    filter_by: str | None = None,
    return_indices_ranked_by: str | None = None,
    rank_by_kwargs: Mapping[str, Any] | None = None,
    frac_noise: float = 1.0,
    num_to_remove_per_class: Sequence[int] | np.ndarray | None = None,
    min_examples_per_class: int = 1,
    confident_joint: np.ndarray | None = None,
    n_jobs: int | None = None,
    verbose: bool = False,
    multi_label: bool = False,
    class_names: Sequence[str] | None = None,
) -> np.ndarray:
    """Which given labels are probably wrong: a mask (N,) bool, True = look at it; the flags of cleanlab's filter.

    `labels` (N,) whole numbers in 0..K-1, or names when `class_names` lists them in the order of the columns.
    `pred_probs` (N, K): out-of-fold probabilities, rows sum to 1. `features` (N, D): an embedding, all rows from one
    network. `filter_by` is one of cleanlab's, with its arithmetic to the last tie, or "mislabelled", the verdict of
    `verdicts.judge` (the default when `features` are given, and the only one that uses them); without, it is
    "prune_by_noise_rate". `frac_noise` in [0, 1] prunes only that share, `num_to_remove_per_class` (K,) sets the
    number, `min_examples_per_class` rows of each class stay (a class that small is passed over in silence),
    `confident_joint` (K, K) replaces the estimated counts (given, true). With `return_indices_ranked_by` (a method of
    `get_label_quality_scores`, its options in `rank_by_kwargs`), the positions of the flagged rows come instead, the
    worst first. `n_jobs` is taken and ignored: one process is enough. `verbose` tells the count on stderr.

    Where equal scores lie on both sides of a cut, cleanlab's choice depends on the order of the rows, so this one does.

    Raises BadDataError, naming rows, for NaN, infinite or negative values, rows that do not sum to 1, logits, and
    labels that are no class; UsageError for unknown names, several labels per row, and options without an effect.

    >>> labels = np.repeat([0, 1], 20); probs = np.eye(2)[labels] * 0.9 + 0.05
    >>> probs[3] = [0.02, 0.98]
    >>> find_label_issues(labels, probs, return_indices_ranked_by="self_confidence").tolist()
    [3]
    """
    chosen = filter_by or ("prune_by_noise_rate" if features is None else "mislabelled")
    _known("filter_by", chosen, FILTERS)
    _known("return_indices_ranked_by", return_indices_ranked_by, (None, *METHODS))
    if multi_label:
        raise UsageError("multi_label: one label per row is all that is judged here; split the set by class first")
    _check_options(chosen, frac_noise, num_to_remove_per_class, min_examples_per_class, confident_joint)
    options = dict(rank_by_kwargs or {})
    if options.keys() - {"adjust_pred_probs"}:
        raise UsageError(f"rank_by_kwargs knows adjust_pred_probs only, got {', '.join(map(str, options))}")
    given, probs = _checked(labels, pred_probs, features, class_names)
    classes = probs.shape[1]
    judged = None
    if chosen == "mislabelled":
        judged = _judged(given, probs, features)
        flagged = np.asarray(judged.kind == "mislabelled")
    else:
        flagged = _flags(
            given,
            probs,
            chosen,
            share=frac_noise,
            least=min_examples_per_class,
            to_remove=_sized("num_to_remove_per_class", num_to_remove_per_class, (classes,)),
            joint=_sized("confident_joint", confident_joint, (classes, classes)),
        )
    if verbose:
        print(f"{np.count_nonzero(flagged):,} of {len(given):,} labels flagged ({chosen})", file=sys.stderr)
    if return_indices_ranked_by is None:
        return flagged
    if return_indices_ranked_by == "mislabelled":
        quality = (judged or _judged(given, probs, features)).label_quality
    else:
        quality = _scores(given, probs, return_indices_ranked_by, **options)
    return np.asarray(np.flatnonzero(flagged)[np.argsort(quality[flagged])])


def get_label_quality_scores(
    labels: Any,
    pred_probs: Any,
    *,
    features: Any = None,
    method: str = "self_confidence",
    adjust_pred_probs: bool = False,
    class_names: Sequence[str] | None = None,
) -> np.ndarray:
    """How well each given label stands up: (N,) in [0, 1], low = likely mislabelled; the numbers of cleanlab's rank.

    Arguments as in `find_label_issues`. `method`: "self_confidence", the probability of the given label;
    "normalized_margin", its lead over the best other one, mapped to [0, 1]; "confidence_weighted_entropy", in which,
    as in cleanlab, a probability of exactly 1 scores 0; "mislabelled", the label quality of `verdicts.judge`, the
    only one that uses `features`. `adjust_pred_probs` first forgives the classes that the model is rarely sure of
    (the first two methods only).

    Raises BadDataError and UsageError as `find_label_issues` does.

    >>> get_label_quality_scores([0, 1], np.array([[0.75, 0.25], [0.75, 0.25]]), method="normalized_margin").tolist()
    [0.75, 0.25]
    """
    _known("method", method, METHODS)
    given, probs = _checked(labels, pred_probs, features, class_names)
    if method != "mislabelled":
        return _scores(given, probs, method, adjust_pred_probs=adjust_pred_probs)
    if adjust_pred_probs:
        raise UsageError("adjust_pred_probs has no effect on mislabelled: leave it out")
    return np.asarray(_judged(given, probs, features).label_quality)


def error_rate(labels: Any, pred_probs: Any, *, class_names: Sequence[str] | None = None) -> ErrorRate:
    """Share of wrong given labels in [0, 1]: `estimate`, and from `low` to `high` with 95 % (unpacks in that order).

    Arguments as in `find_label_issues`. From labels and out-of-fold probabilities alone, so the interval is as wide as
    what the recognizer cannot know about itself (`calibration.error_rate_interval`); people tell more
    (`ferclean audit`). Raises BadDataError and UsageError as `find_label_issues` does.

    >>> labels = np.repeat([0, 1], 50); probs = np.eye(2)[labels] * 0.8 + 0.1
    >>> labels[:10] = 1
    >>> estimate, low, high = error_rate(labels, probs)
    >>> low <= 0.1 <= high
    True
    """
    return error_rate_interval(*_checked(labels, pred_probs, None, class_names))


def _self_confidence(probs: np.ndarray, given: np.ndarray) -> np.ndarray:
    return np.asarray(probs[np.arange(len(given)), given])


def _normalized_margin(probs: np.ndarray, given: np.ndarray) -> np.ndarray:
    own = _self_confidence(probs, given)
    others = probs.copy()
    others[np.arange(len(given)), given] = -np.inf if probs.shape[1] > 1 else 0.0  # one class: a rival of 0
    return np.asarray((own - others.max(1) + 1) / 2)


def _confidence_weighted_entropy(probs: np.ndarray, given: np.ndarray) -> np.ndarray:
    from scipy.special import xlogy

    spread = -xlogy(probs, probs).sum(axis=1) / np.log(max(2, probs.shape[1]))
    weighted = spread / np.maximum(_self_confidence(probs, given), pruning.CLOSE)
    return np.asarray(np.log(weighted + 1) / np.maximum(weighted, pruning.CLOSE))


_SCORES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "self_confidence": _self_confidence,
    "normalized_margin": _normalized_margin,
    "confidence_weighted_entropy": _confidence_weighted_entropy,
}
METHODS = (*_SCORES, "mislabelled")
"""Every `method` of `get_label_quality_scores`: cleanlab's three and ferclean's verdict."""


def _scores(labels: np.ndarray, probs: np.ndarray, method: str, *, adjust_pred_probs: bool = False) -> np.ndarray:
    if adjust_pred_probs and method == "confidence_weighted_entropy":
        raise UsageError(f"adjust_pred_probs does not go with {method}")
    thresholds = None
    if adjust_pred_probs:
        own = pruning.own_probabilities(labels, probs)
        thresholds = pruning.class_thresholds(labels, own, probs.shape[1])
    scores = np.empty(0, dtype=probs.dtype)
    for part in pruning.row_parts(probs):
        values = probs[part]
        if thresholds is not None:
            values = values - thresholds + thresholds.max()
            values /= values.sum(axis=1, keepdims=True)
        found = _SCORES[method](values, labels[part])
        if not len(scores):
            scores = np.empty(len(labels), dtype=found.dtype)
        scores[part] = found
    return scores


def _flags(
    labels: np.ndarray,
    probs: np.ndarray,
    chosen: str,
    *,
    share: float,
    least: int,
    to_remove: np.ndarray | None,
    joint: np.ndarray | None,
) -> np.ndarray:
    """cleanlab's flags, (N,) bool."""
    own = pruning.own_probabilities(labels, probs)
    found = pruning.count_confident(labels, probs, pruning.class_thresholds(labels, own, probs.shape[1]))
    if chosen == "confident_learning":
        return np.asarray(found.off_diagonal & ~found.close)
    if chosen == "predicted_neq_given":
        return np.asarray(found.differs & ~found.close)
    if chosen in COUNTING:
        number = int(np.count_nonzero(found.off_diagonal & ~found.close))
        return pruning.lowest(_scores(labels, probs, chosen.removeprefix("low_")), number)
    members = np.bincount(labels, minlength=probs.shape[1])
    if joint is None:
        joint = pruning.calibrated(found.counts, members)
    counts = pruning.prune_counts(joint, members, least=least, share=share, to_remove=to_remove)
    flagged = ~found.close
    if chosen in ("prune_by_noise_rate", "both"):
        flagged &= pruning.prune_by_noise_rate(labels, probs, own, counts, least=least)
    if chosen in ("prune_by_class", "both"):
        flagged &= pruning.prune_by_class(labels, own, counts, least=least)
    return flagged


def _judged(labels: np.ndarray, probs: np.ndarray, features: Any) -> Any:
    """ferclean's verdicts, the neighbours' say included when there are `features`."""
    from ferclean.evidence.signals import label_signals as signals
    from ferclean.evidence.signals import neighbours
    from ferclean.evidence.verdict import verdicts
    from ferclean.evidence.verdict.belief import Faces

    around = None
    if features is not None:
        around = neighbours.neighbourhood(labels, np.asarray(features), num_classes=probs.shape[1]).weights
    found = signals.compute_signals({"labels": labels, "pred_probs": probs, "embedding": features})
    return verdicts.judge(Faces(labels=labels, pred_probs=probs, signals=found, around=around))


def _checked(
    labels: Any, pred_probs: Any, features: Any, class_names: Sequence[str] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Labels as class indices and probabilities as they came, both uncopied where they can be."""
    probs = np.asarray(pred_probs)
    width = None if class_names is None else len(class_names)
    check_pred_probs(probs, num_classes=width, copy=False)
    if probs.dtype.kind != "f":
        probs = probs.astype(np.float64)
    given = _indices(labels, probs.shape[1], class_names)
    check_same_length(labels=given, pred_probs=probs, features=None if features is None else np.asarray(features))
    return given, probs


def _indices(labels: Any, classes: int, class_names: Sequence[str] | None) -> np.ndarray:
    try:
        array = np.asarray(labels)
    except ValueError as error:  # rows of different lengths
        raise UsageError("labels must hold one class per row; several per row (multi-label) are not judged") from error
    if array.ndim == 2 and array.shape[1] == 1:  # a one-column table, as cleanlab takes it
        array = array[:, 0]
    if array.ndim == 1 and array.size and isinstance(array.flat[0], str):
        return _from_names(array, class_names)
    if array.dtype.kind == "b" or array.dtype == np.uint64:  # numpy counts neither
        array = array.astype(np.int64)
    in_range = array.size and array.dtype.kind in "iu" and array.min() >= 0 and array.max() < classes
    if array.ndim == 1 and in_range:
        return array  # copying ten million labels to refuse none would be a waste
    return check_labels(array, classes)


def _from_names(array: np.ndarray, class_names: Sequence[str] | None) -> np.ndarray:
    if class_names is None:
        raise UsageError(
            f"labels are names (the first is {str(array.flat[0])!r}): "
            "give class_names in the order of pred_probs' columns"
        )
    code = {name: index for index, name in enumerate(class_names)}
    if len(code) < len(class_names):
        raise UsageError(f"class_names holds a name twice: {', '.join(map(str, class_names))}")
    indices = np.fromiter((code.get(name, -1) for name in array.tolist()), dtype=np.int64, count=len(array))
    unknown = np.flatnonzero(indices < 0)
    if len(unknown):
        first = f"{str(array[unknown[0]])!r} in row {unknown[0]}"
        raise BadDataError(
            f"{len(unknown):,} labels are no class, first {first}; {among(str(array[unknown[0]]), class_names)}"
        )
    return indices


def _check_options(
    chosen: str, frac_noise: float, num_to_remove: Any, min_examples: int, confident_joint: np.ndarray | None
) -> None:
    if not 0 <= frac_noise <= 1:
        raise UsageError(f"frac_noise is a share, got {frac_noise}")
    if min_examples < 0:
        raise UsageError(f"min_examples_per_class must be at least 0, got {min_examples}")
    if chosen in PRUNING:
        return
    if num_to_remove is not None:
        raise UsageError(f"num_to_remove_per_class goes with {', '.join(PRUNING)}, not with {chosen}")
    ignored = {"frac_noise": frac_noise != 1.0, "confident_joint": confident_joint is not None}
    told = ", ".join(name for name, given in ignored.items() if given)
    if told and chosen == "mislabelled":
        raise UsageError(f"{told} goes with {', '.join(PRUNING)}, not with {chosen}")
    if told:
        # cleanlab goes on after a warning here, so scripts may rely on it
        warnings.warn(f"{told} has no effect on filter_by {chosen!r}", UserWarning, stacklevel=3)


def _sized(name: str, values: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    if values is None:
        return None
    array = np.asarray(values)
    if array.shape != shape or array.dtype.kind not in "iuf" or not np.isfinite(array).all() or (array < 0).any():
        raise UsageError(f"{name} must hold counts of shape {shape}, got {array.dtype} of shape {array.shape}")
    return array


def _known(what: str, value: Any, known: Sequence[str | None]) -> None:
    if value not in known:
        raise UsageError(f"unknown {what} {value!r}; {among(str(value), known)}")
