"""One training is a job: a typed specification and rows in, a folder out, never done twice.

It never leaves half a folder, never looks at the labels of what it predicts, and never chooses a specification.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ferclean import leases
from ferclean.derived import check_owner, reading
from ferclean.files import whole_folder
from ferclean.progress import Progress, Tell, silent, unheard
from ferclean.recognition import devices
from ferclean.recognition.checkpoint import save_checkpoint
from ferclean.recognition.config import TrainConfig
from ferclean.recognition.devices import choose_device
from ferclean.recognition.images import Images
from ferclean.recognition.inference import Trained, predict
from ferclean.recognition.methods.base import config_of
from ferclean.recognition.pixels import BLOCK, Pixels
from ferclean.recognition.train import fit

FORMAT = 1
"""Of the folder and of what a job's name is made from; another one is another job."""
RECOGNIZER = "recognizer.safetensors"
MEND = "it is trained again"


@dataclass(frozen=True, kw_only=True)
class Rows:
    """What a job reads of `pixels` (N, C, S, S) uint8: `train` (T,) rows, and `targets`, their labels (T,) or soft
    targets (T, K); `judged` (J,) rows, which are predicted; and perhaps `validation`, rows (V,) and labels (V,), by
    which the best epoch is chosen, and `weights` (T,), see `fit`. `contents` (N,), from `row_digests`, spares reading
    the pixels for every job.
    """

    pixels: Images
    train: np.ndarray
    targets: np.ndarray
    judged: np.ndarray
    validation: tuple[np.ndarray, np.ndarray] | None = None
    weights: np.ndarray | None = None
    contents: np.ndarray | None = None

    def digest(self) -> str:
        """32 hex digits of everything that a training on these rows reads, whatever their places in `pixels`."""
        contents = row_digests(self.pixels) if self.contents is None else self.contents
        soft = self.targets.ndim == 2
        shape = [list(self.pixels.shape[1:]), len(self.train), len(self.judged), soft]
        if self.weights is not None:  # jobs without weights keep the name that they always had
            shape.append("weights")
        made = hashlib.sha256(json.dumps(shape).encode())
        parts = [contents[self.train], self.targets.astype(np.float32 if soft else np.int64), contents[self.judged]]
        if self.validation is not None:
            parts += [contents[self.validation[0]], self.validation[1].astype(np.int64)]
        if self.weights is not None:
            parts.append(self.weights.astype(np.float64))
        for part in parts:
            made.update(np.ascontiguousarray(part).data)
        return made.hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one training is. Everything that changes its result is here, and nothing else: not where files lie."""

    method: str
    config: TrainConfig
    """With the seed."""
    num_classes: int
    device: str
    """`cpu` or `cuda`: they round differently."""
    rows: str
    """`Rows.digest`."""
    precision: str = "float32"
    """What training multiplies in on the card (`devices.precision`)."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON. Weights that training starts from count by what their file holds."""
        settings = {name: value for name, value in self.config.as_dict().items() if name != "device"}
        settings |= {"weights": self.config.weights_sha256(), "method_options": None}
        # the precision belongs to the card; before heads were float32 there, a training was another one
        card = {} if self.device == "cpu" else {"precision": self.precision, "heads": "float32"}
        return card | {
            "format": FORMAT,
            "method": self.method,
            # the method's defaults too: when they change, old folders no longer fit
            "method_config": asdict(config_of(self.config, self.method)),
            "config": settings,
            "num_classes": self.num_classes,
            "device": self.device,
            "rows": self.rows,
        }

    @property
    def name(self) -> str:
        """The name of its folder: method, seed, and 16 hex digits of all of it."""
        return _name(self.as_dict())


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a job leaves. `pred_probs` (J, K) float32 of the judged rows after the last epoch; where there was a
    validation, `best_pred_probs` after the first epoch with the highest accuracy on it, and `best_epoch` from 0.
    """

    pred_probs: np.ndarray
    best_pred_probs: np.ndarray | None
    best_epoch: int | None
    history: list[dict[str, float]]
    seconds: float
    folder: Path | None
    """None where no folder was asked for."""
    reused: bool = False


def _name(specification: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(specification, sort_keys=True).encode()).hexdigest()[:16]
    return f"{specification['method']}-{specification['config']['seed']}-{digest}"


def job_of(method: str, config: TrainConfig, rows: Rows, *, num_classes: int) -> Job:
    """The specification of a training of `method` on these rows, on the device that is there."""
    device = choose_device(config.device).type
    return Job(
        method=method, config=config, num_classes=num_classes, device=device, rows=rows.digest(),
        precision=devices.precision(config.device),
    )  # fmt: skip


def row_digests(pixels: Images) -> np.ndarray:
    """(N, 16) uint8, a digest of each row's pixels; one pass over them in blocks, 1 s for a gigabyte."""
    made = [
        hashlib.blake2b(np.ascontiguousarray(row).data, digest_size=16).digest()
        for start in range(0, len(pixels), BLOCK)
        for row in pixels[start : start + BLOCK]
    ]
    return np.frombuffer(b"".join(made), dtype=np.uint8).reshape(len(pixels), 16)


@dataclass(frozen=True, kw_only=True)
class Work:
    """One of several jobs: what is done, on what, and how it is called where people are told about it."""

    job: Job
    rows: Rows
    title: str
    keep_weights: bool = False


