"""What people decided. Append-only: an undo is a row too, so that nothing a person said is ever lost.

It never changes or deletes a row, and returns only when the rows are on the disk.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pyarrow as pa

from ferclean.errors import FercleanError, UsageError, among
from ferclean.store.exchange import frame, insert, now, numbers, rows, text, to_json
from ferclean.store.samples import read_dataset
from ferclean.store.standing import DRAWN, Word, conflicts_of, in_force, words_of, words_since
from ferclean.store.workspace import Workspace

ACTIONS = ("keep", "relabel", "ambiguous", "exclude", "skip")
CHECKS = ("repeat", "honeypot")
"""Sources of answers that measure only who gives them (`store.checks`): they stand for nothing."""
SOURCES = ("review", "cli", "file", "fiftyone", "api", "adjudication", *CHECKS)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One decision of one person about one sample."""

    sample_id: str
    action: str
    """keep, relabel, ambiguous, exclude or skip."""
    label: str | None = None
    """Canonical class name; needed for relabel."""
    reviewer: str
    note: str = ""
    seconds: float | None = None
    """Time that the person took."""
    shown: dict[str, Any] | None = None
    """What the model showed at that moment; None when it was hidden."""
    source: str = "api"
    """review, cli, file, fiftyone, api; adjudication settles a disagreement; of CHECKS: it stands for nothing."""
    inclusion_probability: float | None = None
    """Chance in (0, 1] with which a random draw chose the sample; None: that of the draw in force, if it was drawn."""
    by_choice: bool = False
    """Not stored: the person came to the sample by its verdict or label, so that the chance of the draw in force says
    nothing about why it was decided and is not kept."""
    bulk_id: str | None = None
    """Shared by the rows of one bulk act, which is undone as a whole."""
    seen: int | None = None
    """Not stored: id of the decision that the person saw stand (their own last one, or an adjudication), 0: none. A
    newer one is then not replaced: NewerDecisionError. None: what the person saw is not known."""
    overrules: bool = False
    """Not stored: an adjudication that holds for everybody also where nobody disagrees, as the revert of a release;
    `seen` is then the last row of the log that it rests on, whoever wrote it."""
    shares: Mapping[str, float] | None = None
    """With ambiguous: how much of which expression the person sees, class -> share in (0, 1], two classes or more, sum
    1. None: they did not say."""


class NewerDecisionError(FercleanError):
    """The person decided, or somebody adjudicated, since the screen was drawn that this answer came from."""

    def __init__(self, newer: dict[str, Word]) -> None:
        """`newer`: what stands now, by sample."""
        self.newer = newer
        one = next(iter(newer.values()))
        said = f"{one.action} {one.label}" if one.label else one.action
        super().__init__(
            f"{len(newer)} answer(s) not recorded: there is a newer one, the first is {said!r} by {one.reviewer}; "
            "look again and repeat the answer to replace it"
        )


def append_decisions(ws: Workspace, decisions: Sequence[Decision], *, dry_run: bool = False) -> list[int]:
    """Append decisions, all or none, and return their ids. They are on the disk when this returns.

    `dry_run` checks all of it, stores nothing and returns [].

    Raises UsageError, naming the first wrong one, for an unknown sample, action, source or label, for a relabel without
    a label, for a label that the action does not take, and for shares that `Decision.shares` is not. A decision about a
    sample that the latest audit or triage drew at random keeps the chance of that draw, whoever records it, unless it
    names another or was made `by_choice`. Raises NewerDecisionError where a decision is newer than the one that the
    person saw (`Decision.seen`), and UsageError for an adjudication where nobody disagrees, unless it `overrules`: it
    would overrule a single person.
    """
    with (ws.reading if dry_run else ws.session)("deciding") as con:
        return append_in(con, decisions, read_dataset(con, ws).classes, dry_run=dry_run)


def append_in(
    con: Any, decisions: Sequence[Decision], classes: tuple[str, ...], *, dry_run: bool,
    known: Mapping[str, str | None] | None = None,
) -> list[int]:  # fmt: skip
    """`append_decisions` in a session that is open already; `known`: given labels that were read in it."""
    given = list(decisions)
    ids = [decision.sample_id for decision in given]
    known = known if known is not None and known.keys() >= set(ids) else given_in(con, ids)
    for decision in given:
        _check(decision, known, classes)
    _check_disagreement(con, given)
    if newer := _newer(con, given):
        raise NewerDecisionError(newer)
    if dry_run:
        return []
    drawn = _drawn(con, ids)
    return _append(con, [_row(decision, drawn.get(decision.sample_id), classes) for decision in given])


