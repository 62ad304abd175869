"""Pictures taken in beside a plain script: both take in all of them, and what the script says when it fails is told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipelines import ingest_speed


def test_both_take_in_every_picture(tmp_path: Path) -> None:
    result = ingest_speed.run(tmp_path, rows=21, rounds=1)
    assert len(list((tmp_path / "set").rglob("*.jpg"))) == result["pictures"] == 21
    [plain], [own], [share] = result["seconds"]["script"], result["seconds"]["ferclean"], result["share"]
    assert share == plain / own
    assert min(result["peak_mb"].values()) > 20
    assert f"| ferclean | {own:.0f} | {21 / own:,.0f} |" in ingest_speed.table(result)


def test_a_command_that_fails_is_no_measurement() -> None:
    with pytest.raises(RuntimeError, match="no such thing"):
        ingest_speed.timed([sys.executable, "-c", "raise SystemExit('no such thing')"])
