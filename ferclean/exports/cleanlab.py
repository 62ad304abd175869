"""cleanlab's own form: what Datalab and CleanLearning load, row by row the same samples, without pictures.

It never computes a probability, and never gives a row that no recognizer judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ferclean import extras
from ferclean.errors import UsageError
from ferclean.exports.card import write_card
from ferclean.exports.content import Content, needs_release, records
from ferclean.exports.soft_targets import told
from ferclean.progress import Progress

SINGLE_FILE = False
HOLDS_PIXELS = False

_UNJUDGED = "no recognizer judged it"


def check(content: Content, out: Path) -> list[str]:
    """Takes the samples without out-of-fold probabilities out of `content`, and says how many they are.

    Raises UsageError where no sample has any, also where their files were deleted: the form is made of them.
    """
    extras.require("hf", "the cleanlab form")
    needs_release(content, "cleanlab")
    rows = content.rows
    unjudged = rows[rows["fold"].isna()]
    if content.lost or len(unjudged) == len(rows):
        raise UsageError(
            "the cleanlab form is made of out-of-fold probabilities and verdicts, and they are not here; run ferclean "
            "score and ferclean triage first (`ferclean status` tells what is missing)"
        )
    if unjudged.empty:
        return []
    content.leave_out(dict.fromkeys(unjudged["sample_id"], _UNJUDGED))
    splits = ", ".join(sorted(set(unjudged["split"])))
    return [
        f"{len(unjudged):,} images ({splits}) have no out-of-fold probabilities and are left out; ferclean score "
        "--splits and ferclean triage judge other splits than train"
    ]


def write(content: Content, target: Path, *, progress: Progress) -> None:
    """Write what follows, N rows and K classes in the card's order, and README.md.

    data/: a data set as Datalab saves it, for `datasets.load_from_disk`, with `label` (the released one) and
    `given_label` as ClassLabel. labels.npy: given labels, (N,) int64. pred_probs.npy: out-of-fold probabilities, (N, K)
    float64. issues.parquet: Datalab's columns of the issue "label", about the given labels.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    classes = content.dataset.classes
    columns = _features(classes)
    data, issues, probs = [], [], []
    for rows, part in _blocks(content, progress):
        data.append(pa.Table.from_pylist([_row(row, classes) for row in rows], schema=columns.arrow_schema))
        issues.append(pa.Table.from_pylist(_issues(rows, part, classes), schema=_issue_schema()))
        probs.append(part)
    whole = pa.concat_tables(data)
    _save(whole, columns, target / "data")
    np.save(target / "labels.npy", whole["given_label"].to_numpy())
    np.save(target / "pred_probs.npy", np.concatenate(probs))
    pq.write_table(pa.concat_tables(issues), target / "issues.parquet")
    write_card(content, target / "README.md", form="cleanlab")


def _blocks(content: Content, progress: Progress) -> Iterator[tuple[list[dict[str, Any]], np.ndarray]]:
    """The rows in their order, some at a time, and their probabilities."""
    done = 0
    for part in content.blocks():
        kept = part[part["included"].astype(bool)]
        if len(kept):
            yield list(records(kept)), np.stack(kept["pred_probs"].to_list()).astype(np.float64)
        done += len(part)
        progress("writing the arrays", done, len(content.table))


def _row(row: dict[str, Any], classes: tuple[str, ...]) -> dict[str, Any]:
    known = told(row, classes)
    return known | {
        "label": classes.index(row["release_label"]),
        "given_label": classes.index(row["given_label"]),
        "split": row["split"],
    }


def _issues(rows: list[dict[str, Any]], probs: np.ndarray, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """Datalab's columns with ferclean's verdicts in them, and its label quality, which points the same way."""
    return [
        {
            "is_label_issue": row["verdict"] == "mislabelled",
            "label_score": row["label_quality"],
            "given_label": row["given_label"],
            "predicted_label": classes[predicted],
        }
        for row, predicted in zip(rows, probs.argmax(1).tolist(), strict=True)
    ]


def _issue_schema() -> Any:
    import pyarrow as pa

    text = pa.string()
    return pa.schema({
        "is_label_issue": pa.bool_(), "label_score": pa.float64(), "given_label": text, "predicted_label": text,
    })  # fmt: skip


def _features(classes: tuple[str, ...]) -> Any:
    from datasets import ClassLabel, Features, List, Value

    label, text = ClassLabel(names=list(classes)), Value("string")
    return Features(
        {
            "label": label, "given_label": label, "sample_id": text, "source_key": text, "split": text,
            "changed": Value("bool"), "verdict": text, "decision": text, "soft_label": List(Value("float64")),
            "weight": Value("float64"),
        }
    )  # fmt: skip


def _save(rows: Any, columns: Any, folder: Path) -> None:
    import datasets

    bars = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        # a fingerprint of its own choosing would differ from one export to the next
        datasets.Dataset(rows, info=datasets.DatasetInfo(features=columns), fingerprint="0" * 16).save_to_disk(folder)
    finally:
        if bars:
            datasets.enable_progress_bars()
