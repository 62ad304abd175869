"""What a workspace holds, and the next command to run.

It only reads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ferclean.evidence.labels import encode
from ferclean.evidence.people import agreement
from ferclean.parts import examined, teaching
from ferclean.sources.rows import reason_kind
from ferclean.store import again, counts, releases, runs, samples, votes
from ferclean.store.workspace import Workspace
from ferclean.summary import Summary


@dataclass(frozen=True, kw_only=True)
class Status(Summary):
    """Counts of everything, the class order that every `pred_probs` follows, and the next command."""

    workspace: str
    dataset: str
    classes: list[str]
    licence: str
    samples: int
    quarantined: int
    quarantine_reasons: dict[str, int]
    splits: dict[str, int]
    given_labels: dict[str, int]
    runs: list[dict[str, Any]]
    verdicts: dict[str, int]
    decisions: dict[str, int]
    conflicts: int
    """Samples about which reviewers disagree now; `ferclean decide --adjudicate` lists and settles them."""
    releases: list[dict[str, Any]]
    agreement: dict[str, Any] | None
    """What the votes say together (`ferclean.evidence.people.agreement.summary`); None for a set without votes."""
    teaching: dict[str, Any] | None
    """The teaching round: size, decided, left, minutes_left (`ferclean.parts.teaching`); None before triage."""
    progress: dict[str, Any] | None
    """What the latest triage said about the labels: decisions it learned from, newer ones, lesson; None before it."""
    examined: dict[str, Any] | None
    """What `doctor` found when it looked last (`ferclean.parts.examined.last_look`); None before its first look."""
    examined_in_words: str
    """The same in words."""
    told: list[str]
    """Teaching and progress in words."""
    deleted: list[str]
    """What was computed and is not there any more, with the command that computes it again, in words."""
    next: str


def status(ws: Workspace) -> Status:
    """Read the store once and count."""
    with ws.reading("status"):
        return _status(ws)


def _status(ws: Workspace) -> Status:
    dataset = samples.get_dataset(ws)
    table = counts.sample_counts(ws)
    all_runs = runs.list_runs(ws)
    known_runs = [run for run in all_runs if run.kind not in ("pairs", examined.KIND)]
    made = releases.list_releases(ws)
    kinds = {run.kind for run in known_runs if run.state == "done"}
    labels, decided = counts.total(table, "given_label"), counts.total(table, "decision")
    conflicts = int(table.loc[table["conflict"], "samples"].sum())
    look = examined.last_look(ws)
    round_, taught, triaged = teaching.teaching(ws), teaching.progress(ws), "triage" in kinds
    return Status(
        workspace=str(ws.root),
        dataset=dataset.name,
        classes=list(dataset.classes),
        licence=dataset.licence,
        samples=int(table["samples"].sum()),
        quarantined=int(table.loc[table["quarantined"], "samples"].sum()),
        quarantine_reasons=_reason_kinds(counts.quarantine_counts(ws)),
        splits={str(k): int(v) for k, v in table.groupby("split", sort=False)["samples"].sum().items()},
        given_labels={name: labels.get(name, 0) for name in dataset.classes},
        runs=[
            {
                "run_id": run.run_id,
                "kind": run.kind,
                "method": run.method,
                "seed": run.seed,
                "state": run.state,
            }
            for run in known_runs
        ],
        verdicts=counts.total(table, "verdict"),
        decisions=decided,
        conflicts=conflicts,
        releases=[{"name": item.name, "policy": item.policy, "created_at": str(item.created_at)} for item in made],
        agreement=_agreement(ws, dataset.classes),
        teaching=round_.as_dict() if triaged else None,
        progress=asdict(taught) if triaged else None,
        examined=look,
        examined_in_words=examined.in_words(look),
        told=teaching.in_words(round_, taught) if triaged else [],
        deleted=again.deleted_in_words(all_runs),
        next=_next(kinds, over=round_.over, decided=bool(decided), conflicts=conflicts, released=bool(made)),
    )


def _reason_kinds(reasons: dict[str, int]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for reason, count in reasons.items():
        found[reason_kind(reason)] += count
    return dict(found.most_common())


def _agreement(ws: Workspace, classes: Sequence[str]) -> dict[str, Any] | None:
    if not counts.has_votes(ws):
        return None
    table = samples.get_samples(ws, include_quarantined=True)
    ids = list(table["sample_id"])
    voted, other = votes.get_vote_counts(ws, ids, classes)
    if not voted.any() and not other.any():
        return None
    named, annotators = votes.get_annotator_labels(ws, ids, classes)
    labels = encode(table["given_label"], classes)
    return agreement.summary(voted, labels, other=other, labels_multiannotator=named, annotators=annotators)


def _next(kinds: set[str], *, over: bool, decided: bool, conflicts: int, released: bool) -> str:
    if "score" not in kinds:
        return "score"
    if "triage" not in kinds or over:
        return "triage"
    if not decided and not released:
        return "review"
    if conflicts:
        return "decide --adjudicate"
    if not released:
        return "release NAME"
    return "report" if "retrain" in kinds else "retrain"
