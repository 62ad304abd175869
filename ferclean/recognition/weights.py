"""Load a network's starting weights from a local file, and say what fitted and what did not.

It never reads a file itself, never goes on with another network's weights, and never leaves part of a network that
will not be trained as it was drawn at random.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ferclean import hashes
from ferclean.errors import BadDataError, UsageError, few
from ferclean.recognition.weight_files import read_tensor_sets

PREFIXES = (
    "module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "encoder.", "features.", "base_encoder.",
    "encoder_q.",
)  # fmt: skip
"""What wrappers and training scripts put before a network's own names."""
HEADS = re.compile(r"(aux|classifier|decoder|fc|head|last_linear|logits|mask_token|pre_logits|predictor|proj|queue)")
"""How the parts are called that stand above a feature map, or only served training: a file may have others."""
DERIVED = re.compile(r"(num_batches_tracked|relative_position_index|attn_mask|position_ids)$")
"""Leaves that are counted or computed, not learnt: no file needs them."""
POSITIONS = re.compile(r"pos_embed|position|rel_pos")
"""Leaves whose shape follows the size of the images."""
NAMED = 6
"""Tensors that a message names; of more it gives the number."""


@dataclass(frozen=True, kw_only=True)
class WeightsReport:
    """What a weights file brought: names of tensors by what became of them, and the file's SHA-256.

    `missing` are the network's own that the file lacks; `unexpected` the file's that the network lacks; `reshaped`
    exist on both sides but with shapes that do not fit, so they were left as initialised. `shapes` of all these: name
    -> in the file, here; None where there is none. `where` says which of several sets of tensors in the file was taken
    ("" for its top).
    """

    file: str
    sha256: str
    matched: list[str]
    missing: list[str]
    unexpected: list[str]
    reshaped: list[str]
    shapes: dict[str, tuple[Sequence[int] | None, Sequence[int] | None]]
    where: str

    def __str__(self) -> str:
        inside = f" ({self.where})" if self.where else ""
        counts = (
            f"{Path(self.file).name}{inside}: {len(self.matched)} tensors matched, {len(self.missing)} missing, "
            f"{len(self.unexpected)} unexpected, {len(self.reshaped)} of another shape"
        )
        left = [self.named(name) for name in [*self.reshaped, *(n for n in self.missing if not DERIVED.search(n))]]
        parts = [f"not loaded, but left as a new network has them: {few(left, NAMED)}"] if left else []
        if self.unexpected:
            parts.append(f"not used: {few([self.named(name) for name in self.unexpected], NAMED)}")
        return "; ".join([counts, *parts])

    def named(self, name: str) -> str:
        """The name of a tensor that was not loaded, with its shape, or with both where they differ."""
        theirs, ours = self.shapes[name]
        if theirs is not None and ours is not None:
            return f"{name} ({_shape(theirs)} in the file, {_shape(ours)} here)"
        return f"{name} ({_shape(theirs or ours or ())})"


def load_weights(
    network: nn.Module, path: Path, *, frozen: bool = False, idle: Sequence[str] = (), hint: str = ""
) -> WeightsReport:
    """Copy every tensor that fits by name and shape into `network`.

    Names are compared after common prefixes (`module.`, `backbone.`, `model.` ...) are taken off; of several sets of
    tensors in a file the one that fits best is taken, averaged weights before others. A first convolution for colour
    serves grey images too: its weights are summed over the colours.

    A network that is going to be `frozen` must be whole afterwards, but for tensors that its output does not depend on
    (`idle`), and the file may hold no more of such a network than it has; one that is going to be trained may lack
    anything, but no layers of another shape: a first convolution and positions apart, those are another network's.
    `hint` is added where the first convolution does not fit.

    Raises UsageError when the file is absent, matches nothing or is another network's, naming the tensors and their
    shapes; BadDataError when it is no safe weights file or holds NaN or infinite weights.
    """
    own = {_bare(name): (name, tensor) for name, tensor in network.state_dict().items()}
    sets = read_tensor_sets(path)
    nothing: _Fit = (next(iter(sets)), "", {})
    where, prefix, found = max(_fits(sets, own), key=lambda fit: _rank(fit, sets, own), default=nothing)
    tensors = sets[where]
    fitting = _fitting(found, tensors, own)
    # a buffer that counts batches says nothing about whose weights these are
    if all(DERIVED.search(name) for name in fitting):
        raise UsageError(
            f"{path}: none of its {len(tensors)} tensors fits this backbone (it has e.g. {few(tensors, 3)}; "
            f"expected e.g. {few(own, 3)}); choose the matching --backbone or another file"
        )
    unused = {name: tensor for name, tensor in tensors.items() if name not in found.values()}
    report = WeightsReport(
        file=str(path),
        sha256=hashes.of_file(path, what="weights file"),
        matched=[name for name in own if name in fitting],
        missing=[name for name in own if name not in found],
        unexpected=[_bare(name) for name in unused],
        reshaped=[name for name in own if name in found and name not in fitting],
        shapes={name: (tuple(tensors[found[name]].shape), tuple(own[name][1].shape)) for name in found}
        | {name: (None, tuple(tensor.shape)) for name, (_, tensor) in own.items() if name not in found}
        | {_bare(name): (tuple(tensor.shape), None) for name, tensor in unused.items() if _bare(name) not in own},
        where=where,
    )
    stem = next((name for name, (_, tensor) in own.items() if tensor.dim() == 4), "")
    extra = [_bare(name) for name, tensor in unused.items() if _is_body(name, tensor, prefix, own)]
    _refuse_another_network(report, extra, stem=stem, frozen=frozen, idle={_bare(name) for name in idle}, hint=hint)
    broken = [name for name, value in fitting.items() if not torch.isfinite(value).all()]
    if broken:
        raise BadDataError(
            f"{path} holds NaN or infinite weights in {len(broken)} of {len(fitting)} tensors ({few(broken, 3)}): its "
            "training broke off numerically; take an earlier checkpoint or another file"
        )
    with torch.no_grad():
        for name, value in fitting.items():
            own[name][1].copy_(value)
    return report


