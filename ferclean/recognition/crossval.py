"""Out-of-fold prediction: train on all folds but one, judge the one left out, for every fold.

It never lets a model judge an image it was trained on, and never chooses the folds (see `evidence.splits`).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ferclean.errors import BadDataError
from ferclean.leases import Work, share
from ferclean.progress import Progress, Tell, silent, unheard
from ferclean.recognition import fold_files
from ferclean.recognition.checkpoint import save_checkpoint
from ferclean.recognition.config import TrainConfig
from ferclean.recognition.devices import choose_device
from ferclean.recognition.images import Images
from ferclean.recognition.methods.base import config_of, hook
from ferclean.recognition.methods.catalogue import get_method
from ferclean.recognition.pixels import BLOCK, as_pixels
from ferclean.recognition.pretraining import read_state, write_state
from ferclean.recognition.train import fit, predict, pretrain

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class OutOfFold:
    """What recognizers say about images they were not trained on.

    `pred_probs` (N, K) float32, rows sum to 1; `logits` (N, K) float32; `embedding` (N, D) float32 (each fold's own
    space: compare within a fold); `fold` (N,) int64, the fold in which the row was left out; `signals`: the method's
    own, (N,) float32 each. In-sample by nature, against the given label and averaged over the fits that trained on the
    row: `given_prob` and `margin`, (E, N) float32. `flips`: one dictionary per relabelling: index (row), fold, epoch,
    from_label, to_label, p. `history`: one list of epochs per fold.
    """

    pred_probs: np.ndarray
    logits: np.ndarray
    embedding: np.ndarray
    fold: np.ndarray
    given_prob: np.ndarray
    margin: np.ndarray
    signals: dict[str, np.ndarray] = field(default_factory=dict)
    flips: list[dict[str, Any]] = field(default_factory=list)
    history: list[list[dict[str, float]]] = field(default_factory=list)
    folds_reused: int = 0
    """How many folds were trained by an earlier, interrupted call or by another process."""


def cross_validate(
    method_name: str,
    images: Images,
    labels: np.ndarray,
    folds: np.ndarray,
    *,
    num_classes: int,
    config: TrainConfig | None = None,
    out_dir: Path | None = None,
    keep_weights: bool = False,
    progress: Progress = silent,
    tell: Tell = unheard,
) -> OutOfFold:
    """Train once per fold on the other folds and predict it; assemble what all folds say.

    `images` (N, C, S, S) uint8, which all folds read where they lie, on the host or, as `Pixels`, on the device;
    `labels` (N,) integers in 0..num_classes-1; `folds` (N,) integers, at least two different ones. With `out_dir` each
    finished fold is a Parquet file there, written whole or not at all: an interrupted call goes on at its first
    unfinished fold, several processes that ask for the same share its folds (`leases.share`), and other data, folds or
    settings never pick up its files. A file that was damaged since is told and made again: that is what was asked for,
    and the others' work is kept. With `keep_weights` each fold's recognizer lies beside it as .safetensors
    (`checkpoint.load_checkpoint`), and a fold without it is trained again. `tell` hears of each fold when it is done.

    A first stage (see `methods.base.pretrain`) that needs no labels runs once on all images, before the first
    unfinished fold, and its encoder is kept in `out_dir` too; one that reads labels runs within each fold, on that
    fold's training rows only.
    """
    config = config or TrainConfig()
    images = as_pixels(images, choose_device(config.device))
    folds = np.asarray(folds)
    names = np.unique(folds)
    if len(names) < 2 or folds.shape != (len(images),):
        raise BadDataError(f"cross-validation needs one fold per image and at least two folds, not {names.tolist()}")
    key = training_digest(
        method_name, images, np.asarray(labels, dtype=np.int64), folds.astype(np.int64),
        num_classes=num_classes, config=config,
    )  # fmt: skip
    weights = config.weights_sha256()
    encoders: list[Mapping[str, Tensor]] = []

    def encoder() -> Mapping[str, Tensor] | None:
        if not encoders and hook(get_method(method_name), "LABEL_FREE"):
            encoders.append(
                shared_encoder(
                    method_name, images, num_classes=num_classes, config=config, out_dir=out_dir, progress=progress,
                    tell=tell,
                )
            )  # fmt: skip
        return encoders[0] if encoders else None

    def work_of(position: int, name: int) -> Work[fold_files.Fold]:
        path = out_dir / f"fold-{name}-{key}.parquet" if out_dir is not None else None
        weights_path = path.with_suffix(".safetensors") if path is not None and keep_weights else None
        title = f"{method_name}, seed {config.seed}, fold {position + 1}/{len(names)}"

        def read() -> fold_files.Fold | None:
            whole = path is not None and path.exists() and (weights_path is None or weights_path.exists())
            return fold_files.read(path) if path is not None and whole else None

        def train(progress: Progress) -> fold_files.Fold:
            def named(description: str, done: int, total: int) -> None:
                progress(f"{description}, fold {position + 1} of {len(names)}", done, total)

            pretrained = encoder()
            started = time.perf_counter()
            part = run_fold(
                method_name, images, labels, folds != name,
                num_classes=num_classes, config=config, pretrained=pretrained, keep=weights_path, progress=named,
            )  # fmt: skip
            if config.weights_sha256() != weights:
                raise BadDataError(
                    f"{config.weights} changed while folds were trained from it; run the command again: finished folds "
                    "of what the file holds now are taken up, others are not"
                )
            if path is not None:
                fold_files.write(path, part)
            tell(f"{title}: {len(part.held_out):,} images in {time.perf_counter() - started:.1f} s")
            return part

        lease = None if path is None else path.with_suffix(".lease")
        return Work(title=title, lease=lease, read=read, make=train)

    work = [work_of(position, int(name)) for position, name in enumerate(names)]
    parts: dict[int, fold_files.Fold] = {}
    reused = 0
    for done in share(work, progress=progress, tell=tell):
        parts[done.place] = done.value
        if done.reused:
            reused += 1
            tell(f"{work[done.place].title}: done before, reused")
            progress(f"fold {done.place + 1} of {len(names)} was done before", len(parts), len(names))
    ordered = [parts[position] for position in range(len(names))]
    return replace(_assembled(ordered, folds, names), folds_reused=reused)


def run_fold(
    method_name: str,
    images: Images,
    labels: np.ndarray,
    is_train: np.ndarray,
    *,
    num_classes: int,
    config: TrainConfig,
    pretrained: Mapping[str, Tensor] | None = None,
    keep: Path | None = None,
    progress: Progress = silent,
) -> fold_files.Fold:
    """Train on the rows where `is_train` (N,) is true and predict the others.

    `pretrained` is the encoder of a label-free first stage; None runs the method's first stage on the training rows.
    `keep` is the file that the recognizer is written to.
    """
    train, held_out = np.flatnonzero(is_train), np.flatnonzero(~is_train)
    images = as_pixels(images, choose_device(config.device))
    result = fit(
        method_name, images.only(train), np.asarray(labels)[train],
        num_classes=num_classes, config=config, pretrained=pretrained, progress=progress,
    )  # fmt: skip
    outputs = predict(result, images.only(held_out))
    if keep is not None:
        save_checkpoint(result, keep)
    flips = [flip | {"index": int(train[flip["index"]])} for flip in result.flips]
    return fold_files.Fold(
        held_out=held_out,
        outputs=outputs,
        train=train,
        given_prob=result.given_prob,
        margin=result.margin,
        flips=flips,
        history=result.history,
    )


def ensemble(pred_probs: Sequence[np.ndarray]) -> np.ndarray:
    """Mean of several (N, K) out-of-fold probabilities of the same rows, as float32 whose rows sum to 1."""
    if not len(pred_probs) or len({p.shape for p in pred_probs}) != 1:
        raise BadDataError("an ensemble needs at least one member, and all members the same rows and classes")
    mean = np.mean([np.asarray(p, dtype=np.float64) for p in pred_probs], axis=0)
    return (mean / mean.sum(1, keepdims=True)).astype(np.float32)


def shared_encoder(
    method_name: str,
    images: Images,
    *,
    num_classes: int,
    config: TrainConfig,
    out_dir: Path | None = None,
    progress: Progress = silent,
    tell: Tell = unheard,
) -> dict[str, Tensor]:
    """The first stage of a label-free method, trained once for all trainings on these images.

    With `out_dir` it is kept there, under a name that other images or settings never share, and read from there when
    it is asked for again, by whatever code it was trained (see `training_digest`). While another process trains it,
    this waits for it.
    """
    key = training_digest(method_name, images, num_classes=num_classes, config=config)
    path = out_dir / f"encoder-{key}.safetensors" if out_dir is not None else None
    line = f"{method_name}, seed {config.seed}, first stage"

    def read() -> dict[str, Tensor] | None:
        return read_state(path) if path is not None and path.exists() else None

    def train(progress: Progress) -> dict[str, Tensor]:
        started = time.perf_counter()
        state = pretrain(method_name, images, None, num_classes=num_classes, config=config, progress=progress)
        if path is not None:
            write_state(path, state)
        tell(f"{line}: {len(images):,} images in {time.perf_counter() - started:.1f} s")
        return state

    lease = None if path is None else path.with_suffix(".lease")
    (done,) = share([Work(title=line, lease=lease, read=read, make=train)], progress=progress, tell=tell)
    if done.reused:
        tell(f"{line}: done before, reused")
    return done.value


def _assembled(parts: list[fold_files.Fold], folds: np.ndarray, names: np.ndarray) -> OutOfFold:
    count = len(folds)
    outputs: dict[str, np.ndarray] = {}
    for part in parts:
        for name, values in part.outputs.items():
            whole = outputs.setdefault(name, np.full((count, *values.shape[1:]), np.nan, dtype=np.float32))
            whole[part.held_out] = values
    epochs = len(parts[0].given_prob)
    given_prob = np.full((len(parts), epochs, count), np.nan, dtype=np.float32)
    margin = np.full((len(parts), epochs, count), np.nan, dtype=np.float32)
    for position, part in enumerate(parts):
        given_prob[position][:, part.train] = part.given_prob
        margin[position][:, part.train] = part.margin
    return OutOfFold(
        pred_probs=outputs.pop("pred_probs"),
        logits=outputs.pop("logits"),
        embedding=outputs.pop("embedding"),
        fold=folds.astype(np.int64),
        given_prob=np.nanmean(given_prob, axis=0),
        margin=np.nanmean(margin, axis=0),
        signals=outputs,
        flips=[flip | {"fold": int(name)} for part, name in zip(parts, names, strict=True) for flip in part.flips],
        history=[part.history for part in parts],
    )


def training_digest(method_name: str, *arrays: np.ndarray | Images, num_classes: int, config: TrainConfig) -> str:
    """12 hex digits of what a training is given: settings, and `arrays`, images first, read in blocks.

    Not of the code, the machine or its number of threads, nor of where a file of weights lies: it counts by content.
    """
    settings = [
        method_name,
        num_classes,
        config.digest(),
        # the method's defaults too: when they change, old files no longer fit
        asdict(config_of(config, method_name)),
        [[str(array.dtype), *array.shape] for array in arrays],
    ]
    digest = hashlib.sha256(json.dumps(settings).encode())
    for array in arrays:
        for start in range(0, len(array), BLOCK):
            digest.update(np.ascontiguousarray(array[start : start + BLOCK]).data)
    return digest.hexdigest()[:12]
