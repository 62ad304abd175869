"""What was the cleaning worth? Train on given and cleaned labels with paired seeds, test on the same untouched images.

It never trains on a copy of a test image, never tests on corrected labels, and says so when nothing was gained.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ferclean import hashes
from ferclean.errors import BadDataError
from ferclean.evidence import comparison, scorecard
from ferclean.exports.model import write_model
from ferclean.parts.pixels import pixels_of
from ferclean.parts.training_arms import (
    ARMS,
    GIVEN,
    Material,
    check_arms,
    default_arm,
    make_arm,
    out_of_fold,
    said_by_people,
    vote_counts,
)
from ferclean.parts.training_rows import copies_of_test, from_export, from_release, test_split_of
from ferclean.progress import Progress, Tell, silent, unheard
from ferclean.recognition import images as image_room
from ferclean.recognition.arms import Arm, Compared, compare_arms
from ferclean.recognition.images import Images
from ferclean.recognition.profiles import get_profile
from ferclean.store import pictures, retrains, runs, samples
from ferclean.store.version import code_version
from ferclean.store.workspace import Workspace
from ferclean.summary import Summary

JOBS = "jobs"
"""The folder of finished trainings below the workspace's runs; whatever compares arms shares it."""
LEAST_IN_SLICE = 30
"""Test images that share an attribute's value before anything is said about them alone."""
MOST_VALUES = 12
"""Values of an attribute that is looked at by slices."""
TEST_LABELS_WARNING = (
    "the test labels are the given ones: they may carry the same errors as the training labels did, "
    "so a gain can look smaller (or larger) than it is"
)


@dataclass(frozen=True, kw_only=True)
class RetrainSummary(Summary):
    """What each arm reached per seed on the same test images, and the paired differences from the given labels.

    `arm` is the one that the release is trained on by default (`why` says so) or was asked for first; `difference` is
    that arm minus given: mean, low, high (95 %, over seeds and test images), per_seed, mcnemar, seeds_to_tell (see
    `evidence.comparison`); `gain` is 'measurable gain', 'measurable loss' or 'no measurable gain'.
    """

    run_id: str
    source: str
    profile: str
    method: str
    seeds: list[int]
    test_split: str
    test_images: int
    arm: str
    why: str
    train_images: dict[str, int]
    """Of the first seed, where an arm is another set with each."""
    left_out_copies_of_test: int
    changed_labels: int
    accuracy: dict[str, list[float]]
    metrics: dict[str, dict[str, list[float]]]
    """Arm -> measure (see `evidence.scorecard`) -> per seed. `best_epoch:` stands before what was measured after the
    epoch that knew the validation split best, where there is one; everything else is after the last epoch."""
    differences: dict[str, dict[str, Any]]
    """Arm -> its difference from the given labels."""
    difference: dict[str, Any]
    gain: str
    share_of_oracle: tuple[float, float, float] | None
    """How much of the oracle's gain the arm brings, with its interval; None without a measurable one."""
    slices: list[dict[str, Any]]
    """Attribute, value, images, accuracy of given and of the arm, and the difference's interval, each by itself."""
    warning: str
    quarantined: dict[str, int]
    """Reason -> images of the release that take no part, since they are no longer what was ingested."""
    weights_report: str | None = None
    """What `--weights` brought, and what not."""
    reused: bool = False
    kept: str | None = None
    """The model folder that was asked for."""


