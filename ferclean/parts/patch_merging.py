"""Several patches on one set: what they agree on, what one of them alone says, and where they contradict each other.

It never settles a contradiction unasked, and the order of the patches changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np

from ferclean.errors import BadDataError, FercleanError, UsageError, among, few
from ferclean.evidence.splits import group_ids
from ferclean.exports.patch import FILE
from ferclean.parts.patch_file import Line, Patch
from ferclean.printable import printable

PEOPLE = "people"
"""To be preferred: what a person decided, over what no person did."""
Claim = tuple[int, Line]
"""What the patch at a place says of a sample."""
Sample = tuple[str | None, str]
"""`Line.sample`."""


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """A sample about which patches contradict each other."""

    source_key: str
    says: dict[str, str]
    """Patch -> what becomes of the sample, in words."""
    labels: bool
    """Whether labels, given labels or splits differ; else soft labels or weights alone do."""


def check_alike(patches: Sequence[Patch]) -> tuple[str, str | None]:
    """What all of them lead on from. Raises UsageError where that differs, or the set or its classes do."""
    if not patches:
        raise UsageError("give one patch at least")
    first = patches[0]
    for other in patches[1:]:
        if other.header["dataset"] != first.header["dataset"] or set(other.classes) != set(first.classes):
            about = [f"{one.path}: {one.header['dataset']} ({', '.join(one.classes)})" for one in (first, other)]
            raise UsageError(f"patches of different sets have nothing in common: {'; '.join(about)}")
        if other.since != first.since:
            raise UsageError(
                f"{first.path} leads on from {first.since[0]} and {other.path} from {other.since[0]}, or from another "
                "release of that name: apply one after the other"
            )
    return first.since


def in_order_of(patch: Patch, classes: tuple[str, ...]) -> list[Line]:
    """Its lines with soft labels in this order of classes. Raises BadDataError where these are others."""
    if patch.classes == classes:
        return patch.lines
    if set(patch.classes) != set(classes):
        strange = sorted(set(patch.classes) - set(classes)) or sorted(set(classes) - set(patch.classes))
        raise BadDataError(
            f"{patch.path}, line 1: its classes are {', '.join(patch.classes)}, those here {', '.join(classes)} "
            f"({few(strange)}; {among(strange[0], classes)}): it is a patch of another set"
        )
    places = [patch.classes.index(name) for name in classes]
    return [
        line if line.soft_label is None else replace(line, soft_label=tuple(line.soft_label[at] for at in places))
        for line in patch.lines
    ]


def preferred(patches: Sequence[Patch], prefer: str | Path | None) -> int | str | None:
    """The place of the patch that is preferred, or PEOPLE. Raises UsageError for anything else."""
    if prefer is None or prefer == PEOPLE:
        return None if prefer is None else PEOPLE
    asked = Path(prefer).resolve()
    for place, patch in enumerate(patches):
        if asked in (patch.path.resolve(), patch.path.parent.resolve()):
            return place
    known = [PEOPLE, *(str(patch.path) for patch in patches)]
    raise UsageError(f"--prefer {prefer}: no such patch is merged here; {among(str(prefer), known)}")


def agreed(claims: Sequence[Claim], prefer: int | str | None = None) -> Line | None:
    """The one line that all claims about a sample come to; None where they contradict each other, also about which
    label it was given and in which split it is.

    >>> from ferclean.parts.patch_merging import agreed
    >>> agreed([]) is None
    True
    """
    asked = [line for place, line in claims if place == prefer] if isinstance(prefer, int) else []
    if prefer == PEOPLE:
        asked = [line for _, line in claims if (line.reason or "").startswith("decision: ")]
    for lines in ([line for _, line in claims], asked):
        if len({(line.says(), line.given_label, line.split) for line in lines}) == 1:
            # of those who say the same a person's reason goes first, and the order of patches does not count
            best = min(lines, key=_rank)
            return replace(
                best,
                verdict=_first(one.verdict for one in lines),
                pixel_hash=_first(one.pixel_hash for one in lines),
                perceptual_hash=_first(one.perceptual_hash for one in lines),
            )
    return None


def _first(words: Iterable[str | None]) -> str | None:
    return min((word for word in words if word), default=None)


def _rank(line: Line) -> tuple[Any, ...]:
    return (
        not (line.reason or "").startswith("decision: "), line.reason or "", line.source_key, line.content_hash or "",
        line.pixel_hash or "", line.perceptual_hash or "", line.split, line.old_label or "",
        line.soft_label or (),
    )  # fmt: skip


def conflict_of(claims: Sequence[Claim], names: Sequence[str]) -> Conflict:
    """How the claims about a sample contradict each other; `names` of the patches."""
    alone = len({line.source_key for _, line in claims}) == 1
    given = len({line.given_label for _, line in claims}) > 1
    splits = len({line.split for _, line in claims}) > 1
    told: dict[str, list[str]] = {}
    for place, line in claims:
        words = _in_words(line) + (f" in {line.split}" if splits else "")
        words += f" where it is given as {line.given_label}" if given else ""
        told.setdefault(names[place], []).append(words if alone else f"{printable(line.source_key)} {words}")
    labels = len({(line.label, line.included) for _, line in claims}) > 1
    said = {name: few(dict.fromkeys(words)) for name, words in told.items()}
    return Conflict(source_key=min(line.source_key for _, line in claims), says=said, labels=labels or given or splits)


def refuse(conflicts: Sequence[Conflict], prefer: int | str | None = None) -> None:
    """Raises FercleanError, naming the first of them, where there are any that `prefer` has not settled."""
    if not conflicts:
        return
    labels = [one for one in conflicts if one.labels]
    shown = (
        f"{printable(one.source_key)} ({', '.join(f'{name}: {said}' for name, said in one.says.items())})"
        for one in (*labels, *(one for one in conflicts if not one.labels))
    )
    people = f", or `--prefer {PEOPLE}` for decisions over what no person decided"
    if prefer == PEOPLE:
        people = ", since people decided about these in several of them, or in none"
    raise FercleanError(
        f"the patches contradict each other about {len(conflicts):,} samples ({len(labels):,} labels or splits, else "
        f"soft labels or weights): {few(shown, 10)}; nothing was written: say with --prefer which patch is right"
        f"{people}"
    )


def merged(patches: Sequence[Patch], prefer: int | str | None = None) -> tuple[dict[str, Any], list[Line]]:
    """The header and lines of one patch that says what all of them say; samples are known by their bytes and key.

    A picture under one given label that has other names in other patches is one sample, too, where these say different
    things of it: a contradiction, and where one is preferred, its lines alone stay. Where a patch tells it from its
    twin itself, or all say the same, each line stays.

    The same for any order of the patches, and for one that comes twice. Raises UsageError for patches that do not go
    together (`check_alike`), FercleanError, naming them, for contradictions that `prefer` does not settle.
    """
    release, content = check_alike(patches)
    classes = min(patch.classes for patch in patches)
    claims: dict[Sample, list[Claim]] = {}
    for place, patch in enumerate(patches):
        for line in in_order_of(patch, classes):
            claims.setdefault(line.sample(), []).append((place, line))
    names = patch_names(patches)
    conflicts = []
    for samples in _renamed(claims):
        said = [claim for sample in samples for claim in claims[sample]]
        keep = _preferred_samples(said, prefer)
        if keep is None:
            conflicts.append(conflict_of(said, names))
        for sample in samples:
            if keep is None or sample not in keep:
                del claims[sample]
    lines, others = _settled(claims, names, prefer)
    refuse([*conflicts, *others], prefer)
    lines.sort(key=lambda line: (line.source_key, line.content_hash or "", _rank(line)))
    first = min(patches, key=lambda patch: str(patch.header))
    header = first.header | {
        "classes": list(classes), "since": {"release": release, "content": content}, "lines": len(lines),
        "sources": _different(one for patch in patches for one in patch.sources),
    }  # fmt: skip
    return header, lines


def patch_names(patches: Sequence[Patch]) -> list[str]:
    """How messages tell patches apart: by the last name of each, where these differ."""
    short = [patch.path.parent.name if patch.path.name == FILE else patch.path.name for patch in patches]
    return short if len(set(short)) == len(short) and all(short) else [str(patch.path) for patch in patches]


def _renamed(claims: Mapping[Sample, Sequence[Claim]]) -> list[list[Sample]]:
    """The samples of one picture, given label and split that have no patch in common and of which different things are
    said; a list for each such picture. The time is in proportion to the lines, for each picture to the square of the
    different sets of patches that hold a name of it, too: three of two patches, seven of three."""
    alike: dict[tuple[Any, ...], dict[frozenset[int], list[Sample]]] = {}
    often = Counter(
        digest for said in claims.values() for digest in {one for _, line in said for one in _digests(line)}
    )
    for sample, said in claims.items():
        places = frozenset(place for place, _ in said)
        for digest in {one for _, line in said for one in _digests(line) if often[one] > 1}:
            for kind in {(line.given_label, line.split) for _, line in said}:
                alike.setdefault((digest, *kind), {}).setdefault(places, []).append(sample)
    rows: dict[Sample, int] = {}
    edges: list[tuple[int, int]] = []
    for groups in alike.values():
        if len(groups) < 2:
            continue
        says = {
            places: {line.says() for sample in samples for _, line in claims[sample]}
            for places, samples in groups.items()
        }
        against = {
            one for one, other in permutations(groups, 2) if not one & other and len(says[one] | says[other]) > 1
        }
        own = [rows.setdefault(sample, len(rows)) for places in against for sample in groups[places]]
        edges += [(own[0], row) for row in own[1:]]
    found: dict[int, list[Sample]] = {}
    for sample, group in zip(rows, group_ids(len(rows), np.array(edges)).tolist(), strict=True):
        found.setdefault(group, []).append(sample)
    return [sorted(group, key=str) for group in found.values()]


def _digests(line: Line) -> Iterator[tuple[str, str]]:
    if line.content_hash is not None:
        yield "bytes", line.content_hash
    if line.pixel_hash is not None and line.perceptual_hash is not None:  # pixels of one grey are many pictures
        yield "pixels", line.pixel_hash


def _preferred_samples(said: Sequence[Claim], prefer: int | str | None) -> set[Sample] | None:
    """Of samples that may be one: those that whoever is preferred speaks of; None where that settles nothing."""
    if isinstance(prefer, int):
        asked = [line for place, line in said if place == prefer]
        return {line.sample() for line in asked} or None
    asked = [line for _, line in said if prefer == PEOPLE and (line.reason or "").startswith("decision: ")]
    return {line.sample() for line in asked} if len({line.says() for line in asked}) == 1 else None


def _settled(
    claims: Mapping[Any, Sequence[Claim]], names: Sequence[str], prefer: int | str | None
) -> tuple[list[Line], list[Conflict]]:
    lines, conflicts = [], []
    for said in claims.values():
        line = agreed(said, prefer)
        if line is None:
            conflicts.append(conflict_of(said, names))
        else:
            lines.append(line)
    return lines, conflicts


def _different(sources: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [found for _, found in sorted({repr(sorted(one.items(), key=str)): one for one in sources}.items())]


def _in_words(line: Line) -> str:
    label = line.label if line.included else "left out"
    if line.soft_label is None:
        return f"{label}" + (f", weight {line.weight:g}" if line.weight != 1 else "")
    return f"{label}, soft {max(line.soft_label):.2f}, weight {line.weight:g}"
