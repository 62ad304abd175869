"""Doctor's findings as one page to look at: a section each, its pictures beside one another where they belong together.

It reads the files of the pictures that it shows, and no other; it runs nothing and asks for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import resources
from typing import Any

import pandas as pd

from ferclean import __version__, extras
from ferclean.errors import FercleanError
from ferclean.health.finding import Finding
from ferclean.parts.report_plots import face_or_trouble
from ferclean.store import pictures, samples
from ferclean.store.workspace import Workspace

TOLD = {"error": "errors", "warning": "warnings", "info": "good to know"}


def page(ws: Workspace, table: pd.DataFrame, findings: Sequence[Finding]) -> str:
    """The page, self-contained HTML; `table` are the samples that the findings are about.

    Costs a file for each picture that is shown (`finding.SHOWN` groups of at most four a finding). One that is lost is
    told in its place. Raises FercleanError where the extra `report` is missing.
    """
    extras.require("report", "doctor's page")
    import jinja2

    wanted = list(dict.fromkeys(one for found in findings for group in found.shown for one in group))
    facts = table[table["sample_id"].isin(wanted)].set_index("sample_id").to_dict("index")
    files = pictures.images_bytes(ws, wanted)
    cards = {one: _card(facts[one], files[one]) for one in wanted}
    # autoescape: file names and labels come from strangers
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = resources.files("ferclean.health").joinpath("page.html.j2").read_text("utf-8")
    return environment.from_string(template).render(
        dataset=samples.get_dataset(ws),
        samples=len(table),
        version=__version__,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        tiles=[(sum(one.severity == name for one in findings), words, name) for name, words in TOLD.items()],
        sections=[(one, [[cards[sample_id] for sample_id in group] for group in one.shown]) for one in findings],
    )


def _card(facts: dict[Any, Any], data: bytes | FercleanError) -> dict[str, Any]:
    face, trouble = face_or_trouble(data)
    label = facts["given_label"] if isinstance(facts["given_label"], str) else "no label"
    return {"face": face, "trouble": trouble, "key": facts["source_key"], "split": facts["split"], "label": label}
