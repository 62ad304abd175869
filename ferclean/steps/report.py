"""One self-contained HTML page: what was found, what people decided, what was released, what it was worth.

It only reads the store; it computes no new judgement and loads nothing from the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ferclean import __version__, extras
from ferclean.files import PAGE, check_absent, whole_file
from ferclean.missing import is_missing
from ferclean.parts import examined, report_plots
from ferclean.progress import Progress, silent
from ferclean.store import again, counts, pictures, releases, runs, samples
from ferclean.store.table import first_of
from ferclean.store.workspace import Workspace
from ferclean.summary import Summary

GALLERIES = {"mislabelled": "Probably mislabelled", "ambiguous": "Ambiguous", "unusable": "Unusable"}
"""Verdict -> title of the gallery of its first faces."""


@dataclass(frozen=True, kw_only=True)
class ReportSummary(Summary):
    """Where the page lies and what it shows."""

    path: str
    samples: int
    flagged: int
    faces: int


def report(
    ws: Workspace,
    *,
    out: Path | None = None,
    overwrite: bool = False,
    faces: int = 24,
    truth: Sequence[dict[str, Any]] | None = None,
    progress: Progress = silent,
) -> ReportSummary:
    """Write the page to `out`, by default to `reports/report.html` in the workspace, in place of an older one there.

    Raises UsageError where something stands at `out` and `overwrite` is not set.

    `faces` is how many example faces each gallery shows at most; 0 leaves every pixel out, for sets whose licence
    forbids passing them on. `truth` (rows of kind, planted, flagged, hits, precision, recall) is shown when errors
    were planted on purpose, as in the demo.
    """
    extras.require("report", "the report")
    if out is not None:
        check_absent(out, "--out", overwrite=overwrite, begins=PAGE)
    made = page(ws, faces=faces, truth=truth, progress=progress)
    target = out if out is not None else ws.reports / "report.html"
    with whole_file(target, elsewhere="choose another place with --out") as draft:
        draft.write_text(made.html, "utf-8")
    progress("writing the report", 4, 4)
    return ReportSummary(path=str(target), samples=made.samples, flagged=made.flagged, faces=made.faces)


@dataclass(frozen=True, kw_only=True)
class Page:
    """The report as it is written, or shown elsewhere."""

    html: str
    """Self-contained: it runs nothing and asks for nothing."""
    samples: int
    flagged: int
    faces: int


def page(
    ws: Workspace, *, faces: int = 24, truth: Sequence[dict[str, Any]] | None = None, progress: Progress = silent
) -> Page:
    """What `report` writes, without writing it. Raises FercleanError where an extra is missing."""
    extras.require("report", "the report")
    dataset = samples.get_dataset(ws)
    with ws.reading("report"):
        counted, quality = counts.sample_counts(ws), counts.quality_counts(ws)
        reviewers = counts.reviewer_counts(ws)
        chosen = {kind: first_of(ws, kind, faces) for kind in GALLERIES}
    kinds = counts.total(counted, "verdict")
    galleries: list[dict[str, Any]] = []
    for kind, title in GALLERIES.items():
        cards = [_card(ws, row) for row in chosen[kind].to_dict("records")]
        galleries.append({"kind": kind, "title": title, "cards": cards, "total": kinds.get(kind, 0)})
        progress("writing the report", len(galleries), 4)
    html = _template().render(
        dataset=dataset,
        version=__version__,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        counts=_counts(counted),
        galleries=galleries,
        plots={
            "quality": report_plots.quality_histogram(quality, bins=counts.QUALITY_BINS),
            "flows": report_plots.flow_heatmap(counted, dataset.classes),
            "classes": report_plots.class_bars(counted, dataset.classes),
        },
        truth=truth or [],
        decided=_decided(counted, reviewers),
        stated=_stated(ws),
        examined=examined.in_words(examined.last_look(ws)),
        deleted=again.deleted_in_words(runs.list_runs(ws)),
        releases=releases.list_releases(ws),
        retrains=_retrains(ws),
        runs=[run for run in runs.list_runs(ws) if run.state == "done"],
    )
    return Page(
        html=html,
        samples=int(counted["samples"].sum()),
        flagged=sum(kinds.get(kind, 0) for kind in GALLERIES),
        faces=sum(len(g["cards"]) for g in galleries),
    )


def _template() -> Any:
    import jinja2

    # autoescape: file names and labels come from strangers
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["percent"] = lambda value: "–" if is_missing(value) else f"{100 * value:.0f} %"
    environment.filters["points"] = lambda value: f"{100 * value:+.1f}"
    return environment.from_string(resources.files("ferclean.steps").joinpath("report.html.j2").read_text("utf-8"))


def _card(ws: Workspace, row: Mapping[Any, Any]) -> dict[str, Any]:
    face, trouble = None, row["quarantine_reason"]
    if is_missing(trouble):
        (data,) = pictures.images_bytes(ws, [row["sample_id"]]).values()
        face, trouble = report_plots.face_or_trouble(data)
    return {
        "face": face,
        "key": row["source_key"],
        "given": row["given_label"],
        "suggested": row["suggested_label"],
        "p_mislabelled": row["p_mislabelled"],
        "p_ambiguous": row["p_ambiguous"],
        "decision": row["decision"],
        "reasons": [trouble] if face is None else list(row["reasons"] if row["reasons"] is not None else []),
    }


def _counts(counted: pd.DataFrame) -> dict[str, Any]:
    return {
        "samples": int(counted["samples"].sum()),
        "judged": int(counted.loc[counted["verdict"].notna(), "samples"].sum()),
        "quarantined": int(counted.loc[counted["quarantined"], "samples"].sum()),
        "verdicts": counts.total(counted, "verdict"),
        "splits": counts.total(counted, "split"),
    }


def _decided(counted: pd.DataFrame, reviewers: dict[str, int]) -> dict[str, Any]:
    return {
        "total": int(counted.loc[counted["decision"].notna(), "samples"].sum()),
        "actions": counts.total(counted, "decision"),
        "reviewers": reviewers,
        "conflicts": int(counted.loc[counted["conflict"], "samples"].sum()),
    }


def _stated(ws: Workspace) -> dict[str, Any]:
    """What the newest triage says about the set and about itself; empty before it."""
    triaged = runs.latest_run(ws, "triage")
    return triaged.metrics if triaged is not None and "expected" in triaged.metrics else {}


def _retrains(ws: Workspace) -> list[dict[str, Any]]:
    """What each retraining measured, the newest last. Those of an older ferclean had two arms, raw and cleaned."""
    return [
        {"arm": "cleaned", "base": "given" if "given" in run.metrics["accuracy"] else "raw"}
        | run.metrics
        | {"plot": report_plots.accuracy_points(run.metrics), "when": run.finished_at, "rows": _arms(run.metrics)}
        for run in runs.list_runs(ws)
        if run.kind == "retrain" and run.state == "done"
    ]


def _arms(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """Each arm's means over the seeds, in the order of the plot."""
    measured = metrics.get("metrics", {})
    shown = ("accuracy", "macro_f1", "calibration_error")
    return [
        {"arm": arm, "difference": metrics["differences"].get(arm)}
        | {name: float(np.mean(measured[arm][name])) for name in shown}
        for arm in report_plots.arms_in_order(metrics)
        if arm in measured
    ]