def retrain(
    ws: Workspace,
    *,
    release: str | None = None,
    dataset: Path | None = None,
    profile: str = "quick",
    method: str | None = None,
    seeds: int = 3,
    seed: int = 0,
    test_split: str | None = None,
    arms: list[str] | None = None,
    device: str = "auto",
    force: bool = False,
    keep: Path | None = None,
    progress: Progress = silent,
    tell: Tell = unheard,
    **overrides: Any,
) -> RetrainSummary:
    """Train `method` on the given labels and on `arms` of the training split, and compare on the untouched test split.

    The cleaned labels come from a `release` of this workspace (the newest when neither is named) or from an exported
    Hugging Face folder `dataset`, whose own `given_label` column is the given arm. `arms` are names of
    `training_arms.ARMS`; by default `soft` where the release stands on at least 100 decisions or on a judge that was
    accepted, else `cleaned`. Seeds are paired: all arms start from the same weights and see the same augmentation
    stream. Training images that are exact or near copies of a test image are left out of all arms; images that are no
    longer what was ingested are quarantined. `test_split` defaults to `test`, else `validation`; a validation split
    beside a test split chooses an epoch, which is measured beside the last one. `keep` is a folder for the recognizer
    of the arm, trained with the first seed, as `predict` takes it. What was finished before is not trained again.

    Raises UsageError for an unknown release, split or arm, an arm that this set cannot have, or a folder that holds
    something else; BadDataError when there is nothing to test on.
    """
    from ferclean.recognition.engine import RECOGNIZER
    from ferclean.recognition.methods.base import starting_weights
    from ferclean.recognition.model_folder import check_free

    if keep is not None:
        check_free(keep)
    chosen = get_profile(profile, methods=[method] if method else None, seeds=1, **overrides)
    chosen_method = chosen.methods[0]
    if dataset is not None:
        table, classes, source = from_export(dataset)
    else:
        table, classes, source = from_release(ws, release)
    lost = pictures.set_aside_lost(ws, list(table["sample_id"]), progress=progress) if dataset is None else {}
    table = table[~table["sample_id"].isin(list(lost))].reset_index(drop=True)
    quarantined = dict(Counter(lost.values()))
    test_name = test_split_of(table, test_split)
    default, why = ("cleaned", "") if arms else default_arm(ws, table, source if dataset is None else None)
    names = check_arms(arms, default=default)
    arm = (arms or [default])[0]
    material = Material(
        table=table, classes=classes, usable=(table["split"] == "train").to_numpy(),
        pred_probs=out_of_fold(ws, table, classes) if "self_distillation" in names else None,
        votes=vote_counts(ws, table, classes) if dataset is None else None,
    )  # fmt: skip
    size, channels = chosen.input_size, chosen.channels

    @cache
    def pixels() -> Images:
        if dataset is not None:
            return image_room.load_pixels(list(table["image"]), size=size, channels=channels)
        paths = table.rename(columns={"image": "path"})
        return pixels_of(ws, paths, size=size, channels=channels, progress=progress, tell=tell)

    is_test = (table["split"] == test_name).to_numpy()
    copies = copies_of_test(ws if dataset is None else None, table, pixels, is_test, progress, tell)
    left_out = int((copies & material.usable).sum())
    material = replace(material, usable=material.usable & ~copies)
    config = chosen.as_dict() | {
        "source": "dataset" if dataset is not None else source,
        "classes": list(classes),
        "test_split": test_name,
        "seeds": seeds,
        "arms": names,
        # contents, not paths: a file or folder elsewhere is the same run, another one in its place is not
        "weights": chosen.train_config().weights_sha256(),
    }
    fingerprint = _fingerprint(material, copies)
    run_id = runs.run_id("retrain", chosen_method, config, seed, fingerprint)
    known = runs.get_run(ws, run_id)
    if known is not None and known.state == "done" and not force and keep is None:
        tell(f"{chosen_method}: done before, reused")
        again = {"source": source, "quarantined": quarantined, "reused": True, "arm": arm, "why": why}
        return RetrainSummary(**(known.metrics | again))

    brought = starting_weights(
        chosen_method, chosen.train_config(), channels=chosen.channels, input_size=chosen.input_size
    )
    test_rows = np.flatnonzero(is_test & (material.given >= 0))
    sets = {name: make_arm(name, material) for name in names}
    for name, made in sets.items():
        first = made if isinstance(made, Arm) else _of_seed(made, seed)
        classes_of = first.labels if first.labels.ndim == 1 else first.labels.argmax(1)
        if len(np.unique(classes_of)) < 2 or not len(test_rows):
            raise BadDataError(
                f"the {name} arm has {len(first.rows)} training and {len(test_rows)} test images: too few"
            )
    with runs.running(ws, kind="retrain", method=chosen_method, config=config, seed=seed, fingerprint=fingerprint):
        compared = compare_arms(
            sets, pixels(), test_rows, material.given[test_rows],
            classes=classes, profile=chosen, seeds=range(seed, seed + seeds), device=device,
            validation=_validation(table, material, copies, test_name), jobs=ws.runs / JOBS,
            keep_weights=[arm] if keep is not None else (), anew=force, progress=progress, tell=tell,
        )  # fmt: skip
        correct = compared.hits
        differences = {
            name: comparison.paired_difference(correct[GIVEN], correct[name]) for name in names if name != GIVEN
        }
        # the given labels by themselves are measured against themselves
        difference = differences.get(arm) or comparison.paired_difference(correct[GIVEN], correct[arm])
        summary = RetrainSummary(
            run_id=run_id,
            source=source,
            profile=chosen.name,
            method=chosen_method,
            seeds=list(range(seed, seed + seeds)),
            test_split=test_name,
            test_images=len(test_rows),
            arm=arm,
            why=why,
            train_images={name: sizes[0] for name, sizes in compared.train_images.items()},
            left_out_copies_of_test=left_out,
            changed_labels=int((material.usable & (material.label >= 0) & (material.given != material.label)).sum()),
            accuracy={name: [float(value) for value in hits.mean(1)] for name, hits in correct.items()},
            metrics=_metrics(compared, material, test_rows),
            differences={name: found.as_dict() for name, found in differences.items()},
            difference=difference.as_dict(),
            gain=difference.verdict,
            share_of_oracle=(
                comparison.share_of_gain(correct[GIVEN], correct[arm], correct["oracle"]) if "oracle" in names else None
            ),
            slices=_slices(ws, table, test_rows, correct, arm) if dataset is None else [],
            warning=TEST_LABELS_WARNING,
            quarantined=quarantined,
            weights_report=str(brought) if brought else None,
        )
        frame = pd.DataFrame(
            [
                {"arm": name, "seed": s, "split": test_name, "metric": metric, "value": value}
                for name, measured in summary.metrics.items()
                for metric, values in measured.items()
                for s, value in zip(summary.seeds, values, strict=True)
            ]
        )
        retrains.put_results(ws, run_id, frame)
        runs.finish_run(ws, run_id, summary.as_dict())
    trained_in = compared.folders[arm][0]
    if keep is None or trained_in is None:
        return summary
    made_from = {
        "labels": source,
        "trained on": ARMS[arm],
        "training images": summary.train_images[arm],
        "profile": chosen.name,
        "seed": seed,
        f"accuracy on {len(test_rows):,} given labels of {test_name}": round(summary.accuracy[arm][0], 4),
        "ferclean": code_version(),
    }
    if dataset is None:
        about = samples.get_dataset(ws)
        made_from |= {"data set": about.name, "licence": about.licence}
    write_model(trained_in / RECOGNIZER, keep, classes=classes, made_from=made_from)
    return replace(summary, kept=str(keep))


