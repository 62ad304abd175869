"""Where a network runs, and what makes a run there repeatable.

It never falls back from a device that was asked for, and leaves torch's global settings as it found them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

import torch

from ferclean.errors import UsageError, among

DEVICES = ("auto", "cpu", "cuda")
_FULL: ContextVar[bool] = ContextVar("full_precision", default=False)


def choose_device(name: str = "auto") -> torch.device:
    """`auto` takes CUDA where there is one, `cuda:1` its second. Raises UsageError for any other name, or where that
    device is not there.
    """
    kind, colon, number = name.partition(":")
    if kind not in DEVICES or (colon and not (kind == "cuda" and number.isdecimal())):
        raise UsageError(f"unknown device {name!r}; {among(name, DEVICES)}")
    there = torch.cuda.is_available()
    if kind == "cuda" and not there:
        raise UsageError("no CUDA device is available here; use --device cpu, or auto")
    if number and int(number) >= torch.cuda.device_count():
        raise UsageError(f"no device {name!r} here: there are {torch.cuda.device_count()}, counted from cuda:0")
    return torch.device("cpu") if kind == "cpu" or not there else torch.device("cuda" if kind == "auto" else name)


def describe(name: str = "auto") -> str:
    """What `choose_device` takes, in words for a results table: the GPU's name, or the number of CPU threads."""
    device = choose_device(name)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"CPU, {threads} {'thread' if threads == 1 else 'threads'}"


def facts(name: str = "auto") -> dict[str, Any]:
    """Where a figure was measured: device, torch, the CUDA and cuDNN it was built for (None on a CPU), threads."""
    on_cuda = choose_device(name).type == "cuda"
    return {
        "device": describe(name),
        "torch": torch.__version__,
        "cuda": torch.version.cuda if on_cuda else None,
        "cudnn": torch.backends.cudnn.version() if on_cuda else None,
        "threads": torch.get_num_threads(),
    }


def half_precision(device: torch.device) -> Any:
    """bfloat16 autocast on CUDA; nothing on a CPU, where it is slower on most machines, and in `full_precision`."""
    if device.type == "cuda" and not _FULL.get():
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return nullcontext()


def precision(name: str = "auto") -> str:
    """What networks compute in on the device that `choose_device` takes: `float32`, `bfloat16` ..."""
    device = choose_device(name)
    with half_precision(device):
        half = torch.is_autocast_enabled(device.type)
        return str(torch.get_autocast_dtype(device.type) if half else torch.float32).removeprefix("torch.")


@contextmanager
def full_precision() -> Iterator[None]:
    """Inside, CUDA computes in float32 as a CPU does: neither bfloat16 nor TF32. For comparing devices."""
    cudnn = torch.backends.cudnn
    before, token = cudnn.allow_tf32, _FULL.set(True)
    cudnn.allow_tf32 = False
    try:
        yield
    finally:
        cudnn.allow_tf32 = before
        _FULL.reset(token)


def start_peak_memory(name: str = "auto") -> None:
    """Forget the most memory that CUDA tensors have held; nothing on a CPU."""
    if (device := choose_device(name)).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_mb(name: str = "auto") -> float | None:
    """The most memory that tensors on this CUDA device have held since `start_peak_memory`, in MB; None on a CPU."""
    device = choose_device(name)
    return torch.cuda.max_memory_allocated(device) / 1024**2 if device.type == "cuda" else None


@contextmanager
def repeatable(seed: int, device: torch.device) -> Iterator[None]:
    """Inside, everything random follows `seed`; afterwards the caller's generators and settings are as before.

    On a CPU the same seed and thread count give the same bytes. On CUDA the repeatable kernels are chosen where
    torch has them.
    """
    on_cuda = device.type == "cuda"
    devices = [device.index if device.index is not None else torch.cuda.current_device()] if on_cuda else []
    if on_cuda:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        cudnn.deterministic, cudnn.benchmark = True, False
        try:
            yield
        finally:
            cudnn.deterministic, cudnn.benchmark = before
