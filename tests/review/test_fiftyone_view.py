"""The workspace in FiftyOne, with a real mongod, a real App and a real browser: fields, views, tags, doors.

Everything is generated here; nothing is fetched.
"""

from __future__ import annotations

import math
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fiftyone_workspace import CLASSES, FIFTYONES_WARNINGS, N, edit, make_workspace, one, tag
from PIL import Image
from small_workspace import shared

from ferclean.errors import FercleanError, UsageError
from ferclean.evidence.verdict.calibration import apply_temperature, fit_temperature
from ferclean.exports.content import read_content
from ferclean.steps import browse as step
from ferclean.steps.export import export
from ferclean.store.decisions import Decision, append_decisions, current_decisions, undo
from ferclean.store.embeddings import embedding_digest
from ferclean.store.maps import write_map
from ferclean.store.runs import finish_run
from ferclean.store.verdicts import KINDS as VERDICTS
from ferclean.store.verdicts import get_verdicts, put_verdicts
from ferclean.store.workspace import Workspace
from tests.prepare import BROWSER_FLAGS, find_browser

QUEUE = "Queue (undecided, by rank)"

pytestmark = FIFTYONES_WARNINGS


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
    assert sample.verdict == "mislabelled"
    assert sample.reasons == ["neighbours disagree"]
    assert sample.rank == row["rank"] == N - 5
    for name in ("label_quality", "p_mislabelled", "p_ambiguous", "p_unusable", "p_clean"):
        assert sample[name] == pytest.approx(row[name]), name
    assert sample.tags == ["train", "verdict:mislabelled"]


def test_a_suggestion_that_suggests_the_given_label_is_not_shown_and_its_proposal_is_to_keep(view):
    frame = view.frame[view.frame["suggested_label"].notna()]
    same = frame["suggested_label"] == frame["given_label"]
    assert 0 < same.sum() < len(frame)
    for key, row in frame.iterrows():
        label = one(view, key).suggested_label
        assert (label and label.label) == (None if same[key] else row["suggested_label"]), key
    assert (one(view, "train_00005").verdict, one(view, "train_00005").proposal) == ("mislabelled", "keep")


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


def test_only_samples_that_were_decided_since_are_written_and_another_triage_writes_what_differs(view):
    stamps = dict(zip(*view.dataset.values(["source_key", "last_modified_at"]), strict=True))
    sample_id = view.frame.loc["train_00023", "sample_id"]
    append_decisions(view.ws, [Decision(sample_id=sample_id, action="exclude", reviewer="max")])
    edit(view, "train_00001", "anger")  # waits for the next look at what people asked for
    update = view.mirror.update_dataset(view.ws)
    assert (update.added, update.changed, update.left_out) == (0, 1, {"no image file": 1})
    stored = get_verdicts(view.ws)
    other = stored.assign(label_quality=np.where(stored["sample_id"] == sample_id, 0.5, stored["label_quality"]))
    put_verdicts(view.ws, stored["run_id"][0], other)
    finish_run(view.ws, stored["run_id"][0], {})
    assert view.mirror.update_dataset(view.ws).changed == 1
    assert one(view, "train_00023").label_quality == 0.5
    touched = {key for key, stamp in zip(*view.dataset.values(["source_key", "last_modified_at"]), strict=True)
               if stamp != stamps[key]}  # fmt: skip
    assert touched == {"train_00023", "train_00001"}
    assert one(view, "train_00001").corrected_label.label == "anger", (
        "an edit is not overwritten before it is looked at"
    )
    assert view.decide.sync_decisions(view.ws, reviewer="max").recorded == 1
    put_verdicts(view.ws, stored["run_id"][0], stored)
    finish_run(view.ws, stored["run_id"][0], {})
    assert len(undo(view.ws, reviewer="max") + undo(view.ws, reviewer="max")) == 2
    view.session.bring_up_to_date(view.ws)


def test_a_picture_that_changed_on_the_disk_leaves_the_dataset(view):
    path = view.frame.loc["train_00023", "path"]
    with open(path, "rb") as file:
        held = file.read()
    with open(path, "ab") as file:
        file.write(b"\0")
    assert view.mirror.update_dataset(view.ws).left_out["file: changed since ingest"] == 1
    assert len(view.dataset) == N - 1
    with open(path, "wb") as file:
        file.write(held)
    assert view.mirror.update_dataset(view.ws).added == 1


def test_labels_have_the_colours_of_the_review_screen(view):
    scheme = {one["path"]: one for one in view.dataset.app_config.color_scheme.fields}
    for path, ink in (("ground_truth", "#B04A00"), ("suggested_label", "#0067A5")):
        assert scheme[path]["fieldColor"] == ink
        assert {one["color"] for one in scheme[path]["valueColors"]} == {ink}
        assert {one["value"] for one in scheme[path]["valueColors"]} == set(CLASSES)
    assert {one["value"] for one in scheme["verdict"]["valueColors"]} == set(VERDICTS)


