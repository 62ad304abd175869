"""Read a file of votes on the rows of a table: who said what, or how many chose each class.

It never guesses what a column means and never leaves a vote out: a file with a wrong line is refused as a whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass, field
from pathlib import Path

from ferclean.errors import BadDataError, UsageError, few
from ferclean.evidence.labels import canonical_name
from ferclean.sources.ballots import by_label, refuse_strangers, vote_number, whole_votes
from ferclean.sources.cards import Card
from ferclean.sources.rows import NOT_EXPRESSIONS
from ferclean.sources.tabular import (
    IMAGE_COLUMNS,
    KEY_COLUMNS,
    LABEL_COLUMNS,
    SPLIT_COLUMNS,
    code_of,
    find_column,
    header_of,
    records_of,
    text_of,
)

ANNOTATOR_COLUMNS = ("annotator", "annotator_id", "rater", "worker", "user")
_NAMES = ("key", *KEY_COLUMNS, *IMAGE_COLUMNS)


@dataclass(frozen=True, kw_only=True)
class VoteFile:
    """Votes by source key; `counts` in a file of counts, `annotations` (annotator -> label) in one of single votes."""

    path: Path
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    annotations: dict[str, dict[str, str]] = field(default_factory=dict)

    def refuse_strangers(self, keys: Set[str]) -> None:
        """Raise BadDataError, counting and naming them, for votes on keys that are not among `keys`."""
        mend = "take them out, or name the table's column of these keys with --key-column"
        refuse_strangers(self.path, self.counts or self.annotations, keys, mend)


def read_vote_file(path: Path, card: Card, *, key_column: str | None = None) -> VoteFile:
    """The votes of a CSV or Parquet file in one of two forms, told apart by a column `annotator`.

    Long: one row per vote with a key, an annotator and a label. Wide: one row per key with a column per class,
    `unknown` and `not_a_face` (or `NF`), counts or shares (`ballots.whole_votes`); columns of splits are passed over.
    Keys stand in `key_column`, else in a column key, source_key, path, image and the like. Labels are what the card
    knows (names, other words for them, codes in a long file), also expressions that are none of the set's classes.

    Raises UsageError for a missing file or column; BadDataError, counting and naming what is wrong, for unknown labels
    and columns, empty cells, negative votes, shares mixed with counts, keys or annotators that come twice.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file of votes")
    header = header_of(path)
    known = {name.strip().lower(): name for name in header}
    key = key_column if key_column in header else find_column(header, None, _NAMES, "key_column", path)
    annotator = next((known[name] for name in ANNOTATOR_COLUMNS if name in known), None)
    if annotator is None:
        return _wide(path, card, header, key)
    return _long(path, card, key, annotator, find_column(header, None, LABEL_COLUMNS, "label", path))


def _long(path: Path, card: Card, key: str, annotator: str, label: str) -> VoteFile:
    annotations: dict[str, dict[str, str]] = {}
    empty: list[int] = []
    twice: list[str] = []
    unknown: Counter[str] = Counter()
    for number, cells in records_of(path, [key, annotator, label]):
        face, who, code = text_of(cells[key]), text_of(cells[annotator]), code_of(cells[label])
        name = card.label_of(cells[label]) or (_label(code, card) if code is not None else None)
        if face is None or who is None or (code is None and name is None):
            empty.append(number)
            continue
        if name is None:
            unknown[str(code)] += 1
        elif who in annotations.setdefault(face, {}):
            twice.append(f"{who} on {face}")
        else:
            annotations[face][who] = name
    _refuse(path, empty, lambda: f"{len(empty):,} rows lack a key, an annotator or a label, first {few(empty)}")
    _refuse(
        path,
        unknown,
        lambda: (
            f"{unknown.total():,} votes for unknown labels, "
            f"{few([f'{label!r} ({count:,})' for label, count in unknown.most_common()])}; "
            f"known: {card.known_labels()}, unknown, not_a_face"
        ),
    )
    _refuse(path, twice, lambda: f"{len(twice):,} annotators labelled a key twice, first {few(twice)}")
    _refuse(path, not annotations, lambda: "holds no votes")
    return VoteFile(path=path, annotations=annotations)


def _wide(path: Path, card: Card, header: Iterable[str], key: str) -> VoteFile:
    columns = {
        name: _label(name, card)
        for name in header
        if name.strip() and name != key and (name.strip().lower() not in SPLIT_COLUMNS or card.named(name))
    }
    strange = [name for name, label in columns.items() if label is None]
    _refuse(
        path,
        strange,
        lambda: (
            f"{len(strange)} columns are no class, {few(strange)}; known: {card.known_labels()}, unknown, not_a_face. "
            "A file of single votes has the columns key, annotator and label"
        ),
    )
    _refuse(path, not columns, lambda: "has no column of votes beside the keys")
    numbers: dict[str, list[float]] = {}
    empty: list[int] = []
    twice: list[str] = []
    bad: list[str] = []
    for number, cells in records_of(path, [key, *columns]):
        name = text_of(cells[key])
        if name is None:
            empty.append(number)
            continue
        if name in numbers:
            twice.append(name)
        values = {column: vote_number(cells[column]) for column in columns}
        bad += [f"{text_of(cells[column])!r} ({column} of {name})" for column in columns if values[column] is None]
        numbers[name] = [value or 0.0 for value in values.values()]
    _refuse(path, empty, lambda: f"{len(empty):,} rows lack a key, first {few(empty)}")
    _refuse(path, bad, lambda: f"{len(bad):,} votes are negative or no numbers, first {few(bad)}")
    _refuse(path, twice, lambda: f"{len(twice):,} keys come twice, first {few(twice)}")
    _refuse(path, not numbers, lambda: "holds no votes")
    labels = [label or "" for label in columns.values()]
    whole = whole_votes(path, numbers, card.annotators)
    return VoteFile(path=path, counts={name: by_label(labels, counts) for name, counts in whole.items()})


def _label(name: str, card: Card) -> str | None:
    """The label behind a word of the file; an expression outside the set's classes is one too."""
    found = card.label_of(name) or NOT_EXPRESSIONS.get(name.strip().lower())
    if found is None:
        try:
            found = canonical_name(name)
        except UsageError:
            return None
    return found


def _refuse(path: Path, wrong: object, message: Callable[[], str]) -> None:
    if wrong:
        raise BadDataError(f"{path}: {message()}")
