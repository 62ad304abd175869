"""A small triaged workspace for the tests of the FiftyOne room, drawn here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ferclean import hashes
from ferclean.store.decisions import Decision, append_decisions
from ferclean.store.embeddings import write_embeddings
from ferclean.store.runs import finish_run, start_run
from ferclean.store.samples import Dataset, Sample, fingerprint, make_sample_id, put_dataset, put_samples
from ferclean.store.scores import put_predictions
from ferclean.store.verdicts import put_pairs, put_verdicts
from ferclean.store.workspace import Workspace

CLASSES = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
KINDS = ("mislabelled", "ambiguous", "unusable", "clean", "clean", "mislabelled", "duplicate", "duplicate")
N = 24


FIFTYONES_WARNINGS = [
    # FiftyOne's server registers its GraphQL scalars in a way that its own dependency is retiring
    pytest.mark.filterwarnings("ignore:Passing a class to strawberry.scalar:DeprecationWarning"),
    # FiftyOne asks for its servers' ports in a way that psutil is retiring
    pytest.mark.filterwarnings(r"ignore:connections\(\) is deprecated:DeprecationWarning"),
    # FiftyOne leaves the form of UUIDs in its database to mongoengine's default
    pytest.mark.filterwarnings("ignore:No uuidRepresentation is specified:DeprecationWarning"),
    # FiftyOne stamps its database documents with the naive UTC clock that Python 3.12 is retiring
    pytest.mark.filterwarnings("ignore:datetime.datetime.utc:DeprecationWarning"),
]


def make_workspace(root: Path) -> Workspace:
    """N images of 7 classes in a source folder, all triaged, the first one decided, plus one row without a file."""
    rng = np.random.default_rng(7)
    source = root / "source"
    source.mkdir(parents=True)
    ws = Workspace.create(root / "workspace")
    put_dataset(
        ws,
        Dataset(
            name="drawn",
            classes=CLASSES,
            root=str(source),
            card={},
            licence="CC0-1.0",
            redistributable=True,
        ),
    )
    samples = []
    for i in range(N):
        pixels = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(source / f"{i:05d}.png")
        samples.append(_sample(i, relative_path=f"{i:05d}.png", data=(source / f"{i:05d}.png").read_bytes()))
    samples.append(_sample(N, relative_path=None, quarantine_reason="file: empty"))
    put_samples(ws, samples)
    ids = [sample.sample_id for sample in samples[:N]]

    pred_probs = rng.dirichlet(np.ones(7), N).astype(np.float32)
    stamp = fingerprint(ws)
    score = start_run(ws, kind="score", method="test", config={}, seed=0, fingerprint=stamp)
    put_predictions(ws, score, ids, np.arange(N) % 5, pred_probs)
    write_embeddings(ws, score, ids, rng.normal(size=(N, 8)))
    finish_run(ws, score, {})
    triage = start_run(ws, kind="triage", method="test", config={"score_runs": [score]}, seed=0, fingerprint=stamp)
    chances = rng.dirichlet(np.ones(4), N)
    columns = ("p_mislabelled", "p_ambiguous", "p_unusable", "p_clean")
    verdicts = pd.DataFrame(
        {
            "sample_id": ids,
            "kind": [KINDS[i % len(KINDS)] for i in range(N)],
            "label_quality": np.linspace(0.05, 0.95, N),
            **{name: chances[:, k] for k, name in enumerate(columns)},
            "suggested_label": [CLASSES[int(row.argmax())] if i % 2 else None for i, row in enumerate(pred_probs)],
            "rank": np.arange(N, 0, -1),
            "reasons": [["neighbours disagree"] if i % 2 else [] for i in range(N)],
            "soft_label": [None] * N,
        }
    )
    put_verdicts(ws, triage, verdicts)
    pairs = {"sample_a": [ids[6]], "sample_b": [ids[7]], "kind": ["near"], "similarity": [0.99]}
    put_pairs(ws, triage, pd.DataFrame(pairs))
    finish_run(ws, triage, {})
    append_decisions(ws, [Decision(sample_id=ids[0], action="relabel", label="anger", reviewer="ada")])
    return ws


def _sample(
    i: int, *, relative_path: str | None, data: bytes | None = None, quarantine_reason: str | None = None
) -> Sample:
    key, content_hash = f"train_{i:05d}", hashes.of_bytes(data) if data is not None else f"{i:064x}"
    return Sample(
        sample_id=make_sample_id("drawn", key, content_hash),
        source_key=key,
        split="train" if i % 4 else "test",
        given_label=CLASSES[i % 7],
        relative_path=relative_path,
        content_hash=content_hash,
        width=32,
        height=32,
        quarantine_reason=quarantine_reason,
    )


def one(view, key: str):
    """The FiftyOne sample of a source key."""
    return view.dataset.one({"source_key": key})


def tag(view, tags: dict[str, str | list[str]]) -> None:
    """Tag samples by their source keys, as a person would."""
    for key, names in tags.items():
        view.dataset.match({"source_key": key}).tag_samples(names)


def edit(view, key: str, label: str | None, field: str = "corrected_label") -> None:
    """Replace a label of a sample, as a person would."""
    import fiftyone as fo

    sample = one(view, key)
    sample[field] = label and fo.Classification(label=label)
    sample.save()