def _validation(
    table: pd.DataFrame, material: Material, copies: np.ndarray, test_name: str
) -> tuple[np.ndarray, np.ndarray] | None:
    """Rows and given labels by which all arms choose an epoch; None without a split for it."""
    is_validation = (table["split"] == "validation").to_numpy() & ~copies & (material.given >= 0)
    if test_name == "validation" or not is_validation.any():
        return None
    rows = np.flatnonzero(is_validation)
    return rows, material.given[rows]


def _of_seed(made: Any, seed: int) -> Arm:
    found: Arm = made(seed) if callable(made) else made[0]
    return found


def _metrics(compared: Compared, material: Material, test_rows: np.ndarray) -> dict[str, dict[str, list[float]]]:
    labels, counts = material.given[test_rows], None if material.votes is None else material.votes[test_rows]
    found: dict[str, dict[str, list[float]]] = {}
    for prefix, probs in (("", compared.pred_probs), ("best_epoch:", compared.best_pred_probs)):
        for name, of_seeds in probs.items():
            for one in of_seeds:
                for metric, value in scorecard.scorecard(one, labels, material.classes, votes=counts).items():
                    found.setdefault(name, {}).setdefault(prefix + metric, []).append(value)
    return found


def _slices(
    ws: Workspace, table: pd.DataFrame, test_rows: np.ndarray, correct: dict[str, np.ndarray], arm: str
) -> list[dict[str, Any]]:
    known = samples.get_samples(ws, include_quarantined=True).set_index("sample_id")["attributes"]
    attributes = list(known.loc[list(table["sample_id"].iloc[test_rows])])
    found = []
    for (name, value), rows in scorecard.slices(attributes, least=LEAST_IN_SLICE, most=MOST_VALUES).items():
        base, own = correct[GIVEN][:, rows], correct[arm][:, rows]
        difference = comparison.paired_difference(base, own)
        found.append(
            {
                "attribute": name, "value": value, "images": int(rows.sum()), GIVEN: float(base.mean()),
                "arm": float(own.mean()), "mean": difference.mean, "low": difference.low, "high": difference.high,
            }
        )  # fmt: skip
    return found


def _fingerprint(material: Material, left_out: np.ndarray) -> str:
    """Digest of what is trained on and tested on; `left_out` (N,) bool, copies of test images."""
    columns = material.table[["sample_id", "content_hash", "split", "given_label", "label", "included"]].astype(str)
    said = ["\t".join(row) for row in columns.itertuples(index=False)]
    said += [json.dumps(None if value is None else [float(p) for p in value]) for value in material.table["soft_label"]]
    if (material.weight != 1).any():
        said += [repr(float(value)) for value in material.weight]
    parts = [array.tobytes() for array in (material.pred_probs, material.votes) if array is not None]
    if left_out.any():  # so that runs that leave nothing out keep the name that they always had
        parts.append(np.packbits(left_out).tobytes())
    return hashes.of_bytes(b"".join(["\n".join(said).encode(), said_by_people(material.table).tobytes(), *parts]))
