"""Decisions that come from FiftyOne, with a real mongod: tags, label tags, edited labels, operators, and their undo.

It runs after `test_fiftyone_view.py` on the same workspace, or alone; each test takes back what it decided, or decides
about samples of its own.
"""

from __future__ import annotations

import asyncio
import json
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest
from fiftyone_workspace import CLASSES, FIFTYONES_WARNINGS, KINDS, edit, one, tag

from ferclean.review.desk import open_desk
from ferclean.store.decisions import Decision, append_decisions, current_decisions, decision_history, undo
from ferclean.store.verdicts import get_verdicts, put_verdicts

pytestmark = FIFTYONES_WARNINGS


def test_tags_become_decisions_once_and_are_replaced(view):
    tag(view, {"train_00002": "keep", "train_00003": "Ambiguous", "train_00004": "exclude"})
    tag(view, {"train_00005": "relabel:happy"})
    assert view.decide.sync_decisions(view.ws, reviewer="eve").recorded == 4
    assert view.decide.sync_decisions(view.ws, reviewer="eve").recorded == 0
    history = decision_history(view.ws)
    history = history[history["source"] == "fiftyone"].set_index("sample_id")
    made = {key: history.loc[view.frame.loc[key, "sample_id"]] for key in view.frame.index[2:6]}
    assert [row["action"] for row in made.values()] == ["keep", "ambiguous", "exclude", "relabel"]
    assert made["train_00005"]["label"] == "happiness"
    assert {row["reviewer"] for row in made.values()} == {"eve"}
    assert json.loads(made["train_00005"]["shown"])["verdict"] == "mislabelled"
    sample = one(view, "train_00005")
    assert (sample.decision, sample.corrected_label.label) == ("relabel", "happiness")
    assert sample.tags == ["train", "verdict:mislabelled", "decided:relabel"]
    assert one(view, "train_00002").corrected_label.label == "disgust"
    assert one(view, "train_00004").corrected_label is None


def test_a_tag_that_outlived_its_recording_is_not_recorded_again(view):
    # as after a kill between storing the decision and replacing the tag
    sample_id = view.frame.loc["train_00008", "sample_id"]
    append_decisions(view.ws, [Decision(sample_id=sample_id, action="keep", reviewer="eve", source="fiftyone")])
    tag(view, {"train_00008": "keep"})
    assert view.decide.sync_decisions(view.ws, reviewer="eve").recorded == 0
    assert "keep" not in one(view, "train_00008").tags


def test_an_undone_decision_does_not_come_back_from_fiftyone(view):
    tag(view, {"train_00010": "exclude"})
    view.decide.sync_decisions(view.ws, reviewer="eve")
    undo(view.ws, reviewer="eve")
    assert view.decide.sync_decisions(view.ws, reviewer="eve").recorded == 0
    view.session.bring_up_to_date(view.ws)
    assert one(view, "train_00010").decision is None
    assert "decided:exclude" not in one(view, "train_00010").tags


def test_contradicting_and_unknown_tags_are_reported_and_stay(view):
    tag(view, {"train_00011": ["keep", "exclude"], "train_00012": "relabel:boredom"})
    result = view.decide.sync_decisions(view.ws, reviewer="eve")
    assert result.recorded == 0
    assert len(result.problems) == 2
    assert any("train_00011" in problem and "contradict" in problem for problem in result.problems)
    assert any("train_00012" in problem and "anger" in problem for problem in result.problems)
    assert {"keep", "exclude"} <= set(one(view, "train_00011").tags)
    for key in ("train_00011", "train_00012"):
        view.dataset.match({"source_key": key}).untag_samples(["keep", "exclude", "relabel:boredom"])


@pytest.mark.parametrize("text", ["verdict:ambiguous", "decided:keep", "train", "keeper", "keep:", "my own"])
def test_other_tags_ask_for_nothing(view, text):
    assert view.asked.parse_tag(text, CLASSES) is None


