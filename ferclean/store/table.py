"""The two views that everything downstream reads: one row per sample, and the queue for people.

It never decides or changes anything; both views are made anew from what is stored.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from ferclean.errors import UsageError, among
from ferclean.store import run_files
from ferclean.store.exchange import arrow, frame, rows
from ferclean.store.reasons import in_words
from ferclean.store.runs import newest_verdicts
from ferclean.store.samples import SAMPLES, absolute_paths, read_dataset
from ferclean.store.scores import matrix
from ferclean.store.verdicts import KINDS
from ferclean.store.workspace import Workspace

LISTS = ("pred_probs", "soft_label", "reasons", "method_votes", "p_true")
"""The columns of `sample_table` that hold a list or more per sample: nearly half of its memory."""
_STORED_LISTS = ("soft_label", "reasons", "p_true")

_SELECT = f"""
    SELECT
        s.position, s.sample_id, s.source_key, s.split, s.given_label, v.suggested_label, v.label_quality,
        v.p_mislabelled,
        v.p_ambiguous, v.p_unusable, v.p_clean, v.kind AS verdict, v.rank, c.action AS decision,
        CASE c.action WHEN 'relabel' THEN c.label WHEN 'keep' THEN s.given_label END AS corrected_label,
        c.reviewer, coalesce(c.conflict, false) AS conflict, s.quarantine_reason, v.run_id, v.soft_label,
        s.location, s.relative_path, v.reasons, coalesce(v.drawn_at_random, false) AS drawn_at_random,
        v.inclusion_probability, v.p_suggested, v.p_true
    FROM {SAMPLES} s
    LEFT JOIN {{verdict}} v USING (sample_id)
    LEFT JOIN current_decision c USING (sample_id)
