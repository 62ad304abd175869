"""A tiny triaged workspace on real files in the RAF-DB layout, for the tests of releases, decisions and exports.

It never trains anything: verdicts and probabilities are written by hand.
"""

from __future__ import annotations

import atexit
import hashlib
import io
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from ferclean.sources.cards import load_card
from ferclean.steps.export import export
from ferclean.steps.release import release
from ferclean.store import runs, scores, verdicts
from ferclean.store.decisions import Decision, append_decisions
from ferclean.store.samples import (
    Dataset,
    Sample,
    fingerprint,
    get_dataset,
    make_sample_id,
    put_dataset,
    put_samples,
)
from ferclean.store.workspace import Workspace

CLASSES = load_card("rafdb").classes
CODES = {name: code for code, name in load_card("rafdb").codes.items()}

# (key, given, verdict, p_mislabelled, p_unusable, suggestion)
ROWS = (
    ("train_00001", "anger", "mislabelled", 0.97, 0.0, "fear"),
    ("train_00002", "happiness", "clean", 0.01, 0.0, None),
    ("train_00003", "sadness", "mislabelled", 0.93, 0.0, "neutral"),
    ("train_00004", "neutral", "ambiguous", 0.30, 0.0, "sadness"),
    ("train_00005", "fear", "unusable", 0.05, 0.9, None),
    ("train_00006", "surprise", "mislabelled", 0.60, 0.0, "fear"),
    ("train_00007", "disgust", "clean", 0.02, 0.0, None),
    ("test_0001", "anger", "mislabelled", 0.99, 0.0, "disgust"),
    ("test_0002", "neutral", "clean", 0.01, 0.0, None),
)
BROKEN = "train_00008"


@dataclass(frozen=True)
class Small:
    """The workspace, its source folder, and sample ids by key."""

    ws: Workspace
    source: Path
    ids: dict[str, str]
    data: dict[str, bytes]

    def path(self, key: str) -> Path:
        """The source's image file."""
        return self.source / "Image" / "aligned" / f"{key}_aligned.jpg"


