"""New splits of the set, proposed and kept under a name: no person and no group of copies in two of them, all alike.

It never changes a published split, and leaves the published test split alone unless that is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ferclean.errors import BadDataError, UsageError, among
from ferclean.evidence import balancing
from ferclean.evidence.attributes import codes_of, people_attribute, people_of, scalar_names
from ferclean.evidence.labels import encode
from ferclean.evidence.splits import group_ids
from ferclean.parts.copies import find_duplicates, pair_rows
from ferclean.printable import printable
from ferclean.progress import Progress, Tell, silent, unheard
from ferclean.store import assignments, samples
from ferclean.store.arrivals import SPLITS
from ferclean.store.workspace import Workspace
from ferclean.summary import Summary

DEFAULT_SHARES = (0.8, 0.1, 0.1)
COPIES = "copies"
"""As `by`: nothing but copies holds pictures together."""
"""What an attribute is called that tells people."""
UNEVEN = 0.02
"""How far a split's size may be from what was asked before a warning says so, as a share of all that is divided."""
NOT_COMPARABLE = (
    "this test split is not the published one: what is measured on it cannot be compared with published results, and "
    "what others trained on the set (weights, judges) may have learned from its pictures"
)


@dataclass(frozen=True, kw_only=True)
class SplitSummary(Summary):
    """An assignment of every sample to a split, and how alike the splits are."""

    name: str
    path: str
    """The folder with splits.parquet and splits.json."""
    shares: dict[str, float]
    """Split -> its share of what was divided."""
    by: str | None
    """The attribute that tells people; None: nothing but copies holds pictures together."""
    seed: int
    kept_test: bool
    """The test split is the published one, and no part of what was divided."""
    groups: int
    """Of people and copies, among the pictures that were divided."""
    splits: list[dict[str, Any]] = field(repr=False)
    """Per split: split, n, share (of all that are in one), identities (None where no people are told), and values: of
    "class" and each balanced attribute, value -> share of the split. Quarantined rows count nowhere."""
    left_out: dict[str, int]
    """Why pictures are in no split (they belong with a published test picture) -> pictures."""
    differences: dict[str, dict[str, float]]
    """Of "class" and each balanced attribute: `balanced`, the largest difference between a value's share in a split
    and in all that was divided, and `random`, the same of plain random splits of the groups (mean of 20)."""
    warnings: list[str]
    kept_before: bool = False
    """The same splits lay there under this name."""
    dry_run: bool = False


