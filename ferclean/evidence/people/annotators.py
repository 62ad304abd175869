"""Several people labelled the same faces: who of them is reliable, and what do they say together?

Pure functions on (N, A) matrices of class indices. An annotator's name is never looked at, only handed back.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from ferclean.errors import BadDataError, UsageError, among
from ferclean.evidence.checks import check_pred_probs
from ferclean.evidence.people.votes import best_class, consensus, consensus_table

Method = Literal["dawid_skene", "majority", "crowdlab"]
_SMALLEST = 1e-12
_DIGITS = 12


@dataclass(frozen=True, kw_only=True)
class DawidSkene:
    """What `dawid_skene` found.

    `posterior` (N, K): probability of each true class, rows sum to 1, NaN in rows that nobody labelled.
    `confusion` (A, K, K): chance that annotator a says l where k is true, `confusion[a, k, l]`; rows sum to 1, NaN for
    an annotator without labels. `class_prior` (K,): share of each true class, NaN without any label. `converged`: the
    last of the `iterations` changed no posterior by more than the tolerance.
    """

    posterior: np.ndarray
    confusion: np.ndarray
    class_prior: np.ndarray
    iterations: int
    converged: bool


@dataclass(frozen=True, kw_only=True)
class AnnotatorConsensus:
    """`consensus`: the table of `votes.consensus`; `annotator_stats`: that of the function of this name, with what the
    method found; `posterior` (N, K), None where the method has none (crowdlab)."""

    consensus: pd.DataFrame
    annotator_stats: pd.DataFrame
    posterior: np.ndarray | None


def check_multiannotator(labels_multiannotator: np.ndarray | pd.DataFrame, num_classes: int) -> np.ndarray:
    """`labels_multiannotator` as (N, A) int64 of class indices, -1 where an annotator gave none (NaN, NA, None or -1).

    Raises BadDataError for another shape and for anything else than 0..num_classes-1, naming the rows.

    >>> check_multiannotator(np.array([[0, np.nan], [1, -1]]), 2).tolist()
    [[0, -1], [1, -1]]
    """
    if num_classes < 1:
        raise UsageError(f"num_classes is 1 or more, got {num_classes}")
    if np.ndim(labels_multiannotator) != 2:
        raise BadDataError(
            f"labels_multiannotator is one row per sample and one column per annotator, shape (N, A), got "
            f"{np.shape(labels_multiannotator)}"
        )
    try:
        values = pd.DataFrame(labels_multiannotator).to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise BadDataError("labels_multiannotator must hold class indices; encode names first") from None
    values = np.where(np.isnan(values), -1.0, values)
    wrong = (values < -1) | (values >= num_classes) | ~np.isfinite(values) | (np.nan_to_num(values) % 1 != 0)
    if wrong.any():
        rows = np.flatnonzero(wrong.any(1))
        first = float(values[wrong][0])
        raise BadDataError(
            f"labels_multiannotator holds {first:g}, which is no class index in 0..{num_classes - 1} (missing: NaN or "
            f"-1), in {len(rows):,} rows, first {', '.join(map(str, rows[:5]))}"
        )
    return values.astype(np.int64)


def class_counts(labels_multiannotator: np.ndarray | pd.DataFrame, *, num_classes: int) -> np.ndarray:
    """How many annotators chose each class: (N, K) int64.

    >>> class_counts(np.array([[0, 1, 1], [2, -1, -1]]), num_classes=3).tolist()
    [[1, 2, 0], [0, 0, 1]]
    """
    labels = check_multiannotator(labels_multiannotator, num_classes)
    row, column = np.nonzero(labels >= 0)
    cell = row * num_classes + labels[row, column]
    return np.bincount(cell, minlength=len(labels) * num_classes).reshape(len(labels), num_classes)


def majority_vote(labels_multiannotator: np.ndarray | pd.DataFrame, *, num_classes: int) -> np.ndarray:
    """The class that most annotators chose: (N,) int64, -1 where nobody labelled or several classes tie.

    >>> majority_vote(np.array([[0, 1, 1], [0, 1, -1]]), num_classes=2).tolist()
    [1, -1]
    """
    votes = class_counts(labels_multiannotator, num_classes=num_classes)
    label, alone = best_class(votes)
    return np.where(alone & votes.any(1), label, -1)


def dawid_skene(
    labels_multiannotator: np.ndarray | pd.DataFrame,
    *,
    num_classes: int,
    smoothing: float = 1.0,
    max_iterations: int = 500,
    tolerance: float = 1e-5,
) -> DawidSkene:
    """True classes and each annotator's confusion matrix, estimated together by expectation maximisation.

    Starts from the vote shares and draws nothing at random. One iteration estimates the class shares and confusion
    matrices from the posterior, then the posterior from those. Source: Dawid and Skene, Applied Statistics, 1979.
    Deviation: each row of an annotator's matrix is pulled towards all annotators' pooled row by `smoothing` labels'
    worth, so that one who saw a class three times is not taken at his word about it; 0 is the paper. A row of which
    nothing is known is uniform. With one annotator nothing can be learned: his labels come back.

    >>> fitted = dawid_skene(np.array([[0, 0, 1], [1, 1, 1], [0, 0, 1], [1, 1, 1]]), num_classes=2)
    >>> fitted.posterior.argmax(1).tolist(), bool(fitted.confusion[2, 0, 1] > 0.7)
    ([0, 1, 0, 1], True)
    """
    from scipy.sparse import csr_matrix

    labels = check_multiannotator(labels_multiannotator, num_classes)
    if not 0 <= smoothing < float("inf"):
        raise UsageError(f"smoothing is a number of labels, 0 or more, got {smoothing}")
    if max_iterations < 1:
        raise UsageError(f"max_iterations is 1 or more, got {max_iterations}")
    count, annotators = labels.shape
    row, who = np.nonzero(labels >= 0)
    # one row per sample, one column per (annotator, class said): both steps are products with it
    said = csr_matrix(
        (np.ones(len(row)), (row, who * num_classes + labels[row, who])), shape=(count, annotators * num_classes)
    )
    votes = class_counts(labels, num_classes=num_classes)
    seen = votes.sum(1) > 0
    posterior = votes / np.maximum(votes.sum(1, keepdims=True), 1)
    class_prior, iterations, converged = np.full(num_classes, np.nan), 0, True
    confusion = np.full((annotators, num_classes, num_classes), np.nan)
    if seen.any():
        converged = False
        while not converged and iterations < max_iterations:
            class_prior = posterior[seen].mean(0)
            tally = (said.T @ posterior).reshape(annotators, num_classes, num_classes).swapaxes(1, 2)  # (A, true, said)
            confusion = _rows_to_one(tally + smoothing * _rows_to_one(tally.sum(0)))
            log = np.log(np.maximum(confusion, _SMALLEST)).swapaxes(1, 2).reshape(-1, num_classes)
            joint = np.log(np.maximum(class_prior, _SMALLEST)) + said @ log  # (N, K)
            joint = np.exp(joint - joint.max(1, keepdims=True))
            # sums taken in another order differ in the last digits: rounding keeps ties tied, however rows are ordered
            new = np.where(seen[:, None], np.round(joint / joint.sum(1, keepdims=True), _DIGITS), 0.0)
            converged = bool(np.abs(new - posterior).max() <= tolerance)
            posterior, iterations = new, iterations + 1
        confusion[np.flatnonzero((labels < 0).all(0))] = np.nan
    posterior[~seen] = np.nan
    return DawidSkene(
        posterior=posterior, confusion=confusion, class_prior=class_prior, iterations=iterations, converged=converged
    )


def annotator_stats(
    labels_multiannotator: np.ndarray | pd.DataFrame,
    *,
    num_classes: int,
    fitted: DawidSkene | None = None,
    annotators: Sequence[str] | None = None,
) -> pd.DataFrame:
    """One row per annotator, in the order of the columns; the index holds their names (`annotators`, else numbers).

    num_examples_labeled; agreement_with_others (in [0, 1], high = good: on samples that others labelled too, the
    mean share of them who say the same; NaN when there are none); annotator_quality (in [0, 1], high = good: the
    accuracy that Dawid and Skene's model gives him on the classes as they occur, from `fitted` or fitted here).

    >>> votes = np.array([[0, 0, 1], [1, 1, 1], [0, 0, 1], [1, 1, 1]])
    >>> annotator_stats(votes, num_classes=2)["agreement_with_others"].tolist()
    [0.75, 0.75, 0.5]
    """
    labels = check_multiannotator(labels_multiannotator, num_classes)
    fitted = fitted or dawid_skene(labels, num_classes=num_classes)
    votes = class_counts(labels, num_classes=num_classes)
    row, who = np.nonzero(labels >= 0)
    alike = votes[row, labels[row, who]] - 1
    others = votes.sum(1)[row] - 1
    shared = others > 0
    size = labels.shape[1]
    compared = np.bincount(who[shared], minlength=size)
    share = np.bincount(who[shared], weights=alike[shared] / others[shared], minlength=size)
    agreement = np.full(size, np.nan)
    np.divide(share, compared, out=agreement, where=compared > 0)
    return pd.DataFrame(
        {
            "num_examples_labeled": np.bincount(who, minlength=size),
            "agreement_with_others": agreement,
            "annotator_quality": np.einsum("akk,k->a", fitted.confusion, fitted.class_prior),
        },
        index=_names(annotators, size),
    )


def consensus_from_annotators(
    labels_multiannotator: np.ndarray | pd.DataFrame,
    pred_probs: np.ndarray | None = None,
    *,
    num_classes: int,
    method: Method = "dawid_skene",
    annotators: Sequence[str] | None = None,
) -> AnnotatorConsensus:
    """What several annotators say together, and how good each is.

    `method`: "dawid_skene" weighs annotators by their confusion matrices; "majority" counts each alike, and a model's
    `pred_probs` (N, K), out-of-fold, as a prior; "crowdlab" is cleanlab's, which weighs annotators and the model
    (Goh et al. 2022) and needs pred_probs. Samples that nobody labelled keep their row with -1 and NaN.

    Raises UsageError for a method that is unknown or does not go with the arguments, BadDataError where crowdlab has
    no sample with two labels.

    >>> found = consensus_from_annotators(np.array([[0, 0, 1], [1, 1, 1], [-1, -1, -1]]), num_classes=2)
    >>> found.consensus["consensus_label"].tolist()
    [0, 1, -1]
    """
    labels = check_multiannotator(labels_multiannotator, num_classes)
    if pred_probs is not None:
        pred_probs = check_pred_probs(pred_probs, num_classes=num_classes)
        if len(pred_probs) != len(labels):
            raise BadDataError(f"pred_probs has {len(pred_probs):,} rows for {len(labels):,} samples")
    votes = class_counts(labels, num_classes=num_classes)
    fitted = dawid_skene(labels, num_classes=num_classes)
    stats = annotator_stats(labels, num_classes=num_classes, fitted=fitted, annotators=annotators)
    if method == "majority":
        return AnnotatorConsensus(consensus=consensus(votes, pred_probs), annotator_stats=stats, posterior=None)
    if method == "dawid_skene":
        if pred_probs is not None:
            raise UsageError("dawid_skene takes no pred_probs; use crowdlab or majority to let the model speak")
        seen = votes.sum(1) > 0
        label, alone = best_class(np.where(seen[:, None], fitted.posterior, 0.0))
        label = np.where(seen & alone, label, -1)
        p_consensus = np.where(label >= 0, fitted.posterior[np.arange(len(label)), label], np.nan)
        return AnnotatorConsensus(
            consensus=consensus_table(votes, label, p_consensus), annotator_stats=stats, posterior=fitted.posterior
        )
    if method != "crowdlab":
        raise UsageError(f"unknown method {method!r}; {among(str(method), ('dawid_skene', 'majority', 'crowdlab'))}")
    if pred_probs is None:
        raise UsageError("crowdlab needs pred_probs; use dawid_skene or majority without a model")
    label, p_consensus, quality = _crowdlab(labels, pred_probs)
    return AnnotatorConsensus(
        consensus=consensus_table(votes, label, p_consensus),
        annotator_stats=stats.assign(annotator_quality=quality),
        posterior=None,
    )


def _crowdlab(labels: np.ndarray, pred_probs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """cleanlab's consensus label (N,), its quality score (N,) and annotator quality (A,), under our conventions."""
    from cleanlab.multiannotator import get_label_quality_multiannotator

    rows, columns = (labels >= 0).any(1), (labels >= 0).any(0)
    if not ((labels >= 0).sum(1) > 1).any():
        raise BadDataError("crowdlab needs samples that two annotators labelled; here is none")
    given = pd.DataFrame(np.where(labels >= 0, labels.astype(np.float64), np.nan)[rows][:, columns])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Annotators do not agree on any example")
        found = get_label_quality_multiannotator(
            given, np.maximum(pred_probs[rows], _SMALLEST), return_detailed_quality=False, verbose=False
        )
    label, p_consensus = np.full(len(labels), -1), np.full(len(labels), np.nan)
    label[rows] = found["label_quality"]["consensus_label"].to_numpy()
    p_consensus[rows] = found["label_quality"]["consensus_quality_score"].to_numpy()
    quality = np.full(labels.shape[1], np.nan)
    quality[columns] = found["annotator_stats"]["annotator_quality"].sort_index().to_numpy()
    return label, p_consensus, quality


def _rows_to_one(tally: np.ndarray) -> np.ndarray:
    """Rows scaled to sum 1; an empty one becomes uniform."""
    total = tally.sum(-1, keepdims=True)
    return np.where(total > 0, tally / np.where(total > 0, total, 1.0), 1 / tally.shape[-1])


def _names(annotators: Sequence[str] | None, size: int) -> pd.Index:
    if annotators is not None and len(annotators) != size:
        raise UsageError(f"{len(annotators)} names for {size} annotators")
    return pd.Index(range(size) if annotators is None else list(annotators), name="annotator")
