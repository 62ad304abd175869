"""Tensors into a .safetensors file, whole or not at all.

It never pickles.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ferclean.files import whole_file


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write contiguous tensors on the CPU, replacing an older file at once.

    Raises FercleanError where nothing can be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with whole_file(path) as draft:
        try:
            save_file(dict(tensors), draft, metadata=metadata)
        except SafetensorError as error:
            # its one error for everything; the system's number stands in the text: "... (os error 28)"
            number = re.search(r"\(os error (\d+)\)", str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1]))) from error
