"""The dataset card of an export: what the release is, who decided, what changed, what it does not promise.

It never hides a licence that forbids publication, and never lets a name act as markup.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ferclean
from ferclean.exports.content import Content, split_order
from ferclean.exports.provenance import LIMITS, Provenance, agreement_lines, provenance

if TYPE_CHECKING:
    import pandas as pd


def licence_warning(content: Content) -> str | None:
    """The sentence for a data set whose images may not be passed on; None where they may."""
    if content.dataset.redistributable:
        return None
    return (
        f"must not be published: the licence of {content.dataset.name} forbids passing on its images, and the "
        "pixels are inside; to share the corrections, share a patch without pixels"
    )


def write_card(
    content: Content,
    path: Path,
    *,
    form: str,
    front_matter: str | None = None,
    columns: Mapping[str, str] | None = None,
    origin: Provenance | None = None,
) -> None:
    """Fill the card template and write it.

    `front_matter` (YAML) and `columns` (what each means) are the Hugging Face form's; `origin` is where the labels come
    from, when the caller knows it already.
    """
    text = card_template("card.md.jinja").render(
        **_facts(content, origin or provenance(content)),
        form=form,
        front_matter=Verbatim(front_matter or ""),
        columns=[(name, Verbatim(about)) for name, about in (columns or {}).items()],
    )
    path.write_text(text, encoding="utf-8", newline="\n")


def card_template(name: str) -> Any:
    """A template of this room, in which every value is shown and none is obeyed."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  every value passes `inert`, which escapes for Markdown too
        finalize=inert,
    )
    return environment.get_template(name)


_SOFT = (
    "what a large panel would be expected to say, after everything known, and all of it on the label where people "
    "decided, and in the test split"
)
_HARD = "all of it on the label, since nothing of a model's is in this set"


def _accuracy(counts: Mapping[str, Any]) -> dict[str, str] | None:
    """`before` and `after` as text; None where a release states neither."""
    told = counts.get("label_accuracy")
    if told is None:
        return None
    return {name: f"{one['estimate']:.1%} ({one['low']:.1%} to {one['high']:.1%})" for name, one in told.items()}


class Verbatim(str):
    """Text that is already what it should be."""


def inert(value: Any) -> Any:
    """Text of unknown origin as Markdown that shows it and does nothing else: one line, no HTML, no table breaks.

    >>> inert("<b>a|b</b>")
    '&lt;b&gt;a&#124;b&lt;/b&gt;'
    """
    if not isinstance(value, str) or isinstance(value, Verbatim):
        return value
    flat = html.escape(" ".join(value.split()), quote=False)
    return re.sub(r"[|`*\[\]\\#!~]", lambda found: f"&#{ord(found[0])};", flat)


def _guidelines(config: Mapping[str, Any]) -> list[tuple[str, list[str], list[tuple[str, str]]]]:
    """Of each class that the release's guidelines are about: its name, the lines of its text, (face, sentence)."""
    return [
        (
            one["label"] or "All expressions",
            [line for line in one["text"].splitlines() if line.strip()],
            [(face["source_key"], face["words"]) for face in one["examples"]],
        )
        for one in config.get("guidelines", ())
    ]


def _changelog(told: Mapping[str, Any] | None, origin: Provenance) -> Mapping[str, Any] | None:
    """The stored one with every reviewer called as outside."""
    flows = [flow | {"by": origin.aliases.in_flow(flow["by"])} for flow in (told or {}).get("flows", ())]
    return None if told is None else {**told, "flows": flows}


def _decided(rows: pd.DataFrame) -> dict[str, int]:
    """Of the test split that people decided on, for the card that it stands beside the published one on."""
    return {"included": len(rows), "relabelled": int((rows["release_label"] != rows["given_label"]).sum())}


def _facts(content: Content, origin: Provenance) -> dict[str, Any]:
    table, rows = content.table, content.rows
    splits = sorted(table["split"].unique(), key=split_order)
    kept = content.counts()
    counts = []
    for name in content.dataset.classes:
        given = [int(((table["split"] == split) & (table["given_label"] == name)).sum()) for split in splits]
        counts.append((name, list(zip(given, [kept.get(split, {}).get(name, 0) for split in splits], strict=True))))
    reasons = table["release_reason"].dropna().str.replace(r" \(p .*\)$", "", regex=True).map(origin.aliases.in_reason)
    made = content.release
    return {
        "version": ferclean.__version__,
        "dataset": content.dataset,
        "card": content.dataset.card,
        "release": content.name,
        "made": made,
        "config": made.config if made else {},
        "accuracy": _accuracy(made.counts) if made else None,
        "changes": made.counts.get("automatic_changes", []) if made else [],
        "soft": _SOFT if rows["release_soft_label"].notna().any() else _HARD,
        "flows": origin.flows,
        "more_flows": origin.more_flows,
        "runs": [(run.run_id, run.kind, run.method, run.code_version) for run in origin.runs],
        "reviewers": origin.reviewers,
        "agreement": agreement_lines(origin),
        "limits": LIMITS,
        "guidelines": _guidelines(made.config) if made else [],
        "configuration": content.configuration,
        "decided": None if content.decided is None else _decided(content.decided.rows),
        "changelog": _changelog(made.config.get("changelog"), origin) if made else None,
        "splits": splits,
        "counts": counts,
        "included": len(rows),
        "left_out": len(table) - len(rows),
        "relabelled": int((rows["release_label"] != rows["given_label"]).sum()),
        "reasons": [(str(reason), int(n)) for reason, n in reasons.value_counts().sort_index().items()],
        "undecided": int(table["decision"].isna().sum()),
        "warning": licence_warning(content),
    }
