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

from ferclean.errors import FercleanError, UsageError, among

DEVICES = ("auto", "cpu", "cuda")
EXACT_WORKSPACES = (":4096:8", ":16:8")
"""Values of CUBLAS_WORKSPACE_CONFIG with which matrix products on CUDA are repeatable; read when CUDA starts."""
_ASKED: ContextVar[torch.dtype | None] = ContextVar("multiplying_in", default=None)


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
    """Where a figure was measured: device, torch, the CUDA and cuDNN it was built for (None on a CPU), threads, what
    training multiplies in, and whether its bytes are repeatable."""
    device = choose_device(name)
    on_cuda = device.type == "cuda"
    return {
        "device": describe(name),
        "torch": torch.__version__,
        "cuda": torch.version.cuda if on_cuda else None,
        "cudnn": torch.backends.cudnn.version() if on_cuda else None,
        "threads": torch.get_num_threads(),
        "precision": precision(name),
        "repeatable": not on_cuda or exact_asked(),
    }


def half_type(device: torch.device) -> torch.dtype:
    """What networks multiply in while they train: on CUDA bfloat16 where the card has it (compute capability 8), else
    float16 where that is fast (7), else float32; float32 on a CPU, where halves are slower on most machines; inside
    `multiplying_in` what was asked for.
    """
    if (asked := _ASKED.get()) is not None:
        return asked
    if device.type != "cuda":
        return torch.float32
    major, _ = torch.cuda.get_device_capability(device)
    return torch.bfloat16 if major >= 8 else torch.float16 if major == 7 else torch.float32


def half_precision(device: torch.device) -> Any:
    """Autocast to `half_type` for the forward of a training; nothing where that is float32. See `float32` for what is
    never halved; gradients of float16 are scaled by `optimise.Descent`."""
    kind = half_type(device)
    return nullcontext() if kind is torch.float32 else torch.autocast(device.type, dtype=kind)


def precision(name: str = "auto") -> str:
    """`half_type` of the device that `choose_device` takes, in a word: `float32`, `bfloat16` ..."""
    return str(half_type(choose_device(name))).removeprefix("torch.")


@contextmanager
def multiplying_in(kind: torch.dtype) -> Iterator[None]:
    """Inside, training multiplies in `kind` on any device, a CPU too. For comparing, and for tests without a GPU."""
    token = _ASKED.set(kind)
    try:
        yield
    finally:
        _ASKED.reset(token)


@contextmanager
def full_precision(device: torch.device | None = None) -> Iterator[None]:
    """Inside, CUDA computes in float32 as a CPU does: neither in halves nor with TF32's products of 11 bits.

    With a `device` an autocast that the caller is in is left, too. All predictions are made so.
    """
    cudnn = torch.backends.cudnn
    before = cudnn.allow_tf32, torch.get_float32_matmul_precision()
    cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    autocast: Any = nullcontext() if device is None else torch.autocast(device.type, enabled=False)
    try:
        with multiplying_in(torch.float32), autocast:
            yield
    finally:
        cudnn.allow_tf32 = before[0]
        torch.set_float32_matmul_precision(before[1])


@contextmanager
def out_of_memory(device: torch.device, doing: str) -> Iterator[None]:
    """Inside, a GPU whose memory does not suffice is told in a line. Raises FercleanError."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        total = torch.cuda.get_device_properties(device).total_memory / 1024**3
        raise FercleanError(
            f"the memory of {device} ({total:.0f} GB, other processes' included) does not suffice for {doing}: give a "
            "smaller --batch-size or --input-size, or --device cpu"
        ) from error


def start_peak_memory(name: str = "auto") -> None:
    """Forget the most memory that CUDA tensors have held; nothing on a CPU."""
    if (device := choose_device(name)).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_mb(name: str = "auto") -> float | None:
    """The most memory that tensors on this CUDA device have held since `start_peak_memory`, in MB; None on a CPU."""
    device = choose_device(name)
    return torch.cuda.max_memory_allocated(device) / 1024**2 if device.type == "cuda" else None


def exact_asked() -> bool:
    """Whether the same bytes are asked for on CUDA, as PyTorch is asked for them: by CUBLAS_WORKSPACE_CONFIG in the
    environment that the process started with, or by `torch.use_deterministic_algorithms(True)`."""
    return os.environ.get("CUBLAS_WORKSPACE_CONFIG") in EXACT_WORKSPACES or torch.are_deterministic_algorithms_enabled()


@contextmanager
def repeatable(seed: int, device: torch.device) -> Iterator[None]:
    """Inside, everything random follows `seed`; afterwards the caller's generators and settings are as before.

    On a CPU the same seed and thread count give the same bytes. On CUDA they do so only where that is `exact_asked`:
    then deterministic algorithms are requested, and what has none raises torch's own error. Elsewhere the fastest
    kernels are looked for, sums run in any order, and two trainings with one seed are close and not equal.
    """
    on_cuda = device.type == "cuda"
    devices = [device.index if device.index is not None else torch.cuda.current_device()] if on_cuda else []
    with torch.random.fork_rng(devices=devices), _kernels(exact=exact_asked()) if on_cuda else nullcontext():
        torch.manual_seed(seed)
        yield


@contextmanager
def _kernels(*, exact: bool) -> Iterator[None]:
    """Repeatable kernels for CUDA, or the fastest ones; torch's settings are restored afterwards."""
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    algorithms, warn_only = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    cudnn.deterministic, cudnn.benchmark = exact, not exact
    if exact and not algorithms:
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before
        torch.use_deterministic_algorithms(algorithms, warn_only=warn_only)
