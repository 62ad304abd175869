"""What the review screen's map is told: every face of the queue as a point, by what it is coloured, and what an address
says of an area.

It draws nothing and records nothing. Points come in the order in which the set was scored, which tells no rank.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ferclean.errors import UsageError
from ferclean.review.area import Area, Chart
from ferclean.review.desk import Desk
from ferclean.review.narrowing import chart_of, marks_of
from ferclean.store.verdicts import KINDS

_DOUBT = (0.1, 0.3, 0.5, 0.8)
"""Bounds of P(mislabelled) between its five colours."""
_SAID = ("keep", "relabel", "ambiguous", "exclude")
_PEOPLE = 7  # reviewers with a colour of their own
_NOBODY = "nobody yet"


def asked_area(desk: Desk, text: str) -> tuple[Area | None, str]:
    """The area that an address asks for, and else why it is passed over, in words; both empty where it asks for none.

    `text`: the map's name and three corners or more, as `name;x,y;x,y;x,y`, each coordinate in 0 to SIDE.
    """
    if not text:
        return None, ""
    if not re.fullmatch(r"[0-9a-f]{8}(;\d{1,5},\d{1,5}){3,100}", text):
        return None, "The area in this address was passed over: it is no list of corners. Draw one on the map."
    name, *corners = text.split(";")
    chart = chart_of(desk)
    if chart is None or chart.name != name:
        return None, "The area in this address was passed over: it was drawn on another map. Draw one on this map."
    return Area(map=name, corners=tuple((int(x), int(y)) for x, y in (one.split(",") for one in corners))), ""


def face_at(desk: Desk, name: str, point: int) -> str:
    """The sample id of a point. Raises UsageError where the map is another one now."""
    chart = chart_of(desk)
    if chart is None or chart.name != name or not 0 <= point < len(chart.queue_rows):
        raise UsageError("this map is not there any longer; read the workspace again")
    return desk.items.ranked.ids[int(chart.queue_rows[point])]


def point_of(desk: Desk, sample_id: str) -> int | None:
    """Where on the map a face is; None where it is not on it."""
    chart, row = chart_of(desk), desk.items.place.get(sample_id)
    found = -1 if chart is None or row is None else int(chart.point_of[row])
    return None if found < 0 else found


def points(desk: Desk, *, blind: bool) -> bytes:
    """All points as a browser reads them: the length of the head (uint32), the head as JSON filled with blanks to a
    multiple of four, then x and y (uint16) of all points, and a code (uint8) of each for every colouring of the head,
    all little-endian; nine bytes a face.

    The head: `map`, `count`, `colourings`, each with `key`, `title`, and `[name, count, tone]` per code. With `blind`
    none of them says what the model thinks, which faces share a label, or what other people said.
    """
    chart = chart_of(desk)
    if chart is None:
        raise UsageError("there is no map of these faces")
    colourings = [_decided(desk, chart)] if blind else _colourings(desk, chart)
    head = {
        "map": chart.name, "count": len(chart.at),
        "colourings": [
            {"key": one.key, "title": one.title, "codes": list(zip(one.names, _counts(one), one.tones, strict=True))}
            for one in colourings
        ],
    }  # fmt: skip
    told = json.dumps(head).encode()
    told += b" " * (-len(told) % 4)
    columns = [
        chart.at.T.astype("<u2").tobytes(),
        *(np.minimum(one.code, 255).astype(np.uint8).tobytes() for one in colourings),
    ]
    return b"".join([len(told).to_bytes(4, "little"), told, *columns])


@dataclass(frozen=True, kw_only=True)
class _Colouring:
    key: str
    title: str
    names: Sequence[str]
    code: np.ndarray
    """(P,) places in `names`."""
    tones: Sequence[str]
    """What each is drawn in: `m0`, `m1` ... apart from each other, `r0` to `r4` a ramp, `none` grey."""


def _apart(count: int) -> list[str]:
    return [f"m{place}" for place in range(count)]


def _counts(one: _Colouring) -> list[int]:
    return [int(count) for count in np.bincount(one.code, minlength=len(one.names))]


def _colourings(desk: Desk, chart: Chart) -> list[_Colouring]:
    queue, rows = desk.items.ranked, chart.queue_rows
    given = queue.given[rows].astype(np.int64)
    nameless = (given < 0).any()
    doubt = [f"{low:.0%} to {high:.0%}" for low, high in zip((0, *_DOUBT), (*_DOUBT, 1), strict=True)]
    return [
        _Colouring(
            key="given", title="Given label", names=[*queue.classes, *(["no label"] if nameless else [])],
            code=np.where(given < 0, len(queue.classes), given),
            tones=[*_apart(len(queue.classes)), *(["none"] if nameless else [])],
        ),
        _Colouring(
            key="verdict", title="Verdict", names=KINDS, code=queue.verdict[rows].astype(np.int64),
            tones=["none" if kind == "clean" else tone for kind, tone in zip(KINDS, _apart(len(KINDS)), strict=True)],
        ),
        _Colouring(
            key="doubt", title="P(mislabelled)", names=doubt, code=np.searchsorted(_DOUBT, queue.p_mislabelled[rows]),
            tones=[f"r{step}" for step in range(len(doubt))],
        ),
        _decided(desk, chart),
        _people(desk, chart),
    ]  # fmt: skip


def _decided(desk: Desk, chart: Chart) -> _Colouring:
    code = np.zeros(len(chart.at), dtype=np.int64)
    for one, stands in list(desk.standing.items()):
        point = point_of(desk, one)
        if point is not None:
            code[point] = 1 + _SAID.index(stands.action)
    return _Colouring(
        key="decided", title="Your answers", names=("undecided", *_SAID), code=code, tones=["none", *_apart(len(_SAID))]
    )


def _people(desk: Desk, chart: Chart) -> _Colouring:
    """Who decided, of several one; of a face for two only to who has answered it."""
    ids, apart = desk.items.ranked.ids, None if desk.share is None else desk.share.independent
    known = {
        one: who
        for who, decided in marks_of(desk).by.items()
        for one in decided
        if one in desk.items and (one in desk.standing or apart is None or not apart[desk.items.place[one]])
    }
    most = [who for who, _ in Counter(known.values()).most_common(_PEOPLE)]
    names = [_NOBODY, *most, *(["others"] if len(set(known.values())) > len(most) else [])]
    number: dict[Any, int] = {who: place for place, who in enumerate(most, start=1)}
    code = [number.get(known[ids[row]], len(most) + 1) if ids[row] in known else 0 for row in chart.queue_rows.tolist()]
    return _Colouring(
        key="people",
        title="Reviewer",
        names=names,
        code=np.array(code, dtype=np.int64),
        tones=["none", *_apart(len(names) - 1)],
    )
