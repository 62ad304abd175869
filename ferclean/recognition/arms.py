"""Several training sets for one recognizer, with paired seeds, judged on the same images: one job of the engine each.

It never chooses what an arm trains on, and never lets an arm see the labels of the images that it is judged on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ferclean.progress import Progress, Tell, silent, unheard
from ferclean.recognition.images import Images
from ferclean.recognition.profiles import Profile


@dataclass(frozen=True)
class Arm:
    """One training set: (T,) rows of the pixel array, and what each is to be recognised as: (T,) label indices, or
    (T, K) soft targets, rows sum to 1; perhaps `weights` (T,), what each counts for (see `train.fit`)."""

    rows: np.ndarray
    labels: np.ndarray
    weights: np.ndarray | None = None


ArmOfSeed = Arm | Sequence[Arm] | Callable[[int], Arm]
"""The same training set for every seed; one for each, in the order of the seeds; or what makes one from a seed."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What each arm says: S seeds, M test images, K classes.

    `hits` (S, M) bool: was the test label predicted? `pred_probs` (S, M, K) float32. Both after the last epoch; where
    there was a validation split, `best_hits` and `best_pred_probs` after the epoch that knew it best, else {}.
    `folders`: where each seed's job lies, None where nothing was kept. `train_images`: the size of each seed's set.
    """

    hits: dict[str, np.ndarray]
    pred_probs: dict[str, np.ndarray]
    best_hits: dict[str, np.ndarray]
    best_pred_probs: dict[str, np.ndarray]
    folders: dict[str, list[Path | None]]
    train_images: dict[str, list[int]]


def compare_arms(
    arms: Mapping[str, ArmOfSeed],
    pixels: Images,
    test_rows: np.ndarray,
    test_labels: np.ndarray,
    *,
    classes: Sequence[str],
    profile: Profile,
    seeds: Sequence[int],
    device: str = "auto",
    validation: tuple[np.ndarray, np.ndarray] | None = None,
    jobs: Path | None = None,
    keep_weights: Sequence[str] = (),
    anew: bool = False,
    progress: Progress = silent,
    tell: Tell = unheard,
) -> Compared:
    """Train the profile's first recognizer on every arm with every seed, and judge `test_rows` (M,) of `pixels`.

    Seeds are paired: all arms start from the same weights and see the same augmentation stream; an arm may be another
    set with every seed, say of another draw of decisions. Nothing is selected on the test images; `validation`, rows
    and labels (V,), chooses an epoch beside the last one. `jobs` is the folder of the engine: what lies there is not
    trained again, unless `anew`, and several processes given the same arms share the work. Of the arms in
    `keep_weights` the recognizers are kept, too. Without `jobs` nothing is kept.
    """
    from ferclean.recognition import engine
    from ferclean.recognition.methods.base import with_class_names

    method, contents = profile.methods[0], engine.row_digests(pixels)
    places = [(name, position) for position in range(len(seeds)) for name in arms]
    work = []
    for name, position in places:
        seed = int(seeds[position])
        arm = _arm(arms[name], seed, position)
        config = with_class_names(profile.train_config(seed=seed, device=device), method, classes)
        rows = engine.Rows(
            pixels=pixels, train=arm.rows, targets=arm.labels, judged=test_rows, validation=validation,
            weights=arm.weights, contents=contents,
        )  # fmt: skip
        job = engine.job_of(method, config, rows, num_classes=len(classes))
        title = f"training on {name}, seed {seed}"
        work.append(engine.Work(job=job, rows=rows, title=title, keep_weights=name in keep_weights))
    shape = (len(seeds), len(test_rows), len(classes))
    probs = {name: np.zeros(shape, dtype=np.float32) for name in arms}
    best = {name: np.zeros(shape, dtype=np.float32) for name in arms if validation is not None}
    folders: dict[str, list[Path | None]] = {name: [None] * len(seeds) for name in arms}
    for index, outcome in engine.run_all(work, jobs, anew=anew, progress=progress, tell=tell):
        name, position = places[index]
        probs[name][position] = outcome.pred_probs
        folders[name][position] = outcome.folder
        if outcome.best_pred_probs is not None:
            best[name][position] = outcome.best_pred_probs
    return Compared(
        hits={name: values.argmax(2) == test_labels for name, values in probs.items()},
        pred_probs=probs,
        best_hits={name: values.argmax(2) == test_labels for name, values in best.items()},
        best_pred_probs=best,
        folders=folders,
        train_images={
            name: [len(work[i].rows.train) for i, place in enumerate(places) if place[0] == name] for name in arms
        },
    )


def _arm(arm: ArmOfSeed, seed: int, position: int) -> Arm:
    if isinstance(arm, Arm):
        return arm
    return arm[position] if isinstance(arm, Sequence) else arm(seed)
