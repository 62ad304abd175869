"""How the dataset looks in the App: the review screen's colours for given and suggested, one for each verdict.

It changes no sample.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import fiftyone as fo

VERDICT_COLOURS = {
    "mislabelled": "#A31545", "ambiguous": "#7A5C00", "unusable": "#6B4E8A", "duplicate": "#4A5560", "leak": "#006B75",
    "clean": "#00705A",
}  # fmt: skip
"""Under FiftyOne's white letters, and none of them the given label's orange or the suggested one's blue."""

_STYLE = Path(__file__).parents[1] / "review" / "style.css"
# sidebar group -> fields; what is not named stands in FiftyOne's own groups
_GROUPS = {
    "labels": ("ground_truth", "suggested_label", "corrected_label", "predictions"),
    "verdict": ("verdict", "proposal", "reasons", "rank", "decision", "refused"),
    "scores": ("label_quality", "p_mislabelled", "p_ambiguous", "p_unusable", "p_clean", "mistakenness", "hardness"),
    "sample": ("source_key", "split", "duplicates", "quarantine_reason", "ferclean_id"),
    "kept by ferclean": ("given_label", "decided_label"),
}


def ink(name: str) -> str:
    """A colour of the review screen by its name in `review/style.css`: that of light pages, dark enough for the white
    letters that FiftyOne writes on it."""
    found = re.search(rf"--fc-{name}: light-dark\((#\w+), ", _STYLE.read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"{_STYLE} has no colour --fc-{name}")
    return found[1]


def dress(dataset: fo.Dataset, classes: Sequence[str]) -> None:
    """Give the dataset its colours, its sidebar, and the two labels on the tiles; `dataset.save()` is the caller's.

    A label's colour says which label it is, not which class: as on the review screen.
    """
    inks = {"ground_truth": ink("given"), "suggested_label": ink("suggested"), "corrected_label": ink("good"),
            "predictions": ink("quiet")}  # fmt: skip
    fields = [
        {
            "path": path, "fieldColor": colour, "colorByAttribute": "label",
            "valueColors": [{"value": name, "color": colour} for name in classes],
        }
        for path, colour in inks.items()
    ]  # fmt: skip
    fields.append(
        {
            "path": "verdict", "fieldColor": ink("quiet"),
            "valueColors": [{"value": name, "color": colour} for name, colour in VERDICT_COLOURS.items()],
        }
    )  # fmt: skip
    config = dataset.app_config
    config.color_scheme = fo.ColorScheme(color_by="value", fields=fields)
    config.active_fields = fo.ActiveFields(paths=["ground_truth", "suggested_label", "verdict"])
    shown = dataset.get_field_schema()
    config.sidebar_groups = [
        fo.SidebarGroupDocument(name=name, paths=[path for path in paths if path in shown], expanded=expanded)
        for name, paths in _GROUPS.items()
        for expanded in [name in ("labels", "verdict")]
    ]
