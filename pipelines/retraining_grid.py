"""How much of the oracle's gain decisions and judges bring: one recognizer trained on the given labels, on what
ferclean makes of them, and on the votes, with paired seeds and a draw of decisions of its own for each.

Needs a workspace that `fer2013_ferplus.py` has scored (and judges, where `ferclean judge` has run on it); writes
nothing into its database. Several processes given the same folder of jobs share the trainings.

    python -m pipelines.retraining_grid --data DIR --workspace W --jobs FOLDER [--seeds 5] [--device cuda] --json FILE
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ferclean.errors import BadDataError, UsageError, among
from ferclean.evidence import labels as label_names
from ferclean.evidence.comparison import paired_difference, share_of_gain
from ferclean.parts.gathering import Gathered, gather
from ferclean.parts.training_rows import copies_of
from ferclean.recognition import images as image_room
from ferclean.recognition.arms import Arm, compare_arms
from ferclean.recognition.devices import describe
from ferclean.recognition.profiles import get_profile
from ferclean.steps.release import THRESHOLD
from ferclean.store import samples
from ferclean.store.workspace import Workspace
from pipelines.ferplus_measures import read_truth
from pipelines.heading import heading, write_figures
from pipelines.simulated_reviewer import Reviewed, automatic_labels, judged_after, reviewed

COUNTS = (0, 100, 300, 600)
HARD = (0, 300)
FIRST_DRAW = 1000
"""Seeds of the draws of decisions: not those of `simulated_reviewer`, nor of training."""


def targets(
    found: Gathered, people: Reviewed, count: int, seed: int, *, judges: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Soft labels (N, K), hard labels (N,) as `auto` makes them, and the mask (N,) of what is kept, after `count`
    random decisions; decided faces carry the decision."""
    total = len(found.ids)
    decided = np.zeros(total, dtype=bool)
    decided[np.random.default_rng(FIRST_DRAW + seed).choice(total, min(count, total), replace=False)] = True
    judged = judged_after(found, people, decided, np.ones(total), judges=judges)
    soft, hard = judged.soft_label.copy(), automatic_labels(judged, found.given)
    hard[decided] = found.given[decided]  # what a person looked at is not changed by itself
    for said, label in (("keep", found.given), ("relabel", people.said_label)):
        rows = decided & (people.said == said)
        hard[rows] = label[rows]
        soft[rows] = np.eye(soft.shape[1])[label[rows]]
    return soft, hard, ~(decided & (people.said == "exclude"))


def run(
    data: Path,
    root: Path,
    *,
    jobs: Path | None,
    profile: str = "quick",
    method: str = "cross_entropy",
    arms: Sequence[str] | None = None,
    seeds: int = 5,
    device: str = "auto",
) -> dict[str, Any]:
    """Train every arm with every seed and measure on the test images with a clear majority. Returns the whole JSON.

    Raises BadDataError where no test image has one, UsageError for an arm that is not there.
    """
    ws = Workspace.open(root)
    chosen = get_profile(profile, methods=[method], seeds=1)
    classes = samples.get_dataset(ws).classes
    truth = read_truth(data / "votes.parquet")
    frame = samples.get_samples(ws).merge(truth, on="source_key", how="left")
    pixels = image_room.load_pixels(list(frame["path"]), size=chosen.input_size, channels=chosen.channels)
    is_test, groups = (frame["split"] == "test").to_numpy(), frame["dup_group"].to_numpy()
    copies = ~is_test & (np.isin(groups, groups[is_test]) | copies_of(pixels, list(frame["content_hash"]), is_test))
    test_rows = np.flatnonzero(is_test & frame["clear"].to_numpy(bool))
    if not len(test_rows):
        raise BadDataError("no test image has a clear majority; take a larger --limit")
    found = gather(ws)
    people = reviewed(found, classes, truth)
    place = {sample_id: row for row, sample_id in enumerate(frame["sample_id"])}
    rows = np.array([place[sample_id] for sample_id in found.ids])
    usable = ~copies[rows] & ~is_test[rows]
    sources = {"own": None} | ({"judged": found.judge_probs} if len(found.judge_probs) else {})

    def arm(labels: np.ndarray, kept: np.ndarray | bool = True) -> Arm:
        keep = usable & kept
        return Arm(rows[keep], labels[keep])

    def taught(name: str, count: int, hard: bool) -> Callable[[int], Arm]:
        def made(seed: int) -> Arm:
            soft, label, kept = targets(found, people, count, seed, judges=sources[name])
            return arm(label if hard else soft, kept)

        return made

    oracle = np.where(people.majority >= 0, people.majority, found.given)
    voted = np.isfinite(people.shares).all(1)
    shares = np.where(voted[:, None], people.shares, np.eye(len(classes))[found.given])
    made: dict[str, Any] = {
        "given": arm(found.given), "oracle": arm(oracle), "vote shares": arm(shares),
        "self-distillation": arm(found.pred_probs),
    }  # fmt: skip
    for name in sources:
        made |= {f"{name}, {count} decisions": taught(name, count, False) for count in COUNTS}
        made |= {f"{name}, {count} decisions, hard": taught(name, count, True) for count in HARD}
    if unknown := [name for name in arms or () if name not in made]:
        raise UsageError(f"no arm is called {unknown[0]!r}; {among(unknown[0], list(made))}")
    if arms is not None:
        made = {name: made[name] for name in dict.fromkeys(["given", "oracle", *arms])}
    majority = label_names.encode(list(frame["majority"]), classes)[test_rows]
    compared = compare_arms(
        made, pixels, test_rows, majority,
        classes=classes, profile=chosen, seeds=range(seeds), device=device, jobs=jobs,
    )  # fmt: skip
    return heading("retraining_grid") | {
        "device": describe(device),
        "profile": profile,
        "method": method,
        "seeds": seeds,
        "test_images": len(test_rows),
        "train_images": compared.train_images,
        "threshold": THRESHOLD,
        "arms": figures(compared.pred_probs, majority, classes),
    }