def given_in(con: Any, sample_ids: Sequence[str]) -> dict[str, str | None]:
    """The given label of each of these samples that is here, in a session that is open already."""
    sql = "SELECT sample_id, given_label FROM sample WHERE sample_id IN (SELECT unnest($ids::VARCHAR[]))"
    return dict(rows(con, sql, {"ids": list(sample_ids)}))


def undo(
    ws: Workspace,
    *,
    reviewer: str | None = None,
    decision_id: int | None = None,
    bulk_id: str | None = None,
    since: datetime | None = None,
) -> list[int]:
    """Take decisions back by appending undo rows; returns the new rows' ids, [] when there is nothing left to undo.

    One decision by `decision_id`; a whole bulk by `bulk_id`; everything `since` a moment (UTC unless it has a
    zone); otherwise the last act (one decision, or one bulk). `reviewer` limits the last two to that person; with
    an id it is who undoes. What was current before is current again. Raises UsageError for an unknown id.
    """
    if sum(value is not None for value in (decision_id, bulk_id, since)) > 1:
        raise UsageError("undo takes one of decision_id, bulk_id and since")
    with ws.session("undoing") as con:
        return undo_in(con, reviewer=reviewer, decision_id=decision_id, bulk_id=bulk_id, since=since)


def undo_in(
    con: Any, *, reviewer: str | None, decision_id: int | None = None, bulk_id: str | None = None,
    since: datetime | None = None,
) -> list[int]:  # fmt: skip
    """`undo` in a session that is open already."""
    live = (  # checks too: to the person they were answers like all others
        "SELECT decision_id, sample_id, reviewer, bulk_id FROM decision WHERE action <> 'undo' "
        "AND decision_id NOT IN (SELECT undo_of FROM decision WHERE undo_of IS NOT NULL)"
    )
    if decision_id is not None:
        if not rows(con, "SELECT 1 FROM decision WHERE decision_id = ? AND action <> 'undo'", [decision_id]):
            raise UsageError(f"there is no decision {decision_id} to undo")
        found = rows(con, f"{live} AND decision_id = ?", [decision_id])
    elif bulk_id is not None:
        if not rows(con, "SELECT 1 FROM decision WHERE bulk_id = ? LIMIT 1", [bulk_id]):
            raise UsageError(f"there is no bulk {bulk_id!r} to undo")
        found = rows(con, f"{live} AND bulk_id = ? ORDER BY decision_id", [bulk_id])
    else:
        mine = f"{live} AND ($reviewer IS NULL OR reviewer = $reviewer)"
        if since is not None:
            moment = since.astimezone(UTC).replace(tzinfo=None) if since.tzinfo else since
            found = rows(
                con, f"{mine} AND decided_at >= $since ORDER BY decision_id", {"reviewer": reviewer, "since": moment}
            )
        else:
            found = rows(con, f"{mine} ORDER BY decision_id DESC LIMIT 1", {"reviewer": reviewer})
            if found and found[0][3] is not None:
                bulk = {"reviewer": found[0][2], "bulk": found[0][3]}
                found = rows(con, f"{live} AND reviewer = $reviewer AND bulk_id = $bulk ORDER BY decision_id", bulk)
    undone = [
        {"sample_id": sample_id, "action": "undo", "reviewer": reviewer or owner, "note": "", "source": "api",
         "undo_of": identity}
        for identity, sample_id, owner, _ in found
    ]  # fmt: skip
    return _append(con, undone)


def current_decisions(ws: Workspace, sample_ids: Sequence[str] | None = None) -> pd.DataFrame:
    """What stands now, one row per decided sample (of these, where some are named), in order of arrival.

    Columns: sample_id, action, label, reviewer, decided_at, n_reviewers, conflict, shares (of an ambiguous one: list of
    K floats in the card's order, the mean of what stands; None where nobody said). Where reviewers disagree, `conflict`
    is True and the row shows the latest of their decisions; all of them stay in `decision_history`. A sample that was
    only skipped is not decided.
    """
    with ws.reading("reading decisions") as con:
        return frame(
            con,
            "SELECT c.* FROM current_decision c JOIN sample s USING (sample_id) "
            "WHERE $ids IS NULL OR c.sample_id IN (SELECT unnest($ids::VARCHAR[])) ORDER BY s.position",
            {"ids": None if sample_ids is None else list(sample_ids)},
        )


