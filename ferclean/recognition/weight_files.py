"""Read the tensors of a weights file that somebody else wrote, and call what is no such file by its name.

It never unpickles anything but tensors, never fetches a file, and knows no network.
"""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ferclean.errors import BadDataError, UsageError, few

DEPTH = 4
"""Dictionaries within dictionaries that are looked into; training scripts use two or three."""
HEAD = 4096
"""Bytes from which a file's kind is told."""
PICKLED = (b"PK\x03\x04", b"\x80")
"""First bytes of what torch.save writes, today and before 2020."""
KINDS = {
    b"\x1f\x8b": "packed with gzip: unpack it, and give the weights file in it",
    b"7z\xbc\xaf": "a 7z archive: unpack it, and give the weights file in it",
    b"Rar!": "a RAR archive: unpack it, and give the weights file in it",
    b"\x89HDF": "an HDF5 file (Keras?), not PyTorch's: convert it to .safetensors",
    b"\x93NUMPY": "a NumPy array, not named tensors: save a state_dict",
    b"\x89PNG": "an image, not weights",
    b"\xff\xd8\xff": "an image, not weights",
    b"%PDF": "a PDF document, not weights",
    b"GGUF": "a GGUF file, not PyTorch's: convert it to .safetensors",
}
"""First bytes -> what a file that is taken for weights may be instead."""


def read_tensor_sets(path: Path) -> dict[str, dict[str, Tensor]]:
    """All sets of named tensors of a .safetensors or a weights-only .pth/.pt/.bin file, on the CPU.

    The key says where in the file a set lies: "" at its top, "state_dict", "ema.module". What a file is, is told from
    its bytes, not from its name. Raises UsageError when there is no file, and BadDataError for anything but tensors.
    """
    head = checked_head(path)
    try:
        if _is_safetensors(head):
            from safetensors.torch import load_file

            return {"": load_file(path)}
        with warnings.catch_warnings():
            # torch warns of pickles that are not its own; whatever they are, nothing but tensors comes out
            warnings.simplefilter("ignore")
            # by its bytes, not by its name: torch would go by the latter
            with path.open("rb") as file:
                content: Any = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BadDataError(
            f"{path} holds more than tensors{_pickled(error)} and is not opened: save its state_dict alone, with "
            "torch.save(model.state_dict(), FILE)"
        ) from error
    except Exception as error:  # safetensors and zip readers raise their own kinds
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadDataError(
            f"{path} is not a readable weights file: {reason}; if it was downloaded, download it again"
        ) from error
    sets = dict(_tensor_sets(content))
    if not sets:
        keys = f" (it holds {', '.join(map(str, list(content)[:5]))})" if isinstance(content, Mapping) else ""
        raise BadDataError(f"{path} holds no named tensors{keys}: save a model's state_dict")
    return sets


def checked_head(path: Path) -> bytes:
    """The first bytes of what may be a weights file; refuses everything that is evidently none, as the kind it is."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder: give the weights file in it")
    if not path.is_file():
        raise UsageError(f"no weights file at {path}")
    with path.open("rb") as file:
        head = file.read(HEAD)
    if kind := _no_weights(path, head):
        raise BadDataError(f"{path} is {kind}")
    return head


def _tensor_sets(content: Any, where: tuple[str, ...] = ()) -> Iterator[tuple[str, dict[str, Tensor]]]:
    if not isinstance(content, Mapping) or len(where) > DEPTH:
        return
    if tensors := {str(name): value for name, value in content.items() if isinstance(value, Tensor)}:
        yield ".".join(where), tensors
    for name, value in content.items():
        yield from _tensor_sets(value, (*where, str(name)))


def _is_safetensors(head: bytes) -> bool:
    # the length of a JSON header as eight bytes, then the header
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 100_000_000


def _no_weights(path: Path, head: bytes) -> str | None:
    """What the file is instead, with what to do about it; None where it may hold weights."""
    if not head:
        return "empty: download or save it again"
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the weights it stands for: run `git lfs pull` there, or download the file itself"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<!--")) or b"<html" in start[:1024]:
        return "a web page, not weights: the link led to a page (or a login), so download the file itself"
    for magic, kind in KINDS.items():
        if head.startswith(magic):
            return kind
    if head[257:262] == b"ustar":
        return "a tar archive: unpack it, and give the weights file in it"
    if head.startswith(b"PK\x03\x04"):
        return _no_checkpoint(path)
    if _is_safetensors(head) or head.startswith(PICKLED):
        return None
    if (line := _text(head)) is not None:
        return f"a text file ({line!r} ...), not weights: give a .safetensors file or a .pth file of a state_dict"
    return f"no weights file: neither PyTorch nor safetensors writes one that begins with {head[:4].hex(' ')}"


def _no_checkpoint(path: Path) -> str | None:
    """The same for a zip archive, which a checkpoint is, too."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        return "cut off or damaged: download or save it again"
    parts = {name.rpartition("/")[2] for name in names}
    if "constants.pkl" in parts:
        return "a TorchScript program: load it with torch.jit.load and save its state_dict"
    if "data.pkl" in parts:
        return None
    return f"a zip archive of {few(names, 3)}, not a checkpoint: unpack it, and give the weights file in it"


def _text(head: bytes) -> str | None:
    """The first line of what is text throughout, at most 40 characters of it; None for binary data."""
    try:
        # the last character may be cut in two
        text = head.decode("utf-8") if len(head) < HEAD else head[:-3].decode("utf-8", "ignore")
    except UnicodeDecodeError:
        return None
    if any(not letter.isprintable() and letter not in "\t\r\n\f" for letter in text):
        return None
    return (text.strip().splitlines() or [""])[0][:40]


def _pickled(error: Exception) -> str:
    """What a pickle would have built, where torch says so."""
    found = re.search(
        r"(?:Unsupported global: GLOBAL|Unsupported class|Trying to load unsupported GLOBAL) (\S+)", str(error)
    )
    return f" ({found[1]})" if found else ""
