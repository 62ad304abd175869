"""A retrained recognizer for other people: its folder with the card filled in.

It trains nothing and knows no workspace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ferclean.exports.model_card import render_model_card


def write_model(checkpoint: Path, folder: Path, *, classes: Sequence[str], made_from: Mapping[str, Any]) -> None:
    """Write the recognizer of a training's `checkpoint` as the model folder that `ferclean predict` takes.

    `made_from`: rows of the card, name -> value; `licence` is that of the images. Raises as `save_model` does.
    """
    from ferclean.recognition.checkpoint import load_checkpoint
    from ferclean.recognition.model_folder import model_config, save_model
    from ferclean.recognition.timm_twin import twin_of

    trained = load_checkpoint(checkpoint)
    twin = twin_of(trained)
    config = model_config(trained, classes, made_from=made_from, twin=twin)
    card = render_model_card(config, code=twin.code if twin is not None else None)
    save_model(trained, folder, config=config, card=card, twin=twin)
