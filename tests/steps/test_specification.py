"""Facts about the specification of a scoring: what it meant stays known, whatever is added later."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import pytest
from conftest import TINY

from ferclean.parts import specification
from ferclean.parts.ensemble import current_score_runs
from ferclean.parts.specification import ScoreSpec, find_run, profile_of, read_spec, spec_of
from ferclean.recognition.methods import supcon_relabel
from ferclean.recognition.methods.catalogue import METHODS, get_method
from ferclean.recognition.profiles import get_profile
from ferclean.steps.score import score
from ferclean.store import embeddings, runs, samples
from ferclean.store.workspace import Workspace

CLASSES = ("anger", "fear")
OLD = {
    "backbone": "slim", "batch_size": 64, "channels": 1, "contrast": 0.2, "epochs": 14, "erase": 0.2, "fold_seed": 0,
    "folds": 4, "input_size": 48, "label_smoothing": 0.0, "learning_rate": 0.003,
    "method_config": {
        "contrast_weight": 0.1, "erase": 0.5, "estimator": "self_cure", "low_share": 0.3, "memory_epochs": 5.0,
        "projection_hidden": 512, "projection_out": 128, "rank_margin": 0.15, "relabel_gap": 0.2, "settled_at": 0.1,
        "temperature": 0.1, "wait_share": 0.5, "warmup_share": 0.16666666666666666,
    },
    "method_options": {}, "methods": ["supcon_relabel"], "name": "quick", "optimizer": "adamw", "rotate": 8.0,
    "scale": 0.1, "seeds": 1, "shift": 0.02, "splits": ["train"], "train_size": 44, "weight_decay": 0.05,
    "weights": None,
}  # fmt: skip
"""As a ferclean without specifications stored it; never edited."""


def quick(**changes: object) -> ScoreSpec:
    """What `score --profile quick` asks of the relabelling recognizer on a CPU."""
    made = spec_of(get_profile("quick", **changes), "supcon_relabel", ["train"], CLASSES, fold_seed=0, device="cpu")
    assert made.device == "cpu"
    assert made.precision == "float32"
    return made


def means(wanted: ScoreSpec, stored: dict[str, object], method: type = supcon_relabel.Config, **any_: bool) -> bool:
    read = read_spec(stored)
    assert read is not None
    return wanted.meant_by(read, method, any_device=any_.get("any_device", False))


def test_what_an_older_ferclean_stored_reads_and_is_what_the_same_request_means() -> None:
    assert means(quick(), OLD)
    assert not means(quick(epochs=15), OLD)
    assert not means(quick(), OLD | {"fold_seed": 1})
    assert not means(quick(), OLD | {"weights": "0" * 64})


def test_another_device_is_another_run_unless_none_was_asked_for() -> None:
    there = replace(quick(), device="cuda", precision="bfloat16").as_config()
    assert not means(quick(), there)
    assert means(quick(), there, any_device=True)


def test_a_setting_that_is_added_with_a_default_invalidates_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = quick().as_config()

    @dataclass(frozen=True, kw_only=True)
    class Longer(ScoreSpec):
        mixup: float = 0.0

    @dataclass(frozen=True, kw_only=True)
    class Method(supcon_relabel.Config):
        patience: int = 3

    monkeypatch.setattr(specification, "ScoreSpec", Longer)
    monkeypatch.setattr(supcon_relabel, "Config", Method)
    newer = quick()
    assert means(newer, stored, Method)
    assert means(newer, OLD, Method)
    assert "mixup" not in newer.as_config()
    assert replace(newer, mixup=0.2).as_config()["mixup"] == 0.2  # type: ignore[call-arg]
    assert not means(replace(newer, mixup=0.2), stored, Method)  # type: ignore[call-arg]

    @dataclass(frozen=True, kw_only=True)
    class Changed(supcon_relabel.Config):
        patience: int = field(default=5, metadata={"before": 3})

    monkeypatch.setattr(supcon_relabel, "Config", Changed)
    assert not means(quick(), stored, Changed)


def test_what_is_no_such_specification_or_a_newer_one_is_not_read() -> None:
    assert read_spec({"splits": ["train"], "epochs": None, "file": {}}) is None
    assert read_spec(quick().as_config() | {"format": 2}) is None
    assert read_spec(quick().as_config() | {"unheard_of": 1}) is None
    assert read_spec(quick().as_config()) == quick()


def test_an_older_run_keeps_its_name_is_reused_and_joins_the_ensemble_of_newer_ones(judged_copy: Path) -> None:
    ws = Workspace.open(judged_copy)
    newer = {run.method: run for run in current_score_runs(ws)}
    run = newer["cross_entropy"]
    given = {name: value for name, value in run.config.items() if name not in ("format", "device", "precision")}
    older = given | {"methods": ["cross_entropy"], "seeds": 1, "method_options": {}}
    about = {"kind": "score", "method": run.method, "seed": run.seed, "fingerprint": run.fingerprint}
    name = runs.start_run(ws, config=older, **about)  # type: ignore[arg-type]
    runs.finish_run(ws, name, run.metrics)
    held = embeddings.read_embeddings(ws, run.run_id)
    (ws.runs / run.run_id).rename(ws.runs / name)
    embeddings.write_embeddings(ws, name, *held)
    with ws.session("as before there were specifications") as con:
        con.execute("DELETE FROM run WHERE run_id = ?", [run.run_id])
    again = score(ws, profile="quick", **TINY)
    assert (again.reused, again.runs[1]["run_id"]) == (2, name)
    assert {run.run_id for run in current_score_runs(ws)} == {name, newer["supcon_relabel"].run_id}
    spec = read_spec(older)
    assert spec is not None
    where = {"fingerprint": samples.fingerprint(ws, splits=["train"]), "any_device": True}
    assert find_run(ws, spec, "cross_entropy", 1, **where) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("method", METHODS)
def test_a_specification_gives_the_profile_that_it_came_from(method: str) -> None:
    chosen = next((one for one in fields(get_method(method).Config) if isinstance(one.default, float)), None)
    options = {method: {chosen.name: (chosen.default or 0.2) * 0.5}} if chosen else {}
    changes = {"learning_rate": 1e-3, "input_size": 40, "folds": 3, "method_options": options}
    asked = get_profile("quick", methods=[method], **changes)
    spec = spec_of(asked, method, ["train"], ["anger", "fear"], fold_seed=4, device="cpu")
    back = profile_of(read_spec(spec.as_config()), method, ["anger", "fear"], weights=None)  # type: ignore[arg-type]
    assert spec_of(back, method, ["train"], ["anger", "fear"], fold_seed=4, device="cpu") == spec
    assert back.train_config().digest() == asked.train_config().digest()
