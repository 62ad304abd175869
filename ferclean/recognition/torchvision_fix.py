"""Let `import timm` work where torchvision's compiled part does not fit the installed torch.

It never touches a matching pair of torch and torchvision, and never downloads or replaces anything.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import logging
from pathlib import Path
from typing import Any

import torch

log = logging.getLogger(__name__)

OPERATORS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
"""The operators that torchvision describes at import whether or not its compiled part came up."""

_library: Any = None  # the definitions live as long as this object does


def mend_torchvision() -> bool:
    """Declare the operators torchvision needs to be imported; True if that was necessary. Call it before timm.

    A torchvision built for CUDA cannot load beside a CPU build of torch; its import then stops at
    "operator torchvision::nms does not exist". With the two schemas declared, transforms and models work;
    `torchvision.ops.nms` and `torchvision.io` still do not. Calling it again changes nothing.
    """
    global _library
    if _library is not None:
        return True
    missing = [name for name in OPERATORS if not _is_known(name)]
    folder = _folder()
    if folder is None or not missing or _compiled_part_loads(folder):
        return False
    _library = torch.library.Library("torchvision", "FRAGMENT")
    for name in missing:
        _library.define(OPERATORS[name])
    log.debug(
        "torchvision's compiled part does not fit torch %s: its operators are declared, not usable", torch.__version__
    )
    return True


def _is_known(name: str) -> bool:
    return hasattr(torch.ops.torchvision, name)


def _folder() -> Path | None:
    """Where torchvision is installed, found without importing it."""
    spec = importlib.util.find_spec("torchvision")
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) if places else None


def _compiled_part_loads(folder: Path) -> bool:
    # the same file and the same call as torchvision's own import: loading it here first changes nothing for it
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        library = folder / f"_C{suffix}"
        if library.exists():
            try:
                torch.ops.load_library(library)
            except OSError as error:
                log.debug("%s: %s", library.name, error)
                return False
            return True
    return False
