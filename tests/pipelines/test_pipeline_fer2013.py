"""The proof on real noise, run on made-up faces: its JSON, its truth rule, and that votes only measure."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ferclean.errors import UsageError
from ferclean.evidence import measures
from ferclean.evidence.verdict.belief import Faces
from ferclean.evidence.verdict.calibration import ErrorRate
from ferclean.evidence.verdict.verdicts import judge
from ferclean.recognition.profiles import PROFILES
from ferclean.store.votes import get_votes
from ferclean.store.workspace import Workspace
from pipelines import fer2013_ferplus, ferplus_measures, retraining_grid, simulated_reviewer

COLUMNS = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF"]


def votes(**counts: int) -> list[int]:
    return [counts.get(name, 0) for name in COLUMNS]


def write_votes(path: Path, rows: list[list[int]]) -> Path:
    frame = pd.DataFrame(rows, columns=[f"v_{name}" for name in COLUMNS])
    frame.insert(0, "dup_group", np.arange(len(rows)))
    frame.insert(0, "index", np.arange(len(rows)) * 3)
    frame.to_parquet(path)
    return path


def test_truth_is_a_unique_majority_of_enough_votes(tmp_path: Path) -> None:
    path = write_votes(
        tmp_path / "votes.parquet",
        [
            votes(anger=6, fear=4),  # exactly 60 %
            votes(anger=5, fear=5),  # a tie
            votes(anger=4, unknown=6),  # fewer than five votes for the seven
            votes(anger=5, contempt=5),  # contempt is not one of the seven, but the panel is split
            votes(anger=4, fear=3, sadness=3),
        ],
    )
    truth = fer2013_ferplus.read_truth(path)
    assert truth["clear"].tolist() == [True, False, False, True, False]
    assert truth["majority"].fillna("none").tolist() == ["anger", "none", "anger", "anger", "anger"]
    assert truth["ambiguous"].tolist() == [False, False, True, False, True]
    assert truth["source_key"].tolist() == ["0", "3", "6", "9", "12"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like the development subset: 160 grey 48x48 faces of noise around a class pattern."""
    folder = tmp_path_factory.mktemp("fer")
    rng = np.random.default_rng(0)
    patterns = rng.integers(40, 215, (7, 6, 6)).repeat(8, 1).repeat(8, 2)
    true = rng.integers(0, 7, 160)
    given = np.where(rng.random(160) < 0.2, rng.integers(0, 7, 160), true)
    encoded = []
    for label in true:
        face = np.clip(patterns[label] + rng.normal(0, 30, (48, 48)), 0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(face).save(buffer, "PNG")
        encoded.append(buffer.getvalue())
    pd.DataFrame(
        {
            "index": np.arange(160) * 3,
            "usage": np.where(np.arange(160) < 120, "Training", "PublicTest"),
            "png": encoded,
            "orig_label": given,
        }
    ).to_parquet(folder / "images.parquet")
    write_votes(folder / "votes.parquet", [votes(**{ferplus_measures.SHARED[label]: 10}) for label in true])
    return folder


def _auprc(result: dict[str, Any], name: str) -> float:
    return float(result["members"][name]["ferclean"]["auprc"])


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short training, and few draws where figures are means over draws."""
    monkeypatch.setitem(PROFILES, "quick", replace(PROFILES["quick"], epochs=2, folds=2, input_size=32, crop=28 / 32))
    monkeypatch.setitem(simulated_reviewer.simulated_decisions.__kwdefaults__, "draws", 2)
    monkeypatch.setitem(ferplus_measures.auprc_gain.__kwdefaults__, "resamples", 100)


def test_an_ensemble_is_compared_with_the_profiles_own_and_with_another_workspaces(made: Path, tmp_path: Path) -> None:
    def run(name: str, methods: list[str], **options: Any) -> dict[str, Any]:
        return fer2013_ferplus.run(made, tmp_path / name, methods=methods, retrain_arms=False, **options)

    run("SEEDS", ["cross_entropy"], score_seeds=2)
    result = run("W", ["cross_entropy", "eac"], beside=tmp_path / "SEEDS")
    json.dumps(result, allow_nan=False)
    found = result["members"]
    assert found["own"]["recognizers"] == ["cross_entropy, seed 0"]
    assert found["own"]["ferclean"] == found["cross_entropy, seed 0"]["ferclean"]
    assert found["beside"]["recognizers"] == ["cross_entropy, seed 0", "cross_entropy, seed 1"]
    gains = found["all together"]["minus"]
    assert {"own", "beside"} < set(gains)
    assert gains["beside"]["mean"] == pytest.approx(_auprc(result, "all together") - _auprc(result, "beside"), abs=2e-4)
    with pytest.raises(UsageError, match="does not hold the same faces and labels"):
        run("FEW", ["cross_entropy"], limit=60, beside=tmp_path / "SEEDS")


def test_a_gain_in_auprc_has_the_sign_of_the_better_ranking_and_an_interval_around_it() -> None:
    rng = np.random.default_rng(0)
    wrong = rng.random(400) < 0.3
    groups = np.arange(400) // 2
    good, poor = rng.normal(-1.5 * wrong), rng.normal(-0.3 * wrong)
    gain = ferplus_measures.auprc_gain(poor, good, wrong, groups)
    assert gain is not None
    assert gain["mean"] == pytest.approx(measures.auprc(good, wrong) - measures.auprc(poor, wrong), abs=1e-4)
    assert 0 < gain["low"] < gain["mean"] < gain["high"]
    assert ferplus_measures.auprc_gain(poor, good, np.zeros(400, dtype=bool), groups) is None
    back = ferplus_measures.auprc_gain(good, poor, wrong, groups)
    assert back is not None
    assert (back["low"], back["high"]) == (-gain["high"], -gain["low"])


def test_a_stated_accuracy_holds_where_probabilities_are_honest_and_not_where_they_are_sure_of_wrong_labels() -> None:
    rng = np.random.default_rng(0)
    true, size = rng.integers(0, 3, 300), 300
    given = np.where(rng.random(size) < 0.4, (true + 1) % 3, true)
    people = simulated_reviewer.Reviewed(
        given=given, said=np.where(given == true, "keep", "relabel"), said_label=np.where(given == true, -1, true),
        majority=true, clear=np.ones(size, bool), wrong=given != true, ambiguous=np.zeros(size, bool),
        odd=np.ones(size, bool), shares=np.eye(3)[true],
    )  # fmt: skip
    judged = judge(Faces(labels=given, pred_probs=np.where(np.eye(3)[given] > 0, 0.9, 0.05)))
    nobody = np.zeros(size, dtype=bool)
    for chance, holds in ((0.6, 1), (0.99, 0)):
        p_true = np.where(np.eye(3)[given] > 0, chance, (1 - chance) / 2)
        rate = ErrorRate(estimate=1 - chance, low=1 - chance, high=1 - chance)
        stated = replace(judged, true_label=p_true, p_suggested=p_true[:, 0], suggested_label=given, error_rate=rate)
        told = simulated_reviewer.stated_accuracy(stated, people, nobody, nobody)
        assert told["stated_accuracy"] == pytest.approx(chance)
        assert told["stated_accuracy_holds"] == holds
    everyone = simulated_reviewer.stated_accuracy(judged, people, ~nobody, ~nobody)
    assert (everyone["stated_accuracy"], everyone["stated_accuracy_error"]) == (1, 0)


def test_the_json_compares_from_the_same_probabilities_and_measures_three_arms(made: Path, tmp_path: Path) -> None:
    result = fer2013_ferplus.run(made, tmp_path / "W", seeds=1, retrain_method="cross_entropy")
    json.dumps(result, allow_nan=False)
    ws = Workspace.open(tmp_path / "W")
    assert len(get_votes(ws)) == 0
    for part in ("all", "even_groups", "odd_groups"):
        rankings = result["detection"][part]["rankings"]
        assert {
            "ferclean", "cleanlab_self_confidence", "cleanlab_normalized_margin", "fiftyone_mistakenness",
            "hog_logistic_regression", "simifeat_vote", "simifeat_rank", "relation_graph", "epoch_aum",
            "epoch_mean_confidence", "relation_graph_on_all_methods",
        } <= set(rankings)  # fmt: skip
        assert set(result["detection"][part]["flags"]["simifeat_vote"]) == {"flagged", "precision", "recall", "f1"}
        for figures in rankings.values():
            assert set(figures) == {"auroc", "auprc", "precision_at_100", "precision_at_10_percent"}
            assert all(0 <= value <= 1 for value in figures.values())
    odd = result["detection"]["odd_groups"]
    assert odd["minus_best_peer"]["mean"] == pytest.approx(
        odd["rankings"]["ferclean"]["auprc"] - odd["rankings"][odd["minus_best_peer"]["peer"]]["auprc"], abs=2e-4
    )
    assert odd["minus_best_peer_on_all_methods"]["peer"].endswith("_on_all_methods")
    gains = result["members"]["all together"]["minus"]
    alone = {"cross_entropy, seed 0", "supcon_relabel, seed 0"}
    assert set(gains) == alone | {"self-confidence of cross_entropy, seed 0"}
    for name in alone:
        assert gains[name]["mean"] == pytest.approx(_auprc(result, "all together") - _auprc(result, name), abs=2e-4)
        assert 0 < result["members"][name]["seconds"] < result["members"]["all together"]["seconds"]
    assert result["methods"] == ["cross_entropy", "supcon_relabel"]
    assert result["baselines_read"] == "cross_entropy"
    assert set(result["members"]) == {"cross_entropy, seed 0", "supcon_relabel, seed 0", "all together"}
    whole = result["detection"]["odd_groups"]["rankings"]["ferclean"]["auroc"]
    assert result["members"]["all together"]["ferclean"]["auroc"] == pytest.approx(whole, abs=0.02)
    assert "cleanlab_normalized_margin_on_all_methods" in result["detection"]["odd_groups"]["rankings"]
    taught = result["decisions"]
    assert taught["0"]["auprc"]["sd"] == 0  # without decisions there is nothing to draw
    assert taught["100"].keys() >= {"calibration_error_p_mislabelled", "label_accuracy", "stated_gain"}
    # 300 decisions are more than this set has faces: the default order ends with the last one
    assert taught["300 in the default order"]["accuracy_with_decisions"]["mean"] == 1
    assert taught["300 in the default order"]["stated_accuracy_holds"] == {"mean": 1, "sd": 0}
    assert taught["300 in the default order"]["stated_accuracy_width"]["mean"] == 0
    wrong = round(result["self_estimate"]["clear_errors"] * 120)
    for row in result["self_estimate"]["depths"]:
        assert row["recall_low"] <= row["recall"] <= row["recall_high"]
        assert row["true_recall"] * wrong == pytest.approx(row["true_precision"] * row["depth"], abs=0.5)
    assert set(result["retraining"]["accuracy"]) == {"given", "auto", "oracle"}
    assert result["retraining"]["test_images"] == 40
    assert result["retraining"]["labels_changed"]["oracle"] > 0

    arms = ["own, 100 decisions", "own, 300 decisions, hard"]
    grid = retraining_grid.run(made, tmp_path / "W", jobs=tmp_path / "jobs", arms=arms, seeds=2, device="cpu")
    json.dumps(grid, allow_nan=False)
    assert set(grid["arms"]) == {"given", "oracle", *arms}
    assert grid["test_images"] == 40
    # what was decided to be no face is left out, with every seed its own
    assert all(size <= grid["train_images"]["given"][0] for size in grid["train_images"][arms[0]])
    mean = sum(grid["arms"]["oracle"]["minus_given"]["per_seed"]) / 2
    accuracy = {name: row["accuracy"] for name, row in grid["arms"].items()}
    assert mean == pytest.approx(accuracy["oracle"] - accuracy["given"], abs=2e-4)
