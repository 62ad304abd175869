"""Named assignments of samples to splits: what `ferclean split` proposed and `release --splits NAME` follows.

One folder each below `splits/` of the workspace, frozen under its name. It never changes a sample's published split.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ferclean.derived import reading
from ferclean.errors import UsageError, among, few
from ferclean.files import whole_folder
from ferclean.missing import is_missing
from ferclean.printable import printable
from ferclean.store.workspace import Workspace

TABLE, FACTS = "splits.parquet", "splits.json"
"""The files of an assignment: sample_id, source_key, split, left_out (why, or null); and how it was made."""
LEFT_OUT = "splits "
"""What the reason of a release's item begins with that its splits leave out."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_name(name: str) -> None:
    """Raise UsageError for what cannot name a folder of splits."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot name splits: up to 64 letters, digits, '.', '_' or '-', starting with a letter or digit"
        )


def names(ws: Workspace) -> list[str]:
    """The names that are taken, in order."""
    if not ws.splits.is_dir():
        return []
    return sorted(
        path.name
        for path in ws.splits.iterdir()
        if _NAME.fullmatch(path.name) and path.is_dir() and any(path.iterdir())
    )


def digest(table: pd.DataFrame) -> str:
    """SHA-256 of what an assignment says of each sample, whatever the order of the rows."""
    ordered = table.sort_values("sample_id")
    why = [None if is_missing(value) else value for value in ordered["left_out"]]
    said = zip(ordered["sample_id"], ordered["split"], why, strict=True)
    return hashlib.sha256("".join(json.dumps(row) + "\n" for row in said).encode()).hexdigest()


def put(ws: Workspace, name: str, table: pd.DataFrame, facts: dict[str, Any]) -> None:
    """Keep an assignment. Raises UsageError where one lies there already."""
    check_name(name)
    folder = ws.splits / name
    if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageError(f"there are splits {name!r} already, which are frozen; choose another name")
    with whole_folder(folder, elsewhere="choose another workspace with --workspace") as draft:
        table.to_parquet(draft / TABLE, index=False)
        body = json.dumps({"schema": 1, "name": name, **facts}, indent=2, sort_keys=True, ensure_ascii=False)
        (draft / FACTS).write_text(body + "\n", encoding="utf-8")


def facts_of(ws: Workspace, name: str) -> dict[str, Any]:
    """How an assignment was made, `digest` among it. Raises UsageError, naming the known ones, where there is none, and
    FercleanError where the file is damaged."""
    known = names(ws)
    if name not in known:
        raise UsageError(
            f"unknown splits {name!r}; {among(name, known)}" if known
            else f"there are no splits {name!r} yet; make them with `ferclean split {name}`"
        )  # fmt: skip
    file = ws.splits / name / FACTS
    with reading(file, _mend(file.parent)):
        facts: dict[str, Any] = json.loads(file.read_text("utf-8"))
        if not {"digest", "kept_test", "new_test"} <= set(facts):
            raise ValueError("it does not say how the splits were made")
    return facts


def _mend(folder: Path) -> str:
    return f"move {folder} away and make the splits again with `ferclean split`"


def get(ws: Workspace, name: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """An assignment, and how it was made. Raises as `facts_of`, and where its table is damaged or was changed."""
    facts = facts_of(ws, name)
    file = ws.splits / name / TABLE
    with reading(file, _mend(file.parent)):
        table = pd.read_parquet(file)
        if digest(table) != facts["digest"]:
            raise ValueError("it does not hold what was written there")
    return table, facts


def assigned(ws: Workspace, name: str, sample_ids: Sequence[str]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Of these samples, in their order: split and left_out; and the facts. Raises as `get`, and UsageError where
    samples came since the assignment was made, of which it does not know which copies they are."""
    table, facts = get(ws, name)
    found = table.set_index("sample_id")[["split", "left_out"]].reindex(list(sample_ids))
    if found["split"].isna().any():
        new = list(found.index[found["split"].isna()])
        raise UsageError(
            f"{len(new):,} sample{'' if len(new) == 1 else 's'} came since the splits {name!r} were made: "
            f"{printable(few(new))}; make new ones with `ferclean split`"
        )
    return found.reset_index(drop=True), facts
