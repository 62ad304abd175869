"""How many samples there are of which kind, counted by the database: no row of a sample leaves it.

It reads; what it counts is what `table.sample_table` would show row by row. Where verdicts were deleted it counts none:
whoever shows it tells of that.
"""

from __future__ import annotations

import pandas as pd

from ferclean.store.exchange import frame, rows
from ferclean.store.runs import newest_verdicts
from ferclean.store.samples import SAMPLES
from ferclean.store.standing import random_decisions
from ferclean.store.workspace import Workspace

QUALITY_BINS = 40
"""Equal steps of label quality from 0 to 1 that `quality_counts` counts in."""


def sample_counts(ws: Workspace) -> pd.DataFrame:
    """One row per combination that occurs, in the order in which the first of its samples arrived.

    Columns: split, given_label, quarantined (bool), verdict, suggested_label, decision, corrected_label, conflict
    (bool) as in `sample_table`, and samples (how many there are). The number of rows does not grow with the set.
    """
    with ws.reading("counting samples") as con:
        _, verdict = newest_verdicts(con, ws, lost_ok=True)
        return frame(
            con,
            f"SELECT s.split, s.given_label, s.quarantine_reason IS NOT NULL AS quarantined, "  # noqa: S608
            "v.kind AS verdict, v.suggested_label, c.action AS decision, "
            "CASE c.action WHEN 'relabel' THEN c.label WHEN 'keep' THEN s.given_label END AS corrected_label, "
            "coalesce(c.conflict, false) AS conflict, count(*) AS samples "
            f"FROM {SAMPLES} s LEFT JOIN {verdict.sql} v USING (sample_id) "
            "LEFT JOIN current_decision c USING (sample_id) GROUP BY ALL ORDER BY min(s.position)",
            verdict.parameters,
        )


def total(counts: pd.DataFrame, column: str) -> dict[str, int]:
    """Value of a column of `sample_counts` -> samples, the most frequent first; rows without a value are left out."""
    found = counts.groupby(column, sort=False)["samples"].sum().sort_values(ascending=False, kind="stable")
    return {str(value): int(samples) for value, samples in found.items()}


def quarantine_counts(ws: Workspace) -> dict[str, int]:
    """Reason of quarantine as it is stored -> samples, the most frequent first."""
    with ws.reading("counting samples") as con:
        sql = (
            f"SELECT quarantine_reason, count(*) AS n FROM {SAMPLES} WHERE quarantine_reason IS NOT NULL "  # noqa: S608
            "GROUP BY ALL ORDER BY n DESC, min(position)"
        )
        return dict(rows(con, sql))


def reviewer_counts(ws: Workspace) -> dict[str, int]:
    """Reviewer -> samples whose latest decision that stands is theirs, the most first."""
    with ws.reading("counting decisions") as con:
        sql = (
            "SELECT c.reviewer, count(*) AS n FROM current_decision c "
            "JOIN sample USING (sample_id) GROUP BY ALL ORDER BY n DESC, min(position)"
        )
        return dict(rows(con, sql))


def quality_counts(ws: Workspace) -> pd.DataFrame:
    """The judged samples by verdict and label quality: verdict, step (from 0, the lowest quality), samples."""
    with ws.reading("counting verdicts") as con:
        _, verdict = newest_verdicts(con, ws, lost_ok=True)
        return frame(
            con,
            "SELECT kind AS verdict, least(floor(label_quality * $bins), $bins - 1)::INTEGER AS step, "  # noqa: S608 - own text
            f"count(*) AS samples FROM {verdict.sql} "
            "WHERE label_quality IS NOT NULL GROUP BY ALL ORDER BY ALL",
            {"bins": QUALITY_BINS} | verdict.parameters,
        )


def has_votes(ws: Workspace) -> bool:
    """Whether the set came with votes about any of its samples."""
    with ws.reading("reading votes") as con:
        return bool(rows(con, "SELECT 1 FROM vote LIMIT 1"))


def drawn_decided(ws: Workspace) -> int:
    """How many of the samples that the triage in force judged were decided about after a draw brought them in."""
    with ws.reading("counting decisions") as con:
        ids = list(random_decisions(ws))
        _, verdict = newest_verdicts(con, ws, lost_ok=True)
        sql = f"SELECT count(*) FROM {verdict.sql} WHERE sample_id IN (SELECT unnest($ids::VARCHAR[]))"  # noqa: S608
        return int(rows(con, sql, {"ids": ids} | verdict.parameters)[0][0])


def first_decided(ws: Workspace) -> list[str]:
    """Everybody who ever decided, in the order of their first decisions: nothing that comes later changes it."""
    with ws.reading("reading decisions") as con:
        return [
            name for (name,) in rows(con, "SELECT reviewer FROM decision GROUP BY reviewer ORDER BY min(decision_id)")
        ]
