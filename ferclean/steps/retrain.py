"""What was the cleaning worth? Train on raw and on cleaned labels with paired seeds, test on the same untouched images.

It never trains on a copy of a test image, never tests on corrected labels, and says so when nothing was gained.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ferclean import hashes
from ferclean.errors import BadDataError, UsageError, among
from ferclean.evidence import comparison
from ferclean.evidence import labels as label_names
from ferclean.evidence import splits as split_room
from ferclean.exports.model import write_model
from ferclean.progress import Progress, Tell, silent, unheard
from ferclean.recognition import images as image_room
from ferclean.recognition.arms import Arm, compare_arms
from ferclean.recognition.profiles import get_profile
from ferclean.store import pictures, releases, retrains, runs, samples
from ferclean.store.version import code_version
from ferclean.store.workspace import Workspace

JOBS = "jobs"
"""The folder of finished trainings below the workspace's runs; whatever compares arms shares it."""
KEPT = "cleaned"
"""The arm whose recognizer `keep` writes, with the first seed."""
TEST_LABELS_WARNING = (
    "the test labels are the given ones: they may carry the same errors as the training labels did, "
    "so a gain can look smaller (or larger) than it is"
)


@dataclass(frozen=True, kw_only=True)
class RetrainSummary:
    """Accuracy of each arm per seed on the same test images, and the paired difference cleaned - raw.

    `difference` has mean, low, high (95 %, over seeds and test images), per_seed; `gain` is 'measurable gain',
    'measurable loss' or 'no measurable gain'.
    """

    run_id: str
    source: str
    profile: str
    method: str
    seeds: list[int]
    test_split: str
    test_images: int
    train_images: dict[str, int]
    left_out_copies_of_test: int
    changed_labels: int
    accuracy: dict[str, list[float]]
    difference: dict[str, Any]
    gain: str
    warning: str
    quarantined: dict[str, int]
    """Reason -> images of the release that take no part, since they are no longer what was ingested."""
    weights_report: str | None = None
    """What `--weights` brought, and what not."""
    reused: bool = False
    kept: str | None = None
    """The model folder that was asked for."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


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
    device: str = "auto",
    force: bool = False,
    keep: Path | None = None,
    progress: Progress = silent,
    tell: Tell = unheard,
    **overrides: Any,
) -> RetrainSummary:
    """Train `method` on the raw and on the cleaned training split and compare on the untouched test split.

    The cleaned labels come from a `release` of this workspace (the newest when neither is named) or from an exported
    Hugging Face folder `dataset`, whose own `given_label` column is the raw arm. Seeds are paired: both arms start
    from the same weights and see the same augmentation stream. Training images that are exact or near copies of a
    test image are left out of both arms; images that are no longer what was ingested are quarantined and take no part.
    `test_split` defaults to `test`, else `validation`. `keep` is a folder for the recognizer trained on the cleaned
    labels with the first seed, as `ferclean predict` takes it.

    Raises UsageError for an unknown release or split, or a folder that holds something else, BadDataError when there is
    nothing to test on.
    """
    from ferclean.recognition.engine import RECOGNIZER
    from ferclean.recognition.methods.base import starting_weights
    from ferclean.recognition.model_folder import check_free

    if keep is not None:
        check_free(keep)
    chosen = get_profile(profile, methods=[method] if method else None, seeds=1, **overrides)
    chosen_method = chosen.methods[0]
    if dataset is not None:
        table, classes, source = _from_export(dataset)
    else:
        table, classes, source = _from_release(ws, release)
    lost = pictures.set_aside_lost(ws, list(table["sample_id"]), progress=progress) if dataset is None else {}
    table = table[~table["sample_id"].isin(list(lost))].reset_index(drop=True)
    quarantined = dict(Counter(lost.values()))
    test_name = _test_split(table, test_split)
    config = chosen.as_dict() | {
        "source": "dataset" if dataset is not None else source,
        "classes": list(classes),
        "test_split": test_name,
        "seeds": seeds,
        # contents, not paths: a file or folder elsewhere is the same run, another one in its place is not
        "weights": chosen.train_config().weights_sha256(),
    }
    fingerprint = _fingerprint(table)
    run_id = runs.run_id("retrain", chosen_method, config, seed, fingerprint)
    known = runs.get_run(ws, run_id)
    if known is not None and known.state == "done" and not force and keep is None:
        tell(f"{chosen_method}: done before, reused")
        return RetrainSummary(**(known.metrics | {"source": source, "quarantined": quarantined, "reused": True}))

    brought = starting_weights(
        chosen_method, chosen.train_config(), channels=chosen.channels, input_size=chosen.input_size
    )
    pixels = image_room.load_pixels(list(table["image"]), size=chosen.input_size, channels=chosen.channels)
    raw, cleaned = (label_names.encode(list(table[name]), classes) for name in ("given_label", "label"))
    is_test = (table["split"] == test_name).to_numpy()
    is_train = (table["split"] == "train").to_numpy()
    copies = is_train & copies_of(pixels, list(table["content_hash"]), is_test)
    test_rows = np.flatnonzero(is_test & (raw >= 0))
    arms = {
        "raw": Arm(*_labelled(is_train & ~copies, raw)),
        "cleaned": Arm(*_labelled(is_train & ~copies & table["included"].to_numpy(bool), cleaned)),
    }
    for name, arm in arms.items():
        if len(np.unique(arm.labels)) < 2 or not len(test_rows):
            raise BadDataError(f"the {name} arm has {len(arm.rows)} training and {len(test_rows)} test images: too few")
    with runs.running(ws, kind="retrain", method=chosen_method, config=config, seed=seed, fingerprint=fingerprint):
        compared = compare_arms(
            arms, pixels, test_rows, raw[test_rows],
            classes=classes, profile=chosen, seeds=range(seed, seed + seeds), device=device,
            jobs=ws.runs / JOBS, keep_weights=[KEPT] if keep is not None else (), anew=force, progress=progress,
            tell=tell,
        )  # fmt: skip
        correct = compared.hits
        difference = comparison.paired_difference(correct["raw"], correct["cleaned"])
        summary = RetrainSummary(
            run_id=run_id,
            source=source,
            profile=chosen.name,
            method=chosen_method,
            seeds=list(range(seed, seed + seeds)),
            test_split=test_name,
            test_images=len(test_rows),
            train_images={name: len(arm.rows) for name, arm in arms.items()},
            left_out_copies_of_test=int(copies.sum()),
            changed_labels=int((is_train & ~copies & (raw != cleaned)).sum()),
            accuracy={name: [float(value) for value in hits.mean(1)] for name, hits in correct.items()},
            difference=difference.as_dict(),
            gain=difference.verdict,
            warning=TEST_LABELS_WARNING,
            quarantined=quarantined,
            weights_report=str(brought) if brought else None,
        )
        frame = pd.DataFrame(
            [
                {"arm": arm, "seed": s, "split": test_name, "metric": "accuracy", "value": value}
                for arm, values in summary.accuracy.items()
                for s, value in zip(summary.seeds, values, strict=True)
            ]
        )
        retrains.put_results(ws, run_id, frame)
        runs.finish_run(ws, run_id, summary.as_dict())
    trained_in = compared.folders[KEPT][0]
    if keep is None or trained_in is None:
        return summary
    made_from = {
        "labels": source,
        "training images": len(arms[KEPT].rows),
        "profile": chosen.name,
        "seed": seed,
        f"accuracy on {len(test_rows):,} given labels of {test_name}": round(summary.accuracy[KEPT][0], 4),
        "ferclean": code_version(),
    }
    if dataset is None:
        about = samples.get_dataset(ws)
        made_from |= {"data set": about.name, "licence": about.licence}
    write_model(trained_in / RECOGNIZER, keep, classes=classes, made_from=made_from)
    return replace(summary, kept=str(keep))


def copies_of(pixels: np.ndarray, contents: Sequence[str], is_test: np.ndarray) -> np.ndarray:
    """(N,) bool: rows outside the test split that are exact or near copies of a test image."""
    pairs, _ = split_room.near_duplicate_pairs(image_room.thumbnails(pixels))
    groups = split_room.group_ids(len(pixels), pairs, list(contents))
    return ~is_test & np.isin(groups, np.unique(groups[is_test]))


def _labelled(mask: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows = np.flatnonzero(mask & (labels >= 0))
    return rows, labels[rows]


def _test_split(table: pd.DataFrame, wanted: str | None) -> str:
    present = list(dict.fromkeys(table["split"]))
    if wanted is not None and wanted not in present:
        raise UsageError(f"no split named {wanted}; {among(wanted, present)}")
    if "train" not in present:
        raise UsageError(f"retrain needs a split named train; {among('train', present)}")
    for name in [wanted] if wanted else ["test", "validation"]:
        if name in present:
            return name
    raise BadDataError("there is no test or validation split to measure on; name one with --test-split")


def _fingerprint(table: pd.DataFrame) -> str:
    columns = table[["sample_id", "content_hash", "split", "given_label", "label", "included"]].astype(str)
    return hashes.of_bytes("\n".join(map("\t".join, columns.itertuples(index=False))).encode())


def _from_release(ws: Workspace, name: str | None) -> tuple[pd.DataFrame, tuple[str, ...], str]:
    if name is None:
        known = releases.list_releases(ws)
        if not known:
            raise UsageError("there is no release yet: make one with `ferclean release NAME`, or give --dataset PATH")
        name = known[-1].name
    items = releases.get_release_items(ws, name)
    frame = samples.get_samples(ws, include_quarantined=True).rename(columns={"path": "image"})
    # a quarantined row is trained on only when a person gave it the label that it lacked
    usable = frame["quarantine_reason"].isna() | frame["sample_id"].isin(items.loc[items["included"], "sample_id"])
    frame = frame.loc[usable, ["sample_id", "image", "content_hash"]]
    return items.merge(frame, on="sample_id", how="inner"), samples.get_dataset(ws).classes, f"release {name}"


def _from_export(path: Path) -> tuple[pd.DataFrame, tuple[str, ...], str]:
    from ferclean.sources import hf

    rows, classes = hf.read_release(path)
    return rows, classes, f"dataset {path.name}"
