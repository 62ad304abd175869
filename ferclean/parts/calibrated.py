"""The probabilities that people are shown: the recognizers' mean at the temperature of the reasons beside it.

Scores and exports stay as the recognizers gave them; a decision keeps what was shown.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ferclean.evidence import labels as label_names
from ferclean.evidence.verdict.calibration import apply_temperature, fit_temperature
from ferclean.store.runs import latest_run
from ferclean.store.table import scored_probs
from ferclean.store.workspace import Workspace


def calibrated_probs(table: pd.DataFrame, classes: Sequence[str]) -> pd.Series:
    """For each row of a `store.table` table K probabilities that sum to 1, in the order of `classes`; None if unscored.

    The temperature is that of `evidence.verdicts.judge`, fitted on all scored rows: give the whole table.
    """
    scored = table["pred_probs"].notna().to_numpy()
    if not scored.any():
        return pd.Series([None] * len(table), index=table.index, dtype="object")
    given = label_names.encode(list(table.loc[scored, "given_label"]), classes)
    return at_temperature(table["pred_probs"], temperature(_matrix(table.loc[scored, "pred_probs"]), given))


def shown_temperature(ws: Workspace) -> float:
    """The temperature of `calibrated_probs` for a whole workspace, without a table of it; 1 where nothing is scored.

    A triage keeps it; only of one by an older ferclean it is fitted again.
    """
    triage = latest_run(ws, "triage")
    if triage is not None and "temperature" in triage.metrics:
        return float(triage.metrics["temperature"])
    probs, given = scored_probs(ws)
    return temperature(probs, given) if len(probs) else 1.0


def temperature(probs: np.ndarray, given: np.ndarray) -> float:
    """At which the recognizers' mean (N, K) is shown; `given` (N,), -1 = no label, which says nothing."""
    probs = probs / probs.sum(1, keepdims=True)
    return fit_temperature(probs[given >= 0], given[given >= 0])


def at_temperature(pred_probs: pd.Series, at: float) -> pd.Series:
    """Each row's probabilities as they are shown `at` a temperature; None where there are none."""
    found = pd.Series([None] * len(pred_probs), index=pred_probs.index, dtype="object")
    scored = pred_probs.notna().to_numpy()
    if scored.any():
        probs = _matrix(pred_probs[scored])
        shown = apply_temperature(probs / probs.sum(1, keepdims=True), at)
        found[scored] = pd.Series(shown.tolist(), index=pred_probs.index[scored])  # by index, as pandas 2.2 wants it
    return found


def _matrix(pred_probs: pd.Series) -> np.ndarray:
    return np.array(pred_probs.tolist(), dtype=np.float64)
