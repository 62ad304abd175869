"""The plain baseline."""

from __future__ import annotations

import numpy as np
import torch

from ferclean.recognition.backbones import make_backbone
from ferclean.recognition.methods import cross_entropy
from ferclean.recognition.methods.base import Batch, after_epoch, hook, views


def test_its_loss_is_pytorchs_cross_entropy_of_its_logits() -> None:
    model = cross_entropy.build(cross_entropy.Config(), 7, make_backbone("slim", channels=1)).eval()
    labels = torch.tensor([0, 3, 6])
    batch = Batch(views=(torch.randn(3, 1, 48, 48),), labels=labels, given=labels, index=torch.arange(3))
    out = cross_entropy.step(model, batch, cross_entropy.Config(), 0.0)
    torch.testing.assert_close(out["loss"], torch.nn.functional.cross_entropy(out["logits"], labels))


def test_label_smoothing_reaches_its_loss() -> None:
    model = cross_entropy.build(cross_entropy.Config(), 7, make_backbone("slim", channels=1)).eval()
    labels = torch.tensor([0, 3])
    images = torch.randn(2, 1, 48, 48)
    losses = [
        cross_entropy.step(
            model,
            Batch(views=(images,), labels=labels, given=labels, index=labels, label_smoothing=smoothing),
            cross_entropy.Config(),
            0.0,
        )
        for smoothing in (0.0, 0.3)
    ]
    expected = torch.nn.functional.cross_entropy(losses[0]["logits"], labels, label_smoothing=0.3)
    torch.testing.assert_close(losses[1]["loss"], expected)


def test_it_wants_one_view_and_changes_no_label() -> None:
    cfg = cross_entropy.Config()
    assert hook(cross_entropy, "views") is views
    assert hook(cross_entropy, "after_epoch") is after_epoch
    assert views(cfg) == 1
    assert after_epoch(None, cfg) is None  # type: ignore[arg-type]


def test_its_embedding_is_the_mean_of_the_feature_map() -> None:
    backbone = make_backbone("slim", channels=1)
    model = cross_entropy.build(cross_entropy.Config(), 7, backbone).eval()
    images = torch.randn(2, 1, 48, 48)
    with torch.no_grad():
        out = cross_entropy.predict(model, images)
        expected = backbone(images).mean((2, 3))
    np.testing.assert_allclose(out["embedding"], expected, rtol=1e-5)
