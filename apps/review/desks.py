"""The desks of this process: one per workspace and reviewer, shared by Streamlit's pages and by what the deck asks.

It opens and forgets them; what lies on a desk and what is recorded is decided in `ferclean`.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from apps.review import signed_in
from apps.review.addresses import filters_of
from ferclean.errors import FercleanError
from ferclean.review import beside
from ferclean.review.desk import Desk, Filters, default_reviewer, facets, next_open, open_desk, select
from ferclean.review.ranked import JudgedAnewError, Selection
from ferclean.review.resolver import Listing, listing
from ferclean.review.sharing import planned_anew
from ferclean.store.workspace import Workspace

_PATIENCE = 3.0  # seconds that an answer waits for another process before the screen says that it is busy
_OPEN = 8  # desks that stay open: 40 MB each at 300,000 faces
_PLANS = 2.0  # seconds between two looks for another plan of the team: each answer writes the database
_CHOSEN = 4  # selections that a desk keeps, and lists

T = TypeVar("T")


@dataclass(kw_only=True)
class Place:
    """One reviewer's desk, with whatever else the screen keeps for as long as it is open."""

    desk: Desk
    album: beside.Album
    facets: dict[str, dict[str, int]]
    lock: threading.RLock = field(default_factory=threading.RLock)
    """Held while the desk is changed or gone through: several tabs may be one reviewer's."""
    chosen: OrderedDict[Filters, tuple[tuple[object, ...], Selection]] = field(default_factory=OrderedDict)
    """With `Workspace.written` where a selection goes by what was decided."""
    lists: OrderedDict[str, Listing] = field(default_factory=OrderedDict)
    """By a name that a browser asks for more of it with."""
    looked: tuple[object, ...] = ()
    """`Workspace.written` when the team's plan was last compared."""
    looked_at: float = field(default_factory=time.monotonic)
    """When that was, on the monotonic clock."""
    replaced: bool = False
    """Another one was opened since: nothing is to be recorded here any longer."""

    def look(self, address: Mapping[str, str], *, anew: bool = False) -> tuple[Filters, Selection, str | None]:
        """What an address asks for: the filters, their faces, and the one in question, None where all are decided.

        `anew` as in `selection`.
        """
        with self.lock:
            filters = filters_of(address, self.desk, self.facets)
            selection, wanted = self.selection(filters, anew=anew), address.get("sample")
            # whoever picked a face looks at it, whatever else the address asks for
            there = wanted in selection or (
                address.get("pick") == "1" and not filters.double and wanted in self.desk.items
            )
            return filters, selection, wanted if there else next_open(self.desk, selection)

    def list_of(self, filters: Filters, *, sort: str) -> str:
        """The name of a list that is made now (`resolver.listing`)."""
        with self.lock:
            name = uuid.uuid4().hex
            self.lists[name] = listing(self.desk, filters, sort=sort, album=self.album)
            while len(self.lists) > _CHOSEN:
                self.lists.popitem(last=False)
            return name

    def selection(self, filters: Filters, *, anew: bool = False) -> Selection:
        """The faces that `filters` asks for, in their order.

        What goes by decisions is chosen `anew` where any was written since, as for a page that is opened; a deck goes
        through the faces that it began with.
        """
        with self.lock:
            written = self.desk.ws.written if filters.states or filters.people else ()
            if filters not in self.chosen or (anew and self.chosen[filters][0] != written):
                self.chosen[filters] = written, select(self.desk, filters)
                while len(self.chosen) > _CHOSEN:
                    self.chosen.popitem(last=False)
            self.chosen.move_to_end(filters)
            return self.chosen[filters][1]


_open: OrderedDict[tuple[str, str], Place] = OrderedDict()
_opening = threading.Lock()


def reviewer_of(asked: str | None) -> str:
    """Whose desk is meant: that of whoever is signed in; where nobody signs in, the name in the address, else
    FERCLEAN_REVIEWER, else the login name.

    Raises FercleanError for an address that names another than who is signed in: an answer of one person, sent by a
    page that was open before, must not become another's.
    """
    if (name := signed_in.name()) is not None:
        if asked and asked != name:
            raise FercleanError(f"you are signed in as {name}, not as {asked}; load this page again")
        return name
    return (asked or os.environ.get("FERCLEAN_REVIEWER") or "").strip() or default_reviewer()


def workspace_path() -> str:
    """The folder that FERCLEAN_WORKSPACE names, as `ferclean review` sets it."""
    if named := os.environ.get("FERCLEAN_WORKSPACE"):
        return named
    raise FercleanError("no workspace was named; start this page with: ferclean -w WORKSPACE review")


def place_of(reviewer: str, *, anew: bool = False) -> Place:
    """The reviewer's desk; the workspace is read when it is first asked for, `anew`, or where the team has made another
    plan, then kept in step by decisions. Compares plans only where the database was written since, at most every _PLANS
    seconds.

    Raises FercleanError where there is no workspace, and WorkspaceBusyError where it cannot be read for long.
    """
    key = workspace_path(), reviewer
    known = _open.get(key)
    anew = anew or (known is not None and _planned_anew(known))
    with _opening:
        place = _open.get(key)
        if place is None or anew:
            # what is being recorded is read, too; nobody who holds a desk's lock asks for a desk
            with place.lock if place is not None else nullcontext():
                ws = Workspace.open(key[0], timeout=_PATIENCE)
                looked = ws.written
                desk = open_desk(ws, reviewer=reviewer)
                if place is not None:
                    place.replaced = True
                place = Place(desk=desk, album=beside.open_album(ws), facets=facets(desk), looked=looked)
            _open[key] = place
            while len(_open) > _OPEN:
                _open.popitem(last=False)
        _open.move_to_end(key)
        return place


def _planned_anew(place: Place) -> bool:
    if time.monotonic() < place.looked_at + _PLANS:
        return False
    written, place.looked_at = place.desk.ws.written, time.monotonic()
    if written == place.looked:
        return False
    found = planned_anew(place.desk)
    place.looked = written
    return found


def at_place(address: Mapping[str, str], ask: Callable[[Place], T]) -> T:
    """What `ask` says of the reviewer's place that an address names, while nobody else changes it.

    A desk whose faces were judged anew, or whose team was planned anew, is opened again. Raises FercleanError where the
    address is of another workspace.
    """
    root = str(Path(workspace_path()).resolve())
    if address.get("workspace", root) != root:
        raise FercleanError(f"this server is of another workspace now, {root}; open this page of it anew")
    reviewer, anew = reviewer_of(address.get("reviewer")), False
    while True:
        place = place_of(reviewer, anew=anew)
        with place.lock:
            if place.replaced:
                anew = False
                continue
            try:
                return ask(place)
            except JudgedAnewError:
                if anew:
                    raise
        anew = True
