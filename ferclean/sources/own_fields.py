"""What an export of ours tells of a sample beside its label, as attributes: in a column each, or under `ferclean`.

It never takes any of it for a label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ferclean.evidence.labels import ClassName
from ferclean.sources.cards import Card
from ferclean.sources.tabular import code_of

OWN = "ferclean"
"""The key in another tool's form under which our own fields stand."""
TEXTS = ("sample_id", "verdict")
"""Kept as they are, beside `given_label`, `changed`, `soft_label` and `weight`."""


def own_attributes(
    cells: Mapping[str, Any], card: Card, before: Sequence[ClassName] | None = None
) -> dict[str, object]:
    """Those of our fields that `cells` has; `before` are the classes at the positions of its `given_label`."""
    kept: dict[str, object] = {name: cells[name] for name in TEXTS if isinstance(cells.get(name), str)}
    if isinstance(cells.get("changed"), bool):
        kept["changed"] = cells["changed"]
    if isinstance(cells.get("soft_label"), list):
        kept["soft_label"] = cells["soft_label"]
        # a column of that name means this only beside soft labels, as `export` writes both
        if cells.get("weight") is not None:
            said = cells["weight"]
            kept["weight"] = float(said) if isinstance(said, int | float) and np.isfinite(said) else str(said)
    if "given_label" in cells:  # None says that there was no label before curation
        name, code, _ = declared_label(cells["given_label"], before, card)
        kept["given_label"] = name or code
    return kept


def declared_label(
    cell: Any, declared: Sequence[ClassName] | None, card: Card
) -> tuple[str | None, str | None, str | None]:
    """(class, what stood in the file, problem) of a cell: a position where the file declares its classes."""
    code = code_of(cell)
    if declared is None and (found := card.label_of(cell)):
        return found, code, None
    if code is None:
        return None, None, "label: missing"
    if declared is None:
        return None, code, f"label: unknown ({code!r}; known: {card.known_labels()})"
    if not 0 <= int(cell) < len(declared):
        return None, code, f"label: {cell} is outside of the folder's {len(declared)} classes"
    return declared[int(cell)], declared[int(cell)], None
