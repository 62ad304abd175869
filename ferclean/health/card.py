"""Is this the set that its card describes? Numbers per split and class, the codes, names and sizes of pictures.

It reads what ingest stored, and never a picture.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path, PurePath
from typing import Any

import pandas as pd

from ferclean.errors import few
from ferclean.evidence.set_counts import differences, exchanged, step_of
from ferclean.health.finding import Finding, finding
from ferclean.sources.cards import Card
from ferclean.sources.codes import perhaps_shifted
from ferclean.sources.rows import reason_kind
from ferclean.store.arrivals import SPLITS

TINY_CLASS = 20
"""Training samples; a class with fewer cannot be judged well out-of-fold."""

MANY_QUARANTINED = 0.05
"""Share of a data set above which broken rows are no accident any more."""

MANY_SIZES = 10
"""Different sizes from which on pictures are no aligned ones, but cut out as they were found."""

MISSING = "file: missing"


def quarantined(table: pd.DataFrame) -> Iterator[Finding]:
    """Rows that were set aside, by reason."""
    broken = table[table["quarantine_reason"].notna()]
    if not len(broken):
        return
    reasons = broken["quarantine_reason"].map(reason_kind)
    for reason, rows in broken.groupby(reasons, sort=True):
        # broken pictures cannot be shown
        yield finding(
            "quarantined",
            "error" if len(broken) > MANY_QUARANTINED * len(table) else "warning",
            f"{len(rows):,} quarantined: {reason}",
            rows,
            shown=(),
        )


def classes_there(table: pd.DataFrame, classes: Sequence[str]) -> Iterator[Finding]:
    """Classes without a sample in a split, or with too few to learn from."""
    usable = table[table["quarantine_reason"].isna()]
    for split in SPLITS:
        counts = usable.loc[usable["split"] == split, "given_label"].value_counts()
        if not len(counts):
            continue
        missing = [name for name in classes if name not in counts.index]
        if missing:
            yield finding(
                "missing_class", "error", f"{split} has no sample of {', '.join(missing)}", count=len(missing)
            )
        tiny = {name: int(counts[name]) for name in classes if 0 < counts.get(name, 0) < TINY_CLASS}
        if tiny and split == "train":
            shown = ", ".join(f"{name} {count}" for name, count in tiny.items())
            rows = usable[(usable["split"] == split) & usable["given_label"].isin(list(tiny))]
            yield finding("tiny_class", "warning", f"fewer than {TINY_CLASS} samples to learn from: {shown}", rows)
    if not (usable["split"] == "train").any():
        yield finding("missing_split", "error", "no usable sample is in the training split", count=1)
    if usable["given_label"].nunique() == 1 and len(classes) == 1:
        yield finding("one_class", "error", "all labels are the same: nothing can be learned from them", usable)


def codes(table: pd.DataFrame, card: Mapping[str, Any]) -> Iterator[Finding]:
    """Every code is known, and yet they may all be shifted."""
    shifted = perhaps_shifted(card.get("numeric_codes", ()), card["codes"])
    if shifted:
        yield finding("shifted_codes", "error", shifted, table[table["given_label"].notna()], shown=())


def counts(table: pd.DataFrame, card: Mapping[str, Any], classes: Sequence[str]) -> Iterator[Finding]:
    """Rows that the source holds, quarantined or not, and their pictures, against what was published.

    A workspace that was filled with a limit is not compared. The label list is compared first, so that labels in
    another order are not taken for missing pictures.
    """
    table = table[table["in_source"]]
    expected = card.get("expected") or {}
    totals = {name: card.get(name) or {} for name in ("split_totals", "class_totals")}
    if not expected and not any(totals.values()):
        return
    if card.get("left_out"):
        message = f"ingested with a limit, {card['left_out']:,} left out: counts are not compared with the card"
        yield finding("limited", "info", message, count=int(card["left_out"]))
        return
    there = table[~table["quarantine_reason"].fillna("").str.contains(MISSING, regex=False)]
    order = _by_code(card, classes)
    parts = [
        *((split, table["split"] == split, wanted) for split, wanted in expected.items()),
        *([("the set", table["split"].notna(), totals["class_totals"])] if totals["class_totals"] else []),
    ]
    for name, mask, wanted in parts:
        wanted = {one: int(wanted.get(one, 0)) for one in order}
        listed = _classes_of(table[mask], order)
        if moved := exchanged(listed, wanted):
            yield _moved(name, moved, listed, order)
        elif apart := differences(_classes_of(there[mask.loc[there.index]], order), wanted):
            yield _apart(name, apart, sum(wanted.values()), lost=table[mask & ~table.index.isin(there.index)])
    for split, total in totals["split_totals"].items():
        if split not in expected and (by := int((there["split"] == split).sum()) - int(total)):
            yield _apart(
                split, {"": by}, int(total), lost=table[table["split"].eq(split) & ~table.index.isin(there.index)]
            )


def _by_code(card: Mapping[str, Any], classes: Sequence[str]) -> list[str]:
    """The classes in the order of their codes, where the card has any."""
    listed = sorted(card["codes"], key=lambda code: (not code.isdecimal(), int(code) if code.isdecimal() else 0))
    ordered = dict.fromkeys(card["codes"][code] for code in listed)
    return list(ordered) if set(ordered) == set(classes) else list(classes)


def _classes_of(rows: pd.DataFrame, classes: Sequence[str]) -> dict[str, int]:
    found = rows["given_label"].value_counts()
    return {name: int(found.get(name, 0)) for name in classes}


def _moved(name: str, moved: Mapping[str, str], listed: Mapping[str, int], order: Sequence[str]) -> Finding:
    count = sum(listed[one] for one in moved)
    moved = {one: moved[one] for one in order if one in moved}
    shown = ", ".join(f"{one} has the card's number of {other}" for one, other in moved.items())
    if step := step_of(moved, order):
        by = "one" if step in (1, len(order) - 1) else str(min(step, len(order) - step))
        message = f"labels of {name} look off by {by}: {shown}; check from which number the codes count"
        return finding("shifted_labels", "error", message, count=count)
    if len(moved) == 2:
        message = f"labels of {name} look swapped, {' and '.join(moved)}: {shown}; check the order of the codes"
        return finding("swapped_labels", "error", message, count=count)
    message = f"labels of {name} look permuted: {shown}; check the order of the codes"
    return finding("permuted_labels", "error", message, count=count)


def _apart(name: str, apart: Mapping[str, int], total: int, *, lost: pd.DataFrame) -> Finding:
    """Pictures that are lacking, or other numbers than the card's."""
    less, more = ({one: abs(by) for one, by in apart.items() if (by < 0) == lacks} for lacks in (True, False))
    told = []
    if less:
        of = f" (a file is missing for {len(lost):,} rows of the list)" if len(lost) else ""
        told.append(f"{name} lacks {sum(less.values()):,} of the card's {total:,} pictures{_listed(less)}{of}")
    if more:
        told.append(f"{name} has {sum(more.values()):,} more than the card's {total:,}{_listed(more)}")
    return finding(
        "counts" if more else "missing_pictures", "error", "; ".join(told), lost,
        count=sum(map(abs, apart.values())), shown=(),
    )  # fmt: skip