def decided_about(ws: Workspace, decision_ids: Sequence[int]) -> list[str]:
    """The samples that these rows of the log are about, in the order of the rows."""
    with ws.reading("reading decisions") as con:
        return decided_about_in(con, decision_ids)


def decided_about_in(con: Any, decision_ids: Sequence[int]) -> list[str]:
    """`decided_about` in a session that is open already."""
    sql = "SELECT sample_id FROM decision WHERE decision_id IN (SELECT unnest($ids::BIGINT[])) ORDER BY decision_id"
    return [sample_id for (sample_id,) in rows(con, sql, {"ids": list(decision_ids)})]


def newest_decision(ws: Workspace) -> int:
    """The number of the last row of the log, 0 while it is empty."""
    with ws.reading("reading decisions") as con:
        return int(rows(con, "SELECT coalesce(max(decision_id), 0) FROM decision")[0][0])


def decisions_after(ws: Workspace, decision_id: int) -> int:
    """How many rows after this one decide something and are not undone."""
    with ws.reading("reading decisions") as con:
        sql = "SELECT count(*) FROM live_decision WHERE action <> 'skip' AND decision_id > ?"
        return int(rows(con, sql, [decision_id])[0][0])


def seconds_taken(ws: Workspace, reviewer: str | None = None) -> list[float]:
    """The seconds of each decision made alone (not in bulk) and not undone, of one reviewer or of all, in order."""
    with ws.reading("reading decisions") as con:
        found = rows(
            con,
            "SELECT seconds FROM live_decision WHERE seconds IS NOT NULL AND bulk_id IS NULL "
            "AND ($reviewer IS NULL OR reviewer = $reviewer) ORDER BY decision_id",
            {"reviewer": reviewer},
        )
        return [seconds for (seconds,) in found]


def decision_history(ws: Workspace) -> pd.DataFrame:
    """Every row that was ever appended, in order: decision_id, sample_id, action (undo too), label, reviewer, note,
    seconds, shown (JSON text), source, inclusion_probability, bulk_id, undo_of, decided_at, shares (list or None),
    undone (bool)."""
    with ws.reading("reading decisions") as con:
        return frame(
            con,
            "SELECT *, decision_id IN (SELECT undo_of FROM decision WHERE undo_of IS NOT NULL) AS undone "
            "FROM decision ORDER BY decision_id",
        )


def _check(decision: Decision, known: Mapping[str, str | None], classes: tuple[str, ...]) -> None:
    where = f"decision about sample {decision.sample_id!r}"
    if decision.sample_id not in known:
        raise UsageError(f"{where}: there is no such sample in this workspace")
    if decision.action not in ACTIONS:
        raise UsageError(f"{where}: unknown action {decision.action!r}; {among(decision.action, ACTIONS)}")
    if decision.source not in SOURCES:
        raise UsageError(f"{where}: unknown source {decision.source!r}; {among(decision.source, SOURCES)}")
    if not decision.reviewer.strip():
        raise UsageError(f"{where}: a reviewer's name is needed")
    if decision.action == "relabel" and decision.label not in classes:
        asked = "relabel needs a label" if decision.label is None else f"unknown label {decision.label!r}"
        raise UsageError(f"{where}: {asked}; {among(decision.label or '', classes)}")
    # a file may repeat the given label beside 'keep'; any other label would contradict the action
    allowed = {None, known[decision.sample_id]} if decision.action == "keep" else {None}
    if decision.action != "relabel" and decision.label not in allowed:
        raise UsageError(f"{where}: {decision.action} takes no label, got {decision.label!r}; use relabel to change it")
    if decision.seconds is not None and not (math.isfinite(decision.seconds) and decision.seconds >= 0):
        raise UsageError(f"{where}: seconds must be 0 or more, got {decision.seconds}")
    if decision.inclusion_probability is not None and not 0 < decision.inclusion_probability <= 1:
        raise UsageError(f"{where}: an inclusion probability lies in (0, 1], got {decision.inclusion_probability}")
    if decision.shares is not None:
        _check_shares(decision.shares, decision.action, classes, where)


