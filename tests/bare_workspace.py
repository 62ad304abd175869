"""A workspace with a few samples and no pictures at all, for the tests of the store.

It never goes through ingest: rows are written by hand.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from ferclean.store import lock, runs, verdicts
from ferclean.store.samples import Dataset, Sample, make_sample_id, put_dataset, put_samples
from ferclean.store.workspace import CONFIG_NAME, DATABASE_NAME, Workspace

CLASSES = ("surprise", "fear", "anger")


def dataset(root: Path | str = "/nowhere", **changes: Any) -> Dataset:
    """A data set of three classes."""
    fields: dict[str, Any] = {
        "name": "tiny", "classes": CLASSES, "root": str(root), "card": {"layout": "none"}, "licence": "cc0-1.0",
        "redistributable": True,
    }  # fmt: skip
    return Dataset(**fields | changes)


def sample(key: str, **changes: Any) -> Sample:
    """A readable training sample whose content hash follows from its key."""
    fields: dict[str, Any] = {
        "source_key": key, "split": "train", "given_label": "fear", "relative_path": f"{key}.png",
        "content_hash": f"hash of {key}", "width": 48, "height": 48, "contrast": 0.5,
    }  # fmt: skip
    fields |= changes
    return Sample(sample_id=make_sample_id("tiny", key, fields["content_hash"]), **fields)


def bare(root: Path, count: int = 6, **options: Any) -> tuple[Workspace, list[str]]:
    """A workspace with `count` samples k0, k1, ... and their ids."""
    given = [sample(f"k{i}", given_label=CLASSES[i % 3]) for i in range(count)]
    folder = root / "w"
    folder.mkdir()
    (folder / DATABASE_NAME).write_bytes(_database(count))
    (folder / CONFIG_NAME).write_text("# made by a test\n", encoding="utf-8")
    return Workspace(folder.resolve(), **options), [one.sample_id for one in given]


@cache
def _database(count: int) -> bytes:
    """A filled database, made once: copying it is much faster than filling it for every test."""
    with tempfile.TemporaryDirectory() as name:
        ws = Workspace.create(name)
        put_dataset(ws, dataset())
        put_samples(ws, [sample(f"k{i}", given_label=CLASSES[i % 3]) for i in range(count)])
        return ws.database.read_bytes()


@contextmanager
def held_by_another(root: Path) -> Iterator[None]:
    """The workspace's lock is another thread's while the block runs."""
    taken, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock.held(root, "holding on", timeout=10):
            taken.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    assert taken.wait(10)
    try:
        yield
    finally:
        done.set()
        thread.join()


def verdict_frame(ids: list[str], **changes: Any) -> pd.DataFrame:
    """One mislabelled verdict per sample; rank as in the list."""
    columns: dict[str, Any] = {
        "sample_id": ids, "kind": "mislabelled", "label_quality": 0.25, "p_mislabelled": 0.5, "p_ambiguous": 0.25,
        "p_unusable": 0.0, "p_clean": 0.25, "suggested_label": "anger", "rank": range(1, len(ids) + 1),
        "reasons": [["said by hand"]] * len(ids), "soft_label": [[0.25, 0.25, 0.5]] * len(ids),
    }  # fmt: skip
    return pd.DataFrame(columns | changes)


def triaged(
    ws: Workspace, ids: list[str], *, score_runs: list[str] | None = None, seed: int = 0, **changes: Any
) -> str:
    """A done triage run with one verdict per sample; returns its id."""
    run = runs.start_run(
        ws, kind="triage", method="rank", config={"score_runs": score_runs or []}, seed=seed, fingerprint="f"
    )
    verdicts.put_verdicts(ws, run, verdict_frame(ids, **changes))
    runs.finish_run(ws, run)
    return run
