"""A random sample for people, and from their answers the errors that are still in the data.

It shows nobody what the model thinks of the sample, and it never counts an answer that was not drawn at random.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ferclean.errors import FercleanError
from ferclean.evidence.people import auditing
from ferclean.files import check_absent, whole_file
from ferclean.sources.tabular import escape_cell
from ferclean.store import audits, decisions, runs, samples, standing, table
from ferclean.store.workspace import Workspace
from ferclean.summary import Summary

_ENOUGH = 30  # answers before the interval is narrow enough to advise anybody
FEWEST = 15
"""Answers about a given label from which a figure of its own is told: with fewer the interval is no interval."""
_NEXT = 100  # rows of the queue that the advice is about
_TRUST = (1 / 3, 3.0)  # how far the audit may scale what p_mislabelled promises about the queue's next rows


@dataclass(frozen=True, kw_only=True)
class AuditSummary(Summary):
    """How far the audit is, and what it says about the errors that are left."""

    run_id: str
    drawn_now: bool
    """True when this call drew the sample."""
    drawn: int
    population: int
    """Undecided scored samples that it was drawn from."""
    answered: int
    """Answers that count: those of the beginning of the list that people have worked through."""
    further: int
    """Answers further on; they count once those before them are given."""
    unanswered: int
    """Skipped in that beginning, or decided by a revert alone: nobody knows, and the estimate takes them to be like
    their stratum."""
    right: int
    wrong: int
    ambiguous: int
    """Not counted as wrong: people would not agree on another label."""
    unusable: int
    """Excluded; not counted as wrong."""
    whole: int
    """Scored samples, decided ones too, which count as right."""
    errors: dict[str, float | int | None]
    """Wrong labels left: count, low, high (95 %); rate, rate_low, rate_high among the `rows` undecided ones;
    whole_rate, whole_rate_low, whole_rate_high among the whole set."""
    next_rows: int
    next_errors: float | None
    """Errors expected among the queue's next rows: p_mislabelled, scaled by what the audit found (up to threefold)."""
    advice: str
    """answer, go_on, stop_clean or stop_slow."""
    advice_text: str
    strata: tuple[dict[str, int], ...]
    """From the faces least likely mislabelled at the draw to the likeliest: rows, drawn, answered (those that count),
    wrong (among these)."""
    classes: tuple[dict[str, Any], ...] = ()
    """Of each given label, in the card's order: label, rows (undecided ones now), drawn, answered, wrong (those that
    count), and of the wrong labels left among the rows count, rate, rate_low, rate_high (95 %, each label by itself);
    None below FEWEST answers."""
    notes: tuple[str, ...] = ()
    list_path: str | None = None


def audit(ws: Workspace, *, n: int = 200, seed: int = 0, new: bool = False, out: Path | None = None) -> AuditSummary:
    """Draw a sample of `n` undecided scored samples, or say what the answers about the last one tell.

    The first call, and one with `new`, draws; `n` and `seed` matter only then. Wrong is what a person relabels with
    another label; samples that were decided before count as right, and so do those decided since, for they are put
    right in a release. `out` gets the list of the samples still to be answered as CSV, in order, without anything the
    model thinks; its empty columns are filled in and read by `ferclean decide --from-file`.

    Raises FercleanError when nothing was judged or nothing is undecided, UsageError when `out` exists.
    """
    if out is not None:
        check_absent(out, "--out")  # it may hold answers
    whole = table.sample_table(ws, lists=())
    whole = whole[whole["verdict"].notna() & whole["fold"].notna() & whole["quarantine_reason"].isna()]
    if whole.empty:
        raise FercleanError("nothing was judged; run `ferclean score` and `ferclean triage` first")
    drawn_now = new or audits.get_audit(ws).empty
    if drawn_now:
        _draw(ws, whole[whole["decision"].isna()], n=n, seed=seed)
    items = audits.get_audit(ws)
    summary = _summary(ws, whole, items, drawn_now=drawn_now)
    if out is None:
        return summary
    _write(out, items[items["position"].notna()], whole)
    return replace(summary, list_path=str(out))


