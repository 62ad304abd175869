"""Facts about the cleanlab form: cleanlab itself loads it, and a row is the same sample everywhere."""

from __future__ import annotations

from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from small_workspace import CLASSES, judged, photos, shared

from ferclean.errors import UsageError
from ferclean.steps.export import export
from ferclean.store.samples import get_samples

NAMES = ("b", "nan", "=1", "never seen")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 photos of three of four classes, every fifth of which a recognizer is sure to be wrong."""
    root = tmp_path_factory.mktemp("cleanlab")
    given = [number % 3 for number in range(30)]
    ws = photos(root, [f"{n}.png" for n in range(31)], classes=NAMES, labels=[NAMES[k] for k in [*given, 0]])
    ids = get_samples(ws)["sample_id"].tolist()
    seen = [(label + (number % 5 == 0)) % 3 for number, label in enumerate(given)]
    judged(ws, dict(zip(ids, (np.eye(4) * 0.9 + 0.025)[seen].tolist(), strict=False)))
    told = export(ws, form="cleanlab", out=root / "out", release="original")
    assert told.rows == 30
    assert told.warnings[0].startswith("1 images (train) have no out-of-fold probabilities and are left out")
    return root / "out"


# cleanlab warns of small classes and of pandas, and silences all warnings where it is imported: only for that test
@pytest.mark.filterwarnings("ignore")
def test_datalab_and_clean_learning_take_it_as_its_card_says(out: Path) -> None:
    text = (out / "README.md").read_text("utf-8")
    code = text.split("```python\n")[1].split("```")[0].replace("# cleanlab.class", "found = cleanlab.class")
    known = {"folder": str(out), "model": DummyClassifier(), "features": np.zeros((30, 1))}
    exec(code, known)
    theirs = known["lab"].get_issues("label")
    ours = pd.read_parquet(out / "issues.parquet")
    assert list(theirs.columns) == list(ours.columns)
    assert theirs["given_label"].tolist() == ours["given_label"].tolist() == [NAMES[n % 3] for n in range(30)]
    assert theirs["predicted_label"].tolist() == ours["predicted_label"].tolist()
    assert np.flatnonzero(theirs["label_score"] < 0.5).tolist() == [0, 5, 10, 15, 20, 25]
    assert not ours["is_label_issue"].any()
    assert set(ours["label_score"]) == {0.75}
    assert known["found"].get_label_issues()["is_label_issue"].sum() == 0


def test_rows_are_the_same_samples_in_every_file(out: Path) -> None:
    rows, labels = datasets.load_from_disk(str(out / "data")), np.load(out / "labels.npy")
    assert rows.features["label"].names == rows.features["given_label"].names == list(NAMES)
    assert rows["given_label"][:] == labels.tolist()
    assert rows["source_key"][:] == [f"{number}.png" for number in range(30)]
    probs = np.load(out / "pred_probs.npy")
    assert (probs.shape, probs.dtype, labels.dtype) == ((30, 4), np.float64, np.int64)
    assert probs.sum(axis=1) == pytest.approx(1)


def test_a_release_has_its_labels_beside_the_given_ones_that_the_issues_are_about(tmp_path: Path) -> None:
    export(shared(released=True).ws, form="cleanlab", out=tmp_path / "out", release="v1")
    rows = datasets.load_from_disk(str(tmp_path / "out" / "data")).to_pandas().set_index("source_key")
    first = rows.loc["train_00001"]
    assert (CLASSES[first["label"]], CLASSES[first["given_label"]], first["changed"]) == ("fear", "anger", True)
    issues = pd.read_parquet(tmp_path / "out" / "issues.parquet").set_axis(rows.index).loc["train_00001"]
    assert (issues["is_label_issue"], issues["given_label"]) == (True, "anger")
    assert issues["label_score"] == pytest.approx(0.03)


def test_without_probabilities_it_is_refused_and_says_what_makes_them(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="run ferclean score and ferclean triage first"):
        export(shared(triaged=False).ws, form="cleanlab", out=tmp_path / "out", release="original")
