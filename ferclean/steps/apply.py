"""A patch onto another legal copy of its set: the same corrections, as a new release of that workspace.

It never changes a given label, a decision or an earlier release, and never does anything about a doubtful match.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from ferclean.errors import BadDataError, UsageError, among, few
from ferclean.exports.content import ORIGINAL, write_csv
from ferclean.exports.patch import FROM_PATCH, RULES, public_keys, public_name
from ferclean.files import check_absent, whole_file
from ferclean.missing import is_missing
from ferclean.parts.changelog import items_of
from ferclean.parts.curating import by_person, changes, keys_of, only_the_label, original_items, text
from ferclean.parts.freezing import Plan, check_name, counts_of, freeze
from ferclean.parts.patch_file import Line, Patch, read_patch
from ferclean.parts.patch_matching import WAYS, as_rows, match
from ferclean.parts.patch_merging import Claim, agreed, check_alike, conflict_of, in_order_of, patch_names, preferred
from ferclean.parts.patch_merging import refuse as refuse_conflicts
from ferclean.progress import Progress, Tell, silent, unheard
from ferclean.store.decisions import current_decisions
from ferclean.store.releases import QUARANTINED, NewerReleaseError, Release, content_digest, list_releases
from ferclean.store.samples import get_dataset, get_samples
from ferclean.store.table import sample_table
from ferclean.store.workspace import Workspace
from ferclean.summary import Summary

REPORT = ("source_key", "split", "label", "what", "why", "here")
"""The columns of what was not done."""


@dataclass(frozen=True, kw_only=True)
class ApplySummary(Summary):
    """What came of a patch here."""

    name: str
    """The new release's."""
    version: str | None
    changelog: dict[str, Any] | None
    onto: str
    """The release that it was laid upon; "original": the given labels."""
    path: str
    """The folder with labels.parquet and release.json."""
    fingerprint: str
    """Digest of the ids and given labels here."""
    content: str
    """Digest of what the release says of each sample."""
    same: bool
    """Whether that is, sample for sample, the release that the patch was made of: as from a copy byte for byte."""
    differs: str | None
    """Why it is not, in words, though every line was done: other names, other files, or what is outside the patch."""
    lines: int
    """Of all patches."""
    matched: dict[str, int]
    """By `bytes`, `pixels` or `perceptual` hash -> lines."""
    missed: int
    """Lines that no picture here looks like."""
    doubtful: int
    """Lines with which nothing was done, since nobody can tell which sample they are about, or since the sample is
    labelled, or was decided about, otherwise here."""
    barred: int
    """Lines about samples that are quarantined here and stay left out."""
    undone: list[dict[str, Any]] = field(repr=False)
    """One dict per line that is missed, doubtful or barred: REPORT."""
    changes: list[dict[str, Any]] = field(repr=False)
    """One dict per changed row against the given labels; keys as in `curating.changes`."""
    unchanged_since: str | None = None
    """When the same content was released under this name before; None for a new release."""
    dry_run: bool = False
    """True when nothing was written."""


