"""What another ingest of the same source changes: new rows come in, others leave or return, nothing given is replaced.

It works inside the one transaction of an ingest, and never touches a given label, a split, a vote or a decision.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ferclean.errors import BadDataError
from ferclean.store.arrivals import first_keys
from ferclean.store.exchange import rows, text
from ferclean.store.workspace import Workspace

if TYPE_CHECKING:
    from ferclean.store.samples import Sample

MISSING = "file: missing since ingest"
CHANGED = "file: changed since ingest"
VANISHED = "source: row vanished"
_SUPERSEDED = "source: bytes changed"
_NAMED = 5

# the source no longer holds this sample; another reason to withdraw one is about its file alone
GONE = "coalesce(sample.withdrawn, '') LIKE 'source: %'"


@contextmanager
def arriving(con: Any, samples: Sequence[Sample], present: Collection[str] | None) -> Iterator[None]:
    """Let SQL see the rows of an ingest (table `arriving`) and all keys that the source holds (`still_there`).

    A row whose key is not `present` is a file that no row of the source names.
    """
    columns = ("sample_id", "source_key", "split", "given_label", "location", "relative_path", "content_hash",
               "quarantine_reason")  # fmt: skip
    tables = {
        "arriving": pa.table(
            {name: text([getattr(sample, name) for sample in samples]) for name in columns}
            | {"place": pa.array(range(len(samples)), pa.int64())}
        ),
        "still_there": pa.table({"source_key": text(list(present or ()))}),
    }
    for name, table in tables.items():
        con.register("handed_over", table)
        con.execute(f"CREATE TEMP TABLE {name} AS SELECT DISTINCT * FROM handed_over")  # noqa: S608 - own names only
        con.unregister("handed_over")
    # a file whose row is gone says no label: it is no news about the sample, which is gone with its row
    con.execute(
        "DELETE FROM arriving WHERE $whole AND given_label IS NULL AND source_key NOT IN (FROM still_there) "
        "AND source_key IN (SELECT source_key FROM sample WHERE given_label IS NOT NULL)",
        {"whole": present is not None},
    )
    con.execute("INSERT INTO still_there SELECT source_key FROM arriving")
    yield
    for name in tables:
        con.execute(f"DROP TABLE temp.{name}")


def refuse_other_labels(con: Any, ws: Workspace, *, whole: bool, source: str | None) -> None:
    """Raise BadDataError, naming the first rows, when one comes with another given label or split than before.

    Where the `whole` source is known, that includes a file that left its place for another one of the same name under
    another label or split: in a folder of classes, that is how a label is changed.
    """
    same_row = "arriving.source_key = sample.source_key"
    same_file = (
        "arriving.content_hash = sample.content_hash "
        "AND regexp_extract(arriving.source_key, '[^/]*$') = regexp_extract(sample.source_key, '[^/]*$') "
        "AND sample.source_key NOT IN (SELECT source_key FROM still_there) "
        "AND arriving.source_key NOT IN (SELECT source_key FROM sample) "
        "AND ($source IS NULL OR sample.source IS NULL OR sample.source = $source)"
    )
    for column, what in (("given_label", "another given label"), ("split", "another split")):
        for joined, named in ((same_row, {}), (same_file, {"source": source}))[: 1 + whole]:
            found = rows(
                con,
                f"SELECT arriving.source_key, any_value(coalesce(sample.{column}, 'none')), "  # noqa: S608 - own text
                f"any_value(coalesce(arriving.{column}, 'none')), count(*) OVER () FROM arriving, sample "
                f"WHERE {joined} AND arriving.{column} IS DISTINCT FROM sample.{column} "
                f"GROUP BY arriving.source_key, arriving.place ORDER BY arriving.place LIMIT {_NAMED}",
                named,
            )
            if found:
                shown = ", ".join(f"{first_keys([key])} ({old}, now {new})" for key, old, new, _ in found)
                more = " ..." if found[0][3] > len(found) else ""
                raise BadDataError(
                    f"{found[0][3]} rows come with {what} than at the first ingest, first {shown}{more}: what was "
                    "given is immutable, nothing was stored. Mend the source, or read it into a new workspace with "
                    f"`ferclean -w NEW ingest ...` and take the decisions along: `ferclean -w {ws.root} decide "
                    "--to-file decisions.csv`, then `ferclean -w NEW decide --from-file decisions.csv`"
                )


def withdraw_unreadable(con: Any) -> int:
    """Rows whose picture was there and is not any more: the sample stays what it was, with the reason.

    They are taken out of `arriving`. Returns how many were not withdrawn for that before.
    """
    held = (
        "FROM arriving WHERE arriving.source_key = sample.source_key AND arriving.content_hash IS NULL "
        f"AND sample.content_hash IS NOT NULL AND NOT {GONE}"
    )
    reason = (
        f"CASE WHEN contains(arriving.quarantine_reason, 'file: missing') THEN '{MISSING}' "
        "ELSE arriving.quarantine_reason END"
    )
    count = _changed(
        con,
        f"UPDATE sample SET withdrawn = {reason} {held} AND sample.withdrawn IS DISTINCT FROM {reason}",  # noqa: S608 - own text
    )
    con.execute(
        "DELETE FROM arriving WHERE content_hash IS NULL AND source_key IN (SELECT source_key FROM sample "  # noqa: S608
        f"WHERE content_hash IS NOT NULL AND NOT {GONE})"
    )
    return count


def known_ids(con: Any) -> set[str]:
    """The ids of arriving rows that are stored already."""
    return {row[0] for row in rows(con, "SELECT sample_id FROM arriving SEMI JOIN sample USING (sample_id)")}


def arriving_ids(con: Any) -> set[str]:
    """The ids of all arriving rows that are samples of their own."""
    return {row[0] for row in rows(con, "SELECT sample_id FROM arriving")}


def bring_back(con: Any) -> int:
    """Samples that arrive again, byte for byte, take part again. What was wrong with them from the start stays."""
    return _changed(
        con,
        "UPDATE sample SET withdrawn = NULL WHERE withdrawn IS NOT NULL "
        "AND sample_id IN (SELECT sample_id FROM arriving)",
    )


def withdraw_superseded(con: Any) -> int:
    """Samples whose row now holds other bytes give way to the new sample; what was decided stays with them."""
    return _changed(
        con,
        f"UPDATE sample SET withdrawn = '{_SUPERSEDED} (now sample ' || arriving.sample_id || ')' FROM arriving "  # noqa: S608 - own text
        "WHERE arriving.source_key = sample.source_key AND arriving.sample_id <> sample.sample_id "
        f"AND coalesce(sample.withdrawn, '') NOT LIKE '{_SUPERSEDED}%'",
    )


def withdraw_vanished(con: Any, source: str | None) -> int:
    """Samples whose row the source no longer holds. A file named otherwise says nothing about the rows of another."""
    return _changed(
        con,
        f"UPDATE sample SET withdrawn = '{VANISHED}' WHERE NOT {GONE} "  # noqa: S608 - own text
        "AND source_key NOT IN (SELECT source_key FROM still_there) "
        "AND ($source IS NULL OR source IS NULL OR source = $source)",
        {"source": source},
    )


def count_elsewhere(con: Any) -> int:
    """Samples that another file of the data set holds, and this source does not."""
    found = rows(
        con, f"SELECT count(*) FROM sample WHERE NOT {GONE} AND source_key NOT IN (SELECT source_key FROM still_there)"  # noqa: S608
    )  # fmt: skip
    return int(found[0][0])


def count_left_out(con: Any) -> int:
    """Rows of the source of which the workspace holds no sample: a limit left them out."""
    return int(rows(con, "SELECT count(*) FROM still_there ANTI JOIN sample USING (source_key)")[0][0])


def follow(con: Any, source: str | None) -> None:
    """Note where the pictures of samples that arrive again lie now, and which file they were read from."""
    con.execute(
        "UPDATE sample SET location = arriving.location, relative_path = arriving.relative_path, source = $source "
        "FROM arriving WHERE arriving.sample_id = sample.sample_id AND (sample.location, sample.relative_path, "
        "sample.source) IS DISTINCT FROM (arriving.location, arriving.relative_path, $source)",
        {"source": source},
    )


def withdraw(ws: Workspace, reasons: Mapping[str, str]) -> None:
    """Take samples (sample id -> reason) out of everything from here on, until an ingest finds them as they were.

    A sample that is withdrawn already keeps its reason.
    """
    with ws.session("setting samples aside") as con:
        con.register("handed_over", pa.table({"sample_id": text(list(reasons)), "reason": text([*reasons.values()])}))
        con.execute(
            "UPDATE sample SET withdrawn = handed_over.reason FROM handed_over "
            "WHERE handed_over.sample_id = sample.sample_id AND sample.withdrawn IS NULL"
        )
        con.unregister("handed_over")


def source_name(path: Path) -> str | None:
    """How a source is told from other files of the same data set; None for a folder, which is all of it."""
    return None if path.is_dir() else path.name


def _changed(con: Any, sql: str, parameters: Mapping[str, Any] | None = None) -> int:
    return int(rows(con, sql, parameters or {})[0][0])