def test_decisions_made_together_are_undone_together(view):
    ids = view.dataset.match({"source_key": {"$in": ["train_00013", "train_00014"]}}).values("id")
    assert view.decide.record(view.ws, view.dataset, ids, action="ambiguous", reviewer="zoe").recorded == 2
    assert set(view.dataset.select(ids).values("decision")) == {"ambiguous"}
    assert len(undo(view.ws, reviewer="zoe")) == 2


def test_deciding_by_the_verdict_takes_each_samples_own_and_leaves_the_random_check_out(view):
    by_key = {f"train_{i:05d}": KINDS[i % len(KINDS)] for i in (13, 16, 17, 18, 20, 21)}
    some = view.dataset.match({"source_key": {"$in": list(by_key)}})
    ids, keys = some.values(["id", "source_key"])
    stored = get_verdicts(view.ws)
    drawn = stored["sample_id"] == view.frame.loc["train_00017", "sample_id"]
    chance = np.where(drawn, 0.2, np.nan)
    put_verdicts(view.ws, stored["run_id"][0], stored.assign(drawn_at_random=drawn, inclusion_probability=chance))
    made = view.decide.record(view.ws, view.dataset, ids, action="offer", reviewer="kim")
    assert (made.recorded, made.random_checks, made.without_offer) == (4, 1, 1)
    assert "1 of the random check" in str(made)
    now = dict(zip(keys, some.values("decision"), strict=True))
    assert (now["train_00018"], now["train_00020"], now["train_00021"]) == ("exclude", "keep", "relabel")
    assert (now["train_00016"], now["train_00017"]) == (None, None), "no suggestion; drawn at random"
    tag(view, {"train_00017": "keep"})
    result = view.decide.sync_decisions(view.ws, reviewer="kim")
    assert (result.recorded, "random check" in result.problems[0]) == (0, True)
    alone = view.dataset.match({"source_key": "train_00017"})
    alone.untag_samples("keep")
    assert view.decide.record(view.ws, view.dataset, alone.values("id"), action="keep", reviewer="lea").recorded == 1
    put_verdicts(view.ws, stored["run_id"][0], stored)
    assert len(undo(view.ws, reviewer="lea") + undo(view.ws, reviewer="kim")) == 5
    view.session.bring_up_to_date(view.ws)


def test_what_was_decided_elsewhere_meanwhile_is_told_and_not_replaced(view):
    sample = view.dataset.match({"source_key": "train_00022"})
    append_decisions(view.ws, [Decision(sample_id=sample.first().ferclean_id, action="exclude", reviewer="max")])
    assert view.decide.record(view.ws, view.dataset, sample.values("id"), action="keep", reviewer="max").newer == 1
    assert sample.values("decision") == ["exclude"]
    assert view.decide.record(view.ws, view.dataset, sample.values("id"), action="keep", reviewer="max").recorded == 1
    assert len(undo(view.ws, reviewer="max") + undo(view.ws, reviewer="max")) == 2
    view.session.bring_up_to_date(view.ws)


def test_tags_on_the_labels_of_a_sample_are_taken_as_tags_on_it(view):
    sample = one(view, "train_00018")
    some = view.dataset.select(sample.id)
    some.tag_labels(["exclude", "mine"], label_fields=["ground_truth", "predictions"])
    assert view.decide.sync_decisions(view.ws, reviewer="uma").recorded == 1
    sample = one(view, "train_00018")
    assert (sample.decision, sample.tags[-1]) == ("exclude", "decided:exclude")
    assert sample.ground_truth.tags == sample.predictions.tags == ["mine"]
    some.tag_labels("keep", label_fields="ground_truth")
    some.tag_samples("exclude")
    assert "contradict" in view.decide.sync_decisions(view.ws, reviewer="uma").problems[0]
    some.untag_labels("keep")
    some.untag_samples("exclude")
    assert len(undo(view.ws, reviewer="uma")) == 1
    view.session.bring_up_to_date(view.ws)


