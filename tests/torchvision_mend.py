"""Lets `import torchvision`, and so timm, work where its compiled part does not fit torch: built for CUDA, say.

The tests run in such environments too; users are told to install a pair (`recognition/timm_import.py`). Declared,
transforms and models work, `torchvision.ops.nms` and `torchvision.io` do not. A matching pair is never touched.
`tests/prepare.py` lays this file into the environment for the processes that tests start; conftest calls `install`.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

OPERATORS = ("nms", "qnms")
"""What torchvision describes at import whether or not its compiled part came up."""

_kept: list[Any] = []  # the definitions live as long as these objects do


class BeforeTorchvision:
    """Finds nothing; the first import of torchvision passes by here."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name == "torchvision" and self in sys.meta_path:
            sys.meta_path.remove(self)
            declare()


def install() -> None:
    """Mend torchvision when it is first imported in this process. Calling it again changes nothing."""
    if "torchvision" not in sys.modules and not any(type(f).__name__ == "BeforeTorchvision" for f in sys.meta_path):
        sys.meta_path.insert(0, BeforeTorchvision())


def declare() -> bool:
    """Declare the operators where the compiled part does not load; True if that was necessary."""
    spec = importlib.util.find_spec("torchvision")
    folder = Path(next(iter(spec.submodule_search_locations or [""]))) if spec else None
    if folder is None or importlib.util.find_spec("torch") is None or _kept or _compiled_part_loads(folder):
        return False
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in OPERATORS:
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _kept.append(library)
    return True


def _compiled_part_loads(folder: Path) -> bool:
    import torch

    # the same files and the same call as torchvision's own import: loading them here first changes nothing for it.
    # Declaring what then registers itself would end the process, so whatever may be that part counts (_C, _C_stable)
    for library in folder.glob("_C*.*"):
        try:
            torch.ops.load_library(library)
        except OSError:
            continue
        return True
    return False
