"""What the grid asks this server: parts of a list of faces with their pictures, counts, and what is done about many.

It draws and passes on what was chosen; a bulk is one act, recorded once and taken back as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from apps.review import style
from apps.review.addresses import filters_of
from apps.review.desks import Place, at_place
from ferclean.errors import UsageError, among
from ferclean.printable import printable
from ferclean.review import beside as faces_beside
from ferclean.review.desk import Filters
from ferclean.review.likeness import Group
from ferclean.review.narrowing import SORTS, counts
from ferclean.review.resolver import Tile, chosen, tiles
from ferclean.steps import review
from ferclean.store.answers import bulk_size

PAGE = 60
"""Tiles that are asked for at a time."""
_MOST = 240  # tiles of one request
_DONE = {"relabel": "relabelled", "keep": "kept", "ambiguous": "ambiguous", "exclude": "excluded", "skip": "skipped"}


def part(address: Mapping[str, str], *, of: str | None, sort: str, start: int, count: int) -> dict[str, Any]:
    """`count` tiles from place `start` of the list named `of`; a list is made where it is not known (any longer), and
    its name, size and groups are told. Costs the making of the list once, then what is shown."""

    def ask(place: Place) -> tuple[dict[str, Any], list[Tile], Place]:
        name, head = of or "", {}
        if name not in place.lists:
            name = place.list_of(_filters(place, address), sort=sort if sort in SORTS else "worth")
            head = {"groups": [_group(group) for group in place.lists[name].groups]}
        listed = place.lists[name]
        place.lists.move_to_end(name)
        shown = tiles(place.desk, listed, max(0, start), min(count, _MOST))
        told = {"list": name, "total": len(listed.rows), "start": max(0, start), "run": listed.run_id}
        return told | {"by_choice": listed.filters.narrowed} | head, shown, place

    found, shown, place = at_place(address, ask)
    # read while nobody waits for the desk
    side = faces_beside.TILE_SIDE
    pictures = faces_beside.pictures(place.album, [(tile.sample_id, side) for tile in shown])
    return {**found, "tiles": [_tile(tile, pictures[tile.sample_id, side]) for tile in shown]}


def counted(address: Mapping[str, str]) -> dict[str, Any]:
    """How many faces each further choice would leave (`narrowing.counts`)."""
    found = at_place(address, lambda place: counts(place.desk, _filters(place, address)))
    return {
        "total": found.total,
        "of": {name: [(value, printable(value), n) for value, n in each] for name, each in found.of.items()},
        "pairs": [(f"{a}>{b}", f"{printable(a)} → {printable(b)}", n) for a, b, n in found.pairs],
        "chance": found.chance,
    }


def bulk(address: Mapping[str, str], sent: Mapping[str, Any]) -> dict[str, Any]:
    """Decide about places of a list, or, with `dry`, say what that would be. The same `bulk_id` is recorded once.

    Raises UsageError where the list is not known any longer: what a place holds is then not what the person saw.
    """
    try:
        ranges = [(int(start), int(end)) for start, end in sent["ranges"]]
        action, asked, bulk_id = str(sent["action"]), sent.get("label"), str(sent["bulk_id"])
        name, dry, open_only = str(sent["list"]), bool(sent.get("dry")), bool(sent.get("open_only"))
        seen = {int(place): int(number) for place, number in sent.get("seen") or []}
        for text in (bulk_id, action, str(asked)):
            text.encode()
    except (KeyError, TypeError, ValueError, OverflowError) as error:  # a half of a character is a ValueError
        raise UsageError(f"this is no bulk: {error}") from error

    def ask(place: Place) -> dict[str, Any]:
        if before := bulk_size(place.desk.ws, bulk_id):
            return {"told": f"{before:,} faces: recorded", "count": before, "asks": False}
        if name not in place.lists:
            raise UsageError("the list was made anew since these faces were chosen; look again and choose again")
        listed = place.lists[name]
        sample_ids, gone = chosen(place.desk, listed, ranges, seen=seen, open_only=open_only)
        label = None if asked is None else str(asked)
        hidden = listed.filters.blind
        if action == "relabel" and label not in place.desk.classes:
            raise UsageError(f"relabel needs a label; {among(label or '', place.desk.classes)}")
        if dry:
            if hidden and action == review.OFFER:
                raise UsageError("in blind mode nothing is proposed; choose a decision of your own")
            plan = review.plan_bulk(place.desk, sample_ids, action=action, label=label)
        else:
            plan = review.decide_bulk(
                place.desk, sample_ids, action=action, label=label, model_hidden=hidden, bulk_id=bulk_id
            )
        told = _told(plan) + (f"; {gone:,} decided or skipped already" if gone else "")
        return {"told": told, "count": len(plan.sample_ids), "asks": plan.asks}

    return at_place(address, ask)


def _filters(place: Place, address: Mapping[str, str]) -> Filters:
    filters = filters_of(address, place.desk, place.facets)
    if filters.double:
        raise UsageError("in double-blind mode faces are named one by one, on the review page")
    return filters


def _told(plan: review.Bulk) -> str:
    """What a bulk does and what it leaves out."""
    done = " · ".join(f"{plan.actions[action]:,} {said}" for action, said in _DONE.items() if action in plan.actions)
    return f"{len(plan.sample_ids):,} faces: {done or 'none'}{plan.left_out}"


def _group(group: Group) -> dict[str, Any]:
    given, other = printable(group.given or "unknown"), group.suggested
    arrow = f" → {printable(other)}" if group.offer.action == "relabel" and other else ""
    return {
        "size": len(group.sample_ids), "flow": f"{given}{arrow}", "offer": style.brief(group.offer),
        "verdict": group.offer.verdict, "right": round(group.p_offer * len(group.sample_ids)),
    }  # fmt: skip


def _tile(tile: Tile, picture: faces_beside.Picture) -> dict[str, Any]:
    proposal = tile.offer
    return {
        "id": tile.sample_id,
        "name": printable(tile.source_key),
        "given": tile.given,
        "suggested": proposal.label if proposal else None,  # beside a proposal to keep it would say two things at once
        "verdict": tile.verdict,
        "p": tile.p,
        "offer": None if proposal is None else {"action": proposal.action, "label": proposal.label},
        "brief": None if tile.verdict is None else style.brief(proposal),
        "drawn": tile.drawn,
        "action": tile.action,
        "label": tile.label,
        "skipped": tile.skipped,
        "seen": tile.seen,
        "picture": picture.uri,
        "trouble": picture.trouble,
    }


def orders(*, blind: bool) -> Sequence[tuple[str, str]]:
    """The orders to choose from, and their words; one alone where the model is hidden."""
    if blind:
        return [("worth", "shuffled")]
    words = {
        "worth": "worth a look first", "sure": "surest proposal first", "unsure": "least sure first",
        "pair": "by class pair", "alike": "alike faces together",
    }  # fmt: skip
    return [(name, words[name]) for name in SORTS]