def _draw(ws: Workspace, undecided: pd.DataFrame, *, n: int, seed: int) -> None:
    if undecided.empty:
        raise FercleanError("every scored sample is decided; there is nothing left to audit")
    earlier = sum(run.kind == "audit" for run in runs.list_runs(ws))
    # a new draw is another sample, also with the same seed
    drawn = auditing.draw_audit(undecided["p_mislabelled"].to_numpy(float), n=n, seed=seed + 1_000_003 * earlier)
    position = pd.Series(pd.NA, index=range(len(undecided)), dtype="Int64")
    position.iloc[drawn.rows] = np.arange(1, len(drawn.rows) + 1)
    with runs.running(
        ws, kind="audit", method="stratified", seed=seed, fingerprint=samples.fingerprint(ws),
        config={"n": n, "earlier": earlier, "triage": str(undecided["run_id"].iloc[0])},
    ) as run_id:  # fmt: skip
        audits.put_audit(
            ws,
            run_id,
            pd.DataFrame(
                {
                    "sample_id": undecided["sample_id"].to_list(),
                    "stratum": drawn.stratum,
                    "inclusion_probability": drawn.inclusion_probability,
                    "position": position,
                }
            ),
        )
        runs.finish_run(ws, run_id, {"drawn": len(drawn.rows), "population": len(undecided)})


def _summary(ws: Workspace, whole: pd.DataFrame, items: pd.DataFrame, *, drawn_now: bool) -> AuditSummary:
    given = whole.set_index("sample_id")["given_label"]
    current = decisions.current_decisions(ws).set_index("sample_id")[["action", "label"]]
    # a revert settles a label without a look at the face: what was seen there before is still the answer
    for sample_id, seen in standing.before_reverts(ws).items():
        current.loc[sample_id] = seen
    said = current["action"].reindex(items["sample_id"]).reset_index(drop=True)
    label = current["label"].reindex(items["sample_id"]).reset_index(drop=True)
    same = label == given.reindex(items["sample_id"]).reset_index(drop=True)
    wrong = (said == "relabel") & ~same
    decided, drawn = said.notna(), items["position"].notna()
    # only a beginning is a random sample: whoever reaches an audited face through the queue picked it by its rank
    done = items["sample_id"].isin(standing.skipped(ws)) | decided
    begun = drawn & done.cummin()
    answered = begun & decided & ~items["sample_id"].isin(standing.only_reverted(ws))
    elsewhere = decided & ~answered
    stratum = items["stratum"].to_numpy()
    facts = {"drawn": drawn, "answered": answered, "wrong": answered & wrong, "elsewhere": elsewhere,
             "found": elsewhere & wrong}  # fmt: skip
    cells = {name: np.asarray(rows, dtype=bool) for name, rows in facts.items()}
    everybody = _Sample(stratum, cells)
    left, at_draw = everybody.left(), everybody.left(at_draw=True).count + cells["wrong"].sum()
    # what goes on finding errors is the ranking, not the random faces before and among it
    ranked = whole[whole["decision"].isna() & ~whole["drawn_at_random"]].sort_values("rank")
    coming = ranked.head(_NEXT)
    promised = float(whole.set_index("sample_id")["p_mislabelled"].reindex(items["sample_id"]).sum())
    scale = float(np.clip(at_draw / promised, *_TRUST)) if promised and not np.isnan(at_draw) else 1.0
    next_errors = min(float(coming["p_mislabelled"].sum()) * scale, float(len(coming)))
    advice, text = _advice(left, answered=int(answered.sum()), drawn=int(drawn.sum()),
                           next_rows=len(coming), next_errors=next_errors, whole=len(whole))  # fmt: skip
    known = answered.any()
    errors = {"count": left.count if known else None, "low": left.low, "high": left.high, "rows": left.rows}
    for prefix, among in (("", left.rows), ("whole_", len(whole))):
        rate = left.rate(among)
        errors |= {f"{prefix}{name}": value if known else None
                   for name, value in zip(("rate", "rate_low", "rate_high"), rate, strict=True)}  # fmt: skip
    return AuditSummary(
        run_id=str(items["run_id"].iloc[0]), drawn_now=drawn_now, drawn=int(drawn.sum()), population=len(items),
        answered=int(answered.sum()), further=int((drawn & decided & ~begun).sum()),
        unanswered=int((begun & ~answered).sum()), wrong=int((answered & wrong).sum()),
        right=int((answered & ((said == "keep") | ((said == "relabel") & same))).sum()),
        ambiguous=int((answered & (said == "ambiguous")).sum()), unusable=int((answered & (said == "exclude")).sum()),
        whole=len(whole), errors=errors, next_rows=len(coming), next_errors=next_errors if known else None,
        advice=advice, advice_text=text, notes=_notes(whole, items),
        strata=tuple(
            {"rows": int(np.sum(stratum == h))} | everybody.counts(stratum == h) for h in range(stratum.max() + 1)
        ),
        classes=tuple(
            _of_class(name, everybody, given.reindex(items["sample_id"]).to_numpy() == name)
            for name in samples.get_dataset(ws).classes
        ),
    )  # fmt: skip


