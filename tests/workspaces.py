"""Small real workspaces for tests: synthetic faces on disk, a score run, a triage run, all through the store's own API.

It never trains or reads anything from outside: verdicts are made up so that tests know what must be shown.
"""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from ferclean.store.runs import finish_run, start_run
from ferclean.store.samples import Dataset, Sample, fingerprint, make_sample_id, put_dataset, put_samples
from ferclean.store.scores import put_predictions
from ferclean.store.verdicts import put_pairs, put_verdicts
from ferclean.store.workspace import Workspace

SEVEN = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
EIGHT = (*SEVEN, "contempt")


def face_bytes(label: str, seed: int, *, size: int = 64) -> bytes:
    """A PNG of a crude face whose mouth and brows follow the label; no two seeds look alike."""
    rng = np.random.default_rng(seed)
    skin = tuple(int(value) for value in rng.integers(120, 230, 3))
    ground = tuple(int(value) for value in rng.integers(30, 90, 3))
    image = Image.new("RGB", (size, size), ground)
    draw = ImageDraw.Draw(image)
    unit = size / 64
    draw.ellipse([unit * value for value in (10, 6, 54, 60)], fill=skin)
    for x in (24, 40):
        opening = 5 if label in ("surprise", "fear") else 3
        draw.ellipse([unit * v for v in (x - 4, 26 - opening, x + 4, 26 + opening)], fill="white")
        draw.ellipse([unit * v for v in (x - 2, 24, x + 2, 28)], fill="black")
        tilt = {"anger": 4, "sadness": -4}.get(label, 0) * (1 if x < 32 else -1)
        draw.line([unit * v for v in (x - 6, 17 - tilt / 2, x + 6, 17 + tilt / 2)], fill="black", width=2)
    if label in ("surprise", "fear"):
        draw.ellipse([unit * v for v in (27, 42, 37, 54)], fill="black")
    elif label == "happiness":
        draw.arc([unit * v for v in (20, 34, 44, 52)], 10, 170, fill="black", width=2)
    elif label in ("sadness", "disgust"):
        draw.arc([unit * v for v in (20, 44, 44, 60)], 190, 350, fill="black", width=2)
    else:
        draw.line([unit * v for v in (22, 48, 42, 48 - (4 if label == "contempt" else 0))], fill="black", width=2)
    noisy = np.asarray(image, dtype=np.int16) + rng.integers(-12, 13, (size, size, 3))
    out = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def make_workspace(
    folder: Path,
    *,
    n: int = 28,
    classes: Sequence[str] = SEVEN,
    names: Sequence[str] = (),
    triaged: bool = True,
    timeout: float = 10.0,
) -> Workspace:
    """A workspace of `n` faces in `folder`/workspace, their files in `folder`/source.

    The first half is flagged by turns as mislabelled (the suggestion is the next class), mislabelled, ambiguous (no
    suggestion); the second half is clean. Ranks follow the order of the samples, whose source keys are face_0000,
    face_0001, ... or, as far as given, `names`. The first two samples are told to be near duplicates.
    """
    classes = tuple(classes)
    source = folder / "source"
    source.mkdir(parents=True)
    ws = Workspace.create(folder / "workspace", timeout=timeout)
    put_dataset(
        ws,
        Dataset(
            name="test_faces", classes=classes, root=str(source), card={"name": "test_faces"}, licence="CC0",
            redistributable=True,
        ),
    )  # fmt: skip
    samples = []
    for i in range(n):
        label = classes[i % len(classes)]
        key = names[i] if i < len(names) else f"face_{i:04d}"
        data = face_bytes(classes[(i + 1) % len(classes)] if i < n // 2 and i % 3 < 2 else label, i)
        digest = hashlib.sha256(data).hexdigest()
        (source / f"{i:04d}.png").write_bytes(data)
        samples.append(
            Sample(
                sample_id=make_sample_id("test_faces", key, digest), source_key=key,
                split="test" if i % 5 == 4 else "train", given_label=label, relative_path=f"{i:04d}.png",
                content_hash=digest, width=64, height=64,
            )
        )  # fmt: skip
    put_samples(ws, samples)
    if triaged:
        _score_and_triage(ws, samples, classes)
    return ws


def copied(ws: Workspace, into: Path) -> Workspace:
    """A copy that a test may write into; the pictures stay where they are."""
    shutil.copytree(ws.root, into / "workspace")
    return Workspace.open(into / "workspace")


def _score_and_triage(ws: Workspace, samples: Sequence[Sample], classes: tuple[str, ...]) -> None:
    data = fingerprint(ws)
    ids = [sample.sample_id for sample in samples]
    given = np.array([classes.index(sample.given_label or "") for sample in samples])
    flagged = np.arange(len(ids)) < len(ids) // 2
    ambiguous = flagged & (np.arange(len(ids)) % 3 == 2)
    wrong = flagged & ~ambiguous
    other = (given + 1) % len(classes)
    pred_probs = np.full((len(ids), len(classes)), 0.03)
    rows = np.arange(len(ids))
    pred_probs[rows, np.where(wrong, other, given)] += 0.5
    pred_probs[rows, np.where(wrong, given, other)] += np.where(ambiguous, 0.48, 0.1)
    pred_probs /= pred_probs.sum(axis=1, keepdims=True)

    score = start_run(ws, kind="score", method="test", config={}, seed=0, fingerprint=data)
    put_predictions(ws, score, ids, rows % 5, pred_probs)
    finish_run(ws, score)
    triage = start_run(ws, kind="triage", method="test", config={"score_runs": [score]}, seed=0, fingerprint=data)
    quality = np.where(wrong, 0.05, np.where(ambiguous, 0.4, 0.9)) + rows / len(ids) / 20
    put_verdicts(
        ws,
        triage,
        pd.DataFrame(
            {
                "sample_id": ids,
                "kind": np.where(wrong, "mislabelled", np.where(ambiguous, "ambiguous", "clean")),
                "label_quality": quality,
                "p_mislabelled": np.where(wrong, 0.9, 0.05),
                "p_ambiguous": np.where(ambiguous, 0.9, 0.02),
                "p_unusable": 0.01,
                "p_clean": np.where(flagged, 0.04, 0.92),
                "suggested_label": [classes[k] if w else None for k, w in zip(other, wrong, strict=True)],
                "rank": rows + 1,
                "reasons": [
                    [f"the model sees {classes[k]} where {classes[g]} was given", "few neighbours share the label"]
                    if w else ["two expressions are about equally likely"] if a else []
                    for k, g, w, a in zip(other, given, wrong, ambiguous, strict=True)
                ],
                "soft_label": [row.tolist() for row in pred_probs],
            }
        ),
    )  # fmt: skip
    if len(ids) > 1:
        pairs = pd.DataFrame({"sample_a": ids[:1], "sample_b": ids[1:2], "kind": ["near"], "similarity": [0.97]})
        put_pairs(ws, triage, pairs)
    finish_run(ws, triage)
