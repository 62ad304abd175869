"""The workspace in FiftyOne, with a real mongod, a real App and a real browser: fields, views, tags, doors.

Everything is generated here; nothing is fetched.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import urllib.error
import urllib.request
from types import SimpleNamespace

import numpy as np
import pytest
from fiftyone_workspace import CLASSES, KINDS, N, make_workspace
from PIL import Image

from ferclean.errors import FercleanError
from ferclean.evidence.verdict.calibration import apply_temperature, fit_temperature
from ferclean.steps import browse as step
from ferclean.store.decisions import Decision, append_decisions, current_decisions, decision_history, undo
from ferclean.store.table import sample_table
from ferclean.store.verdicts import get_verdicts, put_verdicts
from ferclean.store.workspace import Workspace
from tests.prepare import BROWSER_FLAGS, find_browser

QUEUE = "Queue (undecided, by rank)"

pytestmark = [
    # FiftyOne's server registers its GraphQL scalars in a way that its own dependency is retiring
    pytest.mark.filterwarnings("ignore:Passing a class to strawberry.scalar:DeprecationWarning"),
    # FiftyOne asks for its servers' ports in a way that psutil is retiring
    pytest.mark.filterwarnings(r"ignore:connections\(\) is deprecated:DeprecationWarning"),
    # FiftyOne leaves the form of UUIDs in its database to mongoengine's default
    pytest.mark.filterwarnings("ignore:No uuidRepresentation is specified:DeprecationWarning"),
    # FiftyOne stamps its database documents with the naive UTC clock that Python 3.12 is retiring
    pytest.mark.filterwarnings("ignore:datetime.datetime.utc:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    """One workspace, one mongod and the modules of the room, which need FiftyOne's environment before the import."""
    ws = make_workspace(tmp_path_factory.mktemp("fiftyone"))
    before = dict(os.environ)
    os.environ.update(step.environment(ws.root))
    from apps.fiftyone_view import database, decide, session, workspace_dataset

    try:
        update, sizes, _ = session.bring_up_to_date(ws)
        yield SimpleNamespace(
            ws=ws,
            dataset=update.dataset,
            update=update,
            sizes=sizes,
            frame=sample_table(ws).set_index("source_key"),
            database=database,
            decide=decide,
            session=session,
            workspace_dataset=workspace_dataset,
        )
    finally:
        database.disconnect()
        os.environ.clear()
        os.environ.update(before)


def one(view, key):
    return view.dataset.one({"source_key": key})


def tag(view, tags):
    for key, names in tags.items():
        view.dataset.match({"source_key": key}).tag_samples(names)


def test_every_sample_with_a_file_is_in_the_dataset_and_the_others_are_counted(view):
    assert len(view.dataset) == N
    assert view.update.added == N
    assert view.update.left_out == {"no image file": 1}


def shown(view, key: str) -> np.ndarray:
    """The probabilities of a sample at the temperature that suits the given labels."""
    scored = view.frame[view.frame["pred_probs"].notna()]
    probs = np.array(scored["pred_probs"].tolist())
    given = np.array([CLASSES.index(label) for label in scored["given_label"]])
    calibrated = apply_temperature(probs, fit_temperature(probs, given))
    return calibrated[list(scored.index).index(key)]


def test_fields_carry_what_the_store_says_under_fiftyones_names(view):
    row, sample = view.frame.loc["train_00005"], one(view, "train_00005")
    assert sample.ferclean_id == row["sample_id"]
    assert sample.filepath == row["path"]
    assert sample.split == "train"
    assert sample.ground_truth.label == row["given_label"] == "anger"
    assert sample.predictions.label == CLASSES[int(np.argmax(row["pred_probs"]))]
    assert sample.predictions.confidence == pytest.approx(max(shown(view, "train_00005")))
    assert sample.suggested_label.label == row["suggested_label"]
    assert sample.verdict == "mislabelled"
    assert sample.reasons == ["neighbours disagree"]
    assert sample.rank == row["rank"] == N - 5
    for name in ("label_quality", "p_mislabelled", "p_ambiguous", "p_unusable", "p_clean"):
        assert sample[name] == pytest.approx(row[name]), name
    assert sample.tags == ["train", "verdict:mislabelled"]


def test_mistakenness_is_high_where_label_quality_is_low(view):
    quality, mistakenness = view.dataset.values(["label_quality", "mistakenness"])
    assert np.allclose(np.array(mistakenness), 1 - np.array(quality))