@dataclass(frozen=True)
class _Sample:
    """The draw, row by row: the stratum, and which rows are drawn, answered (counting ones), wrong (among these),
    decided elsewhere, and found wrong there."""

    stratum: np.ndarray
    cells: dict[str, np.ndarray]

    def of(self, rows: np.ndarray) -> _Sample:
        """These rows alone. In a stratum the answered ones of them are a simple random sample of them, whatever they
        have in common, as long as no answer chose them: so it is for a given label, and not for a label that was
        chosen (Cochran 1977, 5A.14: domains)."""
        return _Sample(self.stratum[rows], {name: cell[rows] for name, cell in self.cells.items()})

    def counts(self, rows: np.ndarray) -> dict[str, int]:
        """How many of these rows are drawn, answered and wrong."""
        return {name: int(self.cells[name][rows].sum()) for name in ("drawn", "answered", "wrong")}

    def left(self, *, at_draw: bool = False) -> auditing.Estimate:
        """The errors left, or `at_draw` those left if nothing had been decided elsewhere."""
        sizes = np.bincount(self.stratum)
        answered, wrong = self.cells["answered"], self.cells["wrong"]
        elsewhere, found = (
            np.bincount(self.stratum[self.cells[name] & (not at_draw)], minlength=len(sizes))
            for name in ("elsewhere", "found")
        )
        return auditing.residual_errors(self.stratum[answered], wrong[answered], sizes, decided=elsewhere, found=found)


def _of_class(name: str, everybody: _Sample, rows: np.ndarray) -> dict[str, Any]:
    """What `AuditSummary.classes` says of one given label."""
    own, counts = everybody.of(rows), everybody.counts(rows)
    undecided = int(rows.sum()) - counts["answered"] - int(own.cells["elsewhere"].sum())
    told: dict[str, Any] = {"label": name, "rows": undecided, **counts}
    figures: tuple[float | None, ...] = (None,) * 4
    if undecided and counts["answered"] >= FEWEST:
        left = own.left()
        figures = (left.count, *left.rate())
    return told | dict(zip(("count", "rate", "rate_low", "rate_high"), figures, strict=True))


def _notes(whole: pd.DataFrame, items: pd.DataFrame) -> tuple[str, ...]:
    added = int((~whole["sample_id"].isin(items["sample_id"]) & whole["decision"].isna()).sum())
    # decided before and undone since, or ingested since: the draw could not reach them
    return (f"{added:,} undecided samples were not there to be drawn; --new draws from all of them",) if added else ()


def _advice(
    left: auditing.Estimate, *, answered: int, drawn: int, next_rows: int, next_errors: float, whole: int
) -> tuple[str, str]:
    if answered < min(_ENOUGH, drawn):
        return "answer", f"{answered} of {drawn} answered: answer at least {min(_ENOUGH, drawn)} in their order first"
    advice = auditing.worth_going_on(left, next_errors=next_errors, next_rows=next_rows, whole=whole)
    text = (
        f"expected remaining errors {left.low:,.0f} to {left.high:,.0f} in {left.rows:,} undecided; "
        f"the next {next_rows} of the queue are expected to hold {next_errors:,.0f}: "
    )
    words = {
        "go_on": "go on",
        "stop_clean": "stop, less than 1 % of the whole set is wrong",
        "stop_slow": "stop, each further error costs more than twenty looks",
    }
    return advice, text + words[advice]


def _write(out: Path, drawn: pd.DataFrame, whole: pd.DataFrame) -> None:
    known = whole.set_index("sample_id")
    open_ = [i for i in drawn["sample_id"] if i in known.index and not isinstance(known.at[i, "decision"], str)]
    with (
        whole_file(out, elsewhere="name another --out") as draft,
        draft.open("w", encoding="utf-8", newline="") as lines,
    ):
        writer = csv.writer(lines)
        writer.writerow(["sample_id", "path", "given_label", "action", "label"])
        for sample_id in open_:
            cells = (sample_id, known.at[sample_id, "path"], known.at[sample_id, "given_label"], "", "")
            writer.writerow([escape_cell(cell) for cell in cells])
