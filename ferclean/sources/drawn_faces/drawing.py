"""Drawn faces: a set with known truth in the RAF-DB layout, for the demo, the tests and the measurements.

It plants errors and writes down every one of them; it never reads the truth back while the set is ingested.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ferclean.errors import BadDataError, UsageError, among
from ferclean.files import whole_folder
from ferclean.progress import Progress, silent
from ferclean.sources import rafdb
from ferclean.sources.drawn_faces.face_drawing import draw_face
from ferclean.sources.drawn_faces.face_expressions import CLASSES, draw_actions, draw_expression, label_distribution
from ferclean.sources.drawn_faces.face_faults import (
    CLASS_SHARES,
    Item,
    blank_image,
    broken_file,
    draw_copies,
    jpeg,
    plant_labels,
)
from ferclean.sources.drawn_faces.face_people import draw_identity

if TYPE_CHECKING:
    import pandas as pd

    from ferclean.sources.cards import Card
    from ferclean.sources.rows import SourceRow

GENERATOR_VERSION = 1
"""Raised with every change that changes a pixel or a label: measured figures belong to one version."""

ANNOTATORS = 10
MECHANISMS = ("symmetric", "confusion", "annotators")
KINDS = ("clean", "mislabelled", "ambiguous", "duplicate", "broken", "blank")

_IMAGES_PER_PERSON = 6
# Streams of random numbers, so that what is planted does not change the faces.
_PLAN, _PERSON, _FACE, _COPY = range(4)


@dataclass(frozen=True)
class DrawnTruth:
    """A drawn set on disk and what is true about it."""

    root: Path
    """The folder to ingest."""
    table: pd.DataFrame
    """One row per image, as in `truth.parquet`; columns are explained at `draw_set`."""

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Images per split and kind."""
        return _counts(self.table)