def apply(
    ws: Workspace,
    patches: str | Path | Sequence[str | Path],
    *,
    name: str | None = None,
    onto: str | None = None,
    prefer: str | Path | None = None,
    undone_to: str | Path | None = None,
    dry_run: bool = False,
    progress: Progress = silent,
    tell: Tell = unheard,
) -> ApplySummary:
    """Make a release of what one or several patches say of the pictures here, whatever these are called, recompressed
    or resized; without a `name` it has the patch's, or its version where that name is taken.

    It is laid upon `onto`, by default what the patch leads on from: the given labels, or the release here that says the
    same or that an earlier patch made. Samples of which no line tells stay as they are there. How pictures are found,
    and at what cost, is `patch_matching.match`; what is missed, doubtful (also where this workspace says another thing
    than the patch leads on from, or where somebody here has decided otherwise) or barred by a quarantine is left as it
    is and listed, in a CSV file at `undone_to`, too. Several patches must not contradict each other, unless `prefer`
    names the one that is right, or "people"; a patch that it names goes before decisions here, too.

    Raises UsageError or BadDataError for a patch that is none, of other classes or of another set, FercleanError where
    patches contradict each other; nothing is written then.
    """
    paths = [patches] if isinstance(patches, str | Path) else list(patches)
    read = [read_patch(path) for path in paths]
    since = check_alike(read)
    chosen = preferred(read, prefer)
    if name is not None:
        check_name(name)
    if undone_to is not None:
        check_absent(Path(undone_to), "--undone-to")
    classes = get_dataset(ws).classes
    lines = [in_order_of(patch, classes) for patch in read]
    while True:
        known = list_releases(ws)  # before all that the new one rests on
        table = sample_table(ws, lists=(), lost_ok=True)
        base = _base(since, known) if onto is None else onto
        before = items_of(ws, base, table)
        items, undone, by, renamed = _laid(ws, read, lines, chosen, table, before, progress, tell)
        content = content_digest(items)
        config = _config(read, base, known, asked=onto is not None)
        config |= {"dataset": get_dataset(ws).name, "content": content}
        plan = Plan(
            policy=config["policy"],
            threshold=config["threshold"],
            config=config,
            counts=counts_of(items, classes) | {"label_accuracy": None, "automatic_changes": []},
        )
        wanted = name or _free_name(read, known, content)
        try:
            made = freeze(ws, wanted, plan, items, table, known=known, dry_run=dry_run, progress=progress)
        except NewerReleaseError:
            continue  # somebody was quicker: the version and what changed follow from their release
        break
    if undone_to is not None:
        with whole_file(Path(undone_to), elsewhere="name another file with --undone-to") as draft:
            write_csv(draft, REPORT, ([*list(row.values())[:-1], "; ".join(row["here"])] for row in undone))
    kinds, original = Counter(row["what"] for row in undone), original_items(table)
    same, differs = _leads_to(read) == content, None
    if not same and not undone:
        here = {"dataset": public_name(get_dataset(ws).name), "fingerprint": made.release.fingerprint}
        here |= {"given": counts_of(original, classes)["before"]}
        leads_on = onto is None or (onto == ORIGINAL and since[1] is None) or content_digest(before) == since[1]
        differs = _differs(read, here, by, renamed, None if leads_on else onto)
    return ApplySummary(
        name=made.release.name, version=made.release.config.get("version"),
        changelog=made.release.config.get("changelog"), onto=base, path=str(made.folder),
        fingerprint=made.release.fingerprint, content=content, same=same, differs=differs,
        lines=sum(map(len, lines)), matched=by, missed=kinds["missed"], doubtful=kinds["doubtful"],
        barred=kinds["barred"], undone=undone, changes=changes(original, items, keys_of(table)),
        unchanged_since=made.unchanged_since, dry_run=dry_run,
    )  # fmt: skip


