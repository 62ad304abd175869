"""What stands of all that people decided: of each reviewer, of all together, where they disagree, what was drawn.

It only reads; every room that asks what holds reads the views that schema.sql shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from ferclean.store.exchange import frame, rows
from ferclean.store.runs import finished
from ferclean.store.workspace import Workspace

REVERT = "revert-"
"""What the bulk_id of a release's revert begins with."""
DOCTOR = "doctor-"
"""What the bulk_id of what `doctor --fix` excluded begins with; as in a revert, nobody looked at the pictures."""
_UNSEEN = f"coalesce(regexp_matches(bulk_id, '^({REVERT}|{DOCTOR})'), false)"
_FEW = 200  # samples of one decision or one page

# What the draws in force chose at random: the latest triage's share of its queue, and the latest audit.
DRAWN = """
    SELECT sample_id, inclusion_probability AS chance, false AS of_audit FROM drawn_item WHERE run_id = $triage
    UNION ALL
    SELECT sample_id, inclusion_probability, true FROM audit_item WHERE run_id = $audit AND position IS NOT NULL
"""


@dataclass(frozen=True, kw_only=True)
class Word:
    """What one person's decision says, in force at the moment."""

    decision_id: int
    action: str
    label: str | None
    reviewer: str
    decided_at: datetime
    """UTC, without a zone."""
    adjudicates: bool
    """It settled a disagreement, and so stands for everybody."""
    shares: tuple[float, ...] | None
    """Of an ambiguous face how much the person sees of each class, where they said so."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """What one person said last about a sample."""

    action: str | None
    """None where they only skipped it."""
    label: str | None
    source: str | None
    inclusion_probability: float | None
    overruled: bool
    """An adjudication came after it, so that it stands no longer."""
    put_off: bool
    """A skip came after it."""
    shares: tuple[float, ...] | None
    """As `Word.shares`."""


def open_conflicts(ws: Workspace) -> pd.DataFrame:
    """What reviewers say who disagree now, in order of arrival: one row per sample and person.

    Columns: sample_id, source_key, split, given_label, reviewer, action, label, note, decided_at.
    """
    return _standing(
        ws,
        "s.sample_id, s.source_key, s.split, s.given_label, w.reviewer, w.action, w.label, w.note, w.decided_at",
        "WHERE w.sample_id IN (SELECT sample_id FROM current_decision WHERE conflict) "
        "ORDER BY s.position, w.decision_id",
    )


def standing_decisions(ws: Workspace) -> pd.DataFrame:
    """What stands of each reviewer, in the order in which it was said, with what it was said about.

    Columns: sample_id, source_key, content_hash, given_label, action, label, reviewer, inclusion_probability, note,
    shares (list of K floats in the card's order or None).
    """
    return _standing(
        ws,
        "s.sample_id, s.source_key, s.content_hash, s.given_label, w.action, w.label, w.reviewer, "
        "w.inclusion_probability, w.note, w.shares",
        # who adjudicated and said otherwise later has one last word, as the rest
        "QUALIFY row_number() OVER (PARTITION BY w.sample_id, w.reviewer ORDER BY w.decision_id DESC) = 1 "
        "ORDER BY w.decision_id",
    )


def _standing(ws: Workspace, columns: str, rest: str) -> pd.DataFrame:
    """`columns` of the standing decisions `w` and of their samples `s`, as the `rest` of the query chooses."""
    sql = f"SELECT {columns} FROM standing_decision w JOIN sample s USING (sample_id) {rest}"  # noqa: S608 - own text
    with ws.reading("reading decisions") as con:
        return frame(con, sql)


def said_about(ws: Workspace, sample_ids: Sequence[str]) -> pd.DataFrame:
    """What stands of each reviewer about these samples, in the order in which it was said: sample_id, reviewer, action,
    label, note, decided_at (UTC, without a zone)."""
    with ws.reading("reading decisions") as con:
        sql = "SELECT sample_id, reviewer, action, label, note, decided_at FROM standing_decision WHERE sample_id IN "
        return frame(con, sql + "(SELECT unnest($ids::VARCHAR[])) ORDER BY decision_id", {"ids": list(sample_ids)})


def random_checks(ws: Workspace) -> set[str]:
    """The samples that the draws in force chose at random: the latest audit's, and the latest triage's share."""
    with ws.reading("reading the random draws") as con:
        found = rows(con, DRAWN, in_force(con))
        return {sample_id for sample_id, *_ in found}


def in_force(con: Any) -> dict[str, str | None]:
    """The parameters of `DRAWN`: the latest triage and the latest audit, whatever became of their files."""
    return {kind: next(iter(finished(con, kind)), None) for kind in ("triage", "audit")}


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """How a decided sample came to be drawn at random."""

    chance: float
    """With which the draw chose it, in (0, 1]."""
    draw: str
    """The run that drew it, of an audit or a triage; `elsewhere` where none here did, as for decisions of a file."""


def random_decisions(ws: Workspace, *, until: int | None = None) -> dict[str, Drawn]:
    """Decided samples that a draw brought in, any draw there was, in order of their ids.

    The chance is the one that the latest such decision keeps, and the draw the newest that chose the sample with that
    very chance: another audit may have drawn it, too, without having been answered. What was undone counts no longer,
    nor what was said after the decision `until`. Reads the draws that are kept: a fifth of the rows of a triage or two.
    """
    with ws.reading("reading decisions") as con:
        found = rows(
            con,
            "WITH kept AS ("
            "SELECT sample_id, arg_max(inclusion_probability, decision_id) AS chance FROM live_decision "
            "WHERE action <> 'skip' AND inclusion_probability IS NOT NULL "
            "AND ($until IS NULL OR decision_id <= $until) GROUP BY sample_id), made AS ("
            "SELECT run_id, sample_id, inclusion_probability AS chance FROM drawn_item UNION ALL "
            "SELECT run_id, sample_id, inclusion_probability FROM audit_item WHERE position IS NOT NULL) "
            "SELECT sample_id, any_value(kept.chance), coalesce(arg_max(run.run_id, run.started_at), 'elsewhere') "
            "FROM kept LEFT JOIN made USING (sample_id, chance) LEFT JOIN run USING (run_id) "
            "GROUP BY sample_id ORDER BY sample_id",
            {"until": until},
        )
        return {sample_id: Drawn(chance=chance, draw=draw) for sample_id, chance, draw in found}


def words(ws: Workspace, reviewer: str, sample_ids: Sequence[str] | None = None) -> dict[str, Word]:
    """What stands for this reviewer, by sample: the later of their own last word and an adjudication by anybody.

    Of these samples alone, where some are named.
    """
    with ws.reading("reading decisions") as con:
        return words_of(con, reviewer, sample_ids)


def words_of(con: Any, reviewer: str, sample_ids: Sequence[str] | None = None) -> dict[str, Word]:
    """`words`, of these samples alone where some are named, in a session that is open already."""
    found = rows(
        con,
        f"SELECT {_WORD} FROM standing_decision "  # noqa: S608 - own text
        "WHERE (reviewer = $reviewer OR source = 'adjudication') "
        f"AND {'$ids IS NULL' if sample_ids is None else _these(sample_ids)} "
        "QUALIFY row_number() OVER (PARTITION BY sample_id ORDER BY decision_id DESC) = 1 ORDER BY decision_id",
        {"reviewer": reviewer, "ids": None if sample_ids is None else list(sample_ids)},
    )
    return {sample_id: _word(*row) for sample_id, *row in found}


def words_since(con: Any, decision_id: int, sample_ids: Sequence[str]) -> dict[str, Word]:
    """What stands of anybody about these samples and was said after this row of the log, the latest of each sample."""
    found = rows(
        con,
        f"SELECT {_WORD} FROM standing_decision "  # noqa: S608 - own text
        f"WHERE decision_id > $since AND {_these(sample_ids)} ORDER BY decision_id",
        {"since": decision_id, "ids": list(sample_ids)},
    )
    return {sample_id: _word(*row) for sample_id, *row in found}


_WORD = "sample_id, decision_id, action, label, reviewer, decided_at, source = 'adjudication', shares"


def _word(
    identity: int, action: str, label: str | None, who: str, when: datetime, settles: bool, shares: Any
) -> Word:  # fmt: skip
    return Word(
        decision_id=identity, action=action, label=label, reviewer=who, decided_at=when, adjudicates=settles,
        shares=_shares(shares),
    )  # fmt: skip


def others_words(ws: Workspace, reviewer: str, sample_ids: Sequence[str]) -> dict[str, list[Word]]:
    """What stands of everybody but this reviewer about these samples, the latest word last; samples without are left
    out."""
    with ws.reading("reading decisions") as con:
        found = rows(
            con,
            f"SELECT {_WORD} FROM standing_decision "  # noqa: S608 - own text
            f"WHERE reviewer <> $reviewer AND {_these(sample_ids)} ORDER BY decision_id",
            {"reviewer": reviewer, "ids": list(sample_ids)},
        )
    said: dict[str, list[Word]] = {}
    for sample_id, *row in found:
        said.setdefault(sample_id, []).append(_word(*row))
    return said


def skipped(ws: Workspace, reviewer: str | None = None) -> set[str]:
    """The samples of which this reviewer's (or anybody's) last act was to skip them; an earlier word stands."""
    with ws.reading("reading decisions") as con:
        found = rows(
            con,
            "SELECT DISTINCT sample_id FROM skipped_sample WHERE $reviewer IS NULL OR reviewer = $reviewer",
            {"reviewer": reviewer},
        )
        return {sample_id for (sample_id,) in found}


def only_reverted(ws: Workspace) -> set[str]:
    """The samples that nothing but the revert of a release, or doctor, decides: nobody looked at them."""
    with ws.reading("reading decisions") as con:
        sql = (
            "SELECT sample_id FROM live_decision WHERE action <> 'skip' GROUP BY sample_id "  # noqa: S608 - own text
            f"HAVING bool_and({_UNSEEN})"
        )
        return {sample_id for (sample_id,) in rows(con, sql)}


def agreed_out(ws: Workspace) -> list[str]:
    """The samples that people exclude and do not disagree about, in order of arrival."""
    with ws.reading("reading decisions") as con:
        sql = (
            "SELECT c.sample_id FROM current_decision c JOIN sample s USING (sample_id) "
            "WHERE c.action = 'exclude' AND NOT c.conflict ORDER BY s.position"
        )
        return [sample_id for (sample_id,) in rows(con, sql)]


def before_reverts(ws: Workspace) -> dict[str, tuple[str, str | None]]:
    """Sample -> (action, label) of the last look at it, where a revert or doctor stands now: that was no look."""
    with ws.reading("reading decisions") as con:
        found = rows(
            con,
            f"WITH said AS (SELECT *, {_UNSEEN} AS reverts FROM live_decision "  # noqa: S608 - own text
            "WHERE action <> 'skip'), last AS (SELECT sample_id, reverts FROM said "
            "QUALIFY row_number() OVER (PARTITION BY sample_id ORDER BY decision_id DESC) = 1) "
            "SELECT sample_id, action, label FROM said WHERE NOT reverts "
            "AND sample_id IN (SELECT sample_id FROM last WHERE reverts) "
            "QUALIFY row_number() OVER (PARTITION BY sample_id ORDER BY decision_id DESC) = 1",
        )
        return {sample_id: (action, label) for sample_id, action, label in found}


def said_since(ws: Workspace, moment: datetime) -> set[str]:
    """The samples about which people said something after a moment (UTC), a revert apart."""
    with ws.reading("reading decisions") as con:
        sql = (
            "SELECT DISTINCT sample_id FROM live_decision WHERE action <> 'skip' AND decided_at > $moment "
            "AND NOT coalesce(starts_with(bulk_id, $revert), false)"
        )
        plain = moment.astimezone(UTC).replace(tzinfo=None)
        return {sample_id for (sample_id,) in rows(con, sql, {"revert": REVERT, "moment": plain})}


def said_of(con: Any, sample_ids: Sequence[str]) -> dict[tuple[str, str], Said]:
    """(sample, reviewer) -> what each said last about these samples, in a session that is open already."""
    these = _these(sample_ids)
    found = rows(
        con,
        f"WITH about AS (SELECT * FROM live_decision WHERE {these} "  # noqa: S608 - own text
        "), word AS (SELECT * FROM about WHERE action <> 'skip' "
        "QUALIFY row_number() OVER (PARTITION BY sample_id, reviewer ORDER BY decision_id DESC) = 1) "
        "SELECT sample_id, reviewer, w.action, w.label, w.source, w.inclusion_probability, "
        "w.decision_id IS NOT NULL AND w.decision_id NOT IN "
        f"(SELECT decision_id FROM standing_decision WHERE {these}), "
        f"(sample_id, reviewer) IN (SELECT (sample_id, reviewer) FROM skipped_sample WHERE {these}), w.shares "
        "FROM (SELECT DISTINCT sample_id, reviewer FROM about) LEFT JOIN word w USING (sample_id, reviewer)",
        {"ids": list(sample_ids)},
    )
    return {
        (sample_id, reviewer): Said(
            action=action,
            label=label,
            source=source,
            inclusion_probability=chance,
            overruled=overruled,
            put_off=late,
            shares=_shares(shares),
        )
        for sample_id, reviewer, action, label, source, chance, overruled, late, shares in found
    }


def _shares(stored: Sequence[float] | None) -> tuple[float, ...] | None:
    return None if stored is None else tuple(stored)


def _these(sample_ids: Sequence[str]) -> str:
    """The condition that a row is about one of `$ids`, which a view over all decisions takes into its insides."""
    # a join is not pushed below the view's windows and groups, a plain condition is; it costs rows times ids
    few = len(sample_ids) <= _FEW
    return "list_contains($ids::VARCHAR[], sample_id)" if few else "sample_id IN (SELECT unnest($ids::VARCHAR[]))"


def conflicts_of(con: Any, sample_ids: Sequence[str]) -> set[str]:
    """Those of these samples about which reviewers disagree now, in a session that is open already."""
    found = rows(
        con,
        f"SELECT sample_id FROM current_decision WHERE conflict AND {_these(sample_ids)}",  # noqa: S608 - own text
        {"ids": list(sample_ids)},
    )
    return {sample_id for (sample_id,) in found}
