"""What every export form is given: the samples of a release (or of the whole workspace), in the source's order.

It never writes anything, and never decides which label a sample gets.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from ferclean.errors import BadDataError, UsageError, among, few
from ferclean.missing import is_missing
from ferclean.sources.tabular import escape_cell
from ferclean.store.arrivals import SPLITS
from ferclean.store.pictures import picture_at
from ferclean.store.releases import Release, get_release, get_release_items, was_usable
from ferclean.store.runs import Run, latest_run, lost_behind_verdicts
from ferclean.store.samples import Dataset, get_dataset, picture_facts
from ferclean.store.table import LISTS, sample_rows, sample_table
from ferclean.store.workspace import Workspace

ORIGINAL = "original"
"""Pseudo release: every readable sample under its given label."""


DEFAULT, DECIDED_TEST, BOTH = "default", "decided_test", "both"
CONFIGURATIONS = (DEFAULT, DECIDED_TEST, BOTH, *SPLITS)
"""What of a release is exported: all splits, the test split as it was published, so that what is measured on it can be
compared with what others measured; all splits as people decided; both of these beside one another, where a form can
hold them; or one split alone, as in the first."""

BLOCK = 50_000
"""Rows whose lists are in memory at once: 100 MB."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """What there is to export."""

    ws: Workspace
    dataset: Dataset
    name: str | None
    """The release's name, "original" for the set as given, None for the whole workspace without a release."""
    release: Release | None
    """The frozen release; None for "original" and without a release."""
    table: pd.DataFrame = field(repr=False)
    """`sample_table` of all samples in the source's order, without its LISTS, with content_hash, width and height
    (pixels; missing where nobody looked), release_label, included, release_reason, release_soft_label (the release's
    target, None: the label alone) and release_weight (what the label counts for)."""
    triage: str | None
    """The triage run whose verdicts it holds; None before one, and where its file was deleted."""
    configuration: str = DEFAULT
    """One of CONFIGURATIONS."""
    since: str = ORIGINAL
    """The release from which a patch leads to this one."""
    decided: Content | None = field(default=None, repr=False)
    """The test split alone as people decided, beside the published one where BOTH is asked for and any is left."""
    lost: tuple[Run, ...] = ()
    """`runs.lost_behind_verdicts`: what a release is exported without, as from a backup of the database alone."""

    @property
    def rows(self) -> pd.DataFrame:
        """The samples that belong in the split, in the source's order."""
        return self.table[self.table["included"].astype(bool)]

    def blocks(self) -> Iterator[pd.DataFrame]:
        """`table` with its LISTS, BLOCK rows at a time, so that they never lie in memory for all of the set."""
        for start in range(0, len(self.table), BLOCK):
            part = self.table.iloc[start : start + BLOCK]
            known = sample_rows(self.ws, list(part["sample_id"]), triage=self.triage, lost_ok=self.name is not None)
            yield part.merge(known[["sample_id", *LISTS]], on="sample_id", how="left")

    def empty_columns(self, of_verdicts: Iterable[str], of_scores: Iterable[str] = ()) -> list[str]:
        """The line about the columns of a form that are empty since what they come from was deleted; [] without any."""
        empty = [*(of_verdicts if any(run.kind == "triage" for run in self.lost) else ()), *of_scores]
        if not self.lost or not empty:
            return []
        return [
            f"the files of {few(run.run_id for run in self.lost)} are not in runs/, so these columns are empty: "
            f"{', '.join(empty)}; `ferclean status` tells what computes them again"
        ]

    def leave_out(self, reasons: Mapping[str, str]) -> None:
        """Take samples (sample id -> reason) out of what is written; `release_reason` then says why."""
        lost = self.table["sample_id"].isin(list(reasons))
        self.table.loc[lost, "included"] = False
        self.table.loc[lost, "release_reason"] = self.table.loc[lost, "sample_id"].map(dict(reasons))
        if self.decided is not None:
            self.decided.leave_out(reasons)

    def image(self, row: dict[str, Any]) -> bytes:
        """The bytes of a row's image file, as they were ingested.

        Raises BadDataError when the file is gone, leads out of its folder, or has changed since.
        """
        named = f"the image of {row['source_key']!r}"
        if row["path"] is None:
            raise BadDataError(f"{named} has no file; exclude the sample and release again")
        path = Path(row["path"])
        kept = path.is_relative_to(self.ws.images)
        base = self.ws.images if kept else Path(self.dataset.root)
        return picture_at(base, str(path.relative_to(base)), row["content_hash"], kept=kept, named=named)

    def counts(self) -> dict[str, dict[str, int]]:
        """Split -> class (in the card's order) -> included samples."""
        rows = self.rows
        counted: dict[str, dict[str, int]] = {}
        for split in sorted(rows["split"].unique(), key=split_order):
            labels = rows.loc[rows["split"] == split, "release_label"].value_counts()
            counted[split] = {name: int(labels[name]) for name in self.dataset.classes if name in labels}
        return counted


