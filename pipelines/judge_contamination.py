"""Does `judge test` tell a net from elsewhere from nets trained on this very set? Asked of 50 draws of 300 rows.

Three judges: one on the shelf (face-api), and two nets trained here, on the training rows and on training and test
rows. No vote is read. The workspace must be scored (`fer2013_ferplus.py` leaves one):

    ferclean judge add face-api
    python pipelines/judge_contamination.py --workspace W --nets NETS.npz --json FILE

What the two nets said is kept in NETS.npz and read from there the next time.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ferclean.evidence import labels as label_names
from ferclean.evidence.verdict.independence import independence
from ferclean.files import whole_file
from ferclean.parts.gathering import out_of_fold
from ferclean.recognition import images as image_room
from ferclean.recognition.profiles import get_profile
from ferclean.recognition.train import fit, predict
from ferclean.steps.judge import ask_judge
from ferclean.store import samples, scores
from ferclean.store.workspace import Workspace
from pipelines.heading import heading

TRAINED = {"trained on train": ("train",), "trained on train and test": ("train", "test")}
ROWS, DRAWS = 300, 50


def run(
    root: Path, *, judge: str = "face-api", nets: Path | None = None, profile: str = "quick", seed: int = 0
) -> dict[str, Any]:
    """The whole JSON object: per judge the answer over all rows, and how often each answer comes over the draws."""
    ws = Workspace.open(root)
    classes = samples.get_dataset(ws).classes
    frame = samples.get_samples(ws)
    frame = frame[frame["given_label"].notna()].reset_index(drop=True)
    given = label_names.encode(list(frame["given_label"]), classes)
    outside = ask_judge(ws, judge)
    said = scores.get_predictions(ws, outside.run_id)
    place = pd.Series(np.arange(len(said.sample_ids)), said.sample_ids)
    words = {judge: said.pred_probs[place[frame["sample_id"]].to_numpy()]}
    words |= _nets(frame, given, len(classes), nets, profile=profile, seed=seed)
    ids, pred_probs = out_of_fold(ws)
    row_of = pd.Series(np.arange(len(frame)), frame["sample_id"])
    rows = row_of[ids].to_numpy()
    test = np.flatnonzero((frame["split"] == "test").to_numpy())
    return heading("judge_contamination") | {
        "rows": len(rows),
        "test_rows": len(test),
        "draws": DRAWS,
        "rows_a_draw": ROWS,
        "judges": {name: measured(given, rows, test, pred_probs, probs, seed=seed) for name, probs in words.items()},
    }


def measured(
    given: np.ndarray, rows: np.ndarray, test: np.ndarray, pred_probs: np.ndarray, judge: np.ndarray, *, seed: int
) -> dict[str, Any]:
    """One judge: over all rows, and over draws of ROWS in which scored and test rows come as often as in the set.

    `given` (N,) and `judge` (N, K) of all rows; `rows` those scored, in the order of `pred_probs`; `test` the others.
    """
    rng = np.random.default_rng(seed)
    scored = round(ROWS * len(rows) / (len(rows) + len(test)))

    def ask(own: np.ndarray, unseen: np.ndarray) -> Any:
        return independence(given[rows[own]], pred_probs[own], judge[rows[own]], test=(given[unseen], judge[unseen]))

    whole = ask(np.arange(len(rows)), test)
    answers, left = Counter[str](), []
    for _ in range(DRAWS):
        found = ask(
            rng.choice(len(rows), scored, replace=False), rng.choice(test, min(ROWS - scored, len(test)), replace=False)
        )
        answers[found.verdict] += 1
        left.append(found.left.estimate)
    return {
        "whole": whole.as_dict(),
        "answers": dict(answers),
        "left_mean": round(float(np.mean(left)), 3),
        "left_sd": round(float(np.std(left, ddof=1)), 3),
    }


def _nets(
    frame: pd.DataFrame, given: np.ndarray, classes: int, kept: Path | None, *, profile: str, seed: int
) -> dict[str, np.ndarray]:
    """What cross-entropy nets say about all rows that saw some or all of them."""
    if kept is not None and kept.is_file():
        with np.load(kept, allow_pickle=False) as file:
            place = pd.Series(np.arange(len(file["sample_id"])), file["sample_id"])
            return {name: file[name][place[frame["sample_id"]].to_numpy()] for name in TRAINED}
    chosen = get_profile(profile, methods=["cross_entropy"])
    pixels = image_room.load_pixels(list(frame["path"]), size=chosen.input_size, channels=chosen.channels)
    words = {}
    for name, splits in TRAINED.items():
        seen = np.flatnonzero(frame["split"].isin(splits).to_numpy())
        net = fit(
            "cross_entropy", pixels[seen], given[seen], num_classes=classes, config=chosen.train_config(seed=seed)
        )
        words[name] = predict(net, pixels)["pred_probs"]
    if kept is not None:
        with whole_file(kept) as draft, draft.open("wb") as file:
            np.savez(file, sample_id=frame["sample_id"].to_numpy(str), **words)  # type: ignore[arg-type]
    return words


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Is a contaminated judge told from an independent one?")
    parser.add_argument("--workspace", type=Path, required=True, help="scored, with a test split")
    parser.add_argument("--judge", default="face-api", help="a judge on the shelf that never saw the set")
    parser.add_argument("--nets", type=Path, help="where what the two trained nets say is kept")
    parser.add_argument("--profile", default="quick")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, required=True, help="where the figures go")
    options = parser.parse_args()
    result = run(options.workspace, judge=options.judge, nets=options.nets, profile=options.profile, seed=options.seed)
    options.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    for name, row in result["judges"].items():
        left = f"{row['left_mean']:.2f} ± {row['left_sd']:.2f}"
        print(f"{name:26} {row['whole']['verdict']:13} left {left}", row["answers"])


if __name__ == "__main__":
    main()
