"""What every way in yields: one row per line, file or table row of the source, good or bad.

It never reads an image and never drops a row: what is wrong with one is written in its `problem`.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from ferclean.errors import BadDataError, UsageError, among

SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "development": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",  # as Hugging Face's loader has it
    "evaluation": "test",
    "publictest": "validation",  # FER2013's words, wherever its rows turn up
    "privatetest": "test",
}
"""Names under which the three canonical splits are found, as `split_word` writes them."""
SPLITS = tuple(dict.fromkeys(SPLIT_WORDS.values()))

NOT_EXPRESSIONS = {"unknown": "unknown", "nf": "not_a_face", "not_a_face": "not_a_face"}
"""What annotators may vote for besides an expression."""


@dataclass(frozen=True, kw_only=True)
class SourceRow:
    """One sample as its source holds it; exactly one of `relative_path`, `data` and `pixels` unless broken.

    `source_key` is the original row number or file name. `given_label` is a canonical class name or None, and then
    `problem` says why. `given_code` is what stood in the file (the class's name where the file declares what its
    numbers mean), `problem` a reason to quarantine that starts with "label: ", "file: ", "image: " or "split: "; a row
    whose split is unknown holds the place "train". `ignored` marks things that were never samples (hidden files,
    clutter): counted, not stored. `votes` are counts per label, `annotations` the label that each named annotator gave;
    a row has one of them at most. `leftover` marks a file that no row names. `box` is the part of a picture that is the
    sample, cut out at ingest: left, top, right, bottom in `box_unit`, pixels or shares of its width and height.
    """

    source_key: str
    split: str = "train"
    given_label: str | None = None
    given_code: str | None = None
    relative_path: str | None = None
    data: bytes | None = None
    pixels: np.ndarray | None = None
    problem: str | None = None
    attributes: dict[str, object] = field(default_factory=dict)
    votes: dict[str, int] | None = None
    annotations: dict[str, str] | None = None
    ignored: bool = False
    leftover: bool = False
    box: tuple[float, float, float, float] | None = None
    box_unit: Literal["pixels", "shares"] = "pixels"


def leads_out(root: Path, name: str) -> bool:
    """Whether a name read from a file leaves `root` by its own words, absolute or with `..`; the disk is not asked.

    >>> [leads_out(Path("/set"), name) for name in ("a/b.png", "/set/a.png", "a/../../b.png", "/etc/passwd")]
    [False, False, True, True]
    """
    there = os.path.abspath(os.path.join(root, name))

    def inside(top: str) -> bool:
        return there == top or there.startswith(top.rstrip(os.sep) + os.sep)

    return not inside(os.path.abspath(root)) and not inside(os.path.realpath(root))


def contained_file(root: Path, relative: str, *, real: str | None = None) -> tuple[Path | None, str | None]:
    """The real file behind `relative`, or None and the reason why it must not be read.

    Refused are paths that lead out of `root`, without a look at what is there, links that do, links in a circle,
    missing files, folders and devices. `real` is the real path of `root`, where a caller that asks for many knows it.
    """
    base = os.path.realpath(root) if real is None else real
    if "\0" in relative:
        return None, "file: the name holds a NUL character"
    if _straight(base, relative):
        return Path(base, relative), None
    if leads_out(root, relative):
        return None, "file: path leaves the data set's folder"
    joined = os.path.join(base, relative)
    try:
        there, lost = os.path.realpath(joined, strict=True), None
    except FileNotFoundError:
        there, lost = os.path.realpath(joined), "link to nothing" if os.path.islink(joined) else "missing"
    except OSError as error:  # a circle of links, a name too long, no permission
        return None, f"file: cannot be followed ({error.strerror or type(error).__name__})"
    if os.path.commonpath([base, there]) != base:
        return None, "file: symlink leaves the data set's folder"
    if lost:
        return None, f"file: {lost}"
    if not os.path.isfile(there):
        return None, "file: not a regular file"
    return Path(there), None


def refuse_lists_outside(root: Path, files: Iterable[Path]) -> None:
    """Raises BadDataError for a list below `root`, found by its usual name, that is a link out of it: whoever made the
    set chose what lies behind it."""
    for file in files:
        if wrong := contained_file(root, os.path.relpath(file, root))[1]:
            raise BadDataError(f"{file} is not read ({wrong}): put the list itself there")


def _straight(base: str, relative: str) -> bool:
    """Whether a file lies below the real folder `base` where its words say, behind no link and no "..": so do nearly
    all, and asking takes a fifth of following whatever may come."""
    parts = relative.split("/")
    if os.altsep or not {"", ".", ".."}.isdisjoint(parts):
        return False
    at = base
    try:
        for part in parts[:-1]:
            at = f"{at}/{part}"
            if not stat.S_ISDIR(os.lstat(at).st_mode):
                return False
        return stat.S_ISREG(os.lstat(f"{at}/{parts[-1]}").st_mode)
    except OSError:  # whoever follows it says what is wrong
        return False


def kept_path(root: Path, relative: str, problem: str | None) -> str | None:
    """What a row keeps of a name about which `contained_file` says `problem`: the path below `root`, also where the
    file is missing, so that the report says which; None for a name that is not inside."""
    if problem not in (None, "file: missing"):
        return None
    if not os.path.isabs(relative):
        return relative
    return Path(os.path.realpath(relative)).relative_to(os.path.realpath(root)).as_posix()


def leftover(relative: str, problem: str, split: str = "train", *, key: str | None = None) -> SourceRow:
    """The row of a file that none of its source names: at `relative` below the root, called `key` where that is
    another, with `problem` as its reason unless nobody can store its name."""
    whole = storable(relative) == relative
    return SourceRow(
        source_key=storable(relative if key is None else key),
        split=split,
        relative_path=relative if whole else None,
        leftover=True,
        problem=problem if whole else "file: the name is not UTF-8",
    )


def split_word(name: str) -> str | None:
    """The canonical split behind a usual name for one, in any case, with or without "set" and the like behind it.

    >>> [split_word(name) for name in ("Training", "val_set", "Public Test", "test-images", "settled")]
    ['train', 'validation', 'validation', 'test', None]
    """
    word = re.sub(r"[\s_-]+", "", name.lower())
    return SPLIT_WORDS.get(word) or SPLIT_WORDS.get(re.sub(r"(set|split|data|images|faces)$", "", word))


def storable(name: str) -> str:
    """A file name as text that can be stored: bytes that are no UTF-8 are written as \\x and their hex digits."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def reason_kind(reason: str) -> str:
    """A quarantine reason without its details in brackets, so that the same thing is counted once.

    >>> reason_kind("label: unknown code ('9'; known: 1, 2); image: too small (1x1)")
    'label: unknown code; image: too small'
    """
    return re.sub(r" \(.*?\)(?=; |$)", "", reason, flags=re.DOTALL)


def name_list(value: str | Sequence[str] | None) -> tuple[str, ...]:
    """`"a,b"` or a sequence of names as a tuple; None is empty.

    Raises UsageError for an empty one: what stands behind it would take its place.
    """
    parts = [part.strip() for part in (value.split(",") if isinstance(value, str) else value or ())]
    if not all(parts) and parts != [""]:
        raise UsageError(f"{','.join(parts)!r} has an empty name between its commas; write a,b,c")
    return tuple(filter(None, parts))


def split_names(value: str | Mapping[str, str] | None) -> dict[str, str]:
    """`"Training=train,PublicTest=validation"` or a mapping as one with canonical splits.

    Raises UsageError for another target than train, validation and test.
    """
    if value is None:
        return {}
    pairs = dict(part.partition("=")[::2] for part in name_list(value)) if isinstance(value, str) else dict(value)
    for source, target in pairs.items():
        if target.strip() not in SPLITS:
            raise UsageError(f"split {source!r} is mapped to {target!r}; {among(target, SPLITS)}")
    return {source.strip(): target.strip() for source, target in pairs.items()}
