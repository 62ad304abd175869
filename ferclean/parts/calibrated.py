"""The probabilities that people are shown: the recognizers' mean at the temperature of the reasons beside it.

Scores and exports stay as the recognizers gave them; a decision keeps what was shown.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ferclean.evidence import labels as label_names
from ferclean.evidence.verdict.calibration import apply_temperature, fit_temperature


def calibrated_probs(table: pd.DataFrame, classes: Sequence[str]) -> pd.Series:
    """For each row of a `store.table` table K probabilities that sum to 1, in the order of `classes`; None if unscored.

    The temperature is that of `evidence.verdicts.judge`, fitted on all scored rows: give the whole table.
    """
    found = pd.Series([None] * len(table), index=table.index, dtype="object")
    scored = table["pred_probs"].notna().to_numpy()
    if not scored.any():
        return found
    probs = np.array(table.loc[scored, "pred_probs"].tolist(), dtype=np.float64)
    probs /= probs.sum(1, keepdims=True)
    given = label_names.encode(list(table.loc[scored, "given_label"]), classes)
    shown = apply_temperature(probs, fit_temperature(probs[given >= 0], given[given >= 0]))
    found[scored] = pd.Series(shown.tolist(), index=table.index[scored])
    return found