def _check_shares(shares: Mapping[str, float], action: str, classes: tuple[str, ...], where: str) -> None:
    if action != "ambiguous":
        raise UsageError(f"{where}: shares say what an ambiguous face shows; {action} takes none")
    strangers = [name for name in shares if name not in classes]
    if strangers:
        raise UsageError(f"{where}: shares of an unknown label {strangers[0]!r}; {among(strangers[0], classes)}")
    if len(shares) < 2:
        raise UsageError(f"{where}: shares are of two labels or more; a single one is a relabel")
    if not all(math.isfinite(share) and 0 < share <= 1 for share in shares.values()):
        raise UsageError(f"{where}: each share lies in (0, 1], got {', '.join(map(str, shares.values()))}")
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise UsageError(f"{where}: shares sum to 1, got {sum(shares.values()):g}")


def _newer(con: Any, decisions: Sequence[Decision]) -> dict[str, Word]:
    """What stands now and was not there yet when the person looked; a skip replaces nothing."""
    rest_on = {one.sample_id: one.seen for one in decisions if one.overrules and one.seen is not None}
    newer = words_since(con, min(rest_on.values()), list(rest_on)) if rest_on else {}
    own = [one for one in decisions if one.seen is not None and not one.overrules]
    for reviewer in {one.reviewer.strip() for one in own}:
        saw = {
            one.sample_id: one.seen
            for one in own
            if one.seen is not None and one.action != "skip" and one.reviewer.strip() == reviewer
        }
        stands = words_of(con, reviewer, list(saw))
        newer |= {sample_id: word for sample_id, word in stands.items() if word.decision_id > saw[sample_id]}
    return newer


def _check_disagreement(con: Any, decisions: Sequence[Decision]) -> None:
    settling = [one.sample_id for one in decisions if one.source == "adjudication" and not one.overrules]
    if not settling:
        return
    open_ = conflicts_of(con, settling)
    agreed = [sample_id for sample_id in settling if sample_id not in open_]
    if agreed:
        raise UsageError(
            f"adjudication of sample {agreed[0]!r}: reviewers do not disagree about it, there is nothing to settle; "
            "an earlier adjudication is taken back with `ferclean undo --decision N`"
        )


def _drawn(con: Any, sample_ids: list[str]) -> dict[str, float]:
    """The chance of the draw in force, for those of the samples that it chose: the audit's, else the queue's."""
    return dict(
        rows(
            con,
            f"SELECT sample_id, chance FROM ({DRAWN}) "  # noqa: S608
            "WHERE sample_id IN (SELECT unnest($ids::VARCHAR[])) ORDER BY of_audit",
            in_force(con) | {"ids": sample_ids},
        )
    )


def _row(decision: Decision, drawn: float | None, classes: tuple[str, ...]) -> dict[str, Any]:
    chance, said = None if decision.by_choice else drawn, decision.shares
    if decision.inclusion_probability is not None:
        chance = decision.inclusion_probability
    return {
        "sample_id": decision.sample_id,
        "action": decision.action,
        "label": decision.label if decision.action == "relabel" else None,
        "reviewer": decision.reviewer.strip(),
        "note": decision.note,
        "seconds": decision.seconds,
        "shown": None if decision.shown is None else to_json(decision.shown),
        "source": decision.source,
        "inclusion_probability": chance,
        "bulk_id": decision.bulk_id,
        "shares": None if said is None else [float(said.get(name, 0.0)) for name in classes],
    }


def _append(con: Any, appended: list[dict[str, Any]]) -> list[int]:
    first = int(rows(con, "SELECT coalesce(max(decision_id), 0) + 1 FROM decision")[0][0])
    ids = list(range(first, first + len(appended)))
    moment = now()

    def column(name: str) -> list[Any]:
        return [row.get(name) for row in appended]

    texts = ("sample_id", "action", "label", "reviewer", "note", "shown", "source", "bulk_id")
    insert(
        con,
        "decision",
        {
            "decision_id": pa.array(ids, type=pa.int64()),
            **{name: text(column(name)) for name in texts},
            **{name: numbers(column(name), pa.float64()) for name in ("seconds", "inclusion_probability")},
            "undo_of": pa.array(column("undo_of"), type=pa.int64()),
            "decided_at": pa.array([moment] * len(appended), type=pa.timestamp("us")),
            "shares": pa.array(column("shares"), type=pa.list_(pa.float64())),
        },
    )
    return ids
