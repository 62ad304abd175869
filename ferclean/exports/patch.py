"""The patch form: what a release changed and people confirmed, as JSON lines without pixels, for holders of a copy.

It never holds a pixel, a path beyond the source's own key, or the name of a person who decided.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import ferclean
from ferclean.errors import BadDataError, UsageError
from ferclean.exports.card import card_template
from ferclean.exports.content import DECIDED_TEST, DEFAULT, ORIGINAL, Content
from ferclean.exports.soft_targets import DIGITS
from ferclean.missing import is_missing
from ferclean.printable import printable
from ferclean.progress import Progress
from ferclean.recognition.images import readable_pixels
from ferclean.recognition.perceptual import NAME as PERCEPTUAL
from ferclean.recognition.perceptual import SIDE, perceptual_hashes
from ferclean.sources.rows import reason_kind
from ferclean.store.pixels import PixelShelf
from ferclean.store.releases import QUARANTINED, content_digest, get_release, get_release_items, was_usable

SINGLE_FILE = False
HOLDS_PIXELS = False

FILE = "patch.jsonl"
FORMAT, FORMAT_VERSION = "ferclean-patch", 1
RULES = ("threshold", "ambiguous", "unmended", "unusable_above")
"""What of a release's config says by which rules it was made."""
ABOUT = ("title", "homepage", "citation")
"""What of the set's card a header holds for the README."""
MOST_WORDS = 1000
"""Characters of a reason, a name or a card's words."""
FROM_PATCH = "patch: "
"""How the reason of a change begins that came with a patch."""
_BLOCK = 8192
_SAID = ("split", "label", "included", "soft_label", "weight")


@dataclass(frozen=True, kw_only=True)
class Looks:
    """What some pictures look like: `pixel_hash` (N,), None where a picture is lost; `perceptual_hash` (N,), 64 hex
    digits, None also for a flat one."""

    pixel_hash: list[str | None]
    perceptual_hash: list[str | None]


def check(content: Content, out: Path) -> list[str]:
    """Says how many lines there will be. Raises UsageError without a release, and for a part of one: a patch is whole,
    the test split as people decided."""
    if content.release is None:
        raise UsageError("a patch holds what a release changed: pass --release NAME (`ferclean release` makes one)")
    since = (
        [content.release] if content.since == ORIGINAL else [content.release, get_release(content.ws, content.since)]
    )
    if divided := [one.name for one in since if one.config.get("splits")]:
        raise UsageError(
            f"release {' and '.join(divided)} divides the set anew, and a patch holds no splits: release without "
            "--splits, and export that"
        )
    if content.configuration not in (DEFAULT, DECIDED_TEST):
        raise UsageError(f"a patch is a whole release: leave --configuration {content.configuration} out")
    items = changed_items(content)
    told = f"{int(items['changed'].sum()):,} samples differ from {content.since}, and are in the patch"
    if confirmed := int((~items["changed"]).sum()):
        told += f"; so are {confirmed:,} that people decided on without changing them"
    return [told, *content.empty_columns(["verdict"])]


def changed_items(content: Content) -> pd.DataFrame:
    """The release's items that differ from `content.since` in what they say of a sample, in the source's order; and
    those that people decided about since with the same outcome, so that a merge tells who changes what others keep.

    Columns as `get_release_items`, old_label (None: it was left out there) and changed (False: a person confirmed it).
    """
    assert content.name is not None
    new = get_release_items(content.ws, content.name)
    old = _as_given(new) if content.since == ORIGINAL else get_release_items(content.ws, content.since)
    was = {row[0]: (_comparable(row[2:]), row[1]) for row in _rows(old)}
    keep, before, changed = [], [], []
    for number, (sample, reason, *said) in enumerate(_rows(new)):
        earlier, why = was.get(sample, (None, None))
        differs = earlier != _comparable(said)
        if differs or (_decided(reason) and reason != why):
            keep.append(number)
            before.append(earlier[1] if earlier is not None and earlier[2] else None)
            changed.append(differs)
    index = new.index[keep]
    return new.iloc[keep].assign(
        old_label=pd.Series(before, index=index, dtype="object"), changed=pd.Series(changed, index=index, dtype=bool)
    )


