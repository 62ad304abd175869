"""A patch as it comes from somebody else: every line is looked at before any of it is believed.

It never opens a path that a patch names, and never passes over a line: what is wrong is refused with its number.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from sys import intern
from typing import Any

from ferclean.derived import first_line
from ferclean.errors import BadDataError, UsageError, among, few
from ferclean.exports.patch import ABOUT, FILE, FORMAT, FORMAT_VERSION, digest_begun
from ferclean.exports.soft_targets import DIGITS
from ferclean.parts.patch_values import (
    MOST_LINES,
    OF_SOURCE,
    are_names,
    are_sources,
    is_about,
    is_count,
    is_hash,
    is_key,
    is_name,
    is_share,
    is_since,
    is_target,
    is_words,
)
from ferclean.recognition.perceptual import NAME as PERCEPTUAL
from ferclean.store.arrivals import SPLITS
from ferclean.store.verdicts import KINDS

MOST_BYTES = 65_536
"""Of a line: a sample of 5,000 classes."""
_MEND = "get the patch again from where it came from, or export it again"


@dataclass(frozen=True, slots=True)
class Line:
    """What a patch says of one sample; about 900 bytes of seven classes."""

    number: int
    """Of the line in its file, from 1; the header is the first."""
    source_key: str
    split: str
    content_hash: str | None
    pixel_hash: str | None
    perceptual_hash: str | None
    given_label: str | None
    old_label: str | None
    """Before the patch; None: left out."""
    label: str | None
    included: bool
    weight: float
    soft_label: tuple[float, ...] | None
    """In the order of the patch's classes."""
    reason: str | None
    verdict: str | None
    plain: bool = False
    """Whether `soft_label` is the label alone, as a person's is in a release that has soft labels; not in the file."""

    def says(self) -> tuple[Any, ...]:
        """What becomes of the sample: two lines that say the same agree."""
        return self.label, self.included, self.weight, None if self.plain else self.soft_label

    def sample(self) -> tuple[str | None, str]:
        """Which sample of its source it is about: the bytes, and the key, since one picture may be there twice."""
        return self.content_hash, self.source_key


@dataclass(frozen=True, kw_only=True)
class Patch:
    """A patch that was read whole."""

    path: Path
    header: dict[str, Any]
    lines: list[Line] = field(repr=False)

    @property
    def classes(self) -> tuple[str, ...]:
        """In the order of its soft labels."""
        return tuple(self.header["classes"])

    @property
    def sources(self) -> list[dict[str, Any]]:
        """The releases that it comes from: one, or those of the patches that were merged."""
        return list(self.header["sources"])

    @property
    def name(self) -> str:
        """What the release that it leads to is called."""
        return "+".join(str(one["release"]) for one in self.sources)

    @property
    def since(self) -> tuple[str, str | None]:
        """The release that it leads on from and the digest of what that says; "original" has none."""
        return self.header["since"]["release"], self.header["since"]["content"]


def read_patch(path: str | Path) -> Patch:
    """Read and check a patch: the file of JSON lines, or the folder of an export that holds it.

    Costs 900 bytes and some 15 microseconds a line. Raises UsageError where there is none, BadDataError, naming the
    line and the way out, for anything that `ferclean export --form patch` does not write.
    """
    file = Path(path) / FILE if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise UsageError(f"no patch at {path}: give the file that `ferclean export --form patch` wrote, or its folder")
    objects = _objects(file)
    number, first, _ = next(objects, (1, {}, b""))
    header, digest = _header(first, f"{file}, line {number}"), digest_begun(first)
    told = header.pop("digest")
    a_class = f"a class of the header ({few((name[:40] for name in header['classes']), 20)}) or null"
    lines, seen = [], dict[tuple[str | None, str], int]()
    for number, found, raw in objects:
        digest.update(raw.rstrip(b"\r\n") + b"\n")
        where = f"{file}, line {number}"
        line = _line(found, number, header["classes"], a_class, where)
        before = seen.setdefault(line.sample(), number)
        if before != number:
            key = _shown(line.source_key)
            raise BadDataError(f"{where} is about the same sample as line {before} ({key}); {_MEND}")
        lines.append(line)
    if len(lines) != header["lines"]:
        raise BadDataError(
            f"{file} has {len(lines):,} lines after its header, which says {header['lines']:,}: it was cut off or "
            f"added to; {_MEND}"
        )
    if digest.hexdigest() != told:
        raise BadDataError(
            f"{file} does not agree with itself: line 1 tells the digest {told[:12]}..., and its header and lines have "
            f"{digest.hexdigest()[:12]}...: something in it was changed since it was written; {_MEND}"
        )
    return Patch(path=file, header=header, lines=lines)


def _objects(file: Path) -> Iterator[tuple[int, dict[str, Any], bytes]]:
    with file.open("rb") as handle:
        number = 0
        while raw := handle.readline(MOST_BYTES + 1):
            number += 1
            where = f"{file}, line {number}"
            if len(raw) > MOST_BYTES:
                raise BadDataError(f"{where} is longer than {MOST_BYTES:,} bytes, as none of a patch is; {_MEND}")
            if number > MOST_LINES:
                raise BadDataError(f"{file} has more than {MOST_LINES:,} lines, as no patch has; {_MEND}")
            try:
                found = json.loads(raw.decode("utf-8"), parse_constant=_no_number, object_pairs_hook=_once)
            except (ValueError, RecursionError) as error:
                raise BadDataError(f"{where} is no JSON of a patch ({first_line(error)}); {_MEND}") from None
            if not isinstance(found, dict):
                raise BadDataError(f"{where} is no JSON object; {_MEND}")
            yield number, found, raw


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number")


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name comes twice")
    return found