def split(
    ws: Workspace,
    name: str | None = None,
    *,
    train: float | None = None,
    validation: float | None = None,
    test: float | None = None,
    by: str | None = None,
    balance: Sequence[str] = (),
    keep_test: bool = True,
    seed: int = 0,
    dry_run: bool = False,
    progress: Progress = silent,
    tell: Tell = unheard,
) -> SplitSummary:
    """Divide the set anew, and keep that under a name (by default the next free `split-N`) for `release --splits NAME`.

    Shares default to .8, .1 and .1; where some are given, the others are 0. Pictures of one person (`by`: an attribute,
    by default the one that names people, or "copies" for none) and copies of one picture (equal, near, mirrored) stay
    together; the classes as given and the attributes of `balance` are spread alike (`evidence.balancing`).

    With `keep_test` a published test split stays, and train and validation divide the rest in their ratio; what belongs
    with a picture of it (its copy, the same person) is left out of both. Without, everything is divided.

    The first call looks at all pictures for copies (`parts.copies.find_duplicates`); after that 300,000 rows take
    seconds. Raises UsageError for shares that do not sum to 1, an unknown attribute, a taken name, a group larger than
    every split, and a class in fewer groups than splits; BadDataError where nothing is left to divide.
    """
    shares = _shares(train, validation, test)
    if name is not None:
        assignments.check_name(name)
    # whatever the order of arrival
    table = samples.get_samples(ws, include_quarantined=True).sort_values("sample_id", ignore_index=True)
    attributes, classes = list(table["attributes"]), samples.get_dataset(ws).classes
    by, balance = _known(attributes, by, balance)
    traits, values, takes_part = _traits(table, attributes, classes, balance)
    people, persons = (np.full(len(table), -1), []) if by is None else people_of(attributes, by)

    pairs = pair_rows(list(table["sample_id"]), find_duplicates(ws, progress=progress, tell=tell))
    progress("dividing", 0, 2)
    hashes = list(table["content_hash"])
    copies = group_ids(len(table), pairs, hashes)
    groups = group_ids(len(table), np.concatenate([pairs, _joined(people)]), hashes)

    published = (table["split"] == "test").to_numpy()
    kept = keep_test and bool((published & takes_part).any())
    held = np.isin(groups, groups[published]) if kept else np.zeros(len(table), dtype=bool)
    wanted = {part: share for part, share in shares.items() if share and not (kept and part == "test")}
    wanted = {part: share / sum(wanted.values()) for part, share in wanted.items()}
    free, counted = np.flatnonzero(~held), np.flatnonzero(~held & takes_part)
    _check_groups(groups[counted], traits[counted, 0], wanted, classes, _names(people[counted], persons, by))

    of_free = balancing.balanced_splits(traits[free], groups[free], shares=list(wanted.values()), seed=seed)
    parts = table["split"].to_numpy(dtype=object, copy=True)
    parts[free] = np.array(list(wanted), dtype=object)[of_free]
    left_out = np.full(len(table), None, dtype=object)
    left_out[held & ~published] = "the same person as in the published test split"
    left_out[held & ~published & np.isin(copies, copies[published])] = "a copy of a published test picture"
    made = table[["sample_id", "source_key"]].assign(split=parts, left_out=left_out)
    progress("dividing", 1, 2)

    new_test = not kept and "test" in wanted and bool((published & takes_part).any())
    facts: dict[str, Any] = {
        "digest": assignments.digest(made), "shares": wanted, "by": by, "balance": list(balance), "seed": seed,
        "kept_test": kept, "new_test": new_test,
        "fingerprint": samples.fingerprint(ws),
    }  # fmt: skip
    name, before = _name(ws, name, facts)
    if not dry_run and not before:
        assignments.put(ws, name, made, facts)
    progress("dividing", 2, 2)

    own = of_free[takes_part[free]]
    alike = balancing.differences(own, traits[counted])
    random = balancing.random_differences(groups[counted], traits[counted], shares=list(wanted.values()), seed=seed)
    shown = takes_part & np.array([why is None for why in left_out])
    out = pd.Series(left_out[takes_part]).value_counts()
    return SplitSummary(
        name=name,
        path=str(ws.splits / name),
        shares=wanted,
        by=by,
        seed=seed,
        kept_test=kept,
        groups=len(np.unique(groups[counted])),
        splits=[
            _row(part, shown & (parts == part), int(shown.sum()), people if by else None, traits, values)
            for part in SPLITS if part in wanted or (kept and part == "test")
        ],
        left_out={str(why): int(count) for why, count in out.items()},
        differences={
            one: {"balanced": round(float(here), 4), "random": round(float(there), 4)}
            for one, here, there in zip(values, alike, random, strict=True)
        },
        warnings=_warnings(
            wanted, np.bincount(own, minlength=len(wanted)) / len(own), left_out=int(out.sum()), rest=len(own),
            told=(kept, new_test, by is None),
        ),
        kept_before=before,
        dry_run=dry_run,
    )  # fmt: skip


def _shares(train: float | None, validation: float | None, test: float | None) -> dict[str, float]:
    given = (train, validation, test)
    shares = DEFAULT_SHARES if given == (None, None, None) else tuple(share or 0.0 for share in given)
    said = " ".join(f"--{part} {share:g}" for part, share in zip(SPLITS, shares, strict=True))
    if not all(0 <= share <= 1 for share in shares):
        raise UsageError(f"a share is 0 to 1, not as in {said}")
    if abs(sum(shares) - 1) > 1e-6:
        raise UsageError(f"the shares sum to {sum(shares):g}, not to 1: {said}")
    if not shares[0]:
        raise UsageError(f"nothing is left to train on: {said}")
    return dict(zip(SPLITS, shares, strict=True))


