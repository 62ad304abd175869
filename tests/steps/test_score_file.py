"""Facts about probabilities from a file: joined by id, put right by name, refused where they mean nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ferclean.cli import run
from ferclean.errors import BadDataError, UsageError
from ferclean.parts.ensemble import current_score_runs
from ferclean.sources.drawn_faces.drawing import read_truth
from ferclean.steps.import_scores import score_file
from ferclean.steps.triage import triage
from ferclean.store import embeddings, runs, samples, scores
from ferclean.store.verdicts import get_verdicts
from ferclean.store.workspace import Workspace


@pytest.fixture(scope="module")
def ingested(drawn_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from ferclean.steps.ingest import ingest

    root = tmp_path_factory.mktemp("file") / "W"
    ingest(Workspace.create(root), "drawn_faces", drawn_set)
    return root


@pytest.fixture
def folder(ingested: Path, stand_in: Callable[[Path], Path]) -> Path:
    """An ingested workspace of its own, W, in the current folder."""
    return stand_in(ingested)


@pytest.fixture(scope="module")
def table(ingested: Path, drawn_set: Path) -> pd.DataFrame:
    """What a skilled model says of the training faces without having seen their labels; do not change it."""
    ws = Workspace.open(ingested)
    classes = samples.get_dataset(ws).classes
    frame = samples.get_samples(ws, splits=["train"])
    frame = frame[frame["given_label"].notna()].reset_index(drop=True)
    true = read_truth(drawn_set).set_index("source_key")["true_label"].reindex(frame["source_key"])
    index = np.array([classes.index(name) if name in classes else 0 for name in true])
    logits = np.random.default_rng(0).normal(size=(len(frame), len(classes))) + 4 * np.eye(len(classes))[index]
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    out = pd.DataFrame(probs, columns=list(classes))
    out.insert(0, "sample_id", frame["sample_id"])
    out["fold"] = np.arange(len(out)) % 3
    return out


def classes_of(table: pd.DataFrame) -> list[str]:
    return [name for name in table.columns if name not in ("sample_id", "fold")]


def refused(table: pd.DataFrame, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """The one line with which the command line refuses this table as bad data; nothing is stored then."""
    table.to_parquet("preds.parquet")
    assert run(["-w", "W", "import-scores", "preds.parquet", *options]) == 4
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert not [known for known in runs.list_runs(Workspace.open(Path("W"))) if known.kind == "score"]
    return captured.err


def test_a_file_is_scored_reused_and_judged(
    folder: Path, table: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    table.to_parquet("preds.parquet")
    call = ["-w", "W", "import-scores", "preds.parquet", "--json"]
    assert run(call) == 0
    first = json.loads(capsys.readouterr().out)
    assert (first["samples"], first["folds"], first["embedding"], first["reused"]) == (len(table), 3, 0, 0)
    assert run(call) == 0
    assert json.loads(capsys.readouterr().out)["reused"] == 1
    ws = Workspace.open(folder / "W")
    (member,) = current_score_runs(ws)
    assert (member.kind, member.method) == ("score", "file")
    stored = scores.get_predictions(ws, member.run_id)
    order = table.set_index("sample_id").loc[stored.sample_ids]
    np.testing.assert_allclose(stored.pred_probs, order[classes_of(table)].to_numpy(), atol=1e-6)
    np.testing.assert_array_equal(stored.fold, order["fold"])
    assert "knn_agreement" not in scores.get_signals(ws, member.run_id).columns
    assert triage(ws).score_runs == [member.run_id]
    assert set(table["sample_id"]) <= set(get_verdicts(ws)["sample_id"])


def test_classes_and_rows_in_any_order_and_other_words_are_put_right(folder: Path, table: pd.DataFrame) -> None:
    ws = Workspace.open(folder / "W")
    table.to_parquet("a.parquet")
    other = table[["fold", *classes_of(table)[::-1], "sample_id"]].sample(frac=1, random_state=0)
    other.rename(columns={"happiness": "Happy", "anger": "angry"}).to_csv("b.csv", index=False)
    first, second = (score_file(ws, folder / name) for name in ("a.parquet", "b.csv"))
    one, two = (scores.get_predictions(ws, done.runs[0]["run_id"]) for done in (first, second))
    assert one.sample_ids == two.sample_ids
    np.testing.assert_allclose(one.pred_probs, two.pred_probs, atol=1e-6)


def test_source_keys_lists_and_metadata_join_as_well(folder: Path, table: pd.DataFrame) -> None:
    ws = Workspace.open(folder / "W")
    key = samples.get_samples(ws).set_index("sample_id")["source_key"]
    names = classes_of(table)
    listed = pa.table(
        {
            "who": list(key.loc[table["sample_id"]]),
            "pred_probs": list(table[names].to_numpy()),
            "fold": table["fold"].to_numpy(),
        }
    )
    pq.write_table(listed, "bare.parquet")
    with pytest.raises(BadDataError, match="--classes"):
        score_file(ws, folder / "bare.parquet", id_column="who")
    with pytest.raises(BadDataError, match="--id-column"):
        score_file(ws, folder / "bare.parquet", classes=names)
    pq.write_table(listed.replace_schema_metadata({"classes": json.dumps(names)}), "told.parquet")
    one = score_file(ws, folder / "bare.parquet", id_column="who", classes=names)
    two = score_file(ws, folder / "told.parquet", id_column="who")
    assert one.samples == two.samples == len(table)
    with pytest.raises(BadDataError, match="--classes says"):
        score_file(ws, folder / "told.parquet", id_column="who", classes=names[::-1])


def test_npz_with_embeddings_is_stored_out_of_sample_in_one_space(folder: Path, table: pd.DataFrame) -> None:
    ws = Workspace.open(folder / "W")
    probs = table[classes_of(table)].to_numpy()
    embedding = np.log(probs).astype(np.float32)
    ids = table["sample_id"].to_numpy(dtype=str)
    np.savez("e.npz", sample_id=ids, pred_probs=probs, classes=classes_of(table), embedding=embedding)
    with pytest.raises(BadDataError, match="--out-of-sample"):
        score_file(ws, folder / "e.npz")
    done = score_file(ws, folder / "e.npz", out_of_sample=True, name="clip")
    run_id = done.runs[0]["run_id"]
    assert (done.folds, done.embedding) == (0, embedding.shape[1])
    assert set(scores.get_predictions(ws, run_id).fold) == {0}
    own, stored = embeddings.read_embeddings(ws, run_id)
    np.testing.assert_array_equal(stored, pd.DataFrame(embedding, index=ids).loc[own].to_numpy())
    assert scores.get_signals(ws, run_id)["knn_agreement"].notna().all()
    assert triage(ws).score_runs == [run_id]
    np.savez("pickled.npz", sample_id=ids.astype(object), pred_probs=probs, classes=classes_of(table))
    with pytest.raises(BadDataError, match="plain arrays"):
        score_file(ws, folder / "pickled.npz", out_of_sample=True)


def test_what_is_no_probability_is_refused_with_sample_ids(
    folder: Path, table: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    names, fourth = classes_of(table), table["sample_id"][3]
    probs = table[names].to_numpy()

    def with_row(values: object) -> pd.DataFrame:
        changed = table.copy()
        changed.loc[3, names] = values
        return changed

    def with_all(values: object) -> pd.DataFrame:
        changed = table.copy()
        changed[names] = values
        return changed

    assert f"NaN in row {fourth}" in refused(with_row(np.nan), capsys)
    assert f"({len(table)} in all)" in refused(with_all(np.nan), capsys)
    assert fourth in refused(with_row(np.inf), capsys)
    assert fourth in refused(with_row(probs[3] - 0.5), capsys)
    assert f"sum to 1 (but to 2) in row {fourth}" in refused(with_row(probs[3] * 2), capsys)
    assert "logits" in refused(with_all(np.log(probs) + 3), capsys)


def test_permuted_names_and_in_sample_probabilities_are_refused(
    folder: Path, table: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    swapped = table.rename(columns={"happiness": "sadness", "sadness": "happiness"})
    message = refused(swapped, capsys)
    assert "the column sadness speaks of happiness" in message
    assert "the column anger" not in message
    ws = Workspace.open(folder / "W")
    given = samples.get_samples(ws).set_index("sample_id")["given_label"].loc[table["sample_id"]]
    by_heart = table.copy()
    by_heart[classes_of(table)] = 0.9 * np.array([[k == label for k in classes_of(table)] for label in given]) + 0.1 / 7
    assert "in-sample" in refused(by_heart, capsys)
    assert "in-sample" in refused(by_heart.drop(columns="fold"), capsys, "--out-of-sample")


def test_ids_classes_and_folds_must_fit(folder: Path, table: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    first = table["sample_id"][0]
    assert f"more than one row for {first}" in refused(pd.concat([table, table[:1]]), capsys)
    assert "no-such-id" in refused(table.replace({first: "no-such-id"}), capsys)
    assert first in refused(table[1:], capsys)
    assert "lacks the class(es) fear" in refused(table.drop(columns="fear"), capsys)
    assert "contempt" in refused(table.assign(contempt=0.0), capsys)
    assert "happy" in refused(table.assign(happy=0.0), capsys)
    assert "--out-of-sample" in refused(table.drop(columns="fold"), capsys)
    assert "every sample is in fold 0" in refused(table.assign(fold=0), capsys)
    assert first in refused(table.assign(fold=[-1, *table["fold"][1:]]), capsys)
    assert "names no class" in refused(table.rename(columns=lambda name: f"x_{name}").rename(
        columns={"x_sample_id": "sample_id", "x_fold": "fold"}), capsys)  # fmt: skip
    table[1:].to_parquet("part.parquet")
    done = score_file(Workspace.open(folder / "W"), folder / "part.parquet", allow_missing=True)
    assert (done.missing, done.samples) == (1, len(table) - 1)


def test_the_old_spelling_still_imports_and_names_the_verb(
    folder: Path, table: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    table.to_parquet("preds.parquet")
    for old in (["--from-file", "preds.parquet"], ["--from-file=preds.parquet"]):
        assert run(["-w", "W", "score", "--name", "mine", *old, "--json"]) == 0
        said = capsys.readouterr()
        assert json.loads(said.out)["verb"] == "import-scores"
        assert said.err == "score --from-file is now a verb of its own: ferclean import-scores\n"
    (known,) = (run.method for run in runs.list_runs(Workspace.open(Path("W"))) if run.kind == "score")
    assert known == "mine"


def test_options_that_contradict_are_usage_errors(
    folder: Path, table: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    table.to_parquet("preds.parquet")
    assert run(["-w", "W", "import-scores", "preds.parquet", "--methods", "cross_entropy"]) == 2
    assert "--methods" in capsys.readouterr().err
    assert run(["-w", "W", "score", "--out-of-sample"]) == 2
    assert run(["-w", "W", "import-scores", "preds.parquet", "--out-of-sample"]) == 2
    with pytest.raises(UsageError, match="has no column 'who'"):
        score_file(Workspace.open(folder / "W"), folder / "preds.parquet", id_column="who")
    for absent in ("nothing.parquet", "W"):
        assert run(["-w", "W", "import-scores", absent]) == 4
    (folder / "broken.parquet").write_bytes(b"PAR1")
    assert run(["-w", "W", "import-scores", "broken.parquet"]) == 4
