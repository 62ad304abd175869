"""Which process this is, and whether one that was written down still lives.

It sends no signal and reads nothing of other processes but when they began.
"""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path
from typing import Any


def this_process() -> dict[str, Any]:
    """Host, pid and beginning of this process, for JSON; enough to know it from a later one with the same pid."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "began": _began(os.getpid())}


def may_live(process: dict[str, Any] | None) -> bool:
    """Whether the process of `this_process` may still be there.

    False only when that is known: nothing was written down (an older ferclean, which cannot have this workspace open),
    or this machine has no such process any more. Another machine's cannot be seen from here.
    """
    if process is None:
        return False
    if not is_here(process):
        return True
    return _began(int(process["pid"])) == process["began"]


def is_here(process: dict[str, Any]) -> bool:
    """Whether the process of `this_process` is, or was, one of this machine."""
    return bool(process["host"] == socket.gethostname())


def _began(pid: int) -> str | None:
    """When a process of this machine began, in the system's own words; None when there is none."""
    if Path("/proc/self/stat").exists():
        try:
            # the name, in brackets, may hold anything; then the state, and the 22nd field of all is the beginning
            after_name = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if after_name[0] in "ZX" else after_name[19]
    try:
        done = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    except FileNotFoundError:  # a system that tells nothing: the same answer for all, so nobody is taken for dead
        return "unknown"
    return done.stdout.strip() or None
