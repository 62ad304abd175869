"""What a scoring is: a typed specification, stored with its run, by which a later request knows that it is done.

It never trains. A specification stored by an older ferclean is read as what it meant, and its run keeps its name.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import MISSING, Field, asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from ferclean.errors import UsageError
from ferclean.recognition.profiles import Profile
from ferclean.store import runs
from ferclean.store.runs import Run
from ferclean.store.workspace import Workspace

FORMAT = 1
"""Of stored specifications; those without one were written before there was any, and name `methods`, `seeds` and
`method_options` too, which say nothing more about a run."""
_ONCE = ("methods", "seeds", "method_options")


@dataclass(frozen=True, kw_only=True)
class ScoreSpec:
    """Everything that changes what one recognizer says out-of-fold, beside its name, its seed and the samples.

    A field with a default is written only where it differs. Such a default is no setting for people (those are in
    `Profile`) but what all runs before the field did, so it is never edited: a setting that is added invalidates none.
    """

    name: str
    """Of the profile."""
    backbone: str
    weights: str | None
    """SHA-256 of what the file of starting weights holds: the same file elsewhere is the same run."""
    folds: int
    fold_seed: int
    splits: list[str]
    input_size: int
    train_size: int | None
    channels: int
    epochs: int
    batch_size: int
    optimizer: str
    learning_rate: float
    weight_decay: float
    label_smoothing: float
    rotate: float
    scale: float
    shift: float
    contrast: float
    erase: float
    method_config: dict[str, Any]
    """The method's `Config`, its defaults too: when one changes, the scores are another run's. A field that is not
    there has the default, or what its metadata call `before`, should a later version change that default."""
    device: str | None = None
    """`cpu` or `cuda`, which round differently; None where it was not written down."""
    precision: str | None = None
    """`float32` or `bfloat16`; None where it was not written down."""

    def as_config(self) -> dict[str, Any]:
        """For JSON; the run's id is made of it."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        left_out = {field.name for field in fields(self) if field.default is not MISSING}
        return {"format": FORMAT} | {
            name: value for name, value in named.items() if name not in left_out or value != _default(self, name)
        }

    def meant_by(self, other: ScoreSpec, method: type, *, any_device: bool) -> bool:
        """Whether a run specified as `other` is what this asks for; `method` is the method's `Config` class.

        A device or precision that was not written down passes, with `any_device` also another one.
        """
        mine, theirs = asdict(self), asdict(other)
        for name in ("device", "precision"):
            if any_device or theirs[name] is None:
                mine[name] = theirs[name] = None
        for settings in (mine, theirs):
            settings["method_config"] = _missing(method) | settings["method_config"]
        return mine == theirs


def spec_of(
    profile: Profile, method: str, splits: Sequence[str], classes: Sequence[str], *, fold_seed: int, device: str
) -> ScoreSpec:
    """The specification of scoring with `method` under `profile`, on the device that is there.

    Raises UsageError for a device that is not, and for weights that cannot be read.
    """
    from ferclean.recognition.devices import choose_device, precision
    from ferclean.recognition.methods.base import config_of, with_class_names

    training = profile.train_config()
    own = asdict(config_of(with_class_names(training, method, classes), method))
    settings = profile.as_dict()
    known = {field.name for field in fields(ScoreSpec)}
    return ScoreSpec(
        **{name: value for name, value in settings.items() if name in known - {"weights"}},
        method_config=json.loads(json.dumps(own)),
        splits=list(splits),
        fold_seed=fold_seed,
        weights=training.weights_sha256(),
        device=choose_device(device).type,
        precision=precision(device),
    )


def read_spec(config: dict[str, Any]) -> ScoreSpec | None:
    """The specification in a run's stored config; None where it is none of a recognizer trained here, or a newer one
    that says more than is known here."""
    if config.get("format", FORMAT) != FORMAT or "method_config" not in config:
        return None
    named = {name: value for name, value in config.items() if name not in ("format", *_ONCE)}
    known = {field.name: field for field in fields(ScoreSpec)}
    if named.keys() - known.keys() or any(
        field.default is MISSING and name not in named for name, field in known.items()
    ):
        return None
    return ScoreSpec(**named)


def profile_of(spec: ScoreSpec, method: str, classes: Sequence[str], *, weights: str | Path | None) -> Profile:
    """The profile that `spec` came from, for this one method; `weights`: where the file of starting weights lies now.

    Raises UsageError where it started from weights, and `weights` names none or others.
    """
    from ferclean.recognition.methods.base import config_of, with_class_names
    from ferclean.recognition.methods.catalogue import get_method

    shared = {field.name for field in fields(ScoreSpec)} & {field.name for field in fields(Profile)} - {"weights"}
    crop = 1.0 if spec.train_size is None else spec.train_size / spec.input_size
    file = weights if spec.weights else None
    profile = Profile(**{name: getattr(spec, name) for name in shared}, methods=(method,), weights=file, crop=crop)
    training = profile.train_config()
    if (found := training.weights_sha256()) != spec.weights:
        given = f"{weights} holds others" if found else "name their file with --weights"
        raise UsageError(f"{method} started from weights with the SHA-256 {spec.weights}: {given}")
    usual = json.loads(json.dumps(asdict(config_of(with_class_names(training, method, classes), method))))
    stored = _missing(get_method(method).Config) | spec.method_config
    own = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in stored.items()
        if usual.get(name) != value
    }
    return replace(profile, method_options={method: own} if own else {})


def device_of(spec: ScoreSpec) -> str:
    """The device that a run was computed on, if there is one here; else `auto`."""
    from ferclean.recognition.devices import choose_device

    with suppress(UsageError):
        return choose_device(spec.device).type if spec.device else "auto"
    return "auto"


def find_run(
    ws: Workspace,
    spec: ScoreSpec,
    method: str,
    seed: int,
    fingerprint: str,
    *,
    any_device: bool,
    named: Run | None = None,
) -> Run | None:
    """The run that does, or did, what `spec` asks for: `named`, else a finished one if there is any, else the newest.

    With `any_device` a finished one is taken wherever it ran.
    """
    from ferclean.recognition.methods.catalogue import get_method

    found = [
        run
        for run in runs.list_runs(ws)
        if (run.kind, run.method, run.seed, run.fingerprint) == ("score", method, seed, fingerprint)
        and (stored := read_spec(run.config)) is not None
        and spec.meant_by(stored, get_method(method).Config, any_device=any_device and run.state == "done")
    ]
    own = named.run_id if named else None
    return max(
        found,
        key=lambda run: (run.run_id == own, run.state == "done", run.finished_at or run.started_at),
        default=None,
    )


def shared_settings(config: dict[str, Any]) -> dict[str, Any]:
    """What runs of one ensemble have in common, of a config of any kind: all but the method and where it ran."""
    spec = read_spec(config)
    own = {"methods", "method_options", "method_config", "file", "device", "precision"}
    settings = config if spec is None else asdict(spec)
    return {name: value for name, value in settings.items() if name not in own and value is not None}


def _default(spec: Any, name: str) -> Any:
    return next(field.default for field in fields(spec) if field.name == name)


def _missing(method: type) -> dict[str, Any]:
    """What the settings of a method mean where a stored specification does not name them."""

    def meaning(field: Field[Any]) -> Any:
        usual = field.default if field.default_factory is MISSING else field.default_factory()
        return field.metadata.get("before", usual)

    return dict(json.loads(json.dumps({field.name: meaning(field) for field in fields(method)})))
