"""What the deck shows and takes: faces with everything that is drawn about them, ahead of the person, and answers back.

It draws and passes answers on; what an answer means is decided in `ferclean.steps.answers`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar

from apps.review import style, unlabelled
from apps.review.addresses import is_double
from apps.review.desks import at_place, reviewer_of
from apps.review.parts import escape
from apps.review.sent import answer_of
from apps.review.sitting import Sitting, progress_line
from ferclean.errors import UsageError
from ferclean.printable import printable
from ferclean.review import beside as faces_beside
from ferclean.review.checks import Asked, mixed, token
from ferclean.review.desk import Standing, contender, next_open, teaching_now
from ferclean.review.offers import Item, Offer
from ferclean.review.sharing import Others, others_about
from ferclean.steps.answers import UNDO, Taken, take
from ferclean.store.standing import Word

T = TypeVar("T")

AHEAD = 20
"""Faces that a browser holds ahead of the person."""
_BESIDE = 4  # faces in a row
_VERDICTS = {
    "mislabelled": "Probably mislabelled",
    "ambiguous": "Probably ambiguous: people would not agree",
    "unusable": "Probably unusable: no readable face",
    "duplicate": "The same picture is in the set more than once",
    "leak": "The same picture is in another split",
    "clean": "Probably labelled right",
}
_RANDOM = "This face was drawn at random, to measure how many errors are left."
_MEASURE = "This face is here to measure, whatever its verdict."
_RANK = "1 is the face that is most worth a look"
_PICKED = "This face is here because you picked it."
_CHOSEN = "This face is here because your filters chose it."
_WORTH = "This face is here because looking at it is expected to mend more than looking at those after it."
_TEACHING = "This face was drawn at random: what you say about it teaches the labels of the whole set."


def at_desk(address: Mapping[str, str], ask: Callable[[Sitting], T]) -> T:
    """What `ask` says of the reviewer's desk and of what the address asks to look at (`desks.at_place`)."""
    return at_place(address, lambda place: ask(Sitting(place.desk, place.album, *place.look(address))))


def deal(address: Mapping[str, str], *, after: str | None, count: int, examples: bool) -> dict[str, Any]:
    """The next `count` open faces after this one (None: from the one that the address names), and how far the reviewer
    is. With `examples` the pictures of each class's clear faces, which the faces refer to."""

    def ask(at: Sitting) -> dict[str, Any]:
        first = [at.current] if after is None and at.current is not None else []
        ahead = [one for one in _open_after(at, after or at.current) if one not in first]
        asked = [*first, *ahead][:count]
        picked = first[:1] if address.get("pick") == "1" and first == [address.get("sample")] else []
        rest = asked[len(picked) :]  # what was picked is mixed with nothing
        queued = mixed(at.desk, rest, selection=at.selection) if _mixes(at) else _in_earnest(rest)
        faces = _cards(at, [*_in_earnest(picked), *queued])
        if picked:  # a person chose it for what it looks like: it stands for no random sample
            faces[0] |= {"picked": True, "by_choice": True}
        return {
            "faces": faces,
            "examples": _examples(at) if examples else None,
            **_how_far(at),
        }

    return at_desk(address, ask)


def step(address: Mapping[str, str], *, sample_id: str, by: int) -> dict[str, Any]:
    """The face `by` places further in the selection, decided or not, round its ends; from one that was picked elsewhere
    back to where the selection is to be gone on with."""

    def ask(at: Sitting) -> dict[str, Any]:
        place = at.selection.place_of(sample_id)
        if place is None and sample_id in at.desk.items and at.selection:
            return {"faces": _cards(at, _in_earnest([next_open(at.desk, at.selection) or at.selection[0]]))}
        if place is None:
            raise UsageError("this face is not in the selection any longer; read the workspace again")
        return {"faces": _cards(at, _in_earnest([at.selection[(place + by) % len(at.selection)]]))}

    return at_desk(address, ask)