def _laid(
    ws: Workspace, patches: Sequence[Patch], lines: Sequence[Sequence[Line]], prefer: int | str | None,
    table: pd.DataFrame, base: pd.DataFrame, progress: Progress, tell: Tell,
) -> tuple[pd.DataFrame, list[dict[str, Any]], dict[str, int], int]:  # fmt: skip
    """The items of the new release, what was not done, how many lines were matched by what, and how many of them are
    about samples of other names."""
    samples, keys = get_samples(ws, include_quarantined=True), keys_of(table)
    claims: dict[str, list[Claim]] = {}
    undone: list[dict[str, Any]] = []
    by = dict.fromkeys(WAYS, 0)
    for place, own in enumerate(lines):
        found = match(ws, own, samples, progress=progress, tell=tell)
        undone += as_rows(found, keys)
        by = {way: by[way] + found.by[way] for way in WAYS}
        for at, sample in found.sample.items():
            claims.setdefault(sample, []).append((place, own[at]))
    names = patch_names(patches)
    if not claims and any(lines):
        raise BadDataError(
            f"none of the {sum(map(len, lines)):,} samples of {names[0]} is here: it is about "
            f"{patches[0].header['dataset']}, this workspace about {get_dataset(ws).name}"
        )
    settled = {sample: agreed(said, prefer) for sample, said in claims.items()}
    conflicts = [conflict_of(claims[sample], names) for sample, line in settled.items() if line is None]
    refuse_conflicts(conflicts, prefer)
    public = public_keys(samples["source_key"])
    renamed = sum(public[keys[sample]] != line.source_key for sample, said in claims.items() for _, line in said)
    standing = current_decisions(ws).set_index("sample_id").to_dict("index")
    rule = _rules(patches).get("ambiguous") or "keep"
    quarantine = dict(zip(table["sample_id"], table["quarantine_reason"], strict=True))
    columns = {name: list(base[name]) for name in ("label", "included", "reason", "soft_label", "weight")}
    place_of = {sample: row for row, sample in enumerate(base["sample_id"])}
    for sample, line in settled.items():
        assert line is not None
        row, why = place_of.get(sample), text(quarantine[sample])
        if row is None:
            undone.append(_undone(line, "doubtful", "came in after the release that this is laid upon", keys[sample]))
            continue
        stands = text(columns["label"][row]) if columns["included"][row] else None
        wanted = line.label if line.included else None
        decision = standing.get(sample) if all(place != prefer for place, _ in claims[sample]) else None
        if line.included and why and not (line.label is not None and only_the_label(why)):
            undone.append(_undone(line, "barred", f"quarantined here: {why}", keys[sample]))
        elif stands != line.old_label and stands != wanted and not why:
            words = f"{stands or 'left out'} here already, where the patch leads on from {line.old_label or 'left out'}"
            undone.append(_undone(line, "doubtful", words, keys[sample]))
        elif decision and (against := _against(line, text(base["given_label"][row]), decision, rule)):
            undone.append(_undone(line, "doubtful", against, keys[sample]))
        else:
            soft = None if line.soft_label is None else list(line.soft_label)
            reason = None if line.reason is None else FROM_PATCH + line.reason
            if why and not line.included:
                reason = QUARANTINED + why  # it could not be used here, whatever the patch says of it there
            says = (line.label, line.included, reason, soft, line.weight)
            for column, value in zip(columns, says, strict=True):
                columns[column][row] = value
    items = base.copy()
    for column, values in columns.items():
        items[column] = pd.Series(values, index=items.index, dtype="object" if column != "weight" else "float64")
    items["included"] = items["included"].astype(bool)
    items["soft_label"] = [None if is_missing(soft) else soft for soft in columns["soft_label"]]
    return items, undone, by, renamed


def _against(line: Line, given: str | None, decision: Mapping[Any, Any], ambiguous: str) -> str | None:
    """How what stands of people here contradicts a line, in words; about its label, presence or weight."""
    label, included, _ = by_person(given, decision, ambiguous)
    told, wanted = (label if included else None), (line.label if line.included else None)
    if told == wanted and (line.weight == 1 or not included):
        return None
    at = f", weight 1, where the patch has {line.weight:g}" if told == wanted else ""
    return f"decided here: {decision['action']} ({told or 'left out'}{at}); --prefer PATCH lets the patch go first"