def test_hardness_is_the_normalised_entropy_of_all_classes_and_softmax_of_logits_gives_them_back(view):
    sample = one(view, "train_00003")
    probabilities = shown(view, "train_00003")
    assert probabilities != pytest.approx(np.array(view.frame.loc["train_00003", "pred_probs"]), abs=0.01)
    exponentials = np.exp(np.asarray(sample.predictions.logits))
    assert exponentials / exponentials.sum() == pytest.approx(probabilities, abs=1e-6)
    assert sample.hardness == pytest.approx(-(probabilities * np.log(probabilities)).sum() / math.log(7))


def test_a_certain_prediction_has_hardness_zero_and_finite_logits(view):
    chances = {"anger": 1.0, "fear": 0.0}
    assert view.workspace_dataset._normalised_entropy(list(chances.values())) == 0
    assert all(map(math.isfinite, view.workspace_dataset._prediction(chances)["logits"]))


def test_a_decision_shows_as_field_and_corrected_label(view):
    sample = one(view, "train_00000")
    assert (sample.decision, sample.corrected_label.label) == ("relabel", "anger")
    assert sample.tags == ["test", "verdict:mislabelled", "decided:relabel"]


def test_every_field_says_what_it_means(view):
    described = {name for name, _, _ in view.workspace_dataset.FIELDS}
    assert all(view.dataset.get_field(name).description for name in described)
    assert "LOW" in view.dataset.get_field("label_quality").description


def test_the_queue_holds_the_undecided_samples_by_rank(view):
    queue = view.dataset.load_saved_view(QUEUE)
    assert queue.values("rank") == list(range(1, N))  # rank N is the decided one


def test_saved_views_select_by_verdict_and_decision(view):
    assert view.sizes == {
        QUEUE: N - 1,
        "Mislabelled": 6,
        "Ambiguous": 3,
        "Unusable": 3,
        "Decided": 1,
        "Duplicates": 2,
    }
    for name, kind in (("Mislabelled", "mislabelled"), ("Ambiguous", "ambiguous"), ("Unusable", "unusable")):
        assert set(view.dataset.load_saved_view(name).values("verdict")) == {kind}, name
    assert view.dataset.load_saved_view("Duplicates").values("source_key") == ["train_00007", "train_00006"] or set(
        view.dataset.load_saved_view("Duplicates").values("source_key")
    ) == {"train_00006", "train_00007"}


def test_an_update_changes_nothing_twice_and_keeps_what_people_added(view):
    tag(view, {"train_00009": "look at with Ben"})
    view.dataset.save_view("mine", view.dataset.limit(1))
    stamps = view.dataset.values("last_modified_at")
    update, sizes, _ = view.session.bring_up_to_date(view.ws)
    assert (update.added, sizes) == (0, view.sizes)
    assert view.dataset.values("last_modified_at") == stamps
    assert "look at with Ben" in one(view, "train_00009").tags
    assert view.dataset.has_saved_view("mine")


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
    assert set(history["reviewer"]) == {"eve"}
    assert json.loads(made["train_00005"]["shown"])["suggested_label"] == one(view, "train_00005").suggested_label.label
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
    assert view.decide.parse_tag(text, CLASSES) is None


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


def test_the_operators_load_and_decide_about_the_selected_samples(view):
    import fiftyone.operators as foo
    import fiftyone.plugins as fop

    plugin = fop.get_plugin("@ferclean/decisions")
    assert sorted(plugin.operators) == ["decide", "record_tags"]
    selected = view.dataset.match({"source_key": "train_00015"}).values("id")
    context = {"dataset": view.dataset, "selected": selected, "params": {"action": "relabel", "label": "fear"}}
    result = asyncio.run(_execute(foo, "@ferclean/decisions/decide", context))
    assert result.result == {"recorded": 1}
    current = current_decisions(view.ws).set_index("sample_id").loc[view.frame.loc["train_00015", "sample_id"]]
    assert (current["action"], current["label"]) == ("relabel", "fear")
    many = {"dataset": view.dataset, "selected": view.dataset.values("id") * 2, "params": {"action": "keep"}}
    before = len(decision_history(view.ws))
    with pytest.raises(Exception, match="so many at once: are they all meant"):
        asyncio.run(_execute(foo, "@ferclean/decisions/decide", many)).raise_exceptions()
    assert len(decision_history(view.ws)) == before


async def _execute(foo, uri, context):
    result = foo.execute_operator(uri, context)
    return await result if asyncio.iscoroutine(result) or isinstance(result, asyncio.Task) else result


