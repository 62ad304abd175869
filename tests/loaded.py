"""What a fresh Python has imported once it has run a few words."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable


def loaded(code: str, *, of: Iterable[str]) -> list[str]:
    """Which of the modules `of` are imported after `code`, in order of their names; what it prints goes unheard."""
    ask = f"{code}\nimport json, sys; print(json.dumps(sorted({set(of)!r} & set(sys.modules))), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    found: list[str] = json.loads(done.stderr.splitlines()[-1])
    return found
