"""Read a data set into the workspace: every row of the source becomes a sample, the broken ones with the reason.

It never drops a row, never changes a given label and never copies files that can stay where they are.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from ferclean import sources
from ferclean.errors import UsageError
from ferclean.evidence.labels import ClassName
from ferclean.files import whole_files
from ferclean.parts.at_hand import AtHand, Caps, at_hand
from ferclean.parts.intake import Intake
from ferclean.parts.pixels import LOOK
from ferclean.parts.recognised import AUTO, not_looked_at, or_what_it_is, recognise, the_sure_one
from ferclean.parts.whole_set import check_usable, found_classes, missing_pictures, refuse_second_folder
from ferclean.progress import Progress, silent
from ferclean.sources import hub
from ferclean.sources.cards import Card, load_card
from ferclean.sources.codes import numeric_codes, perhaps_shifted, refuse_shifted
from ferclean.sources.rows import SourceRow, name_list, reason_kind
from ferclean.sources.taking import chosen as chosen_rows
from ferclean.sources.taking import chunks, unique_key
from ferclean.store import samples as store
from ferclean.store.arrivals import SPLITS
from ferclean.store.pixels import Filling, PixelShelf
from ferclean.store.renewal import source_name
from ferclean.store.workspace import Workspace
from ferclean.summary import Summary

_PATHS = ("votes", "images")
"""Options that name files; a column may be called like an address."""
_HANDED = 32
"""Rows that a thread is handed at once: handing over one takes a tenth of its decoding."""


@dataclass(frozen=True, kw_only=True)
class IngestSummary(Summary):
    """What came in. `by_class` counts usable samples per split and class, `quarantined` the others per reason.

    Each row of this call is `added`, `unchanged`, `returned` (withdrawn before, and there again byte for byte), or
    one of the `vanished`: samples whose row or picture the source holds no longer. `changed` counts samples whose row
    now holds other bytes, which are a new sample beside them; `elsewhere` those of other files of the set. `ignored`
    are hidden files, `left_out` rows beyond `limit`.
    """

    dataset: str
    classes: list[str]
    added: int
    unchanged: int
    changed: int
    vanished: int
    returned: int
    elsewhere: int
    by_split: dict[str, int]
    by_class: dict[str, dict[str, int]]
    quarantined: dict[str, int]
    ignored: int
    left_out: int
    with_votes: int
    dry_run: bool
    notes: tuple[str, ...] = ()
    """What was chosen or looks odd, though nothing was refused: columns, splits, missing pictures, codes."""


def ingest(
    ws: Workspace,
    card: str | Path | Card,
    path: str | Path,
    *,
    layout: str | None = None,
    classes: str | Iterable[str] | None = None,
    limit: int | None = None,
    seed: int = 0,
    dry_run: bool = False,
    caps: Caps | None = None,
    progress: Progress = silent,
    **options: Any,
) -> IngestSummary:
    """Read the data set at `path` as its card says, and store its samples; done twice, it changes nothing.

    Done again, it brings the workspace up to date: new rows are added; a row with other bytes is a new sample beside
    the old one; samples whose row or picture is gone are withdrawn (quarantined, with the reason) and return when they
    are there again; decisions stay with the sample that they were made about. With `limit`, rows that were not drawn
    are left as they are. A file speaks for its own rows alone, a folder for the whole set.

    `layout` reads it in another layout than the card's (FER2013 from a table); `classes` gives the class names in
    order, for a vocabulary of its own; `limit` takes at most that many samples, the same share of every split and
    class, drawn with `seed`, in the source's order; `options` go to the layout (`votes`, `label_column`, ...).
    `dry_run` reads and checks everything and stores nothing.

    A `path` such as `hf://owner/name@revision` is fetched from the Hugging Face Hub into the workspace, at one commit,
    which is kept as the set's version (`sources.hub`), within `caps`. In a dry run, too, and it stays then; what is
    here of another commit goes when this one is ingested, and not before.

    The card "auto" is what `parts.recognised` takes `path` for, where that is sure. A `path` that is a zip or tar, or
    leads into one (`set.zip/basic`), is unpacked into the workspace within `caps` (`parts.at_hand`), and the pictures
    are read from there from then on; a folder that is alone in it is entered.

    Raises UsageError for options and names, BadDataError when the data cannot be what the card says: no usable
    image, labels counted from another number than the card's codes, a known row with another given label or split.
    """
    with ExitStack() as stack:
        fetched = ""
        if hub.is_address(path):
            path, fetched = stack.enter_context(hub.fetched(path, ws.hub, caps=caps))
        here = stack.enter_context(at_hand(ws.sources, path, caps=caps, keep=not dry_run, progress=progress))
        options = {name: here.local(value) if name in _PATHS and isinstance(value, str | Path) else value
                   for name, value in options.items() if value is not None}  # fmt: skip
        with or_what_it_is(here.path, card, layout, options):
            done = _ingest(
                ws, card, here, layout=layout, classes=classes, limit=limit, seed=seed, dry_run=dry_run,
                progress=progress, options=options, fetched=fetched,
            )  # fmt: skip
        if fetched and not dry_run:
            hub.keep_only(Path(path))
    return done


def _ingest(
    ws: Workspace, card: str | Path | Card, here: AtHand, *, layout: str | None, classes: str | Iterable[str] | None,
    limit: int | None, seed: int, dry_run: bool, progress: Progress, options: dict[str, Any],
    fetched: str,
) -> IngestSummary:  # fmt: skip
    """`ingest` of what is at hand."""
    path = here.path
    said = list(here.notes)
    if auto := card == AUTO:
        guesses = recognise(path)
        guess = the_sure_one(guesses)
        said.append(here.told(f"taken for {guess.card} in {guess.path}: {'; '.join(guess.evidence)}"))
        said += filter(None, [not_looked_at(guesses)])
        card, path, given = guess.card, guess.path, {**guess.options, **options}
        layout = layout or given.pop("layout", None)
        options = given
    card = card if isinstance(card, Card) else load_card(card)
    card = replace(card, layout=layout or card.layout, version=fetched or card.version)
    names = name_list(classes if classes is None or isinstance(classes, str) else list(classes))
    if names:
        card = card.with_classes(names)
    path = path if auto else here.entered(card)
    root = sources.root_of(path, options)
    if not card.classes and (declared := sources.class_names(path, card, options)):
        card = card.with_classes(declared, declared=True)
    if limit is not None and limit < 1:
        raise UsageError(f"limit is the number of samples to take, 1 or more, not {limit}")

    chosen, left_out = chosen_rows(path, card, options, limit=limit, seed=seed, progress=progress)
    shelved = Filling(PixelShelf(ws, size=LOOK[0], channels=LOOK[1]))
    reader = Intake(ws=ws, card=card, root=root, dry_run=dry_run, shelved=shelved)
    found: list[store.Sample] = []
    ignored = 0
    codes: Counter[str] = Counter()
    keys: Counter[str] = Counter()
    # rows that a limit leaves out have their keys, too: a key must not depend on which others were drawn
    leftover: set[str] = set()
    read = sources.read(path, card, options)

    def keyed() -> Iterator[SourceRow]:
        for index, row in enumerate(read):
            keyed = row if row.ignored else unique_key(row, keys)
            if keyed.leftover:
                leftover.add(keyed.source_key)
            if row.ignored or chosen is None or index in chosen:
                yield keyed

    with reader.taking_back():
        with whole_files(ws.images) as keep, ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            for chunk in chunks(keyed()):
                usable = [row for row in chunk if not row.ignored]
                ignored += len(chunk) - len(usable)
                codes.update(row.given_code for row in usable if row.given_code is not None)
                handed = [usable[start : start + _HANDED] for start in range(0, len(usable), _HANDED)]
                found.extend(chain.from_iterable(pool.map(partial(reader.samples, keep), handed)))
                progress("reading images", len(found), len(chosen) if chosen is not None else len(found))
        shelved.flush()
        refuse_shifted(codes, card)
        good = [sample for sample in found if sample.quarantine_reason is None]
        missing = missing_pictures(found, root, "images" in sources.options_of(sources.source(card.layout).read))
        check_usable(found, good, path, missing)
        before = store.find_dataset(ws)
        if not card.classes:
            named = found_classes(found)
            known = tuple(map(ClassName, before.classes)) if before is not None and before.name == card.name else ()
            # a class that has lost its last image is still a class of this workspace
            card = replace(card, classes=known if set(named) <= set(known) else named)

        notes = [*said, *sources.notes(path, card, options), *missing]
        if fetched:
            notes.append(f"this is {fetched} of the Hub, which is kept with the set; its files lie in {path}")
        if before is not None:
            refuse_second_folder(ws, Path(before.root), root, set(keys), source_name(path))
        seen = numeric_codes(codes, card) | set(before.card.get("numeric_codes", ()) if before is not None else ())
        if shifted := perhaps_shifted(seen, card.codes):
            notes.append(shifted)
        dataset = store.Dataset(
            name=card.name, classes=card.classes, root=str(root), licence=card.licence,
            redistributable=card.redistributable, card={**card.as_dict(), "numeric_codes": sorted(seen)},
        )  # fmt: skip
        put = store.put_samples(
            ws, found, dataset=dataset, present=set(keys) - leftover, source=source_name(path), dry_run=dry_run
        )
    splits = [name for name in SPLITS if any(s.split == name for s in good)]
    table = Counter((sample.split, sample.given_label) for sample in good)
    return IngestSummary(
        dataset=card.name,
        classes=list(card.classes),
        added=put.added,
        unchanged=put.unchanged,
        changed=put.changed,
        vanished=put.vanished,
        returned=put.returned,
        elsewhere=put.elsewhere,
        by_split={split: sum(sample.split == split for sample in good) for split in splits},
        by_class={split: {name: table[split, name] for name in card.classes} for split in splits},
        quarantined=dict(Counter(reason_kind(s.quarantine_reason) for s in found if s.quarantine_reason).most_common()),
        ignored=ignored,
        left_out=left_out,
        with_votes=sum(not (sample.votes is None and sample.annotations is None) for sample in found),
        dry_run=dry_run,
        notes=tuple(notes),
    )
