"""One session in which decisions are checked against what stands, appended, and looked at: all of it or nothing.

It reads the rows that the decisions are about, and never the set.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from ferclean.store import standing
from ferclean.store.decisions import Decision, append_in
from ferclean.store.exchange import frame
from ferclean.store.samples import SAMPLES, find_given_in, read_dataset
from ferclean.store.workspace import Workspace


@contextmanager
def deciding(ws: Workspace, *, dry_run: bool = False) -> Iterator[Deciding]:
    """A session for decisions: committed at the end, or nothing happened. `dry_run` only reads.

    Raises UsageError when nothing was ingested.
    """
    with (ws.reading if dry_run else ws.session)("deciding") as con:
        yield Deciding(con=con, ws=ws, classes=read_dataset(con, ws).classes, dry_run=dry_run)


@dataclass(frozen=True, kw_only=True)
class Deciding:
    """What may be asked and done in the session; every answer is about the named samples alone."""

    con: Any
    ws: Workspace
    classes: tuple[str, ...]
    dry_run: bool
    _given: dict[str, str | None] = field(default_factory=dict)
    """Given labels that were asked for: each question reads the whole column."""

    def find(self, sample_or_key: str) -> tuple[str, str | None]:
        """The sample id of a sample id or source key, as `samples.find_sample`, and its given label."""
        found = find_given_in(self.con, [sample_or_key])
        self._given.update(found)
        return found[0]

    def named(self, ids: Sequence[str], keys: Sequence[str], contents: Sequence[str]) -> pd.DataFrame:
        """The samples with one of these ids, source keys or content hashes, in order of arrival.

        Columns: sample_id, source_key, split, given_label, content_hash, in_source (bool).
        """
        named = {"ids": list(ids), "keys": list(keys), "contents": list(contents)}
        return frame(
            self.con,
            f"SELECT sample_id, source_key, split, given_label, content_hash, in_source FROM {SAMPLES} "  # noqa: S608 - own text
            "WHERE sample_id IN (SELECT unnest($ids::VARCHAR[])) OR source_key IN (SELECT unnest($keys::VARCHAR[])) "
            "OR content_hash IN (SELECT unnest($contents::VARCHAR[])) ORDER BY position",
            named,
        )

    def said(self, sample_ids: Sequence[str]) -> dict[tuple[str, str], standing.Said]:
        """(sample, reviewer) -> what each said last about these samples."""
        return standing.said_of(self.con, sample_ids)

    def conflicts(self, sample_ids: Sequence[str]) -> set[str]:
        """Those of these samples about which reviewers disagree now."""
        return standing.conflicts_of(self.con, sample_ids)

    def append(self, decisions: Sequence[Decision]) -> list[int]:
        """As `decisions.append_decisions`; [] in a dry run."""
        return append_in(self.con, decisions, self.classes, dry_run=self.dry_run, known=self._given)
