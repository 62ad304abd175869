"""The table form: one row per sample of the workspace with labels, scores, verdicts and decisions, as Parquet or CSV.

It never holds pixels or absolute paths, and never leaves a row out.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferclean.errors import UsageError
from ferclean.exports.content import Content, records, write_csv
from ferclean.exports.soft_targets import target as training_target
from ferclean.progress import Progress
from ferclean.store.runs import get_run

if TYPE_CHECKING:
    import pyarrow as pa

SINGLE_FILE = True
HOLDS_PIXELS = False

_MARK = b"ferclean.table"
_OF_VERDICTS = (
    "suggested_label", "label_quality", "p_mislabelled", "p_ambiguous", "p_unusable", "p_clean", "verdict", "rank",
    "soft_label", "run_id", "reasons",
)  # fmt: skip


def columns() -> dict[str, pa.DataType]:
    """Column -> Arrow type, in order.

    `label_quality` and the `p_*` columns are in [0, 1]; low label quality = likely mislabelled. `rank` 1 = look
    first. `pred_probs` (out-of-fold, as the recognizers gave them; `reasons` tell them calibrated) and `soft_label` are
    lists in the card's class order, null where unscored.
    At the end, per recognizer that scored, `vote_NAME`: the class that it finds most probable.
    """
    import pyarrow as pa

    text, number = pa.string(), pa.float64()
    return {
        "sample_id": text,
        "source_key": text,
        "split": text,
        "given_label": text,
        "suggested_label": text,
        "label_quality": number,
        "p_mislabelled": number,
        "p_ambiguous": number,
        "p_unusable": number,
        "p_clean": number,
        "verdict": text,
        "rank": pa.int64(),
        "decision": text,
        "corrected_label": text,
        "reviewer": text,
        "conflict": pa.bool_(),
        "pred_probs": pa.list_(number),
        "soft_label": pa.list_(number),
        "fold": pa.int64(),
        "run_id": text,
        "reasons": pa.list_(text),
        "quarantine_reason": text,
    }


def release_columns() -> dict[str, pa.DataType]:
    """What a release adds: its label, whether the sample is in the split, why it changed or was left out, and for those
    that are in it the training target (a list in the card's class order, see `soft_targets`) and the label's weight."""
    import pyarrow as pa

    return {
        "release_label": pa.string(),
        "included": pa.bool_(),
        "release_reason": pa.string(),
        "release_soft_label": pa.list_(pa.float64()),
        "release_weight": pa.float64(),
    }


def check(content: Content, out: Path) -> list[str]:
    """Warns of verdicts and scores that were deleted. Raises UsageError for a suffix other than .parquet or .csv."""
    if out.suffix.lower() not in (".parquet", ".csv"):
        raise UsageError(f"the table form writes .parquet or .csv, not {out.name!r}")
    votes = [f"vote_{method}" for method in methods_of(content)]
    return content.empty_columns(_OF_VERDICTS, ["pred_probs", "fold", *votes])


def is_ours(path: Path) -> bool:
    """True for a file that this form wrote before."""
    if path.suffix.lower() == ".csv":
        with path.open(encoding="utf-8", errors="replace", newline="") as lines:
            return next(csv.reader(lines), [])[: len(columns())] == list(columns())
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return _MARK in (pq.read_schema(path).metadata or {})
    except (pa.ArrowInvalid, OSError):
        return False  # not Parquet at all, or no whole file of it


def write(content: Content, target: Path, *, progress: Progress) -> None:
    """Write the table; the suffix of `target` chooses Parquet or CSV (lists as JSON, formulas escaped).

    Some 50,000 rows are in memory at once (`content.BLOCK`); in Parquet they are a row group.
    """
    import pyarrow as pa

    methods = methods_of(content)
    wanted = {**columns(), **(release_columns() if content.name is not None else {})}
    wanted |= {f"vote_{method}": pa.string() for method in methods}
    blocks = _blocks(content, list(wanted), methods, progress)
    if target.suffix.lower() == ".csv":
        write_csv(target, wanted, ([_cell(row[name]) for name in wanted] for rows in blocks for row in rows))
    else:
        import pyarrow.parquet as pq

        told = {"classes": content.dataset.classes, "dataset": content.dataset.name, "release": content.name}
        schema = pa.schema(list(wanted.items()), metadata={_MARK: json.dumps(told).encode()})
        with pq.ParquetWriter(target, schema) as writer:
            for rows in blocks:
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def methods_of(content: Content) -> list[str]:
    """The recognizers whose votes the table has, in the order in which they scored."""
    lost = next((run for run in content.lost if run.kind == "triage"), None)
    judged = lost if content.triage is None else get_run(content.ws, content.triage)
    runs = [] if judged is None else [get_run(content.ws, run_id) for run_id in judged.config.get("score_runs", [])]
    return list(dict.fromkeys(run.method for run in runs if run is not None))


def _blocks(
    content: Content, wanted: list[str], methods: list[str], progress: Progress
) -> Iterator[list[dict[str, Any]]]:
    """The rows in their order, some at a time; each has a value or None under every name that is `wanted`."""
    done, stored = 0, [name for name in wanted if not name.startswith("vote_")]
    progress("writing the table", done, len(content.table))
    for part in content.blocks():
        rows = [{name: _plain(row[name]) for name in stored} for row in records(part[stored])]
        for row, votes in zip(rows, part["method_votes"], strict=True):
            if content.name is not None:
                row["release_soft_label"] = training_target(row, content.dataset.classes) if row["included"] else None
                row["release_weight"] = row["release_weight"] if row["included"] else None
            for method in methods:
                row[f"vote_{method}"] = votes.get(method) if isinstance(votes, dict) else None
        yield rows
        done += len(rows)
        progress("writing the table", done, len(content.table))


def _plain(value: Any) -> Any:
    """Arrow and JSON take Python lists, not numpy arrays."""
    return value.tolist() if hasattr(value, "tolist") else value


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value