def answer(address: Mapping[str, str], sent: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Record what a browser sends; what became of each answer, and how far the reviewer is then."""
    answers, odd, double = [], [], is_double(address)
    for one in sent:
        try:
            if double:
                unlabelled.check(str(one.get("action")))
            answers.append(
                answer_of({**one, "model_hidden": True} if double else one, reviewer_of(address.get("reviewer")))
            )
        except UsageError as error:  # told of by itself: it must not keep those behind it
            odd.append(Taken(answer_id=str(one.get("answer_id")), refused=str(error)))
    undoing = {one.answer_id for one in answers if one.action == UNDO}

    def ask(at: Sitting) -> dict[str, Any]:
        taken = take(at.desk, answers)
        undone = [one for one in taken if one.answer_id in undoing and not one.refused]
        return {
            "taken": [_told(one, at) for one in [*taken, *odd]],
            "faces": _cards(at, _again(at, undone)),
            "undone": sum(len(one.sample_ids) for one in undone),
            **_how_far(at),
        }

    return at_desk(address, ask)


def _again(at: Sitting, undone: Sequence[Taken]) -> list[Asked]:
    """The face whose answer was taken back last, as it was asked about; none where nothing asks about it here."""
    found = []
    for one in undone:
        if not one.check:
            found += _in_earnest([sample_id for sample_id in one.sample_ids if sample_id in at.selection])
        elif _mixes(at):
            found += [_check_again(at, one.check, i) for i in one.sample_ids if i in at.desk.items]
    return found[-1:]


def _check_again(at: Sitting, check: str, sample_id: str) -> Asked:
    # one goes on from another face: a reload at this one's place would show what was said about it
    others = (one for one in at.selection if one != sample_id)
    after = next_open(at.desk, at.selection) or next(others, sample_id)
    return Asked(sample_id=sample_id, check=check, after=after)


def _mixes(at: Sitting) -> bool:
    """Checks are mixed into what is looked at; not into an audit nor into a teaching round, which are one for all."""
    return at.desk.checks is not None and not at.filters.audit and not at.teaches


def _told(one: Taken, at: Sitting) -> dict[str, Any]:
    known = [i for i in one.sample_ids if i in at.desk.items]
    newer = one.newer and (unlabelled.word(one.newer) if at.filters.double else _word(one.newer))
    name = "" if not known else unlabelled.name(at, known[-1]) if at.filters.double else _name(at, known[-1])
    return {
        "answer_id": one.answer_id, "sample_ids": list(one.sample_ids), "decision_id": one.decision_id,
        "name": name, "refused": printable(one.refused),
        "newer": newer,
    }  # fmt: skip


def _name(at: Sitting, sample_id: str) -> str:
    return printable(at.desk.items[sample_id].source_key)


def _word(word: Word) -> dict[str, Any]:
    who = f"settled by {word.reviewer}" if word.adjudicates else "your answer in another tab"
    return {
        "decision_id": word.decision_id, "said": said(word.action, word.label),
        "who": printable(f"{who} at {word.decided_at:%H:%M} UTC"),
    }  # fmt: skip


def said(action: str, label: str | None) -> str:
    """An answer in words."""
    return printable(f"relabel {label}" if label else action)


def _how_far(at: Sitting) -> dict[str, Any]:
    round_ = teaching_now(at.desk)
    return {"progress": progress_line(at), "teaching": round_.left, "total": len(at.selection)}


def _open_after(at: Sitting, sample_id: str | None) -> list[str]:
    """Faces without a decision, as `next_open` gives them one after the other; at most twice as many as are held."""
    desk, selection = at.desk, at.selection
    start = selection.index(sample_id) + 1 if sample_id is not None and sample_id in selection else 0
    done = desk.drawn_decided if teaching_now(desk).left else frozenset()
    found: list[str] = []
    later: list[str] = []
    for place in chain(range(start, len(selection)), range(start)):
        one = selection[place]
        if one in desk.standing:
            continue
        (later if one in desk.skipped or one in done else found).append(one)
        if len(found) > 2 * AHEAD:
            break
    return found or later


def _in_earnest(sample_ids: Sequence[str]) -> list[Asked]:
    return [Asked(sample_id=one, after=one) for one in sample_ids]


def _cards(at: Sitting, faces: Sequence[Asked]) -> list[dict[str, Any]]:
    if not faces:
        return []
    with at.desk.ws.reading("dealing faces"):  # one connection for all that is read about them
        return _read_cards(at, faces)


def _read_cards(at: Sitting, faces: Sequence[Asked]) -> list[dict[str, Any]]:
    ids = [one.sample_id for one in faces]
    items = at.desk.items.read(ids)
    if not at.filters.blind:
        faces_beside.beside_each(at.album, ids, count=2 * _BESIDE)
    wanted = [pair for sample_id in ids for pair in _pictures(at, items[sample_id])]
    pictures = faces_beside.pictures(at.album, wanted)
    others = others_about(at.desk, ids, blind=at.filters.blind)
    return [
        _card(at, items[one.sample_id], pictures, Others() if one.check else others[one.sample_id], one)
        for one in faces
    ]


def _pictures(at: Sitting, item: Item) -> list[tuple[str, int]]:
    near = [face.sample_id for row in _rows(at, item) if not row.mark and row.tall for face in row.faces]
    return [(item.sample_id, faces_beside.FACE_SIDE), *((other, faces_beside.BESIDE_SIDE) for other in near)]


def _card(
    at: Sitting, item: Item, pictures: Mapping[tuple[str, int], faces_beside.Picture], others: Others, asked: Asked
) -> dict[str, Any]:
    """One face with all that is drawn about it; of a blind one nothing that the model thinks leaves the server."""
    picture, near = pictures[item.sample_id, faces_beside.FACE_SIDE], _neighbours(at, item, pictures)
    stands = None if asked.check else at.desk.standing.get(item.sample_id)
    place = {"place": asked.after, "token": token(at.desk.reviewer, item.sample_id, asked.check)}
    if at.filters.double:
        own = _stands(stands, at.desk.classes) if stands is not None and stands.reviewer == at.desk.reviewer else None
        return unlabelled.card(at, item, picture, others, beside=near, stands=own) | place
    hidden = at.filters.blind
    proposal = None if hidden else item.offer
    return {
        "id": item.sample_id,
        "name": printable(item.source_key),
        "picture": picture.uri,
        "trouble": picture.trouble,
        "given": item.given_label,
        "suggested": None if hidden else item.suggested_label,
        "offer": None if proposal is None else {"action": proposal.action, "label": proposal.label},
        "offered": offered(proposal, hidden=hidden),
        "stands": None if stands is None else _stands(stands, at.desk.classes),
        "seen": 0 if stands is None else stands.decision_id,
        "caption": _caption(at, item, others, stands),
        "labels": style.labels(item.given_label, item.suggested_label, hidden=hidden),
        "evidence": _evidence(at, item),
        "beside": near,
        "hidden": hidden,
        "by_choice": at.filters.narrowed,
        "run_id": item.run_id,
        **place,
    }


def _stands(stands: Standing, classes: Sequence[str]) -> dict[str, Any]:
    shares = stands.shares and {name: share for name, share in zip(classes, stands.shares, strict=True) if share}
    return {"action": stands.action, "label": stands.label, "shares": shares}


def _caption(at: Sitting, item: Item, others: Others, stands: Standing | None) -> str:
    place = order = ""
    if at.desk.checks is None:  # else a face out of its place would be known by it
        turn = at.selection.place_of(item.sample_id)
        place = f"<span>{'picked from elsewhere' if turn is None else f'{turn + 1:,} / {len(at.selection):,}'}</span>"
        order = "" if at.filters.blind else f"<span title='{_RANK}'>rank {item.rank:,}</span>"
    if stands is not None and stands.reviewer != at.desk.reviewer:
        order += f"<span>settled by {escape(stands.reviewer)}</span>"
    return (
        f'{place}<span class="name">{escape(item.source_key)}</span><span>{escape(item.split)}</span>'
        f"{order}{_others(others)}"
    )


def _others(others: Others) -> str:
    """Who answered this face already, and what they said once it may be known; each person once, the latest three."""
    if others.awaited:
        return '<span class="others">a face for two: the other answer is still to come</span>'
    last = {word.reviewer: word for word in others.words}
    told = [f"{who}: {said(word.action, word.label)}" if others.told else who for who, word in reversed(last.items())]
    if not told:
        return ""
    more = f" and {len(told) - 3} more" if len(told) > 3 else ""
    words = f"{', '.join(told[:3])}{more}"
    words = escape(words if others.told else f"answered already by {words}")
    return f'<span class="others" title="{words}">{words}</span>'


def _evidence(at: Sitting, item: Item) -> str:
    if at.filters.blind:
        order = "and faces come in a random order" if at.filters.audit else "and the order is shuffled"
        return f'<div class="fc fc-blind">Blind mode: suggestion, probabilities and reasons are hidden, {order}.</div>'
    # so many that the buttons would leave the screen are scrolled; half a row says that there is more
    shown = len(at.desk.classes) if len(at.desk.classes) <= 11 else 7.5
    reached = ' tabindex="0" role="region" aria-label="Probabilities"' if shown == 7.5 else ""  # by keys, too
    bars = style.bars(at.desk.classes, item.pred_probs, item.given_label, item.suggested_label, item.method_votes)
    title = _VERDICTS.get(item.verdict, item.verdict)
    title = title if item.p_verdict is None else f"{title} ({item.p_verdict:.0%})"
    return (
        f'<div style="height:calc({shown} * var(--fc-row));overflow-y:auto"{reached}>{bars}</div>'
        f"{style.why(title, item.reasons, aside=_why_here(at, item))}"
    )


def _why_here(at: Sitting, item: Item) -> str:
    """Why a person is asked about this face, and not about another one."""
    drawn = item.drawn_at_random
    if at.desk.checks is None and item.sample_id not in at.selection:
        return _PICKED
    if at.desk.checks is not None and not at.teaches:  # what is mixed in looks like what was drawn
        if drawn or (item.verdict == "clean" and not at.filters.kinds):
            return _MEASURE
    elif drawn:
        return _TEACHING if at.teaches else _RANDOM
    return _CHOSEN if at.filters.narrowed else _WORTH


def _asked_still(at: Sitting) -> set[str]:
    """In double-blind mode the examples that the person is asked about, too: being an example says their label."""
    if not at.filters.double:
        return set()
    every = (face.sample_id for faces in at.album.examples.values() for face in faces)
    return {sample_id for sample_id in every if sample_id in at.selection}


def _rows(at: Sitting, item: Item) -> list[style.Strip]:
    """The rows of faces to compare with.

    In blind mode they are one clear face of each class, which says nothing about the suggestion.
    """
    album, own = at.album, {item.sample_id}
    if at.filters.blind:
        own |= _asked_still(at)
        each = [face for name in at.desk.classes for face in faces_beside.examples_of(album, name, count=1, but=own)]
        return [style.Strip("Clear examples", "clear", each, tall=True)]
    near = faces_beside.beside(album, item.sample_id, count=2 * _BESIDE)
    rows = [style.Strip("Most alike", "", near, tall=True)] if near else []
    count = _BESIDE if near else 2 * _BESIDE
    other = contender(at.desk, item)
    mark = "suggested" if other == item.suggested_label else "clear"
    for name, sign in ((item.given_label, "given"), (other, mark)):
        if name:
            examples = faces_beside.examples_of(album, name, count=count, but=own)
            rows.append(style.Strip(f"Clear {name}", sign, examples, tall=not near))
    return rows


def _neighbours(at: Sitting, item: Item, pictures: Mapping[tuple[str, int], faces_beside.Picture]) -> str:
    """Rows of small faces; those of clear examples, which come with every face, are named and filled in there."""
    tone: dict[str, str] = {}
    if not at.filters.blind:
        marks = ((item.given_label, "given"), (item.suggested_label, "suggested"))
        tone = {label: f"{mark}-ink" for label, mark in marks if label}
    shown = []
    for row in _rows(at, item):
        sources: dict[str, str | None] = {}
        for face in row.faces:
            known = pictures.get((face.sample_id, faces_beside.BESIDE_SIDE))
            sources[face.sample_id] = f"example:{face.sample_id}" if row.mark or known is None else known.uri
        leads = [] if at.filters.blind else [one.sample_id for one in row.faces if one.sample_id in at.desk.items]
        shown.append(style.strip(row, sources, tone=tone, leads=leads))
    trouble = f'<div class="fc">{escape(at.album.trouble)}</div>' if at.album.trouble else ""
    return "".join(shown) + trouble


def _examples(at: Sitting) -> dict[str, str | None]:
    own = _asked_still(at)
    every = [
        face.sample_id for name in at.desk.classes
        for face in faces_beside.examples_of(at.album, name, count=9, but=own)
    ]  # fmt: skip
    found = faces_beside.pictures(at.album, [(sample_id, faces_beside.BESIDE_SIDE) for sample_id in every])
    return {sample_id: picture.uri for (sample_id, _), picture in found.items()}


def offered(proposal: Offer | None, *, hidden: bool) -> str:
    """What Enter records, and why."""
    if proposal is None:
        return "Off: blind mode" if hidden else "No proposal"
    if proposal.action == "relabel":
        return f"Accept {printable(proposal.label or '')}"
    why = "" if proposal.action == proposal.verdict else f" ({proposal.verdict})"
    return f"{proposal.action.capitalize()}{why}"
