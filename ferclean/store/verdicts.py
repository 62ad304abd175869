"""What triage thinks of each sample, and which samples show the same picture. Proposals, in files of their run.

It never decides anything: that is what people do, in `decisions`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from ferclean.errors import BadDataError, FercleanError
from ferclean.store import run_files
from ferclean.store.exchange import frame, insert, numbers, optional, rows, text
from ferclean.store.reasons import in_words, packed
from ferclean.store.runs import check_run, finished, newest_verdicts, source_of
from ferclean.store.samples import fingerprint, read_dataset
from ferclean.store.scores import check_samples
from ferclean.store.workspace import Workspace

PAIR_KINDS = ("exact", "near", "mirrored")
KINDS = ("mislabelled", "ambiguous", "unusable", "duplicate", "leak", "clean")
NUMBERS = ("label_quality", "p_mislabelled", "p_ambiguous", "p_unusable", "p_clean")
_DISTRIBUTIONS = ("soft_label", "p_true")
_COLUMNS = (
    "sample_id", "kind", *NUMBERS, "suggested_label", "rank", "reasons", "soft_label", "drawn_at_random",
    "inclusion_probability", "p_suggested", "p_true", "run_id",
)  # fmt: skip


def put_verdicts(ws: Workspace, run_id: str, verdicts: pd.DataFrame) -> None:
    """Store the verdicts of a triage run, in place of those that it had.

    Columns: sample_id, kind, label_quality (low = likely mislabelled), p_mislabelled, p_ambiguous, p_unusable,
    p_clean (all in [0, 1], NaN = not known), suggested_label (class name or None), rank (1 = look first), reasons
    (a list of `store.reasons.Reason`), soft_label (list of K floats or None); optionally drawn_at_random (bool) and
    inclusion_probability (in (0, 1] exactly where drawn): without them nothing was drawn; and p_suggested (in [0, 1])
    and p_true (list of K floats or None). Raises BadDataError, naming the first sample, otherwise.
    """
    ids = list(verdicts["sample_id"])
    unknown = {name: None for name in ("p_suggested", "p_true") if name not in verdicts}
    verdicts = verdicts.assign(**unknown) if unknown else verdicts
    drawn, chance = _draw(verdicts)
    with ws.session("storing verdicts") as con:
        check_run(con, run_id)
        position = check_samples(con, ids, f"run {run_id}")
        classes = read_dataset(con, ws).classes
        _check_verdicts(verdicts, classes, run_id, drawn, chance)
        _keep_draw(con, run_id, [ids[row] for row in np.flatnonzero(drawn)], chance[drawn])
        table = pa.table(
            {
                "position": pa.array(position),
                **{name: text(list(verdicts[name])) for name in ("sample_id", "kind", "suggested_label")},
                **{name: numbers(verdicts[name], pa.float64()) for name in (*NUMBERS, "p_suggested")},
                "rank": pa.array([int(value) for value in verdicts["rank"]], type=pa.int64()),
                "reasons": pa.array(
                    [[packed(reason) for reason in value] for value in verdicts["reasons"]], type=pa.list_(pa.string())
                ),
                **{name: _lists(verdicts[name]) for name in _DISTRIBUTIONS},
                "drawn_at_random": pa.array(drawn.tolist(), type=pa.bool_()),
                "inclusion_probability": numbers(chance.tolist(), pa.float64()),
            }
        ).take(pa.array(np.argsort(position)))
        run_files.write(ws, run_id, "verdicts", {name: table.column(name) for name in table.column_names})


def _keep_draw(con: Any, run_id: str, ids: Sequence[str], chance: np.ndarray) -> None:
    """Whom the queue of a triage drew at random is not to be found again once people have decided: it is kept.

    Of triages before the one in force the rows about which nobody decided go: no decision can rest on them any longer.
    """
    con.execute(
        "DELETE FROM drawn_item WHERE run_id = $run OR (run_id IS DISTINCT FROM $in_force AND sample_id NOT IN "
        "(SELECT sample_id FROM decision WHERE inclusion_probability IS NOT NULL))",
        {"run": run_id, "in_force": next(iter(finished(con, "triage")), None)},
    )
    insert(
        con,
        "drawn_item",
        {"run_id": text([run_id] * len(ids)), "sample_id": text(ids), "inclusion_probability": pa.array(chance)},
    )


def _lists(values: pd.Series) -> pa.Array:
    known = [optional(value) for value in values]
    return pa.array(
        [None if value is None else [float(p) for p in value] for value in known], type=pa.list_(pa.float64())
    )


def _draw(verdicts: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Which rows a random draw brought in, and with which chance (NaN: not drawn)."""
    nothing = pd.Series([None] * len(verdicts), index=verdicts.index, dtype="object")
    drawn = verdicts.get("drawn_at_random", nothing).map(optional).eq(True)
    chance = pd.to_numeric(verdicts.get("inclusion_probability", nothing).map(optional))
    return drawn.to_numpy(bool), chance.to_numpy(np.float64, na_value=np.nan)