def picture(seed: int, *, form: str = "JPEG", size: int = 12) -> bytes:
    """A small picture of noise."""
    pixels = np.random.default_rng(seed).integers(0, 255, (size, size, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form)
    return out.getvalue()


def rafdb_files(root: Path) -> dict[str, bytes]:
    """Write the source in the RAF-DB layout, one image broken; returns the bytes by key."""
    (root / "Image" / "aligned").mkdir(parents=True)
    (root / "EmoLabel").mkdir()
    (root / "Annotation" / "manual").mkdir(parents=True)
    lines, data = [], {}
    for number, (key, given, *_) in enumerate([*ROWS, (BROKEN, "anger")]):
        data[key] = b"" if key == BROKEN else picture(number)
        (root / "Image" / "aligned" / f"{key}_aligned.jpg").write_bytes(data[key])
        (root / "Annotation" / "manual" / f"{key}_manu_attri.txt").write_text(
            "1\t2\n3\t4\n5\t6\n7\t8\n9\t10\n0\n1\n2\n", encoding="ascii"
        )
        lines.append(f"{key}.jpg {CODES[given]}\n")
    (root / "EmoLabel" / "list_patition_label.txt").write_text("".join(lines), encoding="ascii")
    return data


def small(
    tmp_path: Path, *, card: str = "rafdb", redistributable: bool = False, triaged: bool = True, released: bool = False
) -> Small:
    """The workspace of ROWS and one quarantined image, with verdicts and the release v1 (auto) where asked.

    A copy of `shared`, to be changed at will.
    """
    made = shared(card, redistributable, triaged, released)
    shutil.copytree(made.source, tmp_path / "source")
    shutil.copytree(made.ws.root, tmp_path / "workspace")
    ws = Workspace.open(tmp_path / "workspace")
    put_dataset(ws, replace(get_dataset(ws), root=str(tmp_path / "source")))
    return Small(ws, tmp_path / "source", dict(made.ids), dict(made.data))


def decide(work: Small, key: str, action: str, label: str | None = None, reviewer: str = "ann") -> None:
    """Record what a person says about the row called `key`."""
    append_decisions(
        work.ws, [Decision(sample_id=work.ids[key], action=action, label=label, reviewer=reviewer, source="cli")]
    )


@cache
def shared(card: str = "rafdb", redistributable: bool = False, triaged: bool = True, released: bool = False) -> Small:
    """The same, made once per process and never to be changed."""
    folder = tempfile.TemporaryDirectory(prefix="ferclean-small-")
    atexit.register(folder.cleanup)
    made = _make(Path(folder.name), card=card, redistributable=redistributable, triaged=triaged)
    if released:
        release(made.ws, "v1", policy="auto", threshold=0.9)
    return made


@cache
def shared_hf() -> Path:
    """The hf export of `shared` with its release, made once per process and never to be changed."""
    ws = shared(released=True).ws
    export(ws, form="hf", out=ws.root.parent / "hf", release="v1")
    return ws.root.parent / "hf"


def photos(
    root: Path, keys: Sequence[str], *, classes: Sequence[str], labels: Sequence[str], split: str = "train"
) -> Workspace:
    """A workspace below `root` of pictures of noise under `keys` in a folder, JPEG where those say .jpg."""
    ws, folder = Workspace.create(root / "workspace"), root / "photos"
    known = {"name": "photos", "classes": tuple(classes), "root": str(folder), "licence": "cc0-1.0"}
    put_dataset(ws, Dataset(**known, card=load_card("image_folder").as_dict(), redistributable=True))
    rows = []
    for number, (key, label) in enumerate(zip(keys, labels, strict=True)):
        data = picture(number, form="JPEG" if key.endswith(".jpg") else "PNG")
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        place = {"source_key": key, "relative_path": key, "content_hash": digest}
        rows.append(Sample(sample_id=make_sample_id("photos", key, digest), split=split, given_label=label, **place))
    put_samples(ws, rows)
    return ws


def _make(tmp_path: Path, *, card: str, redistributable: bool, triaged: bool) -> Small:
    source = tmp_path / "source"
    data = rafdb_files(source)
    ws = Workspace.create(tmp_path / "workspace")
    about = replace(load_card(card), classes=CLASSES)
    put_dataset(
        ws,
        Dataset(
            name=about.name,
            classes=CLASSES,
            root=str(source),
            card=about.as_dict(),
            licence=about.licence,
            redistributable=redistributable,
        ),
    )
    ids, samples = {}, []
    for key, given, *_ in [*ROWS, (BROKEN, "anger")]:
        content_hash = hashlib.sha256(data[key]).hexdigest()
        ids[key] = make_sample_id(about.name, key, content_hash)
        samples.append(
            Sample(
                sample_id=ids[key],
                source_key=key,
                split=key.split("_")[0],
                given_label=given,
                relative_path=f"Image/aligned/{key}_aligned.jpg",
                content_hash=content_hash,
                quarantine_reason="image: empty" if key == BROKEN else None,
            )
        )
    put_samples(ws, samples)
    if triaged:
        triage(ws, ids)
    return Small(ws, source, ids, data)


def p_true(given: str, suggestion: str | None, p: float) -> list[float]:
    """All but `p` on the given label, `p` on the suggested one, or on the last other class where none is."""
    other = suggestion or next(name for name in CLASSES[::-1] if name != given)
    return [1 - p if name == given else p if name == other else 0.0 for name in CLASSES]


def triage(ws: Workspace, ids: dict[str, str]) -> None:
    """Store the verdicts of ROWS and flat probabilities."""
    print_ = fingerprint(ws)
    score = runs.start_run(ws, kind="score", method="m", config={}, seed=0, fingerprint=print_)
    wanted = [ids[key] for key, *_ in ROWS]
    probs = np.full((len(wanted), len(CLASSES)), 1 / len(CLASSES), dtype=np.float32)
    scores.put_predictions(ws, score, wanted, np.zeros(len(wanted), dtype=np.int64), probs)
    runs.finish_run(ws, score)
    run = runs.start_run(ws, kind="triage", method="fused", config={"score_runs": [score]}, seed=0, fingerprint=print_)
    frame = pd.DataFrame(
        [
            {
                "sample_id": ids[key],
                "kind": kind,
                "label_quality": 1 - p,
                "p_mislabelled": p,
                "p_ambiguous": 0.0,
                "p_unusable": unusable,
                "p_clean": 1 - p - unusable if p + unusable < 1 else 0.0,
                "suggested_label": suggestion,
                "rank": rank,
                "reasons": ["said by hand"],
                "soft_label": p_true(given, suggestion, p),
                "p_suggested": p if suggestion else None,
                "p_true": p_true(given, suggestion, p),
            }
            for rank, (key, given, kind, p, unusable, suggestion) in enumerate(ROWS, start=1)
        ]
    )
    verdicts.put_verdicts(ws, run, frame)
    runs.finish_run(ws, run)


def judged(ws: Workspace, probs: Mapping[str, Sequence[float]]) -> None:
    """Store flat verdicts over out-of-fold probabilities (sample id -> a share per class), for sets of any classes."""
    print_, ids = fingerprint(ws), list(probs)
    score = runs.start_run(ws, kind="score", method="m", config={}, seed=0, fingerprint=print_)
    shares = np.array(list(probs.values()), dtype=np.float32)
    scores.put_predictions(ws, score, ids, np.zeros(len(ids), dtype=np.int64), shares)
    runs.finish_run(ws, score)
    run = runs.start_run(ws, kind="triage", method="fused", config={"score_runs": [score]}, seed=0, fingerprint=print_)
    flat = {
        "p_mislabelled": 0.0, "p_ambiguous": 0.0, "p_unusable": 0.0, "p_clean": 1.0, "kind": "clean",
        "label_quality": 0.75, "suggested_label": None, "reasons": [],
    }  # fmt: skip
    rows = [{"sample_id": id_, "rank": rank, "soft_label": list(probs[id_]), **flat} for rank, id_ in enumerate(ids, 1)]
    verdicts.put_verdicts(ws, run, pd.DataFrame(rows))
    runs.finish_run(ws, run)