def write(content: Content, target: Path, *, progress: Progress) -> None:
    """Write patch.jsonl (a header, then a line per sample of `changed_items`) and README.md.

    What it costs beside the table: the pictures of these samples, from their shelf, 8,192 at once.
    """
    items = changed_items(content)
    keys = public_keys(content.table["source_key"])
    facts = content.table.set_index("sample_id")[["source_key", "content_hash", "path", "verdict"]]

    def lines() -> Iterator[dict[str, Any]]:
        for start in range(0, len(items), _BLOCK):
            progress("writing the patch", start, len(items))
            part = items.iloc[start : start + _BLOCK]
            yield from _lines(content, part.join(facts, on="sample_id"), keys)

    write_patch(target, header(content, len(items)), lines())
    progress("writing the patch", len(items), len(items))


def header(content: Content, lines: int) -> dict[str, Any]:
    """The first line: of which set and release the patch is, and by which rules that was made."""
    made, about = content.release, content.dataset
    assert made is not None
    since = None if content.since == ORIGINAL else content_digest(get_release_items(content.ws, content.since))
    content_is = made.config.get("content") or content_digest(get_release_items(content.ws, made.name))
    return {
        "format": FORMAT, "format_version": FORMAT_VERSION, "written_by": f"ferclean {ferclean.__version__}",
        "about": {name: public_words(str(about.card.get(name) or "")) for name in ABOUT},
        "dataset": public_name(about.name), "licence": public_name(about.licence),
        "classes": list(about.classes), "perceptual": PERCEPTUAL,
        "since": {"release": content.since, "content": since},
        "sources": [
            {
                "release": made.name, "version": made.config.get("version"), "policy": made.policy,
                "fingerprint": made.fingerprint, "content": content_is,
                "rules": {name: made.config.get(name) for name in RULES}, "given": made.counts["before"],
            }
        ],
        "lines": lines,
    }  # fmt: skip


def write_patch(target: Path, header: dict[str, Any], lines: Iterable[Mapping[str, Any]]) -> None:
    """Write a header, which gets its `digest`, and its lines to patch.jsonl, and the README beside it."""
    digest = digest_begun(header)
    with (target / FILE).open("wb") as out:
        out.write(_coded({**header, "digest": digest.hexdigest()}))
        for line in lines:
            raw = _coded(line)
            digest.update(raw)
            out.write(raw)
        out.seek(0)
        out.write(_coded({**header, "digest": digest.hexdigest()}))
    text = card_template("patch_card.md.jinja").render(header=header, file=FILE)
    (target / "README.md").write_text(text, encoding="utf-8", newline="\n")


def digest_begun(header: Mapping[str, Any]) -> hashlib._Hash:
    """The SHA-256 of a patch, of which the lines below the header are still to come: all of a patch but the digest."""
    return hashlib.sha256(_coded({name: header[name] for name in sorted(header) if name != "digest"}))


def _coded(said: Mapping[str, Any]) -> bytes:
    return json.dumps(said, allow_nan=False).encode("ascii") + b"\n"


def public_reason(reason: Any) -> str | None:
    """A reason without the name of who decided, and without what a quarantine tells of a file.

    >>> public_reason("decision: relabel by ann"), public_reason("patch: automatic: unusable (p 0.910)")
    ('decision: relabel', 'automatic: unusable (p 0.910)')
    """
    if is_missing(reason) or not reason:
        return None
    text = str(reason).removeprefix(FROM_PATCH)
    if text.startswith(QUARANTINED):
        text = reason_kind(text)
    return printable(re.sub(r"(decision: \w+) by .*", r"\1", text, flags=re.DOTALL))[:MOST_WORDS]


def public_name(text: str) -> str:
    """A set's or a licence's name as a header holds it: one line, never empty.

    >>> public_name("a\\nb"), public_name("")
    ('a\\\\nb', 'unknown')
    """
    return printable(text)[:MOST_WORDS] or "unknown"


def public_words(text: str) -> str:
    """A card's words, in lines, as a header holds them.

    >>> public_words("a\\tb\\r\\nc")
    'a\\\\tb\\nc'
    """
    return "\n".join(map(printable, text.splitlines()))[:MOST_WORDS]


def public_keys(keys: Iterable[str]) -> dict[str, str]:
    """Each key of a set -> as it may be passed on, `public_key`; one that would fall together with another there
    carries 12 digits of its SHA-256, which do not depend on the others.

    >>> list(public_keys(["a.png", "b.png", "/x/a.png", "/y/b.png", "/y/c.png"]).values())
    ['a.png', 'b.png', 'a-1b067e527e9d.png', 'b-1d770b986bde.png', 'c.png']
    """
    public = {key: public_key(key) for key in keys}
    often = Counter(public.values())
    for key, name in public.items():
        if name != key and often[name] > 1:
            digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:12]
            stem, point, end = name.rpartition(".")
            public[key] = f"{stem}-{digest}{point}{end}" if stem else f"{name}-{digest}"
    return public