def _differs(
    patches: Sequence[Patch], here: Mapping[str, Any], by: Mapping[str, int], renamed: int, onto: str | None
) -> str:
    """What sets the release of a patch, of which all was done, apart from the one that it was made of."""
    there = [one for patch in patches for one in patch.sources]
    if len(there) > 1:
        return f"it is of {len(there)} releases together"
    why, files = [], sum(by.values()) - by["bytes"]
    if here["dataset"] != (name := patches[0].header["dataset"]):
        why.append(f"the set is called {here['dataset']} here, {name} there")
    if renamed:
        why.append(f"{renamed:,} of its samples have other names here")
    if files:
        why.append(f"{files:,} of its pictures are other files here")
    if onto is not None:
        why.append(f"it is laid upon {onto}, which is not what the patch leads on from")
    given = there[0]["given"]
    counts = [
        f"{split}, {label}: {now:,} here, {was:,} there"
        for split in dict.fromkeys([*given, *here["given"]])
        for label in patches[0].classes
        if (now := here["given"].get(split, {}).get(label, 0)) != (was := given.get(split, {}).get(label, 0))
    ]
    if counts:
        why.append(f"samples outside the patch differ, by given labels: {few(counts)}")
    elif not why and here["fingerprint"] == there[0]["fingerprint"]:
        why.append("the samples are the same, and outside the patch other things are said of some here")
    elif not why:
        why.append(
            "samples outside the patch have other names, files or given labels here, as many of each split and class"
        )
    return "; ".join(why)


def _undone(line: Line, what: str, why: str, here: str) -> dict[str, Any]:
    return {
        "source_key": line.source_key, "split": line.split, "label": line.label if line.included else None,
        "what": what, "why": why, "here": [here],
    }  # fmt: skip


def _base(since: tuple[str, str | None], known: Sequence[Release]) -> str:
    """The release here from which a patch leads on."""
    release, content = since
    if content is None:
        return ORIGINAL
    said = [one.name for one in known if one.config.get("content") == content]
    if said:
        return said[-1]
    for one in reversed(known):
        by = one.config.get("patch", {})
        if by.get("leads_to") == content and not by.get("asked"):  # upon what somebody named it may lack much
            return one.name
    raise UsageError(
        f"the patch leads on from the release {release!r}, and none here says the same: apply the patch of "
        f"{release!r} first, or say with --onto which one it is; {among(release, [one.name for one in known])}"
    )


def _config(patches: Sequence[Patch], base: str, known: Sequence[Release], *, asked: bool) -> dict[str, Any]:
    """What is recorded of where a release comes from, and whether somebody asked for what it is laid upon; by which
    rules, where all of them had the same; by which splits the release below is divided, which this one is too."""
    sources = [one for patch in patches for one in patch.sources]
    told = {
        "sources": sources, "dataset": patches[0].header["dataset"], "onto": base, "leads_to": _leads_to(patches),
        "lines": sum(len(patch.lines) for patch in patches), "asked": asked,
    }  # fmt: skip
    policy = "auto" if any(one["policy"] == "auto" for one in sources) else "decisions"
    divided = next((one.config["splits"] for one in known if one.name == base and one.config.get("splits")), None)
    splits = {} if divided is None else {"splits": divided}
    return {"policy": policy, "threshold": None, "reviewers": [], **_rules(patches), "patch": told, **splits}


def _rules(patches: Sequence[Patch]) -> dict[str, Any]:
    """By which all of the patches' releases were made."""
    said = [one["rules"] for patch in patches for one in patch.sources]
    return {name: found.pop() for name in RULES if len(found := {one[name] for one in said}) == 1}


def _leads_to(patches: Sequence[Patch]) -> str | None:
    """The digest of the release that the patches were made of, where it is one."""
    contents = {one["content"] for patch in patches for one in patch.sources}
    return contents.pop() if len(contents) == 1 else None


def _free_name(patches: Sequence[Patch], known: Sequence[Release], content: str) -> str | None:
    """What the patches' releases are called, where nothing else is; None: by the version."""
    name = "-".join(dict.fromkeys(str(one["release"]) for patch in patches for one in patch.sources))
    try:
        check_name(name)
    except UsageError:
        return None
    taken = next((one for one in known if one.name == name), None)
    return name if taken is None or taken.config.get("content") == content else None