def figures(pred_probs: dict[str, np.ndarray], truth: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """For each arm's (S, M, K) probabilities: accuracy with its spread over seeds, macro-F1, recall of each class,
    calibration error, the paired difference from `given`, and the share of the oracle's gain that it recovers."""
    from sklearn.metrics import f1_score, recall_score

    from ferclean.evidence.verdict.calibration import expected_calibration_error

    hits = {name: probs.argmax(2) == truth for name, probs in pred_probs.items()}
    every = np.arange(len(classes))
    told: dict[str, Any] = {}
    for name, probs in pred_probs.items():
        said = probs.argmax(2)
        recall = np.mean([recall_score(truth, one, labels=every, average=None, zero_division=0) for one in said], 0)
        errors = [expected_calibration_error(p.max(1).clip(0, 1), h) for p, h in zip(probs, hits[name], strict=True)]
        one: dict[str, Any] = {
            "accuracy": round(float(hits[name].mean()), 4),
            "accuracy_sd": round(float(hits[name].mean(1).std(ddof=1)), 4) if len(said) > 1 else None,
            "macro_f1": round(float(np.mean([f1_score(truth, row, labels=every, average="macro") for row in said])), 4),
            "recall": {str(label): round(float(value), 3) for label, value in zip(classes, recall, strict=True)},
            "calibration_error": round(float(np.mean(errors)), 4),
        }
        if name != "given":
            one["minus_given"] = paired_difference(hits["given"], hits[name]).as_dict()
        if name not in ("given", "oracle"):
            one["share_of_oracle_gain"] = share_of_gain(hits["given"], hits[name], hits["oracle"])
        told[name] = one
    return told


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="What cleaned labels are worth to a recognizer, arm by arm.")
    parser.add_argument("--data", type=Path, required=True, help="folder with votes.parquet")
    parser.add_argument("--workspace", type=Path, required=True, help="scored by fer2013_ferplus.py")
    parser.add_argument("--jobs", type=Path, help="folder of finished trainings, shared by several processes")
    parser.add_argument("--profile", default="quick")
    parser.add_argument("--method", default="cross_entropy")
    parser.add_argument("--arms", help="separated by semicolons; default all; given and oracle always")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path, required=True, help="where the figures go")
    options = parser.parse_args()
    result = run(
        options.data, options.workspace, jobs=options.jobs, profile=options.profile, method=options.method,
        arms=options.arms.split(";") if options.arms else None, seeds=options.seeds, device=options.device,
    )  # fmt: skip
    write_figures(options.json, result)
    for name, row in sorted(result["arms"].items(), key=lambda item: item[1]["accuracy"]):
        print(f"{name:32} accuracy {100 * row['accuracy']:.1f} %  macro-F1 {row['macro_f1']:.3f}")


if __name__ == "__main__":
    main()
