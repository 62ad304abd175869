"""Facts about pictures: nothing is scored, trained on or shown that is no longer what was ingested."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import TINY

from ferclean.cli import run
from ferclean.errors import BadDataError
from ferclean.review import beside as faces_beside
from ferclean.steps.encode import encode
from ferclean.steps.ingest import ingest
from ferclean.steps.probe import score_probe
from ferclean.steps.release import release
from ferclean.steps.report import report
from ferclean.steps.retrain import retrain
from ferclean.steps.score import score
from ferclean.steps.triage import triage
from ferclean.store import pictures, runs, samples, scores
from ferclean.store.workspace import Workspace
from tests.made_sets import fer_row, image_bytes, write_fer2013
from tests.small_workspace import Small, small

FAST = TINY | {"methods": ["cross_entropy"], "epochs": 1}


@pytest.fixture
def own(judged_copy: Path, drawn_set: Path, tmp_path: Path) -> Workspace:
    """The judged workspace over a set of its own, whose files a test may change."""
    ws = Workspace.open(judged_copy)
    samples.put_dataset(ws, replace(samples.get_dataset(ws), root=str(shutil.copytree(drawn_set, tmp_path / "set"))))
    return ws


def files(ws: Workspace, split: str = "train") -> list[Path]:
    return [Path(path) for path in samples.get_samples(ws, splits=[split])["path"]]


def reason(ws: Workspace, file: Path) -> str | None:
    table = samples.get_samples(ws, include_quarantined=True)
    found: str | None = table.set_index("path")["quarantine_reason"][str(file)]
    return found


def test_scoring_sets_aside_what_changed_or_vanished_and_goes_on_with_the_rest(own: Workspace) -> None:
    changed, gone, tested = *files(own)[:2], files(own, "test")[0]
    before = score(own, **FAST)
    changed.write_bytes(image_bytes(900))
    gone.unlink()
    tested.write_bytes(image_bytes(901))  # copies are looked for in all splits
    done = score(own, **FAST)
    assert done.quarantined == {"file: changed since ingest": 2, "file: missing since ingest": 1}
    assert (done.samples, done.reused) == (before.samples - 2, 0)  # what was scored then is another set
    run_id = done.runs[0]["run_id"]
    known = runs.get_run(own, run_id)
    assert known is not None
    assert known.fingerprint == samples.fingerprint(own, splits=["train"])
    left = set(samples.get_samples(own, splits=["train"])["sample_id"])
    assert set(scores.get_predictions(own, run_id).sample_ids) == left
    assert [reason(own, file) for file in (changed, gone)] == [
        "file: changed since ingest", "file: missing since ingest",
    ]  # fmt: skip
    again = score(own, **FAST)
    assert (again.quarantined, again.reused) == ({}, 1)
    assert triage(own).score_runs == [run_id]
    assert Path(report(own).path).is_file()


def test_encoders_probes_and_retraining_leave_out_what_changed(own: Workspace) -> None:
    release(own, "v1")
    first, second, third, *_ = files(own)
    tested = files(own, "test")[0]
    first.write_bytes(image_bytes(900))
    encoded = encode(own, epochs=1, input_size=24, batch_size=32)
    assert (encoded.quarantined, encoded.images) == ({"file: changed since ingest": 1}, len(files(own)))
    second.unlink()
    probed = score_probe(own, "distilled", folds=2)
    assert (probed.quarantined, probed.samples) == ({"file: missing since ingest": 1}, len(files(own)))
    third.unlink()
    tested.write_bytes(image_bytes(901))
    trained = retrain(own, release="v1", method="cross_entropy", seeds=1, **(TINY | {"epochs": 1}))
    # of the release all four are gone, those too that were set aside before
    assert trained.quarantined == {"file: changed since ingest": 2, "file: missing since ingest": 2}
    assert trained.test_images == len(files(own, "test"))
    assert trained.train_images["given"] + trained.left_out_copies_of_test == len(files(own))


@pytest.fixture
def work(tmp_path: Path) -> Small:
    return small(tmp_path, released=True)


def test_a_folder_that_is_not_there_is_the_trouble_and_no_image_is_set_aside(work: Small) -> None:
    before = samples.get_samples(work.ws)
    work.source.rename(work.source.with_name("moved"))
    with pytest.raises(BadDataError, match=r"source is not there: put it back, or ingest it again"):
        pictures.set_aside_lost(work.ws)
    work.source.mkdir()  # as an unmounted disk looks
    with pytest.raises(BadDataError, match=r"none of 9 images is there as it was ingested; the first: .* be read"):
        pictures.set_aside_lost(work.ws)
    assert samples.get_samples(work.ws).equals(before)


def test_what_was_set_aside_returns_with_an_ingest_that_finds_it(work: Small, tmp_path: Path) -> None:
    file = work.path("train_00001")
    file.rename(tmp_path / "away.jpg")
    assert pictures.set_aside_lost(work.ws) == {work.ids["train_00001"]: "file: missing since ingest"}
    assert pictures.set_aside_lost(work.ws) == {}
    (tmp_path / "away.jpg").rename(file)
    assert pictures.set_aside_lost(work.ws) == {}
    assert reason(work.ws, file) == "file: missing since ingest"
    assert ingest(work.ws, "rafdb", work.source).returned == 1
    assert reason(work.ws, file) is None


def test_pictures_kept_for_rows_of_pixels_are_checked_by_their_pixels(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "W")
    ingest(ws, "fer2013", write_fer2013(tmp_path / "fer2013.csv", [fer_row(seed, seed % 7) for seed in range(14)]))
    assert pictures.lost_pictures(ws) == {}
    table = samples.get_samples(ws)
    one, other = (Path(path) for path in table["path"][:2])
    one.write_bytes(other.read_bytes())
    assert pictures.set_aside_lost(ws) == {table["sample_id"][0]: "file: changed since ingest"}


def test_the_screen_says_what_is_wrong_with_a_picture_instead_of_showing_another(work: Small) -> None:
    work.path("train_00001").write_bytes(image_bytes(900))
    work.path("train_00002").unlink()
    album = faces_beside.open_album(work.ws)
    one, other = work.ids["train_00001"], work.ids["train_00002"]
    shown = faces_beside.pictures(album, [(one, 64), (other, 64)])
    assert "has changed since it was ingested" in (shown[one, 64].trouble or "")
    assert "cannot be read" in (shown[other, 64].trouble or "")
    assert shown[one, 64].uri is shown[other, 64].uri is None
    page = Path(report(work.ws).path).read_text("utf-8")
    assert "file: changed since ingest" in page
    assert str(work.path("train_00001").parent) not in page


def test_the_command_line_tells_what_was_left_out(
    work: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work.path("train_00002").write_bytes(image_bytes(900))
    call = ["-w", str(work.ws.root), "export", "--form", "image_folder", "--release", "v1", "--out"]
    assert run([*call, str(tmp_path / "one"), "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["quarantined"] == {"file: changed since ingest": 1}
    assert "set aside 1: file: changed since ingest" in said.err
    assert "`ferclean ingest` again" in said.err
