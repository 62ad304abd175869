"""Facts about taking back what a release changed: any part of it, undone as one, and never what was said since."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bare_workspace import CLASSES, bare, triaged
from small_workspace import BROKEN, Small, decide, small

from ferclean import cli
from ferclean.errors import BadDataError, UsageError
from ferclean.steps.release import release
from ferclean.steps.revert import Part, part_of, revert
from ferclean.store.decisions import Decision, append_decisions, current_decisions, undo
from ferclean.store.history import history
from ferclean.store.pictures import set_aside_lost
from ferclean.store.releases import get_release_items
from ferclean.store.workspace import Workspace


@pytest.fixture
def work(tmp_path: Path) -> Small:
    return small(tmp_path)


def labels(ws: Workspace, name: str) -> dict[str, str]:
    """Label by sample of those that are in."""
    items = get_release_items(ws, name)
    items = items[items["included"]]
    return dict(zip(items["sample_id"], items["label"], strict=True))


def anything(ids: list[str], rng: np.random.Generator) -> list[Decision]:
    """Of most samples what one or two people say, at random; shares, too."""
    found = []
    for sample_id in ids:
        for reviewer in ("ann", "bo")[: rng.integers(3)]:
            action = str(rng.choice(["keep", "relabel", "exclude", "ambiguous"]))
            label = str(rng.choice(CLASSES)) if action == "relabel" else None
            shares = {CLASSES[0]: 0.25, CLASSES[1]: 0.75} if action == "ambiguous" and rng.random() < 0.5 else None
            found.append(Decision(sample_id=sample_id, action=action, label=label, reviewer=reviewer, shares=shares))
    return found


@pytest.mark.parametrize(("rule", "seed"), [("keep", 0), ("exclude", 1)])
def test_all_taken_back_is_the_release_before_in_any_order_and_undone_it_is_the_later_one(
    tmp_path: Path, rule: Any, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    ws, ids = bare(tmp_path, count=60)
    p_true = rng.dirichlet([0.4] * 3, len(ids))
    likeliest = p_true.argmax(1)
    triaged(
        ws, ids, p_true=p_true.tolist(), soft_label=p_true.tolist(), p_suggested=p_true.max(1),
        suggested_label=[CLASSES[k] for k in likeliest], p_unusable=rng.choice([0.0, 0.9], len(ids), p=[0.9, 0.1]),
    )  # fmt: skip
    append_decisions(ws, anything(ids, rng))
    release(ws, "a", on_conflict="latest")
    append_decisions(ws, anything(ids, rng))

    def released(name: str) -> None:
        release(ws, name, policy="auto", unmended="drop", ambiguous=rule, on_conflict="latest")

    released("b")
    assert len({*labels(ws, "a").items()} ^ {*labels(ws, "b").items()}) > 20, "or this says little"
    half = set(rng.permutation(ids)[:30])
    parts = [Part(sample_ids=half), Part(sample_ids=set(ids) - half)]
    bulks = [revert(ws, "a", "b", part, reviewer="eve").bulk_id for part in parts]
    released("one-way")
    assert labels(ws, "one-way") == labels(ws, "a")
    assert not revert(ws, "a", "b", reviewer="eve").changes, "all of it is back already"
    for bulk in bulks:
        undo(ws, bulk_id=bulk)
    released("undone")
    assert get_release_items(ws, "undone").equals(get_release_items(ws, "b"))
    for part in reversed(parts):
        revert(ws, "a", "b", part, reviewer="eve")
    released("other-way")
    assert get_release_items(ws, "other-way").equals(get_release_items(ws, "one-way"))


def test_what_a_model_changed_comes_back_by_a_decision_that_a_dry_run_tells_and_a_history_keeps(work: Small) -> None:
    decide(work, "train_00007", "relabel", "fear", reviewer="bo")
    release(work.ws, "auto", policy="auto", threshold=0.9)
    part = part_of(work.ws, "auto", flows=["anger>fear", "fear -> out"])
    told = revert(work.ws, "original", "auto", part, reviewer="eve", dry_run=True)
    assert [(one["source_key"], one["from"], one["to"], one["action"]) for one in told.changes] == [
        ("train_00001", "fear", "anger", "keep"), ("train_00005", None, "fear", "keep"),
    ]  # fmt: skip
    assert history(work.ws, work.ids["train_00001"]).entries == ()
    done = revert(work.ws, "original", "auto", part, reviewer="eve")
    assert replace(done, bulk_id=None, dry_run=True) == told
    [entry] = history(work.ws, work.ids["train_00001"]).entries
    assert (entry.action, entry.reviewer, entry.note, entry.bulk) == ("keep", "eve", "back to original from auto", 2)
    release(work.ws, "again", policy="auto", threshold=0.9)
    now = labels(work.ws, "again")
    assert (now[work.ids["train_00001"]], now[work.ids["train_00005"]]) == ("anger", "fear")
    assert now[work.ids["train_00003"]] == "neutral", "the rest stays changed"
    assert now[work.ids["train_00007"]] == "fear"


def test_a_revert_holds_for_everybody_and_what_was_said_since_stays(work: Small) -> None:
    decide(work, "train_00002", "relabel", "fear", reviewer="ann")
    decide(work, "train_00002", "relabel", "fear", reviewer="bo")
    for name in ("train_00004", "train_00006"):
        decide(work, name, "relabel", "fear", reviewer="ann")
    decide(work, "train_00003", "relabel", "anger", reviewer="ann")
    release(work.ws, "v1", policy="auto", threshold=0.9)
    decide(work, "train_00004", "relabel", "anger", reviewer="ann")
    decide(work, "train_00001", "relabel", "fear", reviewer="bo")  # a person confirms what a model had made of it
    decide(work, "train_00006", "relabel", "fear", reviewer="bo")  # another what a person had said
    decide(work, "train_00003", "keep", reviewer="bo")  # and they disagree, though the latest word is the release's
    decide(work, "train_00003", "relabel", "anger", reviewer="ann")
    done = revert(work.ws, "original", "v1", reviewer="eve")
    assert [one["source_key"] for one in done.newer] == [f"train_0000{number}" for number in (1, 3, 4, 6)]
    stands = current_decisions(work.ws).set_index("sample_id")
    assert stands.index[stands["conflict"]].tolist() == [work.ids["train_00003"]], "it is still theirs to settle"
    assert stands.loc[work.ids["train_00002"], "action"] == "keep"
    assert stands.loc[work.ids["train_00004"], "label"] == "anger"


def test_a_quarantined_face_is_barred_and_ambiguous_stays_ambiguous(work: Small) -> None:
    shares = {"fear": 0.5, "anger": 0.5}
    said = Decision(sample_id=work.ids["train_00001"], action="ambiguous", reviewer="ann", shares=shares)
    append_decisions(work.ws, [said])
    release(work.ws, "v1")
    decide(work, "train_00001", "relabel", "fear")
    decide(work, "train_00003", "relabel", "fear")
    release(work.ws, "v2")
    before = get_release_items(work.ws, "v1")
    work.path("train_00003").unlink()
    assert set_aside_lost(work.ws)
    done = revert(work.ws, "v1", "v2", reviewer="eve")
    assert [one["source_key"] for one in done.barred] == ["train_00003"]
    release(work.ws, "v3")
    row = work.ids["train_00001"]
    now = get_release_items(work.ws, "v3").set_index("sample_id").loc[row, "soft_label"]
    assert list(now) == list(before.set_index("sample_id").loc[row, "soft_label"])
    assert BROKEN not in {one["source_key"] for one in done.changes}


def test_a_part_is_named_by_person_verdict_model_or_file(work: Small, tmp_path: Path) -> None:
    decide(work, "train_00002", "relabel", "fear", reviewer="ann")
    decide(work, "test_0001", "exclude", reviewer="b by o")
    release(work.ws, "v1", policy="auto", threshold=0.9)

    def keys(**named: Any) -> list[str]:
        part = part_of(work.ws, "v1", **named)
        return [
            one["source_key"] for one in revert(work.ws, "original", "v1", part, reviewer="e", dry_run=True).changes
        ]

    assert keys(by=["b by o"]) == ["test_0001"]
    assert keys(by=["ann"]) == ["train_00002"]
    assert keys(automatic=True) == ["train_00001", "train_00003", "train_00005"]
    assert keys(verdicts=["unusable"]) == ["train_00005"]
    file = tmp_path / "ids.csv"
    file.write_text("note,source_key\nx,train_00003\n", encoding="utf-8")
    assert keys(file=file) == ["train_00003"]
    file.write_text(f"{work.ids['train_00003']}\ntrain_00001\n", encoding="utf-8")
    assert keys(file=file, automatic=True) == ["train_00001", "train_00003"]
    with pytest.raises(UsageError, match="unknown label 'angr' of a flow"):
        keys(flows=["angr>fear"])
    with pytest.raises(UsageError, match="unknown verdict 'unusabel'; did you mean 'unusable'"):
        keys(verdicts=["clean", "unusabel"])
    with pytest.raises(UsageError, match=r"'anne' decided nothing in v1; did you mean 'ann'.* known: ann, b by o"):
        keys(by=["ann", "anne"])
    with pytest.raises(UsageError, match="give one of them"):
        keys(by=["ann"], automatic=True)
    file.write_text("", encoding="utf-8")
    with pytest.raises(BadDataError, match="names no sample"):
        keys(file=file)


def test_the_command_reverts_and_undo_takes_the_bulk_back(work: Small, capsys: pytest.CaptureFixture[str]) -> None:
    release(work.ws, "v1", policy="auto", threshold=0.9)
    command = ["-w", str(work.ws.root), "--json"]
    assert cli.run([*command, "revert", "original", "v1"]) == 2
    assert "--all" in json.loads(capsys.readouterr().out)["error"]["message"]
    assert cli.run([*command, "revert", "original", "v1", "--automatic", "--reviewer", "eve"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["reverted"] == 3
    assert cli.run([*command, "undo", "--bulk", told["bulk_id"]]) == 0
    assert len(json.loads(capsys.readouterr().out)["undone"]) == 3
