"""The probabilities that people are shown: the recognizers' mean at the temperature of the latest triage.

What is stored and exported stays as the recognizers gave it; the reasons of a verdict speak of these.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ferclean.evidence.calibration import apply_temperature
from ferclean.store import runs
from ferclean.store.workspace import Workspace


def calibrated_probs(ws: Workspace, table: pd.DataFrame) -> pd.Series:
    """For each row of a `store.table` table K probabilities that sum to 1, in the card's order; None where unscored.

    A triage by a ferclean that told no temperature leaves them as they are; run `ferclean triage` again.
    """
    found: list[list[float] | None] = [None] * len(table)
    scored = [row for row, probs in enumerate(table["pred_probs"]) if probs is not None]
    if not scored:
        return pd.Series(found, index=table.index, dtype="object")
    triage = runs.get_run(ws, str(table["run_id"].dropna().iloc[0]))
    temperature = 1.0 if triage is None else float(triage.metrics.get("temperature", 1.0))
    probs = apply_temperature(np.array([table["pred_probs"].iloc[row] for row in scored], dtype=float), temperature)
    for row, values in zip(scored, probs.tolist(), strict=True):
        found[row] = values
    return pd.Series(found, index=table.index, dtype="object")