def read_content(ws: Workspace, release: str | None, configuration: str = DEFAULT, *, since: str = ORIGINAL) -> Content:
    """Join the workspace's table with a release's items, which need no verdicts: those that were deleted are `lost`.

    Raises UsageError for an unknown release (also `since`) or configuration, and for a split without any image; without
    a release FercleanError where verdicts or scores were deleted.
    """
    if configuration not in CONFIGURATIONS:
        raise UsageError(f"unknown configuration {configuration!r}; {among(configuration, CONFIGURATIONS)}")
    with ws.reading("export"):
        if since != ORIGINAL:
            get_release(ws, since)
        content = replace(_content(ws, release, configuration), since=since)
        return replace(content, decided=_decided_test(content)) if configuration == BOTH else content


def _content(ws: Workspace, release: str | None, configuration: str) -> Content:
    table = sample_table(ws, lists=(), lost_ok=release is not None)
    table = table.merge(picture_facts(ws), on="sample_id", how="left")
    made = None
    if release is None or release == ORIGINAL:
        table["release_label"] = table["given_label"]
        table["included"] = table["quarantine_reason"].isna() & table["given_label"].notna()
        table["release_reason"] = table["release_soft_label"] = None
        table["release_weight"] = 1.0
    else:
        made = get_release(ws, release)
        new = {name: f"release_{name}" for name in ("label", "reason", "soft_label", "weight")}
        items = get_release_items(ws, release).rename(columns=new | {"split": "own_split"})
        table = table.merge(items[["sample_id", "included", "own_split", *new.values()]], on="sample_id", how="left")
        # as the release divides the set, which is as published unless it was made by other splits
        table["split"] = table.pop("own_split").fillna(table["split"])
        # samples ingested after the release was frozen are not part of it
        known = table["included"].notna()
        table["included"] = table["included"].eq(True)
        table["release_soft_label"] = table["release_soft_label"].astype("object").map(_nothing)
        if configuration != DECIDED_TEST:
            _as_published(table, known & (table["split"] == "test"))
    if configuration in SPLITS:
        table["included"] &= table["split"] == configuration
        if not table["included"].any():
            raise UsageError(f"there is no image to export in the split {configuration}")
    judged = latest_run(ws, "triage")
    return Content(
        ws=ws, dataset=get_dataset(ws), name=release, release=made, table=table.reset_index(drop=True),
        triage=None if judged is None else judged.run_id, configuration=configuration,
        lost=tuple(lost_behind_verdicts(ws)),
    )  # fmt: skip


def _decided_test(content: Content) -> Content:
    """The test split of a release as people decided."""
    if content.release is None:
        raise UsageError(
            f"--configuration {BOTH} tells the published test split and the decided one apart: name a release"
        )
    decided = _content(content.ws, content.name, DECIDED_TEST)
    of_test = decided.table[decided.table["split"] == "test"].reset_index(drop=True)
    if not (content.rows["split"] == "test").any():
        raise UsageError(f"there is no image to export in the split test: leave --configuration {BOTH} out")
    return replace(decided, table=of_test)


def _as_published(table: pd.DataFrame, rows: pd.Series) -> None:
    """Give these rows their given labels again, and take in what was left out of them, but for what could not be used
    when the release was made: what is lost since is for `leave_out`, so that an export says it each time."""
    usable = was_usable(table[["given_label"]].assign(reason=table["release_reason"]))
    # what only a person could read
    table.loc[rows & ~usable & table["included"], "release_reason"] = "no label"
    table.loc[rows, "release_label"] = table.loc[rows, "given_label"]
    table.loc[rows, "included"] = usable[rows]
    table.loc[rows & usable, "release_reason"] = None
    table.loc[rows, "release_soft_label"] = None
    table.loc[rows, "release_weight"] = 1.0


def split_order(split: str) -> tuple[int, str]:
    """Sort key: train, validation, test, then others by name."""
    return (SPLITS.index(split) if split in SPLITS else len(SPLITS), split)


def write_csv(path: Path, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """A UTF-8 CSV in which no cell can act as a spreadsheet formula."""
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow([escape_cell(name) for name in columns])
        writer.writerows([escape_cell(cell) for cell in row] for row in rows)


def records(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows as dicts in which every missing value is None (lists stay lists)."""
    names = list(frame.columns)
    for row in frame.itertuples(index=False, name=None):
        yield {name: None if is_missing(value) else value for name, value in zip(names, row, strict=True)}


def _nothing(value: Any) -> Any:
    return None if is_missing(value) else value


def needs_release(content: Content, form: str) -> None:
    """Raises UsageError for a form that holds one label per image when no release says which."""
    if content.name is None:
        raise UsageError(
            f"form {form!r} needs a release: pass --release NAME, or --release {ORIGINAL} for the labels as given"
        )
