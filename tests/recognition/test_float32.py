"""Half precision: what it must not touch is untouched, what it is follows the card, and no step waits for the device.

There need be no GPU: autocast runs on a CPU, too, and fake tensors refuse to be read.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ferclean.errors import FercleanError
from ferclean.recognition import devices, train
from ferclean.recognition.augment import augment
from ferclean.recognition.backbones import make_backbone
from ferclean.recognition.config import TrainConfig
from ferclean.recognition.float32 import Linear, pooled
from ferclean.recognition.methods import METHODS, get_method
from ferclean.recognition.methods.base import Batch, hook
from ferclean.recognition.methods.coarse_contrast import CoarseEncoder, anchor_weights, class_groups
from ferclean.recognition.methods.coarse_contrast import loss_of as coarse_loss
from ferclean.recognition.methods.contrast import ProjectionHead, supervised_contrastive
from ferclean.recognition.methods.distilled import MomentumContrast, Student, attention, distil, key_feature_loss
from ferclean.recognition.methods.eac import Recognizer as Eac
from ferclean.recognition.methods.triplet_center import SelectiveAttention
from ferclean.recognition.methods.uncertainty import ESTIMATORS
from ferclean.recognition.optimise import Descent
from ferclean.recognition.pixels import Pixels
from ferclean.recognition.pretraining import Encoder, Queue, strong_view
from ferclean.recognition.train import fit, predict

CPU = torch.device("cpu")
HALF = torch.autocast("cpu", dtype=torch.bfloat16)
every_method = pytest.mark.parametrize("name", METHODS)
TINY = TrainConfig(epochs=2, batch_size=8, device="cpu")
IMAGES = np.random.default_rng(0).integers(0, 256, (24, 1, 32, 32), dtype=np.uint8)
LABELS = np.arange(24) % 3


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def unit(*shape: int, seed: int = 0) -> Tensor:
    return F.normalize(random(*shape, seed=seed), dim=1)


def queued() -> Tensor:
    queue = Queue(64, 128, CPU)
    queue.push(unit(64, 128, seed=2), torch.arange(64))
    return queue.info_nce(unit(16, 128), unit(16, 128, seed=1), torch.arange(16) + 100, temperature=0.07)


def seeded(module: type, *arguments: int, inputs: tuple[Tensor, ...], **options: int) -> Tensor:
    torch.manual_seed(0)
    return module(*arguments, **options)(*inputs)


FEATURES, MAP = 3 * random(64, 32), random(8, 32, 5, 5)
FLOAT32 = {
    "supervised contrast": lambda: supervised_contrastive(
        (unit(16, 128), unit(16, 128, seed=1)), torch.arange(16) % 4, temperature=0.07
    ),
    "info_nce": queued,
    "projection": lambda: seeded(ProjectionHead, 32, inputs=(FEATURES,)),
    **{
        name: (lambda kind=kind: seeded(kind, 32, 7, inputs=(FEATURES, torch.arange(64) % 7)))
        for name, kind in ESTIMATORS.items()
    },
    "attention": lambda: attention(MAP),
    "key features": lambda: key_feature_loss(MAP, random(8, 32, 5, 5, seed=1), 0.25),
    "selective attention": lambda: torch.cat(seeded(SelectiveAttention, 32, inputs=(MAP,))),
    "pooled features and head": lambda: seeded(Linear, 32, 7, inputs=(pooled(MAP),)),
}


@pytest.mark.parametrize("name", FLOAT32)
def test_losses_weights_and_maps_are_under_autocast_what_they_are_without(name: str) -> None:
    plain = FLOAT32[name]()
    with HALF:
        half = FLOAT32[name]()
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, plain, rtol=1e-6, atol=1e-6)


def test_activation_maps_are_float32_under_autocast() -> None:
    model = Eac(make_backbone("slim", channels=1, input_size=32), 7)
    feature_map = random(4, model.backbone.width, 2, 2)
    plain = model.activation_maps(feature_map)
    with HALF:
        half = model.activation_maps(feature_map)
    torch.testing.assert_close(half, plain, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_twenty_thousand_faces_have_thousands_of_weights(name: str) -> None:
    torch.manual_seed(0)
    estimator = ESTIMATORS[name](32, 7)
    estimator(FEATURES, torch.arange(64) % 7)
    estimator.eval()
    with HALF, torch.no_grad():
        weights = estimator(random(20_000, 32).bfloat16(), torch.arange(20_000) % 7)
    assert len(weights.unique()) > 5_000


@every_method
def test_training_in_halves_predicts_in_float32(name: str) -> None:
    with devices.multiplying_in(torch.bfloat16):
        result = fit(name, IMAGES, LABELS, num_classes=3, config=TINY)
        inside = predict(result, IMAGES)
        with HALF:
            in_autocast = predict(result, IMAGES)
    outside = predict(result, IMAGES)
    for key, values in outside.items():
        assert values.dtype == np.float32
        assert values.tobytes() == inside[key].tobytes() == in_autocast[key].tobytes(), key
    assert np.isfinite(result.margin).all()
    # a margin that passed a bfloat16 logit is a multiple of 2^-8 of its size
    last = result.margin[-1]
    assert (torch.from_numpy(last).bfloat16().float().numpy() != last).mean() > 0.8


def test_float16_gradients_are_scaled_and_a_step_that_overflows_is_left_out() -> None:
    network = torch.nn.Linear(4, 1)
    with devices.multiplying_in(torch.float16):
        descent = Descent(network, TINY, CPU, total=3, learning_rate=0.1)
    scale, before = descent.scaler.get_scale(), network.weight.detach().clone()
    descent.step(network(random(8, 4)).mean() * torch.inf)
    assert torch.equal(network.weight, before)
    assert descent.scaler.get_scale() < scale
    descent.step(network(random(8, 4)).mean())
    assert not torch.equal(network.weight, before)
    assert descent.progress == 2 / 3


def test_bfloat16_and_float32_gradients_are_not_scaled() -> None:
    for kind in (torch.bfloat16, torch.float32):
        with devices.multiplying_in(kind):
            descent = Descent(torch.nn.Linear(4, 1), TINY, CPU, total=1, learning_rate=0.1)
        assert not descent.scaler.is_enabled()


def test_half_precision_is_what_the_card_has(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = torch.device("cuda")
    kinds = {(9, 0): torch.bfloat16, (8, 6): torch.bfloat16, (7, 5): torch.float16, (6, 1): torch.float32}
    for capability, kind in kinds.items():
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device, found=capability: found)
        assert devices.half_type(cuda) is kind
    assert devices.half_type(CPU) is torch.float32
    with devices.full_precision():
        assert devices.half_type(cuda) is torch.float32
    with devices.multiplying_in(torch.bfloat16):
        assert devices.half_type(CPU) is torch.bfloat16


def test_full_precision_restores_the_settings_it_changed() -> None:
    def settings() -> tuple[bool, str]:
        return torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()

    before = settings()
    with devices.full_precision(CPU):
        assert settings() == (False, "highest")
    assert settings() == before


@pytest.mark.parametrize(("variable", "exact"), [(":4096:8", True), (":16:8", True), ("", False), (None, False)])
def test_the_same_bytes_on_cuda_are_promised_only_where_they_were_asked_for_before_it_starts(
    variable: str | None, exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    if variable is not None:
        monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", variable)
    assert devices.exact_asked() is exact

    def settings() -> tuple[bool, bool, bool]:
        cudnn = torch.backends.cudnn
        return torch.are_deterministic_algorithms_enabled(), cudnn.deterministic, cudnn.benchmark

    before = settings()
    with devices._kernels(exact=devices.exact_asked()):
        assert settings() == (exact, exact, not exact)
    assert settings() == before


def test_on_a_cpu_no_setting_of_cuda_is_touched() -> None:
    before = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    with devices.repeatable(0, CPU):
        assert (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark) == before


def test_too_little_memory_of_a_gpu_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = SimpleNamespace(total_memory=8 * 1024**3)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: facts)
    told = pytest.raises(FercleanError, match=r"cuda \(8 GB.*training slim on 8 images.*--batch-size")
    with told, devices.out_of_memory(torch.device("cuda"), "training slim on 8 images at once"):
        raise torch.OutOfMemoryError("CUDA out of memory")


# ---- nothing in a step reads a value on the host: fake tensors have none


@every_method
def test_no_step_waits_for_the_device(name: str) -> None:
    method = get_method(name)
    cfg = method.Config()
    model = method.build(cfg, 3, make_backbone("slim", channels=1, input_size=32)).train()

    def step() -> None:
        images, labels = torch.zeros(8, 1, 32, 32, dtype=torch.uint8), torch.zeros(8, dtype=torch.long)
        views = tuple(augment(images, TINY, size=32, generator=None) for _ in range(hook(method, "views")(cfg)))
        batch = Batch(views=views, labels=labels, given=labels, index=labels)
        method.step(model, batch, cfg, 0.5)["loss"].backward()

    step()  # the first step of an epoch may
    model.zero_grad()
    with FakeTensorMode(allow_non_fake_inputs=True):
        step()


def test_no_step_of_a_first_stage_waits_for_the_device() -> None:
    cfg = replace(get_method("distilled").Config(), queue=16, projection_out=16)

    def encoder() -> Encoder:
        backbone = make_backbone("slim", channels=1, input_size=32)
        return Encoder(backbone, backbone.width, hidden=16, out=16)

    student, teacher = encoder(), encoder().eval()
    guided = Student(student, student.backbone.width, teacher.backbone.width, cfg)  # type: ignore[arg-type]
    contrast = MomentumContrast(student, cfg, 16, CPU)
    coarse_cfg = get_method("coarse_contrast").Config(groups=(0, 0, 1))
    groups = class_groups(coarse_cfg, 3)
    coarse, weights = groups[torch.arange(8) % 3], anchor_weights(groups, coarse_cfg)[torch.arange(8) % 3]
    network = CoarseEncoder(encoder(), 16, 2)
    with FakeTensorMode(allow_non_fake_inputs=True):
        images = torch.zeros(8, 1, 32, 32, dtype=torch.uint8)
        first, second = (strong_view(images, size=32, generator=None) for _ in range(2))
        distil(guided, teacher, contrast, first, second, torch.zeros(8, dtype=torch.long), 0.5).backward()
        z, logits = network(torch.cat([first, second]))
        coarse_loss((z[:8], z[8:]), (logits[:8], logits[8:]), coarse, weights, coarse_cfg).backward()


class HostCalls(TorchFunctionMode):
    """Counts what reads a value on the host or moves a tensor between devices, by name."""

    READS = frozenset(("item", "tolist", "numpy", "cpu", "cuda", "nonzero", "masked_select", "unique", "pin_memory"))
    READS |= {"__bool__", "__int__", "__float__", "__index__", "equal", "allclose", "tensor", "as_tensor"}

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        given = [*args[1:], *(kwargs or {}).values()]
        masked = "item__" in name and isinstance(args[1], Tensor) and args[1].dtype == torch.bool
        # torch's own clipping asks for the device where all gradients are anyway
        ours = not sys._getframe(1).f_globals.get("__name__", "").startswith("torch.")
        moved = name == "to" and ours and any(isinstance(one, torch.device | str) for one in given)
        if name in self.READS or masked or moved:
            self.found[name] += 1
        return func(*args, **(kwargs or {}))


def host_calls(name: str, steps: int) -> Counter[str]:
    rows = np.arange(8 * steps) % len(IMAGES)
    pixels = Pixels(IMAGES[rows], CPU, resident=True)
    with HostCalls() as calls:
        fit(name, pixels, LABELS[rows], num_classes=3, config=replace(TINY, epochs=1))
    return calls.found


@every_method
def test_a_training_of_more_steps_reads_no_more_values_on_the_host(name: str) -> None:
    assert host_calls(name, 6) == host_calls(name, 3) != Counter()


def test_a_step_that_reads_a_value_moves_one_or_takes_by_mask_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = host_calls("cross_entropy", 3)
    for name, reads in (("item", lambda x: x.sum().item()), ("to", lambda x: x.to("cpu")), ("cpu", Tensor.cpu),
                        ("__getitem__", lambda x: x[x > 0]), ("__float__", lambda x: float(x.sum()))):  # fmt: skip

        def reading(images: Tensor, *given: Any, reads: Any = reads, **options: Any) -> Tensor:
            reads(images)
            return augment(images, *given, **options)

        monkeypatch.setattr(train, "augment", reading)
        assert host_calls("cross_entropy", 3) - plain == Counter({name: 3})


def test_a_fake_tensor_tells_what_waits() -> None:
    for waits in (lambda x: x[x > 0].mean(), lambda x: x.sum().item()):
        with FakeTensorMode(), pytest.raises((DynamicOutputShapeException, DataDependentOutputException)):
            waits(torch.zeros(4))
