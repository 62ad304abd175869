"""Which sample of a workspace is each line of a patch about? By bytes, else by pixels, else by what pictures look like.

It never guesses: what several pictures could be, or one that is too far away or labelled otherwise, is doubtful.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ferclean.evidence.hamming import MOST, near_rows
from ferclean.evidence.splits import group_ids
from ferclean.exports.patch import pixel_hash_of, public_keys
from ferclean.missing import is_missing
from ferclean.parts.patch_file import Line
from ferclean.parts.pixels import LOOK, blocks_of
from ferclean.progress import Progress, Tell
from ferclean.recognition.perceptual import APART, NEAR, SURE, perceptual_hashes
from ferclean.store.workspace import Workspace

WAYS = ("bytes", "pixels", "perceptual")


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """A line that nothing is done with, since nobody can tell which sample it is about."""

    line: Line
    why: str
    samples: list[str]
    """The samples that it may be about, the nearest first."""


@dataclass(frozen=True, kw_only=True)
class Matches:
    """What became of each line."""

    sample: dict[int, str]
    """Place of the line in the patch -> sample id."""
    by: dict[str, int]
    """Way of WAYS -> lines that were matched so."""
    missed: list[Line] = field(repr=False)
    """Nothing here looks like them."""
    doubtful: list[Doubt] = field(repr=False)


@dataclass(frozen=True)
class _Edges:
    """Who may be whom: lines (P,), samples (P,), how far apart (P,), 0 for the same bytes or pixels."""

    line: np.ndarray
    sample: np.ndarray
    bits: np.ndarray


class _Matching:
    """One patch on one workspace; lines and samples by their place."""

    def __init__(self, lines: Sequence[Line], samples: pd.DataFrame) -> None:
        self.lines = lines
        self.ids = list(samples["sample_id"])
        own = public_keys(samples["source_key"])
        self.keys = [own[key] for key in samples["source_key"]]
        self.splits = list(samples["split"])
        self.given = [None if is_missing(label) else label for label in samples["given_label"]]
        self.found: dict[int, int] = {}
        self.doubts: dict[int, tuple[str, list[int]]] = {}
        self.taken = np.zeros(len(samples), dtype=bool)
        self.taker: dict[int, Line] = {}
        self.by: Counter[str] = Counter()

    def open_lines(self) -> list[int]:
        """The lines about which nothing is known yet."""
        return [at for at in range(len(self.lines)) if at not in self.found and at not in self.doubts]

    def settle(self, edges: _Edges, way: str) -> None:
        """Match what hangs together: one to one, else as key, label and split tell; the rest is doubtful."""
        free = ~self.taken[edges.sample]
        line, sample, bits = edges.line[free], edges.sample[free], edges.bits[free]
        if not len(line):
            return
        nodes, where = np.unique(np.concatenate([line, sample + len(self.lines)]), return_inverse=True)
        group = group_ids(len(nodes), where.reshape(2, -1).T)
        order = np.argsort(group[where[: len(line)]], kind="stable")
        bounds = np.flatnonzero(np.diff(group[where[: len(line)]][order])) + 1
        for part in np.split(order, bounds):
            self._component(line[part].tolist(), sample[part].tolist(), bits[part].tolist(), way)

    def repeat(self, edges: _Edges, way: str) -> None:
        """Lines of one picture that say the same, as those of renamed copies that were merged: where every sample that
        an open one could be is taken by such a line, it is about that."""
        near: dict[int, list[int]] = defaultdict(list)
        asking = np.isin(edges.line, self.open_lines())
        for at, other in zip(edges.line[asking].tolist(), edges.sample[asking].tolist(), strict=True):
            near[at].append(other)
        for at, others in near.items():
            said = [self.taker.get(other) for other in others]
            if all(one is not None and one.says() == self.lines[at].says() for one in said):
                own = (self.lines[at].given_label, self.lines[at].split)
                fits = (other for other in others if (self.given[other], self.splits[other]) == own)
                self._accept(at, next(fits, others[0]), way)

    def _component(self, line: list[int], sample: list[int], bits: list[int], way: str) -> None:
        near: dict[int, list[int]] = defaultdict(list)
        apart: dict[int, dict[int, int]] = defaultdict(dict)
        for at, other, distance in zip(line, sample, bits, strict=True):
            near[at].append(other)
            apart[at][other] = distance
        lines, samples = set(near), set(sample)
        if not (len(lines) == len(samples) == 1):
            # of frames of one face a name tells nothing against looks: the copy may be numbered otherwise
            nearest = {at: [other for other in near[at] if apart[at][other] == min(apart[at].values())] for at in near}
            self._by_key(nearest, lines, samples, way)
            self._by_label(near, lines, samples, way)
        if len(lines) == len(samples) == 1:
            self._accept(lines.pop(), samples.pop(), way)
        for at in lines:
            left = [other for other in near[at] if other in samples]
            if left:
                twins = len(samples)
                why = f"{twins} pictures here could be it" if twins > 1 else "several lines are about this picture"
                self.doubts[at] = (why, left)

    def _by_key(self, near: Mapping[int, list[int]], lines: set[int], samples: set[int], way: str) -> None:
        for at in sorted(lines):
            named = [other for other in near[at] if other in samples and self.keys[other] == self.lines[at].source_key]
            if len(named) == 1:
                self._accept(at, named[0], way)
                lines.discard(at)
                samples.discard(named[0])

    def _by_label(self, near: Mapping[int, list[int]], lines: set[int], samples: set[int], way: str) -> None:
        """Copies of one picture under different labels are told by these; where lines say the same, it does not matter
        which is which."""
        asking: dict[tuple[str | None, str], list[int]] = defaultdict(list)
        for at in sorted(lines):
            asking[self.lines[at].given_label, self.lines[at].split].append(at)
        for (given, split), same in asking.items():
            alike = [other for other in sorted(samples) if (self.given[other], self.splits[other]) == (given, split)]
            agree = len({self.lines[at].says() for at in same}) == 1
            # of more than MOST nobody was told all: any of the others could be it, too
            whole = all(len(near[at]) < MOST and set(alike) <= set(near[at]) for at in same)
            if alike and agree and whole and len(same) >= len(alike):
                for at, other in zip(same, alike, strict=False):
                    self._accept(at, other, way)
                    lines.discard(at)
                    samples.discard(other)

    def _accept(self, at: int, other: int, way: str) -> None:
        line, given = self.lines[at], self.given[other]
        if given != line.given_label:
            self.doubts[at] = (f"labelled {given or 'nothing'} here, {line.given_label or 'nothing'} there", [other])
            return
        if self.splits[other] != line.split:
            self.doubts[at] = (f"in {self.splits[other]} here, in {line.split} there", [other])
            return
        self.found[at] = other
        self.taken[other] = True
        self.taker.setdefault(other, line)
        self.by[way] += 1


def match(ws: Workspace, lines: Sequence[Line], samples: pd.DataFrame, *, progress: Progress, tell: Tell) -> Matches:
    """Each of a patch's lines to a sample of `samples` (`get_samples`, quarantined ones too), where it is one for sure.

    Bytes and pixels match where they are equal. By looks, a picture matches that differs in SURE bits or fewer of its
    perceptual hash where no other lies within APART bits of that, and each sample takes one line. Of several, the same
    source key tells, else the given label and split where that leaves no choice. A given label that is another one
    makes a match doubtful, and so do up to NEAR bits.

    Where bytes tell, no picture is read. Else each is, from its shelf, once (`perceptual_hashes`, `near_rows`: 2 s at
    12,000, a minute and a half at 300,000 rows of one core) and 32 bytes of it are kept.
    """
    found = _Matching(lines, samples)
    edges = _equal(found, range(len(lines)), [line.content_hash for line in lines], _rows_of(samples))
    found.settle(edges, "bytes")
    found.repeat(edges, "bytes")
    left = found.open_lines()
    if left:
        readable = samples["quarantine_reason"].isna().to_numpy() & samples["path"].notna().to_numpy()
        rows = np.flatnonzero(readable)  # those that are taken too: what looks like one of them most is not another
        pixels, bits, told = _looks(ws, samples.iloc[rows], progress, tell)
        where: dict[str, list[int]] = defaultdict(list)
        for row, digest in zip(rows.tolist(), pixels, strict=True):
            where[digest].append(row)
        edges = _equal(found, left, [lines[at].pixel_hash for at in left], where)
        found.settle(edges, "pixels")
        found.repeat(edges, "pixels")
        progress("comparing pictures", 1, 2)
        _by_looks(found, rows[told], bits[told])
        progress("comparing pictures", 2, 2)
    return Matches(
        sample={at: found.ids[other] for at, other in found.found.items()},
        by={way: found.by[way] for way in WAYS},
        missed=[lines[at] for at in found.open_lines()],
        doubtful=[
            Doubt(line=lines[at], why=why, samples=[found.ids[other] for other in others])
            for at, (why, others) in sorted(found.doubts.items())
        ],
    )


def _rows_of(samples: pd.DataFrame) -> dict[str, list[int]]:
    """Content hash -> rows that hold it; those that take part alone, where there are such."""
    where: dict[str, list[int]] = defaultdict(list)
    sound = samples["quarantine_reason"].isna().to_numpy()
    contents = samples["content_hash"].to_numpy()
    for row in [*np.flatnonzero(sound).tolist(), *np.flatnonzero(~sound).tolist()]:
        content = contents[row]
        if isinstance(content, str) and (sound[row] or not where.get(content) or not sound[where[content][0]]):
            where[content].append(row)
    return where


def _equal(
    found: _Matching, places: Iterable[int], digests: Sequence[str | None], where: Mapping[str, list[int]]
) -> _Edges:
    """Of very many equal pictures a line is told the one of its own key; without one, the first MOST of them."""
    many = {digest: rows for digest, rows in where.items() if len(rows) > MOST}
    named = {(digest, found.keys[row]): row for digest, rows in many.items() for row in rows}
    pairs = []
    for at, digest in zip(places, digests, strict=True):
        if digest is not None:
            own = named.get((digest, found.lines[at].source_key))
            pairs += [(at, row) for row in (where.get(digest, ())[:MOST] if own is None else [own])]
    both = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return _Edges(both[:, 0], both[:, 1], np.zeros(len(both), dtype=np.int64))


def _looks(
    ws: Workspace, rows: pd.DataFrame, progress: Progress, tell: Tell
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Of these samples: their pixel hashes, perceptual hashes (N, 32), and whether those tell anything (N,)."""
    pixels: list[str] = []
    bits: list[np.ndarray] = [np.empty((0, 32), dtype=np.uint8)]
    told: list[np.ndarray] = [np.empty(0, dtype=bool)]
    for block in blocks_of(ws, rows, size=LOOK[0], channels=LOOK[1], progress=progress, tell=tell):
        progress("looking at pictures", len(pixels), len(rows))
        pixels += [pixel_hash_of(look) for look in block[:, 0]]
        hashes, plain = perceptual_hashes(block[:, 0])
        bits.append(hashes)
        told.append(plain)
    return pixels, np.concatenate(bits), np.concatenate(told)


