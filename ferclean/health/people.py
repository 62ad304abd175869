"""Are people of one split in another, too? What a set says about who is shown tells: JAFFE and CK+ in file names,
others in a column (`--attributes`). A recognizer that has learned a person's face then seems better than it is.

It looks at no picture: where a set does not say who is shown, it says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from ferclean.errors import few
from ferclean.evidence.attributes import people_attribute, people_of
from ferclean.health.finding import SHOWN, Finding, finding
from ferclean.store.arrivals import SPLITS


def across_splits(table: pd.DataFrame) -> Iterator[Finding]:
    """People with usable pictures in several splits, with how many pictures there are of them in each."""
    usable = table[table["quarantine_reason"].isna()]
    attributes = list(usable["attributes"])
    known = people_attribute(attributes)
    if known is None:
        return
    codes, called = people_of(attributes, known)
    who = pd.Series([called[code] for code in codes if code >= 0], index=usable.index[codes >= 0], dtype="object")
    splits = usable.loc[who.index, "split"]
    several = splits.groupby(who).transform("nunique") > 1
    if not several.any():
        return
    rows, people = usable.loc[who.index[several]], who[several]
    found = splits[several].value_counts()
    counted = ", ".join(f"{found[split]:,} in {split}" for split in SPLITS if found.get(split))
    names = few(sorted(set(people)), 3)
    message = (
        f"{people.nunique():,} of {who.nunique():,} people ({known}) are in several splits, with {len(rows):,} "
        f"pictures ({counted}): {names}"
    )
    # one picture of each split, person by person
    first = rows.assign(who=people).drop_duplicates(["who", "split"])
    shown = [tuple(members["sample_id"]) for _, members in first.groupby("who", sort=True)]
    yield finding("same_person", "warning", message, rows, shown=shown[:SHOWN])