_Own = Mapping[str, tuple[str, Tensor]]
"""Bare name -> the network's own name and its tensor."""
_Sets = Mapping[str, Mapping[str, Tensor]]
_Fit = tuple[str, str, dict[str, str]]
"""Where in the file a network lies, the prefix before its names there, and bare name -> name in the file."""


def _fits(sets: _Sets, own: _Own) -> Iterator[_Fit]:
    for where, tensors in sets.items():
        by_prefix: dict[str, dict[str, str]] = {}
        for name in tensors:
            bare = _bare(name)
            if bare in own:
                by_prefix.setdefault(_outer(name, own[bare][0]), {})[bare] = name
        for prefix, found in by_prefix.items():
            yield where, prefix, found


def _rank(fit: _Fit, sets: _Sets, own: _Own) -> tuple[int, bool, int]:
    """Higher is better: tensors that fit, then whether they are averaged weights, then tensors of the right name."""
    where, _, found = fit
    averaged = bool({"ema", "teacher"} & set(re.split(r"[._]", where.lower())))
    return len(_fitting(found, sets[where], own)), averaged, len(found)


def _fitting(found: Mapping[str, str], tensors: Mapping[str, Tensor], own: _Own) -> dict[str, Tensor]:
    """What of `found` has the network's shapes, by bare name."""
    pairs = {name: (_as_grey(tensors[theirs], own[name][1]), own[name][1]) for name, theirs in found.items()}
    return {name: theirs for name, (theirs, ours) in pairs.items() if theirs.shape == ours.shape}


def _refuse_another_network(
    report: WeightsReport, extra: list[str], *, stem: str, frozen: bool, idle: set[str], hint: str
) -> None:
    def told(names: Sequence[str]) -> str:
        return few([report.named(name) for name in names], NAMED)

    reshaped = [name for name in report.reshaped if name not in idle]
    adaptable = [name for name in reshaped if name == stem or POSITIONS.search(name)]
    missing = [name for name in report.missing if name not in idle and not DERIVED.search(name)]
    if not frozen:
        if other := [name for name in reshaped if name not in adaptable]:
            raise UsageError(
                f"{report.file} holds another network's weights: {told(other)}; choose the matching --backbone"
            )
        return
    faults = [("of another shape", reshaped), ("missing in the file", missing), ("the network has no", extra)]
    if not any(names for _, names in faults):
        return
    told_faults = "; ".join(f"{fault}: {told(names)}" for fault, names in faults if names)
    fix = "choose the matching --backbone or another file"
    if hint and stem in reshaped:
        fix = hint
    elif reshaped and all(POSITIONS.search(name) for name in reshaped) and not (missing or extra):
        fix = "its positions are counted for another size of image, so give the --input-size that suits it"
    raise UsageError(
        f"{report.file} does not fill this network, which is used as it is and never trained: {told_faults}; {fix}"
    )


def _is_body(name: str, tensor: Tensor, prefix: str, own: _Own) -> bool:
    """Whether a tensor that the network lacks is of a network like it: a deeper block, say, and not a head."""
    bare = _bare(name)
    if not name.startswith(prefix) or DERIVED.search(bare) or HEADS.match(bare):
        return False
    return bare.partition(".")[0] in {known.partition(".")[0] for known in own} or tensor.dim() > 2


def _as_grey(source: Tensor, target: Tensor) -> Tensor:
    if source.dim() == 4 and target.dim() == 4 and source.shape[1] == 3 and target.shape[1] == 1:
        return source.sum(1, keepdim=True)
    return source


def _bare(name: str) -> str:
    while True:
        shorter = next((name.removeprefix(prefix) for prefix in PREFIXES if name.startswith(prefix)), name)
        if shorter == name:
            return name
        name = shorter


def _outer(name: str, own: str) -> str:
    """What stands before the network in a file's name; a prefix such as `features.` may be the network's own."""
    bare = _bare(name)
    return name.removesuffix(bare).removesuffix(own.removesuffix(bare))


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"
