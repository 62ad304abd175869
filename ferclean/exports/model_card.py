"""The card of a retrained recognizer: what it is, what it learned from, how it is loaded, what it does not promise.

It never lets a name act as markup, and never claims a licence that nobody gave.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

import ferclean
from ferclean.exports.card import Verbatim, card_template


def render_model_card(config: Mapping[str, Any], *, code: str | None = None) -> str:
    """The text of README.md for a model with this config.json; `code` loads it in timm (`timm_twin.TimmTwin.code`).

    `config["made_from"]` may hold anything that is worth a row; its `licence` is that of the images it learned from.
    """
    made_from = dict(config["made_from"])
    licence = made_from.pop("licence", None)
    tags = ["facial-expression-recognition", "image-classification", "ferclean", *(["timm"] if code else [])]
    head = {"pipeline_tag": "image-classification", "library_name": "timm" if code else "ferclean", "tags": tags}
    return card_template("model_card.md.jinja").render(
        config=config,
        shape=config["preprocessing"],
        facts=[(name.replace("_", " "), value) for name, value in made_from.items()],
        code=Verbatim(code or ""),
        version=ferclean.__version__,
        front_matter=Verbatim(yaml.safe_dump(head, sort_keys=False).strip()),
        licence=f"The images that it learned from: {licence}" if licence
        else "Not stated; the licence of the images that it learned from binds its use.",
    )  # fmt: skip