def public_key(key: str) -> str:
    """A source's key as it may be passed on: of one that leads anywhere on a disk, the last name alone.

    >>> public_key("train/fear/a.png"), public_key("/home/ada/a.png"), public_key("C:..\\\\a.png"), public_key("..")
    ('train/fear/a.png', 'a.png', 'a.png', 'unnamed')
    """
    if not key_leads_out(key):
        return key
    last = re.split(r"[\\/:]", key)[-1]
    return "unnamed" if last in ("", "..") else last


def key_leads_out(key: str) -> bool:
    """Whether a key is an absolute path or climbs out of a folder, on any system."""
    parts = re.split(r"[\\/]", key)
    home = key.startswith("~") and len(parts) > 1
    return home or ".." in parts or key[:1] in ("/", "\\") or re.match("[A-Za-z]:", key) is not None


def pixel_hash_of(look: np.ndarray) -> str:
    """SHA-256 of a picture decoded to SIDE x SIDE grey: the same for every lossless way to store it."""
    return hashlib.sha256(look.tobytes()).hexdigest()


def _lines(content: Content, rows: pd.DataFrame, keys: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    looks = _looks(content, rows)
    for number, row in enumerate(rows.to_dict("records")):
        row = {name: None if is_missing(value) else value for name, value in row.items()}
        soft = row["soft_label"]
        yield {
            "source_key": keys[row["source_key"]], "split": row["split"], "content_hash": row["content_hash"],
            "pixel_hash": looks.pixel_hash[number], "perceptual_hash": looks.perceptual_hash[number],
            "given_label": row["given_label"], "old_label": row["old_label"], "label": row["label"],
            "included": bool(row["included"]), "weight": round(float(row["weight"]), DIGITS),
            "soft_label": None if soft is None else [round(float(p), DIGITS) for p in soft],
            "reason": public_reason(row["reason"]), "verdict": row["verdict"],
        }  # fmt: skip


def _looks(content: Content, rows: pd.DataFrame) -> Looks:
    """Of these rows: from the shelf of the first look, else decoded; a picture that is lost is found by its key and
    bytes alone."""
    shelf = PixelShelf(content.ws, size=SIDE, channels=1)
    contents = list(rows["content_hash"])
    known = [one for one in dict.fromkeys(contents) if isinstance(one, str)]
    good = dict(zip(known, shelf.holds(known) & ~shelf.damaged(known), strict=True))
    found: dict[str, np.ndarray] = {}
    for row in rows[["source_key", "path", "content_hash"]].to_dict("records"):
        if not isinstance(row["content_hash"], str) or good[row["content_hash"]]:
            continue
        try:
            data = content.image({str(name): None if is_missing(value) else value for name, value in row.items()})
            found[row["content_hash"]] = readable_pixels(data, size=SIDE, channels=1)[0]
        except BadDataError:
            continue
    on_shelf = [one for one in known if good[one]]
    found |= dict(zip(on_shelf, shelf.take(on_shelf)[:, 0], strict=True)) if on_shelf else {}
    have = [one for one in known if one in found]
    bits, told = perceptual_hashes(np.array([found[one] for one in have], np.uint8).reshape(-1, SIDE, SIDE))
    seen = {one: row.tobytes().hex() for one, row, plain in zip(have, bits, told, strict=True) if plain}
    return Looks(
        pixel_hash=[pixel_hash_of(found[one]) if one in found else None for one in contents],
        perceptual_hash=[seen.get(one) for one in contents],
    )


def _as_given(items: pd.DataFrame) -> pd.DataFrame:
    """The set as it was given, when the release of these items was made."""
    return items.assign(
        label=items["given_label"], included=was_usable(items), soft_label=None, weight=1.0, reason=None
    )


def _rows(items: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    return zip(*(items[name] for name in ("sample_id", "reason", *_SAID)), strict=True)


def _decided(reason: Any) -> bool:
    """Whether a person did, here or, where a release comes from a patch, there."""
    return isinstance(reason, str) and reason.removeprefix(FROM_PATCH).startswith("decision: ")


def _comparable(said: Sequence[Any]) -> tuple[Any, ...]:
    """What `content_digest` sees of an item."""
    split, label, included, soft, weight = said
    targets = None if is_missing(soft) else tuple(round(float(p), DIGITS) for p in soft)
    return split, None if is_missing(label) else label, bool(included), targets, round(float(weight), DIGITS)
