"""The report's plots as inline SVG: colour-blind safe, with class names, readable without a legend of codes.

They draw what they are given and compute nothing but counts. Their colours are the page's own CSS variables, so that
they follow it into the dark; the ground is left out.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ferclean.errors import FercleanError
from ferclean.recognition import images as image_room

FACE_SIDE = 112
"""Pixels a side of a face on a page, at most."""
INK = "#26323f"
PAPER = "#fefefe"
BLUE, ORANGE, GREY = "#2166ac", "#d95f02", "#9aa5b1"
_WIDTH = 4.6  # inches: on a phone the page shrinks a plot to its own width, and its letters are to be read there too
_VARIABLES = {
    INK: "var(--ink)", PAPER: "var(--paper)", BLUE: "var(--plot-blue)", ORANGE: "var(--plot-orange)",
    GREY: "var(--plot-grey)",
}  # fmt: skip


def _figure(height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    # Figure without pyplot: no global state, no display, safe in threads
    figure = Figure(figsize=(_WIDTH, height), layout="constrained", facecolor="none")
    axes = figure.subplots()
    axes.set_facecolor("none")
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK, labelsize=9)
    return figure, axes


def _svg(figure: Any, *, name: str) -> str:
    from matplotlib import rc_context
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a class may be called $x$
    buffer = io.StringIO()
    # a fixed salt and no date: the same numbers give the same bytes; text stays text, to be searched and read aloud
    with rc_context({"svg.hashsalt": name, "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    drawn = buffer.getvalue()
    return re.sub(  # as colours alone: a class may be called anything
        r"(?<=fill: )#\w{6}|(?<=stroke: )#\w{6}",
        lambda found: _VARIABLES.get(found[0], found[0]),
        drawn[drawn.index("<svg") :],
    )


def quality_histogram(counts: pd.DataFrame, *, bins: int) -> str:
    """How many samples of each verdict lie at each label quality (low = bad); '' when nothing is judged.

    `counts`: verdict, step (0 to `bins` - 1, equal steps of the quality from 0 to 1) and samples.
    """
    if counts.empty:
        return ""
    figure, axes = _figure(2.7)
    edges, below = np.linspace(0, 1, bins + 1), np.zeros(bins)
    other = ~counts["verdict"].isin(["mislabelled", "ambiguous"])
    for name, colour, part in (
        ("mislabelled", ORANGE, counts[counts["verdict"] == "mislabelled"]),
        ("ambiguous", BLUE, counts[counts["verdict"] == "ambiguous"]),
        ("other", GREY, counts[other]),
    ):
        if len(part):
            height = np.bincount(part["step"], weights=part["samples"], minlength=bins)
            axes.bar(edges[:-1], height, bottom=below, width=1 / bins, align="edge", color=colour, label=name)
            below += height
    axes.set_xlabel("label quality (low = likely mislabelled)", color=INK, fontsize=9)
    axes.set_ylabel("samples", color=INK, fontsize=9)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    return _svg(figure, name="quality")


def flow_heatmap(counts: pd.DataFrame, classes: Sequence[str]) -> str:
    """Counts of flagged labels by given label (rows) and suggested label (columns); '' when nothing is flagged.

    `counts`: given_label, suggested_label, verdict and samples, as from `store.counts.sample_counts`.
    """
    flagged = counts[(counts["verdict"] == "mislabelled") & counts["suggested_label"].notna()]
    if flagged.empty:
        return ""
    flows = flagged.pivot_table(
        index="given_label", columns="suggested_label", values="samples", aggfunc="sum", fill_value=0
    ).reindex(index=list(classes), columns=list(classes), fill_value=0)
    from matplotlib.colors import ListedColormap, to_rgba

    figure, axes = _figure(4.0)
    values = flows.to_numpy()
    # one colour in shares, so that it lies on a light page and on a dark one
    shades = ListedColormap([to_rgba(BLUE, share) for share in np.linspace(0.06, 1, 64)])
    # cells as vectors: a raster image in the page could be mistaken for a face
    axes.pcolormesh(
        np.arange(len(classes)), np.arange(len(classes)), values, cmap=shades, vmin=0, vmax=max(1, values.max())
    )
    axes.invert_yaxis()
    axes.set_aspect("equal")
    axes.set_xticks(range(len(classes)), classes, rotation=40, ha="right")
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("suggested label", color=INK, fontsize=9)
    axes.set_ylabel("given label", color=INK, fontsize=9)
    for i, j in zip(*np.nonzero(values), strict=True):
        dark = values[i, j] > 0.6 * values.max()
        axes.text(j, i, str(values[i, j]), ha="center", va="center", fontsize=8, color=PAPER if dark else INK)
    return _svg(figure, name="flows")


def class_bars(counts: pd.DataFrame, classes: Sequence[str]) -> str:
    """Share of each class's judged samples that is flagged as mislabelled or ambiguous; '' when nothing is judged.

    `counts` as `flow_heatmap` takes them.
    """
    judged = counts[counts["verdict"].notna() & counts["given_label"].notna()]
    if judged.empty:
        return ""

    def per_class(rows: pd.DataFrame) -> pd.Series:
        return rows.groupby("given_label")["samples"].sum().reindex(list(classes), fill_value=0)

    sizes = per_class(judged)
    figure, axes = _figure(3.0)
    left = np.zeros(len(classes))
    for kind, colour in (("mislabelled", ORANGE), ("ambiguous", BLUE)):
        part = per_class(judged[judged["verdict"] == kind])
        share = 100 * part.to_numpy() / np.maximum(sizes.to_numpy(), 1)
        axes.barh(range(len(classes)), share, left=left, color=colour, label=kind)
        left += share
    axes.set_yticks(range(len(classes)), [f"{name} ({size:,})" for name, size in sizes.items()])
    axes.invert_yaxis()
    axes.set_xlabel("flagged, % of the class", color=INK, fontsize=9)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    return _svg(figure, name="classes")


def arms_in_order(metrics: dict[str, Any]) -> list[str]:
    """The arms of a retraining from the given labels (once called raw) to what it was about."""
    # what is stored comes in the order of the alphabet
    last = metrics.get("arm", "cleaned")
    return sorted(metrics["accuracy"], key=lambda arm: {"given": 0, "raw": 0, last: 2}.get(arm, 1))


def accuracy_points(metrics: dict[str, Any]) -> str:
    """Test accuracy per arm, one line per paired seed: from the given labels on the left to the cleaned ones."""
    accuracy, arms = metrics["accuracy"], arms_in_order(metrics)
    figure, axes = _figure(2.8)
    for values in zip(*(accuracy[arm] for arm in arms), strict=True):
        axes.plot(
            range(len(arms)),
            [100 * v for v in values],
            color=GREY,
            marker="o",
            markerfacecolor=BLUE,
            linewidth=1,
        )
    axes.plot(
        range(len(arms)),
        [100 * float(np.mean(accuracy[arm])) for arm in arms],
        color=ORANGE,
        linewidth=2.5,
        marker="D",
    )
    axes.set_xticks(range(len(arms)), arms)
    axes.set_xlim(-0.4, len(arms) - 0.6)
    axes.set_ylabel(f"accuracy on {metrics['test_split']}, %", color=INK, fontsize=9)
    return _svg(figure, name="accuracy")


def face_uri(pixels: Any) -> str:
    """A `data:` address of the (H, W, 3) uint8 face, scaled to at most `FACE_SIDE` px a side."""
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((FACE_SIDE, FACE_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def face_or_trouble(data: bytes | FercleanError) -> tuple[str | None, str]:
    """(`face_uri` of an encoded picture, None where it cannot be had; then what is the trouble with it). The words fit
    in its place, and tell no folder of this machine to whoever gets the page."""
    try:
        if isinstance(data, bytes):
            return face_uri(image_room.decode(data)), ""
        raise data
    except FercleanError as error:
        return None, str(getattr(error, "reason", error))
