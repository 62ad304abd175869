"""Answers that measure only who gives them: about faces asked a second time, and faces of which people are sure.

They are rows of the log with a source of their own, which stand for nothing: they replace no decision, no estimate
reads them, no release knows them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ferclean.store.exchange import frame, rows
from ferclean.store.samples import get_dataset
from ferclean.store.workspace import Workspace

ENOUGH = 3
"""Votes or reviewers that must say the same, and nobody anything else, for a face to be sure."""

# what an answer says: a class, or the action that names none
_SAID = "CASE d.action WHEN 'relabel' THEN d.label WHEN 'keep' THEN s.given_label ELSE ':' || d.action END"
_LIVE = "d.action <> 'undo' AND d.decision_id NOT IN (SELECT undo_of FROM decision WHERE undo_of IS NOT NULL)"


def sure(ws: Workspace) -> dict[str, str]:
    """Sample -> what ENOUGH votes or reviewers say unanimously: a class, or `:exclude` and `:ambiguous`.

    Left out where an adjudication, or votes and reviewers of one another, say something else.
    """
    with ws.reading("reading what people are sure of") as con:
        found = rows(
            con,
            f"WITH said AS (SELECT d.sample_id, {_SAID} AS said, d.reviewer, d.source "  # noqa: S608 - own text
            "FROM standing_decision d JOIN sample s USING (sample_id)), "
            "agreed AS (SELECT sample_id, any_value(label) AS truth FROM vote GROUP BY sample_id "
            "HAVING count(DISTINCT label) = 1 AND sum(count) >= $enough UNION ALL "
            "SELECT sample_id, any_value(said) FROM said GROUP BY sample_id "
            "HAVING count(DISTINCT said) = 1 AND count(said) = count(*) AND count(DISTINCT reviewer) >= $enough) "
            "SELECT sample_id, any_value(truth) FROM agreed GROUP BY sample_id HAVING count(DISTINCT truth) = 1 "
            "ORDER BY sample_id",
            {"enough": ENOUGH},
        )
        settled = dict(
            rows(
                con,
                f"SELECT d.sample_id, {_SAID} FROM standing_decision d JOIN sample s USING (sample_id) "  # noqa: S608
                "WHERE d.source = 'adjudication'",
            )
        )
        known = {*get_dataset(ws).classes, ":exclude", ":ambiguous"}  # votes may also be for no class
    return {one: truth for one, truth in found if truth in known and settled.get(one, truth) == truth}


def asked(ws: Workspace, reviewer: str) -> set[tuple[str, str]]:
    """(source, sample) of the checks that this reviewer has answered; those that were taken back may come again."""
    with ws.reading("reading checks") as con:
        sql = f"SELECT d.source, d.sample_id FROM decision d WHERE {_LIVE} AND d.reviewer = ? AND d.source IN "  # noqa: S608
        return set(rows(con, sql + "('repeat', 'honeypot')", [reviewer]))


def taken_back(ws: Workspace, undo_ids: Sequence[int]) -> str:
    """`taken_back_in` of these rows in a reading of its own."""
    with ws.reading("reading checks") as con:
        return taken_back_in(con, undo_ids)


def taken_back_in(con: Any, undo_ids: Sequence[int]) -> str:
    """Which check these undo rows of the log took back; empty for an answer in earnest. In an open session."""
    sql = (
        "SELECT d.source FROM decision u JOIN decision d ON d.decision_id = u.undo_of "
        "WHERE u.decision_id IN (SELECT unnest($ids::BIGINT[])) AND d.source IN ('repeat', 'honeypot')"
    )
    found = rows(con, sql, {"ids": list(undo_ids)})
    return str(found[0][0]) if found else ""


def answered(ws: Workspace) -> pd.DataFrame:
    """Each check that was answered, a skip apart: reviewer, source, sample_id, said, and `earlier`, what that reviewer
    had said before in earnest (None where nothing).

    `said` as in `sure`; the latest answer of each reviewer and sample.
    """
    with ws.reading("reading checks") as con:
        return frame(
            con,
            f"WITH told AS (SELECT d.decision_id, d.sample_id, d.reviewer, d.source, {_SAID} AS said "  # noqa: S608
            f"FROM decision d JOIN sample s USING (sample_id) WHERE {_LIVE} AND d.action <> 'skip') "
            "SELECT c.reviewer, c.source, c.sample_id, c.said, arg_max(e.said, e.decision_id) AS earlier "
            "FROM (SELECT * FROM told WHERE source IN ('repeat', 'honeypot') QUALIFY row_number() OVER "
            "(PARTITION BY source, sample_id, reviewer ORDER BY decision_id DESC) = 1) c LEFT JOIN "
            "(SELECT * FROM told WHERE source NOT IN ('repeat', 'honeypot', 'adjudication')) e "
            "ON e.sample_id = c.sample_id AND e.reviewer = c.reviewer AND e.decision_id < c.decision_id "
            "GROUP BY c.reviewer, c.source, c.sample_id, c.said ORDER BY ALL",
        )