def test_an_edited_corrected_label_becomes_a_decision_once_and_the_given_one_keeps(view):
    given = view.frame.loc["train_00019", "given_label"]
    for label, stands in (("Happy", ("relabel", "happiness")), (given, ("keep", None))):
        edit(view, "train_00019", label)
        assert view.decide.sync_decisions(view.ws, reviewer="ivo").recorded == 1
        assert view.decide.sync_decisions(view.ws, reviewer="ivo") == view.decide.TagSync(recorded=0)
        row = decision_history(view.ws).iloc[-1]
        assert (row["action"], row["label"], row["source"]) == (*stands, "fiftyone")
        sample = one(view, "train_00019")
        assert (sample.decision, sample.corrected_label.label) == (stands[0], stands[1] or given)
    assert len(undo(view.ws, reviewer="ivo") + undo(view.ws, reviewer="ivo")) == 2
    view.session.bring_up_to_date(view.ws)
    assert one(view, "train_00019").corrected_label is None


@pytest.mark.parametrize(
    ("field", "label", "why"),
    [
        ("corrected_label", "bore<b>dom", "not a class"),
        ("corrected_label", None, "empty"),
        ("ground_truth", "fear", "never changes"),
    ],
)
def test_an_edit_that_says_nothing_is_put_back_with_a_word_that_names_the_face(view, field, label, why):
    before, history = one(view, "train_00000"), len(decision_history(view.ws))
    edit(view, "train_00000", label, field)
    result = view.decide.sync_decisions(view.ws, reviewer="ivo")
    assert (result.recorded, result.problems) == (0, ())
    (told,) = result.put_back
    assert told.startswith("train_00000: ")
    assert why in told
    after = one(view, "train_00000")
    assert why in after.refused
    for name in ("ground_truth", "corrected_label"):
        assert after[name].label == before[name].label
    assert view.decide.sync_decisions(view.ws, reviewer="ivo").put_back == ()
    assert len(decision_history(view.ws)) == history


def test_edits_and_tags_that_come_after_a_newer_decision_are_put_back_and_count_when_they_are_repeated(view):
    sample_id = view.frame.loc["train_00022", "sample_id"]
    append_decisions(view.ws, [Decision(sample_id=sample_id, action="exclude", reviewer="max")])
    edit(view, "train_00022", "anger")
    result = view.decide.sync_decisions(view.ws, reviewer="ivo")
    assert "decided elsewhere" in result.put_back[0]
    assert (one(view, "train_00022").decision, one(view, "train_00022").corrected_label) == ("exclude", None)
    append_decisions(view.ws, [Decision(sample_id=sample_id, action="ambiguous", reviewer="max")])
    tag(view, {"train_00022": "keep"})
    assert "decided elsewhere" in view.decide.sync_decisions(view.ws, reviewer="ivo").put_back[0]
    assert view.decide.sync_decisions(view.ws, reviewer="ivo").recorded == 0, "the tag is gone"
    edit(view, "train_00022", "anger")
    assert view.decide.sync_decisions(view.ws, reviewer="ivo").recorded == 1
    assert one(view, "train_00022").refused is None
    assert len(undo(view.ws, reviewer="ivo") + undo(view.ws, reviewer="max") + undo(view.ws, reviewer="max")) == 3
    view.session.bring_up_to_date(view.ws)


