"""What a copy of a set looks like, and what `ingest auto` must take it for: for the tests of recognition.

A layout's maker writes drawn faces under the names of the public copies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ferclean import sources
from ferclean.parts.recognised import recognise, sure
from ferclean.sources.cards import load_card


@dataclass(frozen=True)
class Layout:
    """A copy's maker, what it must be taken for (card, path below the root, options) and the labels that come out."""

    make: Callable[[Path, Sequence[bytes]], None]
    card: str
    path: str = ""
    options: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    """Source key -> class of some rows."""
    splits: dict[str, str] = field(default_factory=dict)
    """Source key -> split of some rows."""

    def check(self, root: Path, faces: Sequence[bytes]) -> None:
        """Made below `root`, it is taken for what it is, and its rows have these labels and, but for one, no fault."""
        self.make(root, faces)
        guesses = recognise(root)
        best = sure(guesses)
        assert best is not None, guesses
        assert (best.card, best.path, dict(best.options)) == (self.card, root / self.path, self.options)
        assert best.evidence
        assert all(len(line) > 20 for line in best.evidence)
        card = load_card(best.card)
        options = dict(best.options)
        if other := options.pop("layout", None):
            card = card.__class__(**{**card.__dict__, "layout": other})
        rows = {row.source_key: row for row in sources.read(best.path, card, options)}
        assert {key: rows[key].given_label for key in self.labels} == self.labels
        assert {key: rows[key].split for key in self.splits} == self.splits
        troubled = [row for row in rows.values() if row.problem]
        assert len(troubled) <= 1, troubled  # what lies beside the pictures


def put(root: Path, faces: Sequence[bytes], names: Sequence[str]) -> None:
    """A face under each name; faces repeat."""
    for place, name in enumerate(names):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(faces[place % len(faces)])