def _listed(counted: Mapping[str, int]) -> str:
    return "".join(
        f"{', ' if place else ': '}{name} {count:,}" for place, (name, count) in enumerate(counted.items()) if name
    )


def names(table: pd.DataFrame, card: Mapping[str, Any], images: Path) -> Iterator[Finding]:
    """Files that are named otherwise than the set's are; pictures that rows held themselves have no name."""
    if not card.get("naming"):
        return
    known = {field.name for field in fields(Card)}
    named = Card(**{name: value for name, value in card.items() if name in known & {"name", "layout", "naming"}})
    own = f"{images}{'/'}"
    there = table[
        table["in_source"] & table["path"].map(lambda path: isinstance(path, str) and not path.startswith(own))
    ]
    strange = there[there["path"].map(lambda path: named.told_by(path) is None)]
    if len(strange):
        whose = card.get("title") or named.name
        message = f"{len(strange):,} of {len(there):,} files are named otherwise than those of {whose}"
        shown = few([PurePath(path).name for path in strange["path"]], 3)
        yield finding("naming", "warning", f"{message}: {shown}", strange, shown=())


def sizes(table: pd.DataFrame, card: Mapping[str, Any]) -> Iterator[Finding]:
    """Pictures of another size than the set's aligned ones."""
    if not card.get("size"):
        return
    width, height = map(int, card["size"])
    usable = table[table["in_source"] & table["quarantine_reason"].isna()]
    other = usable[(usable["width"] != width) | (usable["height"] != height)]
    if not len(other):
        return
    found = Counter(zip(other["width"].astype(int), other["height"].astype(int), strict=True)).most_common()
    shown = ", ".join(f"{w} x {h} ({count:,})" for (w, h), count in found[:3])
    more = f" and {len(found) - 3:,} more sizes" if len(found) > 3 else ""
    guess = "; these are no aligned pictures" if len(found) > MANY_SIZES else ""
    message = (
        f"{len(other):,} of {len(usable):,} pictures are not {width} x {height} as the card says: {shown}{more}{guess}"
    )
    yield finding("other_size", "warning" if guess else "error", message, other)