def _by_looks(found: _Matching, rows: np.ndarray, bits: np.ndarray) -> None:
    asking = [at for at in found.open_lines() if found.lines[at].perceptual_hash is not None]
    if not asking or not len(rows):
        return
    hashes = np.array([list(bytes.fromhex(found.lines[at].perceptual_hash or "")) for at in asking], dtype=np.uint8)
    one, other, apart = near_rows(hashes, bits, within=NEAR)
    line, sample = np.array(asking)[one], rows[other]
    nearest = np.full(len(found.lines), NEAR + 1)
    np.minimum.at(nearest, line, apart)
    close = apart < nearest[line] + APART
    best = apart == nearest[line]
    gone = np.setdiff1d(line[best & found.taken[sample]], line[best & ~found.taken[sample]])
    for at in gone.tolist():
        likest = sample[best & (line == at)].tolist()
        found.doubts[at] = ("another line is about the picture here that looks like it most", likest)
    sure = close & (nearest[line] <= SURE) & ~np.isin(line, gone)
    found.settle(_Edges(line[sure], sample[sure], apart[sure]), "perceptual")
    order = np.lexsort((apart, line))
    for at, row, distance in zip(line[order].tolist(), sample[order].tolist(), apart[order].tolist(), strict=True):
        if nearest[at] > SURE and at not in found.doubts:
            found.doubts[at] = (f"the nearest picture here differs in {distance} of 256 bits", [row])


def as_rows(matches: Matches, samples: Mapping[str, str]) -> list[dict[str, Any]]:
    """What was missed and what is doubtful, for people: source_key, split, label, what (missed, doubtful), why, here
    (source keys of the samples that it may be about; `samples`: id -> key)."""
    told: list[tuple[Line, str, str, list[str]]] = [
        *((line, "missed", "no picture here looks like it", []) for line in matches.missed),
        *((one.line, "doubtful", one.why, one.samples) for one in matches.doubtful),
    ]
    return [
        {
            "source_key": line.source_key, "split": line.split, "label": line.label if line.included else None,
            "what": what, "why": why, "here": [samples[one] for one in here[:5]],
        }
        for line, what, why, here in told
    ]  # fmt: skip
