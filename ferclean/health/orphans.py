"""Rows without a file and files without a row: what the workspace names, against what lies in the folder today.

It lists folders and opens no file. What it costs: one listing of each folder that holds a picture of the set, a second
at 300,000 files in one folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from ferclean.errors import few
from ferclean.health.finding import EXAMPLES, Finding, Severity, finding
from ferclean.sources.file_names import IMAGE_SUFFIXES, is_clutter
from ferclean.sources.rows import contained_file, storable
from ferclean.store.workspace import Workspace

LEFTOVER = r"label: no (?:line in|row )"
"""How the reasons begin with which layouts set aside a file that none of their rows names."""


def orphans(ws: Workspace, table: pd.DataFrame, root: Path, *, limited: bool) -> Iterator[Finding]:
    """Rows whose picture is gone since ingest, and pictures that no row names; `limited`: rows were left out.

    Rows that had no file when they were ingested are quarantined and told there. Only folders that hold a picture of
    the set are listed, so that other forms of it beside them are no finding; of sets whose pictures were cut out of
    larger ones or held by a table, the files are not known.
    """
    own = f"{ws.images}{os.sep}"
    held = table["path"].notna() & ~table["path"].fillna("").str.startswith(own)
    named = table[held & table["in_source"]]
    strays = named[named["quarantine_reason"].fillna("").str.contains(LEFTOVER)]
    names = [os.path.relpath(path, root) for path in strays["path"]]
    severity: Severity = "warning"
    if len(named):
        if not root.is_dir():
            message = f"the data set's folder {root} is not there: put it back, or ingest the set from where it lies"
            yield finding("lost_files", "warning", message, named, shown=())
            return
        there, links = _listed({os.path.dirname(path) for path in named["path"]})
        expected = named["quarantine_reason"].isna()
        lost = named[expected & np.array([path not in there for path in named["path"]], dtype=bool)]
        # a name may also be a link, or pass through one: followed before it is called lost
        lost = lost[[not _readable(root, path) for path in lost["path"]]]
        if len(lost):
            message = (
                f"{len(lost):,} rows have lost their file since they were ingested: put the files back, or ingest again"
            )
            yield finding("lost_files", "warning", message, lost)
        if not limited and held[table["quarantine_reason"].isna()].all():
            # a name that is no UTF-8, and what no ingest would read, have a quarantined row without a path, or none
            loose = sorted((there | links) - set(table["path"].dropna()))
            severity = "warning" if names else "info"
            names += [os.path.relpath(path, root) for path in loose if storable(path) == path and _readable(root, path)]
    if names:
        message = f"{len(names):,} pictures lie in the set's folders that no row names: {few(names, 3)}"
        told = finding("files_without_row", severity, message, strays, count=len(names), shown=())
        yield replace(told, examples=names[:EXAMPLES])


def _readable(root: Path, path: str) -> bool:
    return contained_file(root, os.path.relpath(path, root))[0] is not None


def _listed(folders: set[str]) -> tuple[set[str], set[str]]:
    """The full names of the pictures in these folders: those that are files, and those that are links."""
    files: set[str] = set()
    links: set[str] = set()
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.lower().endswith(IMAGE_SUFFIXES) and not is_clutter(entry.name):
                        if entry.is_file(follow_symlinks=False):
                            files.add(entry.path)
                        elif entry.is_symlink():
                            links.add(entry.path)
        except OSError:  # it is gone, or closed to us: its rows are asked about one by one
            continue
    return files, links