def _header(found: Mapping[str, Any], where: str) -> dict[str, Any]:
    if found.get("format") != FORMAT:
        raise BadDataError(f"{where} is not the header of a patch; give what `ferclean export --form patch` wrote")
    version = found.get("format_version")
    if type(version) is not int or version != FORMAT_VERSION:
        raise BadDataError(
            f"{where} has the format version {_shown(version)}, and this ferclean reads {FORMAT_VERSION}: use the "
            f"ferclean that wrote it ({_shown(found.get('written_by'))}), or a newer one"
        )
    read = _Reader(found, where)
    about_sources = "releases, each with its name, version, policy, fingerprint, content, rules and given counts alone"
    _check_whole(found.get("sources"), where)
    header = {
        "format": read("format", is_name, FORMAT), "format_version": read("format_version", bool, "1"),
        "written_by": read("written_by", is_name, "the name of a program"),
        "dataset": read("dataset", is_name, "a name"), "licence": read("licence", is_name, "a name"),
        "classes": read("classes", are_names, "a list of different names"),
        "since": read("since", is_since, '"original", or a release and its content digest'),
        "lines": read("lines", is_count, f"a number of lines up to {MOST_LINES:,}"),
        "sources": read("sources", lambda value: are_sources(value, found["classes"]), about_sources),
        "perceptual": read("perceptual", is_name, "a name"),
        "about": read("about", is_about, f"words for {', '.join(ABOUT)} alone"),
        "digest": read("digest", lambda value: value is not None and is_hash(value), "64 hex digits"),
    }  # fmt: skip
    read.nothing_else()
    if header["perceptual"] != PERCEPTUAL:
        raise BadDataError(
            f"{where} has perceptual hashes {_shown(header['perceptual'])}, and this ferclean makes {PERCEPTUAL!r}: "
            "use the ferclean that wrote it"
        )
    return header


def _check_whole(sources: Any, where: str) -> None:
    """Raises BadDataError for a release of which something is not told."""
    for one in sources if isinstance(sources, list) else ():
        if isinstance(one, dict) and (lacking := sorted(OF_SOURCE - one.keys())):
            raise BadDataError(
                f"{where}: of the release {_shown(one.get('release'))} it lacks {', '.join(lacking)}, as patches of an "
                "earlier ferclean do: make it again (`ferclean export --form patch --release NAME`, then merge again)"
            )


def _line(found: Mapping[str, Any], number: int, classes: Sequence[str], a_class: str, where: str) -> Line:
    read = _Reader(found, where)
    a_hash = "64 hex digits or null"

    def label(name: str) -> str | None:
        value = read(name, lambda value: value is None or value in classes, a_class)
        return None if value is None else intern(value)

    def digest(name: str) -> str | None:
        value: str | None = read(name, is_hash, a_hash)
        return value

    soft = read("soft_label", lambda value: is_target(value, len(classes)), f"{len(classes)} chances that sum to 1")
    named = label("label")
    line = Line(
        number=number,
        source_key=read("source_key", is_key, "a name or path in UTF-8 that leads out of no folder"),
        split=intern(read("split", lambda value: value in SPLITS, f"one of {', '.join(SPLITS)}")),
        content_hash=digest("content_hash"), pixel_hash=digest("pixel_hash"), perceptual_hash=digest("perceptual_hash"),
        given_label=label("given_label"), old_label=label("old_label"), label=named,
        included=read("included", lambda value: isinstance(value, bool), "true or false"),
        weight=_rounded(read("weight", is_share, "a number from 0 to 1")),
        soft_label=None if soft is None else tuple(map(_rounded, soft)),
        reason=_interned(read("reason", is_words, "words in one line, or null")),
        verdict=_interned(read("verdict", lambda value: value is None or value in KINDS, f"one of {', '.join(KINDS)}")),
        plain=soft is not None and named is not None and soft[classes.index(named)] == 1,
    )  # fmt: skip
    read.nothing_else()
    if line.included and line.label is None:
        raise BadDataError(f"{where} takes in a sample without a label; {_MEND}")
    if line.content_hash is line.pixel_hash is line.perceptual_hash is None:
        raise BadDataError(f"{where} has no hash by which its picture could be found; {_MEND}")
    return line


class _Reader:
    """Takes checked values out of one object."""

    def __init__(self, found: Mapping[str, Any], where: str) -> None:
        self._found, self._where, self._asked = found, where, list[str]()

    def __call__(self, name: str, good: Callable[[Any], Any], what: str) -> Any:
        self._asked.append(name)
        if name not in self._found:
            raise BadDataError(f"{self._where} lacks {name}: {what}; {_MEND}")
        value = self._found[name]
        try:
            fits = bool(good(value))
        except (AttributeError, TypeError, ValueError, OverflowError, KeyError):  # of another kind than any that fits
            fits = False
        if not fits:
            nearest = f"; {among(value, SPLITS)}" if name == "split" and isinstance(value, str) else ""
            raise BadDataError(f"{self._where}: {name} is {_shown(value)}, not {what}{nearest}; {_MEND}")
        return value

    def nothing_else(self) -> None:
        """Raises BadDataError for a field that was not asked for: what it says would be lost."""
        if len(self._found) > len(self._asked):
            strange = sorted(set(self._found).difference(self._asked))
            names = few(map(_shown, strange))
            raise BadDataError(f"{self._where} has fields that no patch of this version has ({names}); {_MEND}")


def _shown(value: Any) -> str:
    return repr(value)[:80]


def _rounded(share: float) -> float:
    """As an export writes it, so that what says the same is the same; never minus zero."""
    return round(float(share), DIGITS) + 0.0


def _interned(value: str | None) -> str | None:
    return None if value is None else intern(value)