def test_the_brain_goes_by_our_embeddings_and_probabilities_and_loads_no_model(view, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a model was asked for")

    monkeypatch.setattr("fiftyone.brain.internal.models.load_model", refuse)
    assert view.dataset.list_brain_runs() == [view.brain.MAP_PCA, view.brain.SIMILARITY], "at every opening"
    assert view.brain.run_brain(view.ws, view.dataset, view.brain.RUNS) == ["mistakenness", "uniqueness"]
    assert view.brain.run_brain(view.ws, view.dataset, view.brain.RUNS) == []
    for name in ("fiftyone_mistakenness", "fiftyone_uniqueness"):
        assert len(view.dataset.exists(name)) == N, name
        assert "HIGH" in view.dataset.get_field(name).description
    face = one(view, "train_00001")
    ours = view.looking.similar_to(view.ws, view.dataset, face.id).values("id")
    theirs = view.dataset.sort_by_similarity(face.id, brain_key=view.brain.SIMILARITY).values("id")
    assert len(ours) > 2
    assert theirs[: len(ours)] == ours
    with pytest.raises(UsageError, match="similarity"):
        view.brain.run_brain(view.ws, view.dataset, ["similar"])


def test_the_map_of_the_workspace_is_taken_where_there_is_one(view):
    run = view.brain.scored_run(view.ws).run_id
    at = np.random.default_rng(0).random((N, 2)).astype(np.float32)
    write_map(view.ws, run, list(view.frame["sample_id"][:N]), at, embedding=embedding_digest(view.ws, run))
    assert view.brain.run_brain(view.ws, view.dataset, ["map"]) == ["map"]
    assert np.allclose(view.dataset.load_brain_results(view.brain.MAP).points, at)
    assert not view.dataset.has_brain_run(view.brain.MAP_PCA)


def test_spaces_put_into_one_keep_the_order_within_and_nothing_across_is_nearer(view):
    embedding, space = np.random.default_rng(1).normal(size=(30, 4)), np.arange(30) % 3
    unit = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    put = view.brain.in_one_space(embedding, space)
    put = put / np.linalg.norm(put, axis=1, keepdims=True)
    same = space[:, None] == space
    assert np.allclose((put @ put.T)[same], ((unit @ unit.T + 2) / 3)[same], atol=1e-6)
    assert (put @ put.T)[~same].max() <= (put @ put.T)[same].min()


def test_an_image_behind_a_link_that_leaves_the_data_set_is_left_out(view, tmp_path):
    ws = make_workspace(tmp_path)
    outside = tmp_path / "outside.png"
    Image.new("RGB", (8, 8)).save(outside)
    (tmp_path / "source" / "00003.png").unlink()
    (tmp_path / "source" / "00003.png").symlink_to(outside)
    rows, left_out = view.workspace_dataset.rows_of(ws)
    assert len(rows) == N - 1
    assert left_out == {"no image file": 1, "image outside the data set's folder and the workspace": 1}
    (tmp_path / "source" / "00004.png").write_bytes(outside.read_bytes())
    rows, left_out = view.workspace_dataset.rows_of(ws)
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

    def recorded():
        return len(current_decisions(view.ws)) > before

    before = len(current_decisions(view.ws))

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
        seen.text, seen.asked = _look(url, f"{waiting} samples", tmp_path / "app.png", recorded=recorded)
        tag(view, {"train_00012": "ambiguous"})
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
    current = current_decisions(view.ws).set_index("sample_id")
    for key, action in (("train_00012", "ambiguous"), ("train_00023", "exclude")):  # tagged; accepted in the App
        row = current.loc[view.frame.loc[key, "sample_id"]]
        assert (row["action"], row["reviewer"]) == (action, "mia")


def test_an_export_in_fiftyones_own_form_opens_in_it(view, tmp_path):
    import fiftyone as fo

    work = shared(released=True)
    export(work.ws, form="fiftyone", out=tmp_path / "out", release="v1")
    dataset = fo.Dataset.from_dir(str(tmp_path / "out"), dataset_type=fo.types.FiftyOneDataset)
    try:
        rows = read_content(work.ws, "v1").rows
        for name, values in (("source_key", "source_key"), ("ground_truth.label", "release_label"), ("split",) * 2):
            assert dataset.values(name) == rows[values].tolist()
        assert dataset.values("given_label") == rows["given_label"].tolist()
        assert tuple(dataset.default_classes) == tuple(dataset.classes["ground_truth"]) == CLASSES
        assert dataset.count_sample_tags() == {"train": 6, "test": 2}
        first = dataset.first()
        assert Path(first.filepath).read_bytes() == work.data[first.source_key]
        assert (first.metadata.width, first.changed, first.verdict, first.weight) == (12, True, "mislabelled", 1.0)
        assert sum(first.soft_label) == pytest.approx(1)
        dataset.add_sample(first.copy())  # what it knows of its fields is enough to go on with it
        dataset.export(str(tmp_path / "again"), dataset_type=fo.types.FiftyOneDataset, export_media=False)
    finally:
        dataset.delete()


def _status(url, headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def _look(url, count, picture, *, recorded):
    """Open the App in a real browser and accept what is proposed about the first face of the queue.

    Returns the text of the page and every address that was asked, or was to be asked.
    """
    from playwright.sync_api import sync_playwright

    executable = find_browser()
    assert executable, "no browser: run python tests/prepare.py"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(BROWSER_FLAGS))
        page = browser.new_page(viewport={"width": 1400, "height": 850})
        # an advertisement covers the first screen otherwise
        page.add_init_script("localStorage.setItem('fiftyone-enterprise-tooltip-seen', 'true')")
        asked_for: list[str] = []
        page.on("request", lambda request: asked_for.append(request.url))
        page.goto(url)
        page.get_by_text(count).first.wait_for(timeout=60_000)
        page.get_by_text("suggested_label").first.wait_for(timeout=60_000)
        deadline = time.monotonic() + 60  # the pictures come after the labels
        while not any("/media?" in asked for asked in asked_for) and time.monotonic() < deadline:
            page.wait_for_timeout(200)
        page.wait_for_timeout(1500)
        page.mouse.move(400, 250)
        page.mouse.click(326, 160)  # the box of the first face, which shows under the mouse
        page.get_by_text("Accept", exact=True).first.click()
        deadline = time.monotonic() + 60  # what the App says of it goes by
        while not recorded() and time.monotonic() < deadline:
            page.wait_for_timeout(300)
        page.screenshot(path=picture)
        text = page.inner_text("body")
        browser.close()
    return text, asked_for
