"""timm, imported when a network of its is first asked for: it brings torchvision along, which must fit torch.

It never touches an installation.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from ferclean.errors import FercleanError


def the_timm() -> Any:
    """The module. Raises FercleanError where torchvision was built for another torch than the one that is installed."""
    try:
        import timm
    except RuntimeError as error:
        if "torchvision::" not in str(error):  # "operator torchvision::nms does not exist"
            raise
        raise FercleanError(
            f"torchvision {version('torchvision')} was not built for torch {version('torch')}, so timm's networks "
            "cannot be had: install both from one place: pip install --force-reinstall torch torchvision"
        ) from error
    return timm