def test_every_operator_loads(view):
    import fiftyone.plugins as fop

    assert sorted(fop.get_plugin("@ferclean/decisions").operators) == [
        "accept", "ambiguous", "brain", "exclude", "filter_by_verdict", "keep", "record_tags", "refresh", "relabel",
        "show_in_review", "similar_faces", "skip", "undo",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("operator", "params", "stands"),
    [
        ("relabel", {"label": "anger"}, ("relabel", "anger")),
        ("keep", {}, ("keep", None)),
        ("ambiguous", {}, ("ambiguous", None)),
        ("exclude", {}, ("exclude", None)),
        ("accept", {}, ("exclude", None)),
    ],
)
def test_an_operator_records_its_decision_which_stands_in_review_until_undo_takes_it_back(
    view, operator, params, stands
):
    sample_id = view.frame.loc["train_00015", "sample_id"]  # called a duplicate
    context = {"dataset": view.dataset, "selected": ids_of(view, "train_00015"), "params": params}
    assert execute(operator, context).result == {"recorded": 1}
    row = decision_history(view.ws).iloc[-1]
    assert (row["sample_id"], row["action"], row["source"]) == (sample_id, stands[0], "fiftyone")
    desk = open_desk(view.ws)
    shown = {"relabel": "anger", "keep": view.frame.loc["train_00015", "given_label"]}.get(stands[0])
    assert (desk.standing[sample_id].action, desk.standing[sample_id].label) == (stands[0], shown)
    assert one(view, "train_00015").decision == stands[0]
    assert execute("undo", {"dataset": view.dataset}).result == {"undone": 1}
    assert sample_id not in current_decisions(view.ws)["sample_id"].to_list()
    assert one(view, "train_00015").decision is None


def test_a_skip_is_kept_for_the_review_screen(view):
    context = {"dataset": view.dataset, "selected": ids_of(view, "train_00015"), "params": {}}
    assert execute("skip", context).result == {"recorded": 1}
    assert view.frame.loc["train_00015", "sample_id"] in open_desk(view.ws).skipped
    assert execute("undo", {"dataset": view.dataset}).result == {"undone": 1}


def test_an_operator_asks_before_it_decides_about_many_and_refuses_none(view):
    before = len(decision_history(view.ws))
    many = {"dataset": view.dataset, "selected": view.dataset.values("id") * 2, "params": {}}
    with pytest.raises(Exception, match="so many at once: are they all meant"):
        execute("keep", many).raise_exceptions()
    assert "Select one or more samples first" in str(form("keep", {"dataset": view.dataset, "params": {}}).to_json())
    assert "Applies to 1 sample" in str(
        form("keep", {"selected": ids_of(view, "train_00015"), "dataset": view.dataset}).to_json()
    )
    with pytest.raises(Exception, match="this dataset is not the workspace"):
        execute("undo", {"params": {}}).raise_exceptions()
    assert len(decision_history(view.ws)) == before


def test_operators_that_look_set_the_view_and_name_the_review_screen(view):
    chosen = ids_of(view, "train_00016")
    result = execute("filter_by_verdict", {"dataset": view.dataset, "params": {"verdict": "ambiguous"}})
    undecided = len(view.dataset.match({"verdict": "ambiguous", "decision": None}))
    assert result.result == {"samples": undecided}
    assert [asked.operator_uri for asked in result.executor._requests] == ["set_view"]
    link = execute("show_in_review", {"dataset": view.dataset, "selected": chosen, "params": {}}).result["link"]
    asked = dict(parse_qsl(urlsplit(link).query))
    asked.pop("reviewer")
    face = view.frame.loc["train_00016", "sample_id"]
    assert asked == {"page": "review", "sample": face, "pick": "1"}, "picked: whatever its verdict, and whoever's it is"
    alike = execute("similar_faces", {"dataset": view.dataset, "selected": chosen, "params": {}})
    assert alike.result["samples"] > 1
    near = view.looking.similar_to(view.ws, view.dataset, chosen[0])
    assert near.values("source_key")[0] == "train_00016"
    assert {int(key[-2:]) % 5 for key in near.values("source_key")} == {1}, "of its own fold"


def ids_of(view, *keys):
    return view.dataset.match({"source_key": {"$in": list(keys)}}).values("id")


def form(operator, context):
    import fiftyone.operators as foo
    from fiftyone.operators.executor import ExecutionContext

    ready = ExecutionContext(context | {"dataset_name": context["dataset"].name})
    return foo.get_operator(f"@ferclean/decisions/{operator}").resolve_input(ready)


def execute(operator, context):
    import fiftyone.operators as foo

    return asyncio.run(_execute(foo, f"@ferclean/decisions/{operator}", context))


async def _execute(foo, uri, context):
    result = foo.execute_operator(uri, context)
    return await result if asyncio.iscoroutine(result) or isinstance(result, asyncio.Task) else result
