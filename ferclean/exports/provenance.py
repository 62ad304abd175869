"""Where a release's labels come from, as facts for its card and its Croissant file: flows, runs, people, agreement.

It never counts an answer twice, and states no figure that rests on too few faces.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ferclean.evidence.people.agreement import summary
from ferclean.evidence.people.pairs import FEWEST, alpha
from ferclean.exports.content import Content
from ferclean.exports.reviewers import Aliases
from ferclean.store.agreeing import agreeing
from ferclean.store.runs import Run, get_run
from ferclean.store.votes import get_vote_counts

LIMITS = (
    "Labels that nobody looked at may still be wrong; the test split's given labels may carry the same errors as the "
    "others.",
    "An expression label is what observers read in a face, not what a person felt.",
    "Faces of this set do not represent all ages, skin tones and cultures; neither do the labels' readers.",
)
"""What the card and the Croissant file both say."""

_FLOWS = 40  # pairs of classes that are listed, the most frequent first


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """How the labels of an export came about."""

    flows: tuple[tuple[str | None, str, int], ...]
    """(given label, released label, images) of the images whose label changed, the most frequent first."""
    more_flows: int
    """Images whose change is not listed."""
    runs: tuple[Run, ...]
    """What computed the automatic corrections: the recognizers' runs, then the triage; none under `decisions`."""
    reviewers: tuple[str, ...]
    """As `aliases` calls them, in order."""
    aliases: Aliases
    people: Mapping[str, Any] | None
    """`faces` that two people or more answered, and Krippendorff's `alpha` of their answers (None: not defined); None
    below FEWEST faces. Of the decisions as they stand when the export is written."""
    votes: Mapping[str, Any] | None = field(default=None)
    """`agreement.summary` of the votes that came with the set; None without votes."""


def provenance(content: Content) -> Provenance:
    """Count and measure; costs what `agreeing` costs and one pass over the votes.

    The runs are those that the release names; a run that the workspace knows no longer is left out.
    """
    rows = content.rows
    changed = rows[rows["release_label"] != rows["given_label"]]
    given = changed["given_label"].astype("object").where(changed["given_label"].notna(), None)
    pairs = Counter(zip(given, changed["release_label"], strict=True))
    flows = [(one, to, n) for (one, to), n in pairs.most_common()]
    config = content.release.config if content.release else {}
    aliases = Aliases(content)
    return Provenance(
        flows=tuple(flows[:_FLOWS]),
        more_flows=sum(n for *_, n in flows[_FLOWS:]),
        runs=_runs(content, config.get("triage_run")),
        reviewers=tuple(sorted(map(aliases.of, config.get("reviewers", ())), key=lambda alias: int(alias.split()[1]))),
        aliases=aliases,
        people=_people(content) if content.release else None,
        votes=_votes(content),
    )


def _runs(content: Content, triage: str | None) -> tuple[Run, ...]:
    judged = get_run(content.ws, triage) if triage else None
    if judged is None:
        return ()
    scored = (get_run(content.ws, run_id) for run_id in judged.config.get("score_runs", []))
    return (*(run for run in scored if run is not None), judged)


def _people(content: Content) -> dict[str, Any] | None:
    patterns, times = agreeing(content.ws).counted("all")
    faces = int(times.sum())
    if faces < FEWEST:
        return None
    value = float(alpha(patterns, times))
    return {"faces": faces, "alpha": None if np.isnan(value) else value}


def _votes(content: Content) -> dict[str, Any] | None:
    classes, table = content.dataset.classes, content.table
    counts, other = get_vote_counts(content.ws, list(table["sample_id"]), classes)
    index = {name: number for number, name in enumerate(classes)}
    labels = table["given_label"].map(index).fillna(-1).to_numpy(dtype=np.int64)
    return summary(counts, labels, other=other)


def agreement_lines(origin: Provenance) -> list[str]:
    """What is known of how far people agree, a sentence each."""
    lines = []
    if origin.votes is not None:
        votes = origin.votes
        lines.append(
            f"Votes that came with the set: {votes['mean_votes']:.1f} per face on {votes['voted']:,} faces, "
            f"Krippendorff's alpha {_value(votes['krippendorff_alpha'])}."
        )
    if origin.people is not None:
        lines.append(
            f"The people who decided: Krippendorff's alpha {_value(origin.people['alpha'])} on the "
            f"{origin.people['faces']:,} faces that two or more of them answered."
        )
    elif origin.reviewers:
        lines.append(f"Fewer than {FEWEST} faces were answered by two people or more: no agreement is stated.")
    return lines


def _value(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.2f}"