def test_an_image_behind_a_link_that_leaves_the_data_set_is_left_out(view, tmp_path):
    ws = make_workspace(tmp_path)
    outside = tmp_path / "outside.png"
    Image.new("RGB", (8, 8)).save(outside)
    (tmp_path / "source" / "00003.png").unlink()
    (tmp_path / "source" / "00003.png").symlink_to(outside)
    rows, left_out = view.workspace_dataset._rows(ws)
    assert len(rows) == N - 1
    assert left_out == {"no image file": 1, "image outside the data set's folder and the workspace": 1}
    (tmp_path / "source" / "00004.png").write_bytes(outside.read_bytes())
    rows, left_out = view.workspace_dataset._rows(ws)
    assert left_out["file: changed since ingest"] == 1


def test_another_workspace_is_refused_in_the_same_process(view, tmp_path):
    with pytest.raises(FercleanError, match="process of its own"):
        view.database.connect(Workspace.create(tmp_path / "other"))


def test_the_app_opens_the_queue_in_a_browser_serves_only_the_workspace_and_returns_the_tags(
    view, tmp_path, monkeypatch
):
    monkeypatch.setenv("FIFTYONE_ALLOWED_ORIGINS", "*")
    seen = SimpleNamespace(url=None, statuses={}, text="", asked=[])
    picture = view.frame.loc["train_00001", "path"]

    def ready(url):
        seen.url = url
        base = url.rpartition("/datasets/")[0]
        host = base.removeprefix("http://")
        requests = {
            "page": (url, {}),
            "picture": (f"{base}/media?filepath={picture}", {}),
            "any file": (f"{base}/media?filepath=/etc/hostname", {}),
            "dots": (f"{base}/media?filepath={picture}/../../../../../../../../etc/hostname", {}),
            "foreign name": (url, {"Host": f"evil.example:{host.rpartition(':')[2]}"}),
            "foreign page": (f"{base}/graphql", {"Origin": "http://evil.example"}),
            "frame": (url, {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe"}),
        }
        own_page = urllib.request.Request(url, headers={"Origin": base})
        with urllib.request.urlopen(own_page, timeout=20) as answer:
            seen.door = answer.headers
        seen.statuses = {what: _status(*request) for what, request in requests.items()}
        waiting = len(view.dataset.load_saved_view(QUEUE))
        seen.text, seen.asked = _look(url, f"{waiting} samples", tmp_path / "app.png")
        tag(view, {"train_00016": "ambiguous"})
        raise KeyboardInterrupt

    summary = step.browse(view.ws, open_browser=False, reviewer="mia", ready=ready)
    assert seen.statuses == {
        "page": 200,
        "picture": 200,
        "any file": 404,
        "dots": 404,
        "foreign name": 403,
        "foreign page": 403,
        "frame": 403,
    }
    assert seen.door["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in seen.door["Content-Security-Policy"]
    assert seen.door["Access-Control-Allow-Origin"] is None
    assert QUEUE in seen.text
    assert "ground_truth" in seen.text
    assert "suggested_label" in seen.text
    assert not [url for url in seen.asked if not url.startswith(("http://127.0.0.1", "data:", "blob:"))]
    assert [url for url in seen.asked if "/media?" in url]
    assert summary.url == seen.url
    assert (summary.samples, summary.decisions) == (N, 1)
    assert summary.as_dict()["views"][QUEUE] > 0
    current = current_decisions(view.ws).set_index("sample_id").loc[view.frame.loc["train_00016", "sample_id"]]
    assert (current["action"], current["reviewer"]) == ("ambiguous", "mia")


def _status(url, headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def _look(url, count, picture):
    """Open the App in a real browser: (the text of the page, every address that got an answer)."""
    from playwright.sync_api import sync_playwright

    executable = find_browser()
    assert executable, "no browser: run python tests/prepare.py"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(BROWSER_FLAGS))
        page = browser.new_page(viewport={"width": 1400, "height": 850})
        # an advertisement covers the first screen otherwise
        page.add_init_script("localStorage.setItem('fiftyone-enterprise-tooltip-seen', 'true')")
        answered: list[str] = []
        page.on("response", lambda response: answered.append(response.url))
        page.goto(url)
        page.get_by_text(count).first.wait_for(timeout=60_000)
        page.get_by_text("suggested_label").first.wait_for(timeout=60_000)
        page.wait_for_timeout(1500)  # the pictures come after the labels
        page.screenshot(path=picture)
        text = page.inner_text("body")
        browser.close()
    return text, answered