"""  # noqa: S608 - own text
_AT = "position IN (SELECT unnest($positions::BIGINT[]))"  # of a file only the parts that hold these are unpacked


def sample_table(ws: Workspace, *, lists: Collection[str] = LISTS, lost_ok: bool = False) -> pd.DataFrame:
    """Everything known about each sample, one row each, quarantined ones too, in order of arrival.

    Columns: sample_id, source_key, split, given_label, suggested_label, label_quality (low = likely mislabelled),
    p_mislabelled, p_ambiguous, p_unusable, p_clean, verdict, rank (Int64, 1 = look first), decision (never skip),
    corrected_label (after relabel or keep, else None), reviewer, conflict (bool), quarantine_reason, fold (Int64),
    run_id (the triage run), pred_probs (list of K floats in the card's order, or None), soft_label, path, reasons
    (list of sentences), drawn_at_random (bool: its rank is by a random draw), inclusion_probability (of that draw,
    else NaN), method_votes (dict: recognizer -> the class that it finds most probable, over its seeds; or None),
    p_suggested (the chance that suggested_label is the true one), p_true (list of K floats, or None).
    Verdict columns are of the latest done triage run; `pred_probs` are the mean over the runs that its config names
    under `score_runs`, `fold` is of the first of them.

    Of LISTS only `lists` are read; with all of them a sample takes 1.6 KB (seven classes), without any 0.9 KB.
    Raises FercleanError where a file of that triage or of those scores was deleted; with `lost_ok`, for those who need
    no verdict or tell of it (`runs.lost_behind_verdicts`), such a triage, or such scores, are as none.
    """
    with ws.reading("reading the sample table") as con:
        triage, verdict = newest_verdicts(con, ws, lost_ok=lost_ok)
        left_out = ", ".join(name for name in _STORED_LISTS if name not in lists)
        wanted = f"* EXCLUDE ({left_out})" if left_out else "*"
        sql = f"SELECT {wanted} FROM ({_SELECT.format(verdict=verdict.sql)}) ORDER BY position"  # noqa: S608
        return _complete(con, ws, frame(con, sql, verdict.parameters), triage, lists=lists, lost_ok=lost_ok)


def sample_rows(
    ws: Workspace, sample_ids: Sequence[str], *, triage: str | None = None, lost_ok: bool = False
) -> pd.DataFrame:
    """`sample_table` of these samples alone, in the order of the given ids; those that are not here are left out.

    `triage`: the run whose verdicts are read, the latest done one by default. Of its file, and of those of the scores,
    the parts that hold these samples are read. Raises FercleanError where it was deleted; `lost_ok` as there.
    """
    with ws.reading("reading samples") as con:
        named = None if triage is None else (triage, run_files.source(ws, triage, "verdicts", finished=True))
        chosen, verdict = named or newest_verdicts(con, ws, lost_ok=lost_ok)
        at = rows(
            con, "SELECT position FROM sample WHERE sample_id IN (SELECT unnest(?::VARCHAR[]))", [list(sample_ids)]
        )
        these = f"(SELECT * FROM {verdict.sql} WHERE {_AT})"  # noqa: S608 - own text
        sql = (
            f"{_SELECT.format(verdict=these)} JOIN (SELECT unnest($ids::VARCHAR[]) AS sample_id, "
            "generate_subscripts($ids::VARCHAR[], 1) AS place) wanted USING (sample_id) ORDER BY place"
        )
        parameters = {"ids": list(sample_ids), "positions": [position for (position,) in at]}
        return _complete(con, ws, frame(con, sql, parameters | verdict.parameters), chosen, lost_ok=lost_ok)


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """The queue in narrow columns, one entry per sample in rank order: what an order or a count is made of.

    About 130 bytes a sample, the ids included.
    """

    run_id: str | None
    """The triage run; None before one."""
    classes: tuple[str, ...]
    ids: list[str]
    given: np.ndarray
    """(N,) int, the class in the card's order, -1 = none."""
    suggested: np.ndarray
    """(N,) int, as `given`."""
    verdict: np.ndarray
    """(N,) int, place in `verdicts.KINDS`."""
    p_mislabelled: np.ndarray
    """(N,) in [0, 1]; 0 where it is not known."""
    p_ambiguous: np.ndarray
    """(N,) in [0, 1]; 0 where it is not known."""
    p_unusable: np.ndarray
    """(N,) in [0, 1]; NaN where it is not known."""
    p_suggested: np.ndarray
    """(N,) in [0, 1], of the suggested label among the classes; NaN where it is not known."""
    drawn: np.ndarray
    """(N,) bool, a random draw brought it to its rank."""

    def label(self, code: int) -> str | None:
        """The class of a code."""
        return None if code < 0 else self.classes[code]


def ranked(ws: Workspace) -> Ranked:
    """Everything that the latest done triage run ranked; whole rows come from `sample_rows`.

    Raises FercleanError where its verdicts were deleted.
    """
    with ws.reading("reading the queue") as con:
        (triage, verdict), classes = newest_verdicts(con, ws), read_dataset(con, ws).classes
        found = arrow(
            con,
            "SELECT v.sample_id, coalesce(list_position($classes::VARCHAR[], s.given_label), 0) - 1 AS given, "  # noqa: S608
            "coalesce(list_position($classes::VARCHAR[], v.suggested_label), 0) - 1 AS suggested, "
            "list_position($kinds::VARCHAR[], v.kind) - 1 AS verdict, coalesce(v.p_mislabelled, 0) AS p_mislabelled, "
            "coalesce(v.p_ambiguous, 0) AS p_ambiguous, v.p_unusable, v.p_suggested, "
            "coalesce(v.drawn_at_random, false) AS drawn "
            f"FROM {verdict.sql} v JOIN sample s USING (sample_id) ORDER BY v.rank, v.sample_id",
            {"classes": list(classes), "kinds": list(KINDS)} | verdict.parameters,
        )
    columns = {name: found.column(name).to_numpy() for name in found.column_names if name != "sample_id"}
    codes = {name: columns[name].astype(np.int16) for name in ("given", "suggested", "verdict")}
    chances = {name: columns[name].astype(np.float64) for name in columns if name.startswith("p_")}
    return Ranked(
        run_id=triage, classes=classes, ids=found.column("sample_id").to_pylist(), **codes, **chances,
        drawn=columns["drawn"].astype(bool),
    )  # fmt: skip


def scored_probs(ws: Workspace) -> tuple[np.ndarray, np.ndarray]:
    """`pred_probs` of every sample that has some, as in `sample_table`: (N, K), and given labels (N,), -1 = none."""
    with ws.reading("reading probabilities") as con:
        classes, (triage, _) = read_dataset(con, ws).classes, newest_verdicts(con, ws)
        found = rows(con, "SELECT config FROM run WHERE run_id = ?", [triage])
        means = ", ".join(f"avg(p.pred_probs[{place}])" for place in range(1, len(classes) + 1))
        scores = run_files.sources(ws, json.loads(found[0][0]).get("score_runs", []) if found else [], "scores")
        part = arrow(
            con,
            "SELECT coalesce(list_position($classes::VARCHAR[], any_value(s.given_label)), 0) - 1, "  # noqa: S608
            f"{means} FROM {scores.sql} p JOIN sample s USING (position) WHERE p.pred_probs IS NOT NULL "
            "GROUP BY position ORDER BY position",
            {"classes": list(classes)} | scores.parameters,
        )
    given, *probs = (column.to_numpy() for column in part.columns)
    return np.stack(probs, axis=1).astype(np.float64), given.astype(np.int64)


_USABLE = f"SELECT * FROM {SAMPLES} WHERE quarantine_reason IS NULL AND given_label IS NOT NULL"  # noqa: S608 - own text


def usable(ws: Workspace, sample_ids: Sequence[str]) -> list[tuple[str, str, str]]:
    """(sample id, source key, given label) of those of these samples that take part and have a label."""
    with ws.reading("reading samples") as con:
        sql = (
            f"SELECT sample_id, source_key, given_label FROM ({_USABLE}) "  # noqa: S608 - own text
            "WHERE sample_id IN (SELECT unnest(?::VARCHAR[]))"
        )
        return rows(con, sql, [list(sample_ids)])


def clear_examples(ws: Workspace, count: int) -> list[tuple[str, str, str]]:
    """(sample id, source key, given label) of each class's `count` samples with the highest label quality.

    Those judged clean come first; what people relabelled, called ambiguous or excluded is no example.
    """
    with ws.reading("reading samples") as con:
        _, verdict = newest_verdicts(con, ws)
        return rows(
            con,
            f"SELECT s.sample_id, s.source_key, s.given_label FROM ({_USABLE}) s "  # noqa: S608
            f"LEFT JOIN {verdict.sql} v USING (sample_id) "
            "LEFT JOIN current_decision c USING (sample_id) "
            "WHERE c.action IS NULL OR c.action NOT IN ('relabel', 'ambiguous', 'exclude') "
            "QUALIFY row_number() OVER (PARTITION BY s.given_label ORDER BY v.kind IS DISTINCT FROM 'clean', "
            "v.label_quality DESC NULLS LAST, s.sample_id) <= $count "
            "ORDER BY s.given_label, v.kind IS DISTINCT FROM 'clean', v.label_quality DESC NULLS LAST, s.sample_id",
            {"count": count} | verdict.parameters,
        )


def first_of(ws: Workspace, kind: str, count: int) -> pd.DataFrame:
    """`sample_table` of the first `count` samples that the latest done triage run called `kind`, in rank order.

    None where its verdicts were deleted.
    """
    with ws.reading("reading the queue") as con:
        _, verdict = newest_verdicts(con, ws, lost_ok=True)
        sql = f"SELECT sample_id FROM {verdict.sql} WHERE kind = $kind ORDER BY rank LIMIT $count"  # noqa: S608
        found = rows(con, sql, {"kind": kind, "count": count} | verdict.parameters)
        return sample_rows(ws, [sample_id for (sample_id,) in found], lost_ok=True)


def queue(
    ws: Workspace,
    *,
    limit: int | None = None,
    kinds: Sequence[str] | None = None,
    undecided: bool = True,
    reviewer: str | None = None,
) -> pd.DataFrame:
    """The samples that the latest done triage run ranked, in rank order: the columns of `sample_table` and `skipped`.

    `undecided` leaves out samples with a decision (of `reviewer`, when one is named: a second person then sees what
    the first has decided, but nobody is asked again about what was adjudicated). Skipped ones (by `reviewer`, when
    named) come last. `kinds` limits the verdicts; ["ambiguous"] alone is a list of its own, the likeliest first.

    Raises UsageError for an unknown kind, and FercleanError where the verdicts were deleted; empty when nothing was
    triaged.
    """
    unknown = [kind for kind in kinds or () if kind not in KINDS]
    if unknown:
        raise UsageError(f"unknown verdict {unknown[0]!r}; {among(unknown[0], KINDS)}")
    if limit is not None and limit < 0:
        raise UsageError(f"a limit is 0 or more, got {limit}")
    sql = """
        WITH skip AS (SELECT DISTINCT sample_id FROM skipped_sample WHERE $reviewer IS NULL OR reviewer = $reviewer),
        decided AS (
            SELECT DISTINCT sample_id FROM standing_decision
            WHERE $reviewer IS NULL OR reviewer = $reviewer OR source = 'adjudication'
        ),
        everything AS ({select})
        SELECT everything.*, sample_id IN (SELECT sample_id FROM skip) AS skipped FROM everything
        WHERE rank IS NOT NULL AND ($kinds IS NULL OR list_contains($kinds::VARCHAR[], verdict))
        AND (NOT $undecided OR sample_id NOT IN (SELECT sample_id FROM decided))
        ORDER BY skipped, CASE WHEN $kinds = ['ambiguous'] THEN -p_ambiguous END, rank, sample_id LIMIT $limit
    """
    with ws.reading("reading the queue") as con:
        triage, verdict = newest_verdicts(con, ws)
        parameters = verdict.parameters | {
            "reviewer": reviewer, "kinds": None if kinds is None else list(kinds),
            "undecided": undecided, "limit": 2**62 if limit is None else limit,
        }  # fmt: skip
        whole = sql.format(select=_SELECT.format(verdict=verdict.sql))
        return _complete(con, ws, frame(con, whole, parameters), triage)


def _complete(
    con: Any,
    ws: Workspace,
    table: pd.DataFrame,
    triage: str | None,
    *,
    lists: Collection[str] = LISTS,
    lost_ok: bool = False,
) -> pd.DataFrame:
    """Add fold, pred_probs, method_votes and path, and put the columns in their order."""
    ids = list(table["sample_id"])
    at = table["position"].to_numpy(np.int64)
    table["fold"], table["pred_probs"], table["method_votes"] = _predictions(
        con, ws, at, triage, lists=lists, lost_ok=lost_ok
    )
    root = read_dataset(con, ws).root if ids else ""
    table["path"] = pd.Series(absolute_paths(ws, root, table["location"], table["relative_path"]), dtype="object")
    table["rank"] = table["rank"].astype("Int64")
    if "reasons" in table:
        table["reasons"] = table["reasons"].map(in_words, na_action="ignore")
    order = [
        "sample_id", "source_key", "split", "given_label", "suggested_label", "label_quality", "p_mislabelled",
        "p_ambiguous", "p_unusable", "p_clean", "verdict", "rank", "decision", "corrected_label", "reviewer",
        "conflict", "quarantine_reason", "fold", "run_id", "pred_probs", "soft_label", "path", "reasons",
        "drawn_at_random", "inclusion_probability", "method_votes", "p_suggested", "p_true",
    ]  # fmt: skip
    left_out = set(LISTS) - set(lists)
    return table[[*(name for name in order if name not in left_out), *(["skipped"] if "skipped" in table else [])]]


def _predictions(
    con: Any, ws: Workspace, positions: np.ndarray, triage: str | None, *, lists: Collection[str], lost_ok: bool
) -> tuple[pd.Series, ...]:
    """The fold, the mean pred_probs and the recognizers' votes of each sample over the runs that triage read."""
    size = len(positions)
    fold: list[int | None] = [None] * size
    mean: list[list[float] | None] = [None] * size
    said: list[dict[str, str] | None] = [None] * size
    found = rows(con, "SELECT config FROM run WHERE run_id = ?", [triage]) if triage and size else []
    runs: list[str] = json.loads(found[0][0]).get("score_runs", []) if found else []
    wide = bool({"pred_probs", "method_votes"} & set(lists))
    runs = runs if wide else runs[:1]
    if lost_ok and not all(run_files.complete(ws, run_id, "score") for run_id in runs):
        runs = []  # the mean over those that are left would be another number
    if runs:
        order = np.argsort(positions)
        classes = read_dataset(con, ws).classes
        methods = dict(rows(con, "SELECT run_id, method FROM run WHERE list_contains(?::VARCHAR[], run_id)", [runs]))
        by_method = {methods[run_id]: np.zeros((size, len(classes))) for run_id in runs}
        count = np.zeros(size, dtype=np.int64)
        con.register("wanted", pa.table({"position": positions}))
        for number, run_id in enumerate(runs):
            scores = run_files.source(ws, run_id, "scores", finished=True)
            part = arrow(
                con,
                f"SELECT position, fold{', pred_probs' if wide else ''} FROM {scores.sql} "  # noqa: S608 - own text
                # the fold is of a prediction, and much narrower
                f"WHERE position IN (SELECT position FROM wanted) AND {'pred_probs' if wide else 'fold'} IS NOT NULL",
                scores.parameters,
            )
            where = order[np.searchsorted(positions, part.column("position").to_numpy(), sorter=order)]
            if wide:
                by_method[methods[run_id]][where] += matrix(part.column("pred_probs"), len(classes))
                count[where] += 1
            if number == 0:
                for i, held_out in zip(where, part.column("fold").to_pylist(), strict=True):
                    fold[i] = held_out
        con.unregister("wanted")
        total = np.sum(list(by_method.values()), axis=0)
        votes = {name: (summed.argmax(1), summed.sum(1) > 0) for name, summed in by_method.items()}
        for i in np.flatnonzero(count):
            mean[i] = (total[i] / count[i]).tolist()
            said[i] = {name: classes[vote[i]] for name, (vote, judged) in votes.items() if judged[i]}
    return pd.Series(fold, dtype="Int64"), pd.Series(mean, dtype="object"), pd.Series(said, dtype="object")
