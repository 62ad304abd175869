"""Where the rooms beside the package (apps, pipelines, data_cards) lie: in the wheel, or in a checkout.

It only finds files; it never imports them.
"""

from __future__ import annotations

from pathlib import Path

from ferclean.errors import FercleanError


def bundled_path(relative: str) -> Path:
    """The path of a file or folder that travels with ferclean, such as `data_cards` or `apps/review/main.py`.

    Raises FercleanError when the installation lacks it.
    """
    package = Path(__file__).resolve().parent
    for root in (package / "bundled", package.parent):
        found = root / relative
        if found.exists():
            return found
    raise FercleanError(f"{relative} is missing from this installation of ferclean; install the package again")


def known_cards() -> dict[str, Path]:
    """Names of the data cards that travel with ferclean, and their files; documents beside them have capital names."""
    return {path.stem: path for path in sorted(bundled_path("data_cards").glob("*.md")) if path.stem.islower()}