def _known(attributes: list[Any], by: str | None, balance: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    """The attribute of people, by default the set's own, and those to balance, each once; all of them known."""
    known = scalar_names(attributes)
    for one in (*balance, *([] if by in (None, COPIES) else [by])):
        if one not in known:
            told = among(str(one), known) if known else "its source tells none"
            raise UsageError(f"no attribute {one!r} in this set; {told}")
    if by is None:
        by = people_attribute(attributes)
    return (None if by == COPIES else by), tuple(dict.fromkeys(balance))


def _traits(
    table: pd.DataFrame, attributes: list[Any], classes: tuple[str, ...], balance: Sequence[str]
) -> tuple[np.ndarray, dict[str, list[str]], np.ndarray]:
    """Codes of the class and the attributes (N, M), -1 where a row takes no part; what they are called; who does."""
    takes_part = (table["quarantine_reason"].isna() & table["given_label"].notna()).to_numpy()
    if not takes_part.any():
        raise BadDataError("there is nothing to divide: every sample is quarantined or has no label")
    columns, values = [encode(list(table["given_label"]), classes)], {"class": list(classes)}
    for one in balance:
        codes, names = codes_of(attributes, one)
        columns.append(codes)
        values[one] = names
    return np.where(takes_part[:, None], np.stack(columns, axis=1), -1), values, takes_part


def _joined(codes: np.ndarray) -> np.ndarray:
    """Pairs of rows (M, 2) that join all rows of a person; -1 is nobody."""
    order = np.argsort(codes, kind="stable")
    same = (codes[order][1:] == codes[order][:-1]) & (codes[order][1:] >= 0)
    return np.stack([order[:-1][same], order[1:][same]], axis=1)


def _names(people: np.ndarray, persons: list[str], by: str | None) -> list[str]:
    """Whose picture each row is, for the words of an error."""
    return [f"of {by} {printable(persons[one])}" if one >= 0 else "that are copies" for one in people]


def _check_groups(
    groups: np.ndarray, label: np.ndarray, wanted: Mapping[str, float], classes: tuple[str, ...], whose: list[str]
) -> None:
    """Raise where the groups cannot be divided as asked."""
    if not len(groups):
        raise BadDataError(
            "nothing is left to divide: all pictures belong with the published test split (copies, the same people); "
            "--no-keep-test divides that, too"
        )
    _, first, size = np.unique(groups, return_index=True, return_counts=True)
    room = max(wanted.values()) * len(groups)
    if len(size) > 1 and size.max() > room and len(wanted) > 1:
        raise UsageError(
            f"{size.max():,} pictures {whose[first[size.argmax()]]} must stay together, and the largest split has room "
            f"for {room:,.0f}: give it a larger share, or --by {COPIES}"
        )
    few = {
        classes[code]: count for code in range(len(classes))
        if 0 < (count := len(np.unique(groups[label == code]))) < len(wanted)
    }  # fmt: skip
    if few or len(size) < len(wanted):
        named = ", ".join(f"{name} ({count})" for name, count in few.items()) or f"all pictures ({len(size)})"
        raise UsageError(
            f"fewer groups of people and copies than the {len(wanted)} splits, so that one would have none: {named}; "
            f"ask for fewer splits, or --by {COPIES}"
        )


def _name(ws: Workspace, name: str | None, facts: Mapping[str, Any]) -> tuple[str, bool]:
    """Under which name to keep it, and whether it lies there already. Raises UsageError where others do."""
    known = assignments.names(ws)
    if name is None:
        same = next((one for one in known if assignments.facts_of(ws, one)["digest"] == facts["digest"]), None)
        return (same, True) if same else (_free(known), False)
    if name not in known:
        return name, False
    if assignments.facts_of(ws, name)["digest"] != facts["digest"]:
        raise UsageError(f"the splits {name!r} are frozen, and these would be others; choose another name")
    return name, True


def _free(known: Sequence[str]) -> str:
    number = 1
    while f"split-{number}" in known:
        number += 1
    return f"split-{number}"


def _row(
    part: str, mine: np.ndarray, total: int, people: np.ndarray | None, traits: np.ndarray, values: dict[str, list[str]]
) -> dict[str, Any]:
    """One of `SplitSummary.splits`."""
    n = int(mine.sum())
    told = {
        one: dict(zip(names, np.round(np.bincount(codes[mine], minlength=len(names)) / max(n, 1), 4).tolist(),
                      strict=True))
        for (one, names), codes in zip(values.items(), traits.T, strict=True)
    }  # fmt: skip
    seen = None if people is None else len(np.unique(people[mine & (people >= 0)]))
    return {"split": part, "n": n, "share": round(n / max(total, 1), 4), "identities": seen, "values": told}


def _warnings(
    wanted: Mapping[str, float], got: np.ndarray, *, left_out: int, rest: int, told: tuple[bool, bool, bool]
) -> list[str]:
    kept, new_test, no_people = told
    said = []
    if new_test:
        said.append(NOT_COMPARABLE)
    if kept:
        said.append("the published test split stays as it is; train and validation divide the rest in their ratio")
    if no_people:
        said.append(
            "no people are told apart, so that one person may stand in several splits: only copies are kept together "
            "(--by ATTRIBUTE, where the set tells people)"
        )
    if left_out > 0.1 * (left_out + rest):
        said.append(
            f"{left_out:,} of {left_out + rest:,} pictures outside the published test split belong with it and are "
            "left out; --no-keep-test divides them, and the test split, anew"
        )
    for (part, share), own in zip(wanted.items(), got.tolist(), strict=True):
        if abs(share - own) > UNEVEN:
            said.append(f"{part} has {own:.1%} instead of {share:.1%}: the groups are too large to be divided closer")
    return said
