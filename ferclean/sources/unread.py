"""Sets that are known by a look and that no layout reads: what they are, and what to do with them, in words.

It never guesses a label.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ferclean.errors import few
from ferclean.evidence.labels import EXPRESSIONS, find_class
from ferclean.sources.cards import load_card
from ferclean.sources.glimpse import Glimpse

_LISTS = (
    ".txt", ".lst", ".json", ".jsonl", ".xml", ".yaml", ".xlsx", ".xls", ".mat", ".npy", ".npz", ".h5", ".hdf5", ".pkl",
)  # fmt: skip
"""Files that may say what pictures show, in no form that is known."""
_CKPLUS_LABEL = re.compile(r"S[0-9]{3}_[0-9]{3}_[0-9]{8}_emotion\.txt", re.IGNORECASE)


def remarks(glimpse: Glimpse) -> Iterator[str]:
    """A sentence per set: CK+ as its authors send it, and Roboflow's table with a column per class."""
    yield from _ckplus(glimpse)
    for file, header in glimpse.tables():
        if file.name == "_classes.csv" and header[0] == "filename":
            classes = [name for name in header[1:] if find_class(name, EXPRESSIONS)]
            yield (
                f"{file} is Roboflow's table with a column per class ({few(classes or header[1:], 8)}), which is not "
                "read: export the set there as folders of classes, or write each picture's one class into a column "
                "`label`, and ingest that with card table"
            )
            return


def lists(glimpse: Glimpse) -> str:
    """What to do with files beside pictures that may hold labels; "" where there are none."""
    found = [
        str(folder / name)
        for folder in glimpse.folders
        for name in glimpse.files(folder)
        if name.lower().endswith(_LISTS) and not name.lower().startswith("readme")
    ]
    if not found:
        return ""
    return f" (if {few(found, 3)} does: write it as a CSV with the columns path and label, for card table)"


def _ckplus(glimpse: Glimpse) -> Iterator[str]:
    card = load_card("ckplus")
    for folder in glimpse.folders:
        labels = [name for name in glimpse.files(folder) if _CKPLUS_LABEL.fullmatch(name)]
        sequence = re.fullmatch(r"[0-9]{3}", folder.name) and re.fullmatch(r"[Ss][0-9]{3}", folder.parent.name)
        frames = [name for name in glimpse.pictures(folder, deep=False) if card.told_by(name)] if sequence else []
        if labels or frames:
            yield (
                f"{folder / (labels or frames)[0]} is of CK+ as its authors send it, which is not read (a folder per "
                "person and sequence, labels in Emotion): put the last frames of each labelled sequence into a folder "
                "of their class (1 anger, 2 contempt, 3 disgust, 4 fear, 5 happy, 6 sadness, 7 surprise), as CK+48 has "
                "them, and ingest these with card ckplus"
            )
            return