def _check_verdicts(
    verdicts: pd.DataFrame, classes: tuple[str, ...], run_id: str, drawn: np.ndarray, chance: np.ndarray
) -> None:
    def refuse(bad: Any, problem: str) -> None:
        where = np.flatnonzero(np.asarray(bad, dtype=bool))
        if len(where):
            raise BadDataError(f"run {run_id}: {problem}, first for sample {verdicts['sample_id'].iloc[where[0]]}")

    refuse(~verdicts["kind"].isin(KINDS), f"a kind of verdict that is none of {', '.join(KINDS)}")
    for name in (*NUMBERS, "p_suggested"):
        values = pd.to_numeric(verdicts[name]).to_numpy(np.float64, na_value=np.nan)
        refuse(~np.isnan(values) & ~((values >= -1e-6) & (values <= 1 + 1e-6)), f"{name} outside [0, 1]")
    suggested = verdicts["suggested_label"].map(optional)
    refuse(suggested.notna() & ~suggested.isin(classes), f"a suggested label that is none of {', '.join(classes)}")
    for name, called in zip(_DISTRIBUTIONS, ("a soft label", "a P(true label)"), strict=True):
        refuse(
            [optional(value) is not None and len(value) != len(classes) for value in verdicts[name]],
            f"{called} without {len(classes)} numbers",
        )
    refuse(~np.isnan(chance) & ~((chance > 0) & (chance <= 1)), "an inclusion probability outside (0, 1]")
    refuse(drawn == np.isnan(chance), "an inclusion probability belongs to what was drawn at random, and only there")


def get_verdicts(ws: Workspace, run_id: str | None = None) -> pd.DataFrame:
    """The verdicts of a triage run (the latest done one by default) by rank; empty when nothing was triaged.

    Columns as `put_verdicts` takes them (drawn_at_random False where nothing was drawn), but reasons in words, and
    run_id. Raises FercleanError for a run whose file was deleted.
    """
    with ws.reading("reading verdicts") as con:
        verdict = source_of(con, ws, run_id, "verdicts") if run_id is not None else newest_verdicts(con, ws)[1]
        found = frame(
            con,
            f"SELECT {', '.join(_COLUMNS)} FROM {verdict.sql} ORDER BY rank, position",  # noqa: S608 - own names only
            verdict.parameters,
        )
        return found.assign(reasons=found["reasons"].map(in_words))


def put_pairs(ws: Workspace, run_id: str, pairs: pd.DataFrame) -> None:
    """Store pairs that show the same picture (sample_a, sample_b, kind exact|near|mirrored, similarity); replaces
    the run's."""
    with ws.session("storing pairs") as con:
        check_run(con, run_id)
        check_samples(con, list(dict.fromkeys([*pairs["sample_a"], *pairs["sample_b"]])), f"run {run_id}")
        if not pairs["kind"].isin(PAIR_KINDS).all():
            raise BadDataError(f"run {run_id}: pairs are of kind {', '.join(PAIR_KINDS)}")
        columns = {name: text(list(pairs[name])) for name in ("sample_a", "sample_b", "kind")}
        columns["similarity"] = pa.array(pairs["similarity"].to_numpy(np.float64))
        run_files.write(ws, run_id, "pairs", columns)


def get_pairs(ws: Workspace, run_id: str | None = None, *, mirrored: bool = False) -> pd.DataFrame:
    """Pairs that show the same picture: sample_a, sample_b, kind, similarity (high = alike).

    Those of which one is like the other mirrored are left out unless `mirrored`: folds do not know them.

    Of a run; by default of the latest look for copies (a run of kind `pairs`), or else, where nobody ever looked, of
    the latest triage of an older ferclean that stored any. Raises FercleanError for a run whose file was deleted, and
    where a look at the samples as they are now was broken off: an earlier one does not know their copies.
    """
    with ws.reading("reading pairs") as con:
        chosen = run_id or _latest_look(con, ws)
        if chosen is None:
            there = (one for one in finished(con, "triage") if run_files.is_whole(run_files.path_of(ws, one, "pairs")))
            chosen = next(there, None)
        pair = source_of(con, ws, chosen, "pairs")
        return frame(
            con,
            f"SELECT p.sample_a, p.sample_b, p.kind, p.similarity FROM {pair.sql} p "  # noqa: S608 - own text
            "JOIN sample a ON a.sample_id = p.sample_a JOIN sample b ON b.sample_id = p.sample_b "
            "WHERE $mirrored OR p.kind <> 'mirrored' ORDER BY p.kind, a.position, b.position",
            {"mirrored": mirrored} | pair.parameters,
        )


def _latest_look(con: Any, ws: Workspace) -> str | None:
    looks = rows(
        con,
        "SELECT run_id, state, fingerprint FROM run WHERE kind = 'pairs' "
        "ORDER BY coalesce(finished_at, started_at) DESC, rowid DESC",
    )
    for run_id, state, seen in looks:
        if state == "done":
            return str(run_id)
        if seen == fingerprint(ws):
            raise FercleanError(
                f"the look for copies {run_id} is not finished ({state}): wait for it, or look again with "
                "`ferclean doctor`"
            )
    return None
