"""CRS-CONT against its formulas: coarse groups, weighted contrast, the three losses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ferclean.errors import UsageError
from ferclean.recognition.checkpoint import load_checkpoint, save_checkpoint
from ferclean.recognition.config import TrainConfig
from ferclean.recognition.methods import coarse_contrast
from ferclean.recognition.methods.base import make_config, with_class_names
from ferclean.recognition.methods.coarse_contrast import (
    Config,
    anchor_weights,
    class_groups,
    loss_of,
    options_from_classes,
)
from ferclean.recognition.methods.contrast import supervised_contrastive
from ferclean.recognition.train import fit, predict

PAIR = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
RAF_DB = ["surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"]
FER2013 = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
TINY = TrainConfig(epochs=2, batch_size=8, device="cpu")


@pytest.mark.parametrize(
    ("classes", "groups"),
    [
        (RAF_DB, [0, 1, 1, 2, 1, 1, 3]),
        (FER2013, [0, 0, 0, 1, 0, 2, 3]),
        ([*RAF_DB, "contempt"], [0, 1, 1, 2, 1, 1, 3, 4]),
        (["Happy", " angry", "sad"], [0, 1, 1]),
        (["cat", "dog", "fear", "disgusted"], [0, 1, 2, 2]),
    ],
)
def test_groups_follow_from_the_names_of_the_classes(classes: list[str], groups: list[int]) -> None:
    assert options_from_classes(classes) == {"groups": groups}


def test_names_that_make_a_single_group_make_none() -> None:
    assert options_from_classes(["fear", "anger"]) == {}


def test_class_names_reach_the_settings_and_what_was_set_stays() -> None:
    config = with_class_names(TINY, "coarse_contrast", RAF_DB)
    assert config.method_options["coarse_contrast"] == {"groups": [0, 1, 1, 2, 1, 1, 3]}
    assert make_config(coarse_contrast, config.method_options["coarse_contrast"]).groups == (0, 1, 1, 2, 1, 1, 3)
    own = TrainConfig(method_options={"coarse_contrast": {"groups": [0, 1]}, "eac": {"x": 1}})
    kept = with_class_names(own, "coarse_contrast", ["fear", "happiness"])
    assert kept.method_options == own.method_options


def test_without_groups_every_class_is_its_own() -> None:
    assert class_groups(Config(), 3).tolist() == [0, 1, 2]
    assert anchor_weights(class_groups(Config(), 3), Config()).tolist() == [1, 1, 1]


def test_groups_of_another_number_of_classes_or_with_a_gap_are_refused() -> None:
    with pytest.raises(UsageError, match="7 classes, but there are 3"):
        class_groups(Config(groups=(0, 1, 1, 2, 1, 1, 3)), 3)
    with pytest.raises(UsageError, match="without a gap"):
        Config(groups=(0, 2))


def test_anchors_of_the_negative_group_weigh_one_half() -> None:
    groups = torch.tensor(options_from_classes(RAF_DB)["groups"])
    assert anchor_weights(groups, Config()).tolist() == [1, 0.5, 0.5, 1, 0.5, 0.5, 1]


def test_the_weighted_contrast_has_the_hand_computed_value_and_weight_one_recovers_the_plain_one() -> None:
    labels, cfg = torch.tensor([0, 1]), Config(temperature=1.0, simclr_weight=0.0)
    flat = torch.zeros(2, 2)
    half, one = (
        loss_of((PAIR, PAIR), (flat, flat), labels, torch.tensor([1.0, w]), cfg) - F.cross_entropy(flat, labels)
        for w in (0.5, 1.0)
    )
    assert half.item() == pytest.approx(0.4135835, abs=1e-6)
    assert one.item() == pytest.approx(0.5514447, abs=1e-6)
    plain = supervised_contrastive((PAIR, PAIR), labels, temperature=1.0)
    torch.testing.assert_close(one, plain)


def test_the_loss_is_the_sum_of_its_three_parts() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = (F.normalize(torch.randn(6, 5, generator=generator), dim=1) for _ in range(2))
    views = torch.randn(6, 3, generator=generator), torch.randn(6, 3, generator=generator)
    coarse = torch.tensor([0, 1, 1, 2, 1, 0])
    weights = anchor_weights(torch.tensor([0, 1, 1, 2]), Config())[torch.tensor([0, 1, 2, 3, 1, 0])]
    probabilities = torch.cat([F.normalize(v.softmax(1), dim=1) for v in views])
    similarity = (probabilities @ probabilities.T / 0.07).masked_fill(torch.eye(12, dtype=torch.bool), -torch.inf)
    simclr = F.cross_entropy(similarity, torch.arange(12).roll(6))
    expected = (
        supervised_contrastive((first, second), coarse, temperature=0.07, weights=weights)
        + F.cross_entropy(views[0], coarse)
        + 0.4 * simclr
    )
    torch.testing.assert_close(loss_of((first, second), views, coarse, weights, Config()), expected)


def test_a_checkpoint_keeps_the_groups(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (14, 1, 32, 32), dtype=np.uint8)
    config = with_class_names(TINY, "coarse_contrast", RAF_DB)
    result = fit("coarse_contrast", images, np.arange(14) % 7, num_classes=7, config=config)
    assert result.method_config.groups == (0, 1, 1, 2, 1, 1, 3)
    save_checkpoint(result, tmp_path / "model.safetensors")
    loaded = load_checkpoint(tmp_path / "model.safetensors")
    assert (loaded.config, loaded.method_config) == (result.config, result.method_config)
    np.testing.assert_array_equal(predict(loaded, images)["pred_probs"], predict(result, images)["pred_probs"])
