"""What annotations say of a picture and of boxes in it, as rows: one for each box, one for the whole picture.

It never chooses between two labels for one face.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ferclean.sources.references import Place
from ferclean.sources.rows import SourceRow

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A label for a box of a picture, or for all of it; `problem` says why there is none, or no box."""

    label: str | None = None
    code: str | None = None
    problem: str | None = None
    box: Box | None = None
    attributes: Mapping[str, object] = field(default_factory=dict)


def rows_of(
    key: str,
    marks: Iterable[Mark],
    *,
    split: str,
    place: Place,
    doubt: str | None = None,
    attributes: Mapping[str, object],
    unit: Literal["pixels", "shares"],
    whole: Box | None = None,
) -> Iterator[SourceRow]:
    """The rows of a picture that lies at `place`: `key`, then `key:2` and so on; without marks one without a label.

    Two labels for one box are a reason, and so is whatever `place`, `doubt` or a mark says. A box is an attribute, too,
    unless it is `whole`.
    """
    faces: dict[object, list[Mark]] = {}
    for number, mark in enumerate(marks):
        lost = mark.problem is not None and mark.problem.startswith("image: ")
        faces.setdefault(number if lost else mark.box, []).append(mark)
    for number, found in enumerate(list(faces.values()) or [[Mark(problem="label: missing")]], start=1):
        labels = list(dict.fromkeys(mark.label for mark in found))
        wrong = next((mark.problem for mark in found if mark.problem), None)
        if len(labels) > 1 and wrong is None:
            wrong = f"label: several ({', '.join(map(str, labels))})"
        box = found[0].box
        told = {name: value for mark in found for name, value in mark.attributes.items()}
        yield SourceRow(
            source_key=key if number == 1 else f"{key}:{number}",
            split=split,
            given_label=labels[0] if len(labels) == 1 else None,
            given_code=found[0].code if len(labels) == 1 else None,
            relative_path=place[0],
            problem=place[1] or doubt or wrong,
            attributes={**attributes, **told, **({} if box in (None, whole) else {"box": list(box or ())})},
            box=box,
            box_unit=unit,
        )


def box_of(told: Any) -> tuple[Box | None, str | None]:
    """(box, what is wrong) of left, top, width and height in a list; neither for none.

    >>> box_of([1, 2, 3, 4]), box_of(None), box_of([1, 2, 0, 4])
    (((1.0, 2.0, 4.0, 6.0), None), (None, None), (None, 'image: its box is empty or endless'))
    """
    if told is None or told == []:
        return None, None
    try:
        left, top, width, height = map(float, told)
    except (TypeError, ValueError, OverflowError):
        return None, "image: its box is not left, top, width and height"
    if not all(map(math.isfinite, (left, top, width, height))) or width <= 0 or height <= 0:
        return None, "image: its box is empty or endless"
    return (left, top, left + width, top + height), None