def run_all(
    work: Sequence[Work],
    root: Path | None,
    *,
    anew: bool = False,
    progress: Progress = silent,
    tell: Tell = unheard,
) -> Iterator[tuple[int, Outcome]]:
    """Do jobs, or read the folders below `root` that they left before; yield each one's place in `work` and outcome.

    A folder holds `job.json` (the specification), `predictions.parquet`, `history.json` and, with `keep_weights`, the
    recognizer of the last epoch; one that was damaged since is told and made again. `anew` does all again. Without a
    `root` nothing is kept. Several processes given the same work share it (`leases.share`). `progress` counts epochs
    over all jobs; `tell` hears of each. Raises as `fit` does.
    """
    shared = [_leased(one, root, anew=anew) for one in work]
    for count, done in enumerate(leases.share(shared, progress=progress, tell=tell), start=1):
        one = work[done.place]
        how = "done before, reused" if done.reused else f"{done.value.seconds:.1f} s"
        tell(f"{one.title} ({count}/{len(work)}): {len(one.rows.train):,} images, {how}")
        yield done.place, done.value


def _leased(one: Work, root: Path | None, *, anew: bool) -> leases.Work[Outcome]:
    folder = None if root is None else root / one.job.name

    def known() -> Outcome | None:
        return None if folder is None or anew else read(folder, with_weights=one.keep_weights)

    def train(progress: Progress) -> Outcome:
        def titled(description: str, done: int, total: int) -> None:
            progress(one.title, done, total)

        return _train(one.job, one.rows, folder, keep_weights=one.keep_weights, progress=titled)

    lease = None if root is None else root / f"{one.job.name}.lease"
    return leases.Work(title=one.title, lease=lease, read=known, make=train)


def read(folder: Path, *, with_weights: bool = False) -> Outcome | None:
    """What a job left in its folder; None where there is none, or none with weights where they are wanted.

    Raises DamagedFileError for a folder that does not hold what was written there.
    """
    if not (folder / "job.json").is_file() or (with_weights and not (folder / RECOGNIZER).is_file()):
        return None
    with reading(folder, MEND):
        return _read(folder)


def _read(folder: Path) -> Outcome:
    import pyarrow.parquet as pq

    about = json.loads((folder / "history.json").read_text("utf-8"))
    table = pq.read_table(folder / "predictions.parquet", page_checksum_verification=True)
    written = json.loads((folder / "job.json").read_text("utf-8"))
    check_owner(folder, _name(written), folder.name, MEND)

    def matrix(name: str) -> np.ndarray:
        flat = table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return np.asarray(flat, dtype=np.float32).reshape(table.num_rows, -1)

    return Outcome(
        pred_probs=matrix("pred_probs"),
        best_pred_probs=matrix("best_pred_probs") if "best_pred_probs" in table.column_names else None,
        best_epoch=about["best_epoch"],
        history=about["history"],
        seconds=about["seconds"],
        folder=folder,
        reused=True,
    )


def _train(job: Job, rows: Rows, folder: Path | None, *, keep_weights: bool, progress: Progress) -> Outcome:
    started = time.perf_counter()
    pixels = Pixels(rows.pixels, choose_device(job.config.device))
    judged = pixels.only(rows.judged)
    best = _Best(pixels, rows)
    result = fit(
        job.method, pixels.only(rows.train), rows.targets, num_classes=job.num_classes,
        weights=rows.weights, config=job.config,
        watch=None if rows.validation is None else best.look, progress=progress,
    )  # fmt: skip
    outcome = Outcome(
        pred_probs=predict(result, judged)["pred_probs"],
        best_pred_probs=best.pred_probs,
        best_epoch=best.epoch,
        history=result.history,
        seconds=round(time.perf_counter() - started, 3),
        folder=folder,
    )
    if folder is not None:
        _write(folder, job, outcome, result if keep_weights else None)
    return outcome


class _Best:
    """The predictions of the epoch that knew the validation rows best, the first of several."""

    def __init__(self, pixels: Pixels, rows: Rows) -> None:
        self.pixels, self.rows = pixels, rows
        self.accuracy, self.epoch = -1.0, None  # type: float, int | None
        self.pred_probs: np.ndarray | None = None

    def look(self, epoch: int, trained: Trained) -> None:
        assert self.rows.validation is not None
        where, labels = self.rows.validation
        accuracy = float(np.mean(predict(trained, self.pixels.only(where))["pred_probs"].argmax(1) == labels))
        if accuracy > self.accuracy:
            self.accuracy, self.epoch = accuracy, epoch
            self.pred_probs = predict(trained, self.pixels.only(self.rows.judged))["pred_probs"]


def _write(folder: Path, job: Job, outcome: Outcome, trained: Trained | None) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"pred_probs": outcome.pred_probs, "best_pred_probs": outcome.best_pred_probs}
    table = pa.table(
        {
            name: pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
            for name, values in columns.items()
            if values is not None
        }
    )
    about = {"history": outcome.history, "best_epoch": outcome.best_epoch, "seconds": outcome.seconds}
    with whole_folder(folder) as draft:
        (draft / "job.json").write_text(json.dumps(job.as_dict(), indent=1) + "\n", "utf-8")
        (draft / "history.json").write_text(json.dumps(about, indent=1) + "\n", "utf-8")
        pq.write_table(table, draft / "predictions.parquet", compression="zstd", write_page_checksum=True)
        if trained is not None:
            save_checkpoint(trained, draft / RECOGNIZER)
