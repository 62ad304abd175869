"""A model folder: predicts as it was trained, loads in plain timm as its card says, and becomes ONNX unchanged."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ferclean.errors import BadDataError, FercleanError, UsageError
from ferclean.exports.model_card import render_model_card
from ferclean.recognition import onnx_file
from ferclean.recognition.augment import centre, normalise
from ferclean.recognition.config import TrainConfig
from ferclean.recognition.inference import Trained, predict
from ferclean.recognition.model_folder import load_model, model_config, save_model
from ferclean.recognition.timm_twin import twin_of
from ferclean.recognition.train import fit

CLASSES = ("fear", "joy", "so-so")
IMAGES = np.random.default_rng(0).integers(0, 256, (12, 1, 32, 32), dtype=np.uint8)


def trained(method: str = "cross_entropy", *, images: np.ndarray = IMAGES, **settings: Any) -> Trained:
    config = TrainConfig(epochs=1, batch_size=6, device="cpu", **settings)
    return fit(method, images, np.arange(len(images)) % 3, num_classes=3, config=config)


def saved(folder: Path, result: Trained) -> Path:
    twin = twin_of(result)
    config = model_config(result, CLASSES, made_from={"release": "v1 <b>", "licence": "MIT"}, twin=twin)
    card = render_model_card(config, code=twin.code if twin else None)
    save_model(result, folder, config=config, card=card, twin=twin)
    return folder


def code_of(folder: Path) -> str:
    found = re.search(r"```python\n(.*?)```", (folder / "README.md").read_text("utf-8"), re.S)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def resnet() -> Trained:
    return trained(backbone="resnet10t", train_size=28)


@pytest.mark.parametrize("method", ["cross_entropy", "supcon_relabel"])
def test_a_folder_predicts_like_the_recognizer_it_was_saved_from(tmp_path: Path, method: str) -> None:
    result = trained(method)
    model = load_model(saved(tmp_path / "model", result))
    assert model.classes == CLASSES
    assert model.probabilities(IMAGES).tobytes() == predict(result, IMAGES)["pred_probs"].tobytes()
    # whatever is judged beside an image
    np.testing.assert_allclose(model.probabilities(IMAGES[:1]), model.probabilities(IMAGES)[:1], atol=1e-6)
    assert model.config["timm"] is None
    assert {file.name for file in (tmp_path / "model").iterdir()} == {"model.safetensors", "config.json", "README.md"}


def test_plain_timm_loads_a_folder_with_the_lines_of_its_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resnet: Trained
) -> None:
    folder = saved(tmp_path / "model", resnet)
    assert load_model(folder).config["timm"] == "whole"
    monkeypatch.chdir(folder)
    found: dict[str, Any] = {}
    exec(code_of(folder), found)
    assert "ferclean" not in code_of(folder)
    pixels = normalise(centre(torch.from_numpy(IMAGES), 28))
    with torch.no_grad():
        said = found["model"](pixels).numpy()
    np.testing.assert_allclose(said, predict(resnet, IMAGES, flip_average=False)["logits"], atol=1e-4)
    assert load_model(folder).probabilities(IMAGES).tobytes() == predict(resnet, IMAGES)["pred_probs"].tobytes()


def test_timm_takes_the_folder_by_itself_where_no_layer_was_exchanged(tmp_path: Path) -> None:
    import timm

    large = np.random.default_rng(0).integers(0, 256, (6, 3, 64, 64), dtype=np.uint8)
    result = trained(images=large, backbone="resnet10t")
    folder = saved(tmp_path / "model", result)
    network = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    with torch.no_grad():
        said = network(normalise(torch.from_numpy(large))).numpy()
    np.testing.assert_allclose(said, predict(result, large, flip_average=False)["logits"], atol=1e-4)


def test_where_the_head_is_no_linear_layer_timm_loads_the_backbone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = trained("supcon_relabel", backbone="resnet10t")
    folder = saved(tmp_path / "model", result)
    assert load_model(folder).config["timm"] == "backbone"
    monkeypatch.chdir(folder)
    found: dict[str, Any] = {}
    exec(code_of(folder), found)
    pixels = normalise(torch.from_numpy(IMAGES))
    with torch.no_grad():
        own = result.model.backbone(pixels)  # type: ignore[operator]
        np.testing.assert_allclose(found["model"].forward_features(pixels).numpy(), own.numpy(), atol=1e-4)


def test_the_card_says_what_the_model_learned_from_and_obeys_no_name(tmp_path: Path, resnet: Trained) -> None:
    card = (saved(tmp_path / "model", resnet) / "README.md").read_text("utf-8")
    assert "| release | v1 &lt;b&gt; |" in card
    assert "fear, joy, so-so" in card
    assert "The images that it learned from: MIT" in card
    assert card.startswith("---\npipeline_tag: image-classification\nlibrary_name: timm\n")


def test_a_folder_names_no_file_of_the_machine(tmp_path: Path, resnet: Trained) -> None:
    started = replace(resnet, config=replace(resnet.config, weights=tmp_path / "secret.pth"))
    folder = saved(tmp_path / "model", started)
    assert not any(b"secret" in file.read_bytes() for file in folder.iterdir())


def test_only_a_model_gives_way_to_a_model(tmp_path: Path, resnet: Trained) -> None:
    folder = saved(tmp_path / "model", resnet)
    saved(folder, trained())
    assert load_model(folder).config["backbone"] == "slim"
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"")
    with pytest.raises(UsageError, match="photos holds something else than a model"):
        saved(tmp_path / "photos", resnet)
    assert (tmp_path / "photos" / "a.jpg").exists()


def test_what_is_no_model_folder_is_called_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no model folder at .* retrain --release NAME --keep FOLDER` writes one"):
        load_model(tmp_path / "absent")
    folder = saved(tmp_path / "model", trained())
    config = json.loads((folder / "config.json").read_text("utf-8"))
    for content, message in (
        ("{", "is not JSON"),
        (json.dumps(config | {"format": "other"}), "describes no ferclean model 1 but 'other'"),
        (json.dumps({"format": config["format"]}), "does not say classes, preprocessing, mirror_average"),
        (json.dumps(config | {"classes": ["fear"]}), "names 1 classes for weights of 3"),
    ):
        (folder / "config.json").write_text(content)
        with pytest.raises(BadDataError, match=message):
            load_model(folder)
    (folder / "config.json").unlink()
    with pytest.raises(UsageError, match=r"is no model folder: there is no config\.json"):
        load_model(folder)


@pytest.mark.parametrize("method", ["cross_entropy", "supcon_relabel"])
def test_onnxruntime_says_what_torch_says(tmp_path: Path, method: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs ferclean[onnx]")
    pytest.importorskip("onnxscript", reason="needs ferclean[onnx]")
    model = load_model(saved(tmp_path / "model", trained(method, train_size=28)))
    assert onnx_file.export_onnx(model, tmp_path / "model.onnx") <= 1e-4
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    pixels = normalise(centre(torch.from_numpy(IMAGES), 28)).numpy()
    logits, probs = session.run(["logits", "pred_probs"], {"images": pixels})
    own = predict(model.trained, IMAGES)
    np.testing.assert_allclose(logits, own["logits"], atol=1e-4)
    np.testing.assert_allclose(probs, own["pred_probs"], atol=1e-4)
    about = json.loads(session.get_modelmeta().custom_metadata_map["ferclean"])
    assert about["classes"] == list(CLASSES)
    assert about["preprocessing"]["crop"] == 28


def test_an_onnx_file_that_differs_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxscript", reason="needs ferclean[onnx]")
    model = load_model(saved(tmp_path / "model", trained()))
    monkeypatch.setattr(onnx_file, "AGREE", -1.0)
    with pytest.raises(FercleanError, match="differs from torch by"):
        onnx_file.export_onnx(model, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    model = load_model(saved(tmp_path / "model", trained()))
    with pytest.raises(FercleanError, match=r"pip install 'ferclean\[onnx\]'"):
        onnx_file.export_onnx(model, tmp_path / "model.onnx")