def draw_set(
    out: Path,
    *,
    train: int,
    test: int,
    seed: int,
    noise: float = 0.15,
    mechanism: str = "symmetric",
    confusion: np.ndarray | None = None,
    blends: float = 0.12,
    duplicates: float = 0.03,
    broken: float = 0.01,
    blank: float = 0.01,
    counts: Mapping[str, Mapping[str, int]] | None = None,
    progress: Progress = silent,
) -> DrawnTruth:
    """Draw `train` + `test` images (100x100 JPEG) into the empty or new folder `out`, in the RAF-DB layout.

    Every face shows one expression or, with share `blends`, two. Ten simulated annotators vote on each. Only the
    training split holds planted faults; `duplicates`, `broken` and `blank` are shares of it. Test labels are the
    strongest expression. People appear about six times each and never in both splits, except in planted copies.

    `counts` says how many faces of each class a split has, before anything is planted (for "train" and "test", as a
    card's `expected`); ambiguous faces then keep their strongest expression, so that without `noise` every label is
    true and the labels are as many. Without it classes have the shares of `CLASS_SHARES`.

    `mechanism` says how training labels go wrong:
    - "symmetric": a share `noise` of the clear faces (one expression, six votes or more) gets another label,
      any that fewer than 15 % of people would see there with the same probability.
    - "confusion": the label of a clear face is drawn from the row of its true class in `confusion` (7, 7), rows
      summing to 1, in the order of `CLASSES`; without one, `noise` is spread over the usual lookalikes.
    - "annotators": every label is the vote of one annotator drawn at random; `noise` has no say in it.

    Beside the set lie `drawn_faces.json` (generator version, arguments, counts) and `truth.parquet`, one row per
    image: source_key, split, given_label, true_label (the likeliest; None without a face), kind, votes_<class>
    (0 to 10), p_<class> (true label distribution; NaN without a face), blend_with (second expression or None),
    intensity (0 to 1; 0 for neutral), identity (person, -1 without a face), duplicate_of (source_key) and copy
    ("near", "exact" or None). kind is one of `KINDS`: a face is "ambiguous" when no expression has half of the
    votes, when a blend has no majority, or when the votes miss its strongest expression; its given label is one
    of its two likeliest. Copies are near ones of test faces (half), near ones of training faces (a quarter), and
    equal files with a conflicting label (a quarter).

    The same arguments give the same bytes. Raises UsageError for shares, sizes or mechanisms that cannot be, and
    for a folder that is not empty.
    """
    out = Path(out)
    arguments = {
        "train": train, "test": test, "seed": seed, "noise": noise, "mechanism": mechanism,
        "confusion": None if confusion is None else np.asarray(confusion, dtype=float).tolist(),
        "blends": blends, "duplicates": duplicates, "broken": broken, "blank": blank,
        "counts": None if counts is None else {split: dict(wanted) for split, wanted in counts.items()},
    }  # fmt: skip
    extra = {name: round(share * train) for name, share in
             (("duplicates", duplicates), ("broken", broken), ("blank", blank))}  # fmt: skip
    _check(out, arguments, train - sum(extra.values()))
    rng = np.random.default_rng([seed, GENERATOR_VERSION, _PLAN])
    faces = train - sum(extra.values())
    total = faces + test
    people = max(1, faces // _IMAGES_PER_PERSON)
    first = {
        split: _quota(number, counts[split] if counts else None) for split, number in (("train", faces), ("test", test))
    }
    exact = counts is not None
    testers = (people, max(1, test // _IMAGES_PER_PERSON))
    shown = _draw_split(rng, first["train"], seed, blends, (0, people), 0, total, progress, exact=exact)
    tested = _draw_split(rng, first["test"], seed, blends, testers, faces, total, progress, exact=exact)
    plant_labels(rng, shown, noise, mechanism, confusion, doubtful=not exact)
    shown += draw_copies(rng, shown, tested, extra["duplicates"], (seed, GENERATOR_VERSION, _COPY))
    shown += [broken_file(rng, number, shown) for number in range(extra["broken"])]
    shown += [blank_image(rng) for _ in range(extra["blank"])]
    order = rng.permutation(len(shown))
    splits = {"train": [shown[i] for i in order], "test": tested}
    for number, item in enumerate(splits["train"], start=1):
        item.key = f"train_{number:05d}"
    for number, item in enumerate(splits["test"], start=1):
        item.key = f"test_{number:04d}"
    return _write(out, splits, arguments)


def read(path: Path, card: Card, *, votes: str | Path | None = None) -> Iterator[SourceRow]:
    """The rows of a drawn set, exactly as of any set in the RAF-DB layout: the truth beside it stays unread.

    Raises BadDataError when the folder is not a finished drawn set.
    """
    if not (path / "drawn_faces.json").is_file():
        raise BadDataError(
            f"{path} holds no drawn_faces.json, so it is no finished drawn set; draw it again into an empty folder, "
            "or ingest it as rafdb"
        )
    yield from rafdb.read(path, card, votes=votes)


def read_truth(path: Path | str) -> pd.DataFrame:
    """The truth of a drawn set, for measuring; its columns are explained at `draw_set`."""
    import pandas as pd

    file = Path(path) / "truth.parquet"
    if not file.is_file():
        raise BadDataError(f"{file} is missing: only drawn sets have a known truth")
    return pd.read_parquet(file)


def _check(out: Path, arguments: dict[str, Any], faces: int) -> None:
    for name in ("noise", "blends", "duplicates", "broken", "blank"):
        if not 0 <= arguments[name] <= 1:
            raise UsageError(f"{name} is a share between 0 and 1, not {arguments[name]}")
    if arguments["mechanism"] not in MECHANISMS:
        raise UsageError(
            f"unknown mechanism {arguments['mechanism']!r}; {among(str(arguments['mechanism']), MECHANISMS)}"
        )
    if arguments["confusion"] is not None:
        matrix = np.asarray(arguments["confusion"])
        square = matrix.shape == (len(CLASSES), len(CLASSES))
        if not square or (matrix < 0).any() or not np.allclose(matrix.sum(1), 1, atol=1e-6):
            raise UsageError("confusion is a 7 x 7 matrix of shares whose rows (true classes) sum to 1")
        if arguments["mechanism"] != "confusion":
            raise UsageError("a confusion matrix needs mechanism='confusion'")
    if arguments["counts"] is not None:
        wanted = {split: sum(arguments["counts"].get(split, {}).values()) for split in ("train", "test")}
        if wanted != {"train": faces, "test": arguments["test"]}:
            raise UsageError(
                f"counts hold {wanted['train']} and {wanted['test']} faces, not {faces} and {arguments['test']}"
            )
    if faces < len(CLASSES) or arguments["test"] < len(CLASSES):
        raise UsageError(
            f"too small: {faces} faces to train on and {arguments['test']} to test; each split needs at least 7"
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not empty; name a new folder for the drawn faces")


def _draw_split(
    rng: np.random.Generator, first: np.ndarray, seed: int, blends: float, people: tuple[int, int],
    before: int, total: int, progress: Progress, *, exact: bool,
) -> list[Item]:  # fmt: skip
    """Faces of the classes `first` (N,), in another order, of the people numbered from people[0] (people[1] of them),
    labelled with what they show; `exact`: which is the class that they were drawn for, also where it is faint."""
    number = len(first)
    rng.shuffle(first)
    blended = np.zeros(number, dtype=bool)
    blended[rng.permutation(number)[: round(blends * number)]] = True
    who = rng.permutation(people[0] + np.arange(number) % people[1])
    persons = {
        int(p): draw_identity(np.random.default_rng([seed, GENERATOR_VERSION, _PERSON, int(p)])) for p in set(who)
    }
    items = []
    for i in range(number):
        own = np.random.default_rng([seed, GENERATOR_VERSION, _FACE, people[0], i])
        expression = draw_expression(own, first=int(first[i]), blend=bool(blended[i]))
        while exact and int(label_distribution(expression).argmax()) != first[i]:
            expression = draw_expression(own, first=int(first[i]), blend=bool(blended[i]))
        pixels = draw_face(own, identity=persons[int(who[i])], actions=draw_actions(own, expression))
        distribution = label_distribution(expression)
        votes = own.multinomial(ANNOTATORS, distribution)
        true = int(distribution.argmax())
        top = int(votes.max())
        split_votes = top < ANNOTATORS / 2 or (blended[i] and top <= ANNOTATORS / 2)
        ambiguous = bool(split_votes or votes[true] < top)
        items.append(
            Item(
                data=jpeg(pixels, int(own.integers(62, 96))),
                kind="ambiguous" if ambiguous else "clean",
                given=true,
                true=true,
                votes=votes,
                distribution=distribution,
                blend_with=expression.second,
                intensity=expression.intensity,
                identity=int(who[i]),
            )
        )
        if i % 25 == 24 or i == number - 1:
            progress("drawing faces", before + i + 1, total)
    return items


def _quota(number: int, wanted: Mapping[str, int] | None) -> np.ndarray:
    """Class indices (number,) int64: as many as `wanted`, else with the shares of `CLASS_SHARES`, every class at least
    once."""
    if wanted is not None:
        return np.repeat(np.arange(len(CLASSES)), [wanted.get(name, 0) for name in CLASSES])
    exact = CLASS_SHARES / CLASS_SHARES.sum() * (number - len(CLASSES))
    counts = exact.astype(int) + 1
    counts[np.argsort(counts - 1 - exact, kind="stable")[: number - counts.sum()]] += 1
    return np.repeat(np.arange(len(CLASSES)), counts)


def _write(out: Path, splits: dict[str, list[Item]], arguments: dict[str, Any]) -> DrawnTruth:
    import pandas as pd

    lines, rows = [], []
    with whole_folder(out) as draft:
        images, labels = draft / "Image" / "aligned", draft / "EmoLabel"
        images.mkdir(parents=True)
        labels.mkdir()
        for split, items in splits.items():
            for item in items:
                (images / f"{item.key}_aligned.jpg").write_bytes(item.data)
                lines.append(f"{item.key}.jpg {item.given + 1}\n")
                rows.append(_truth_row(split, item))
        (labels / "list_patition_label.txt").write_text("".join(lines), encoding="utf-8")
        table = pd.DataFrame(rows)
        table.to_parquet(draft / "truth.parquet", index=False)
        facts = {"generator_version": GENERATOR_VERSION, "arguments": arguments, "counts": _counts(table)}
        (draft / "drawn_faces.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return DrawnTruth(root=out, table=table)


def _truth_row(split: str, item: Item) -> dict[str, Any]:
    votes = item.votes if item.votes is not None else np.zeros(len(CLASSES), dtype=np.int64)
    shares = item.distribution if item.distribution is not None else np.full(len(CLASSES), np.nan)
    return {
        "source_key": item.key,
        "split": split,
        "given_label": CLASSES[item.given],
        "true_label": None if item.true is None else CLASSES[item.true],
        "kind": item.kind,
        **{f"votes_{name}": int(v) for name, v in zip(CLASSES, votes, strict=True)},
        **{f"p_{name}": float(p) for name, p in zip(CLASSES, shares, strict=True)},
        "blend_with": None if item.blend_with is None else CLASSES[item.blend_with],
        "intensity": item.intensity,
        "identity": item.identity,
        "duplicate_of": None if item.original is None else item.original.key,
        "copy": item.copy,
    }


def _counts(table: pd.DataFrame) -> dict[str, dict[str, int]]:
    found = Counter(zip(table["split"], table["kind"], strict=True))
    return {split: {kind: found[split, kind] for kind in KINDS} for split in ("train", "test")}
