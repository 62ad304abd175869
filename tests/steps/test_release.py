"""Facts about releases: who may change a label, what is frozen, what a difference shows."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from small_workspace import BROKEN, CLASSES, Small, decide, p_true, small

from ferclean import cli
from ferclean.errors import FercleanError, UsageError
from ferclean.steps.diff import SOFT_MOVED, diff
from ferclean.steps.release import release
from ferclean.store import runs, scores, verdicts
from ferclean.store.releases import get_release, get_release_items, list_releases


@pytest.fixture
def work(tmp_path: Path) -> Small:
    return small(tmp_path)


def items(work: Small, name: str) -> dict[str, dict[str, object]]:
    keys = {sample: key for key, sample in work.ids.items()}
    frame = get_release_items(work.ws, name)
    return {keys[row["sample_id"]]: row for row in frame.to_dict("records")}


def test_policy_decisions_changes_nothing_that_nobody_decided(work: Small) -> None:
    summary = release(work.ws, "v1")
    rows = items(work, "v1")
    assert all(row["label"] == row["given_label"] for row in rows.values())
    assert [key for key, row in rows.items() if not row["included"]] == [BROKEN]
    assert summary.counts["relabelled"] == 0
    assert rows[BROKEN]["reason"] == "quarantined: image: empty"


def test_each_action_has_its_effect(work: Small) -> None:
    decide(work, "train_00001", "relabel", "surprise")
    decide(work, "train_00002", "exclude")
    decide(work, "train_00003", "keep")
    decide(work, "train_00004", "ambiguous")
    decide(work, "train_00006", "skip")
    release(work.ws, "v1")
    rows = items(work, "v1")
    assert (rows["train_00001"]["label"], rows["train_00001"]["included"]) == ("surprise", True)
    assert rows["train_00001"]["reason"] == "decision: relabel by ann"
    assert rows["train_00002"]["included"] is False
    assert rows["train_00003"]["label"] == "sadness"
    assert (rows["train_00004"]["label"], rows["train_00004"]["included"]) == ("neutral", True)
    assert rows["train_00006"]["label"] == "surprise"
    release(work.ws, "strict", ambiguous="exclude")
    assert items(work, "strict")["train_00004"]["included"] is False


def test_policy_auto_corrects_above_the_threshold_and_leaves_unusable_images_out(work: Small) -> None:
    release(work.ws, "auto", policy="auto", threshold=0.95)
    rows = items(work, "auto")
    assert rows["train_00001"]["label"] == "fear"
    assert rows["train_00003"]["label"] == "sadness"
    assert rows["train_00005"]["included"] is False
    release(work.ws, "bold", policy="auto", threshold=0.6)
    assert items(work, "bold")["train_00006"]["label"] == "fear"


def test_policy_auto_says_which_labels_stay_because_nothing_was_scored(work: Small) -> None:
    run = runs.latest_run(work.ws, "triage")
    assert run is not None
    judged = verdicts.get_verdicts(work.ws)
    verdicts.put_verdicts(work.ws, run.run_id, judged[judged["sample_id"] != work.ids["train_00001"]])
    said = "not judged: no scores, so the given label stays"
    assert release(work.ws, "auto", policy="auto").counts["reasons"][said] == 1
    row = items(work, "auto")["train_00001"]
    assert (row["label"], row["included"], row["reason"]) == ("anger", True, said)
    assert said not in release(work.ws, "people").counts["reasons"]


def test_a_threshold_is_reached_by_equality(work: Small) -> None:
    release(work.ws, "auto", policy="auto", threshold=0.93)
    assert items(work, "auto")["train_00003"]["label"] == "neutral"


def test_policy_auto_never_touches_the_test_split_but_people_may(work: Small) -> None:
    release(work.ws, "auto", policy="auto", threshold=0.5)
    assert items(work, "auto")["test_0001"]["label"] == "anger"
    decide(work, "test_0001", "relabel", "disgust")
    release(work.ws, "people", policy="auto", threshold=0.5)
    assert items(work, "people")["test_0001"]["label"] == "disgust"


def test_people_win_over_automatic_corrections(work: Small) -> None:
    decide(work, "train_00001", "keep")
    decide(work, "train_00005", "keep")
    release(work.ws, "auto", policy="auto")
    rows = items(work, "auto")
    assert rows["train_00001"]["label"] == "anger"
    assert rows["train_00005"]["included"] is True


def test_open_conflicts_are_refused_by_name_unless_the_latest_is_to_win(work: Small) -> None:
    decide(work, "train_00001", "keep", reviewer="ann")
    decide(work, "train_00001", "relabel", "fear", reviewer="bob")
    with pytest.raises(FercleanError, match="train_00001; list and settle them with `ferclean decide --adjudicate`"):
        release(work.ws, "v1")
    release(work.ws, "v1", on_conflict="latest")
    assert items(work, "v1")["train_00001"]["label"] == "fear"


def test_a_release_is_frozen_and_repeating_it_changes_nothing(work: Small) -> None:
    first = release(work.ws, "v1")
    files = {path: path.read_bytes() for path in Path(first.path).iterdir()}
    again = release(work.ws, "v1")
    assert again.unchanged_since == get_release(work.ws, "v1").created_at
    assert json.dumps(again.counts) == json.dumps(first.counts)  # the classes' order too
    assert {path: path.read_bytes() for path in Path(first.path).iterdir()} == files
    decide(work, "train_00001", "relabel", "fear")
    with pytest.raises(UsageError, match="frozen"):
        release(work.ws, "v1")
    with pytest.raises(UsageError, match="frozen"):
        release(work.ws, "v1", policy="auto")
    assert items(work, "v1")["train_00001"]["label"] == "anger"


def test_the_files_of_another_release_are_never_taken_for_those_of_this_name_nor_overwritten(work: Small) -> None:
    backup = work.ws.database.read_bytes()
    decide(work, "train_00001", "relabel", "fear")
    folder = Path(release(work.ws, "v9").path)
    files = {path: path.read_bytes() for path in folder.iterdir()}
    looks = work.ws.root / "looks.csv"
    work.ws.database.write_bytes(backup)
    for options in ({}, {"dry_run": True}, {"budget": 2, "ids_to": looks}, {"policy": "auto"}):
        with pytest.raises(UsageError, match=rf"{folder} holds .* another release .*another name, or move that folder"):
            release(work.ws, "v9", **options)  # type: ignore[arg-type]
    assert list_releases(work.ws) == []
    assert not looks.exists()
    assert {path: path.read_bytes() for path in folder.iterdir()} == files
    decide(work, "train_00001", "relabel", "fear")  # and so it is this one again
    assert release(work.ws, "v9").unchanged_since is None
    assert {path: path.read_bytes() for path in folder.iterdir()} == files
    (folder / "labels.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(FercleanError, match=r"labels\.parquet is damaged .*another name, or move that folder away"):
        release(work.ws, "v9")
    folder.rename(folder.with_name("aside"))
    folder.mkdir()
    release(work.ws, "v9")
    assert (folder / "labels.parquet").read_bytes() == files[folder / "labels.parquet"]


def test_a_lost_release_folder_is_written_again_from_the_store(work: Small) -> None:
    first = release(work.ws, "v1")
    for path in Path(first.path).iterdir():
        path.unlink()
    Path(first.path).rmdir()
    release(work.ws, "v1")
    assert (Path(first.path) / "labels.parquet").is_file()


def test_the_folder_of_a_release_holds_labels_and_how_they_came_about(work: Small) -> None:
    decide(work, "train_00001", "relabel", "fear")
    summary = release(work.ws, "v1", policy="auto", threshold=0.8)
    facts = json.loads((Path(summary.path) / "release.json").read_text("utf-8"))
    labels = pd.read_parquet(Path(summary.path) / "labels.parquet").set_index("source_key")
    assert (facts["policy"], facts["threshold"], facts["fingerprint"]) == ("auto", 0.8, summary.fingerprint)
    assert facts["config"]["reviewers"] == ["ann"]
    assert labels.loc["train_00001", "label"] == "fear"
    assert not labels.loc[BROKEN, "included"]
    assert sorted(path.name for path in Path(summary.path).iterdir()) == ["labels.parquet", "release.json"]


def test_counts_per_class_are_before_and_after(work: Small) -> None:
    decide(work, "train_00001", "relabel", "fear")
    counts = release(work.ws, "v1").counts
    assert counts["before"]["train"]["fear"] == 1
    assert counts["after"]["train"]["fear"] == 2
    # the given anger of the quarantined image is there before, and gone after
    assert (counts["before"]["train"]["anger"], counts["after"]["train"]["anger"]) == (2, 0)
    assert (counts["included"], counts["left_out"]) == (9, 1)


def test_auto_corrects_by_default_what_is_more_likely_wrong_than_not(work: Small) -> None:
    summary = release(work.ws, "v1", policy="auto", dry_run=True)
    relabelled = {change["source_key"] for change in summary.changes if change["change"] == "relabelled"}
    assert {"train_00001", "train_00006"} <= relabelled


def test_a_dry_run_shows_the_changes_and_writes_nothing(work: Small) -> None:
    summary = release(work.ws, "v1", policy="auto", threshold=0.9, dry_run=True)
    changed = {change["source_key"]: (change["change"], change["to"]) for change in summary.changes}
    assert changed == {
        "train_00001": ("relabelled", "fear"),
        "train_00003": ("relabelled", "neutral"),
        "train_00005": ("removed", None),
    }
    assert not Path(summary.path).exists()
    with pytest.raises(UsageError, match="v1"):
        get_release(work.ws, "v1")


def test_a_difference_reads_like_a_pull_request(work: Small) -> None:
    decide(work, "train_00001", "relabel", "fear")
    decide(work, "train_00002", "exclude")
    release(work.ws, "v1")
    decide(work, "train_00002", "keep")
    release(work.ws, "v2")
    first, second = diff(work.ws, "original", "v1"), diff(work.ws, "v1", "v2")
    counts = first.as_dict()
    assert (counts["added"], counts["removed"], counts["relabelled"]) == (0, 1, 1)
    assert [first.changes[0][name] for name in ("source_key", "split", "from", "to", "reason")] == [
        "train_00001", "train", "anger", "fear", "decision: relabel by ann",
    ]  # fmt: skip
    assert [change["change"] for change in second.changes] == ["added"]
    assert diff(work.ws, "v1", "v1").changes == []


def test_a_difference_shows_the_soft_labels_and_weights_that_moved(
    work: Small, capsys: pytest.CaptureFixture[str]
) -> None:
    release(work.ws, "people")
    release(work.ws, "soft", policy="auto", threshold=0.95)
    release(work.ws, "same", policy="auto", threshold=0.95, unmended="keep")
    decide(work, "train_00006", "keep")
    release(work.ws, "later", policy="auto", threshold=0.95)
    found = diff(work.ws, "soft", "later").as_dict()
    # .4 on surprise before, all of it since a person kept it; its weight was .4
    assert (found["relabelled"], found["soft_labels"], found["weights"]) == (0, 1, 1)
    assert found["largest_soft"] == [
        {
            "sample_id": work.ids["train_00006"], "source_key": "train_00006", "split": "train", "moved": 0.6,
            "from": "fear", "from_p": 0.6, "to": "surprise", "to_p": 1.0,
        }
    ]  # fmt: skip
    assert diff(work.ws, "soft", "same").as_dict()["soft_labels"] == 0
    assert diff(work.ws, "soft", "same").weights == 3
    # beside labels alone, a soft label is what it takes away from the label
    beside = diff(work.ws, "people", "soft")
    assert [row["source_key"] for row in beside.largest_soft] == [
        "train_00001", "train_00003", "train_00006", "train_00004"
    ]  # fmt: skip
    assert all(row["moved"] > SOFT_MOVED for row in beside.largest_soft)
    assert diff(work.ws, "original", "people").soft_labels == 0
    assert cli.run(["-w", str(work.ws.root), "diff", "soft", "later"]) == 0
    shown = capsys.readouterr().out
    assert "soft labels of 1 faces and weights of 1 moved by more than 0.1" in shown
    assert "fear 0.60" in shown


def test_a_difference_from_an_unknown_release_names_the_known_ones(work: Small) -> None:
    release(work.ws, "v1")
    with pytest.raises(UsageError, match="v1"):
        diff(work.ws, "original", "v9")


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "original", "x" * 65, "a b", "a\n"])
def test_a_name_that_is_no_safe_folder_name_is_refused(work: Small, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a release"):
        release(work.ws, name)


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.1, float("nan")])
def test_a_threshold_outside_of_0_to_1_is_refused(work: Small, threshold: float) -> None:
    with pytest.raises(UsageError, match="threshold"):
        release(work.ws, "v1", policy="auto", threshold=threshold)


def test_a_change_needs_a_suggestion_that_is_likelier_than_the_given_label(work: Small) -> None:
    # train_00004 is doubted and sadness has .30, the given label .70
    release(work.ws, "v1", policy="auto", threshold=0.2)
    assert items(work, "v1")["train_00004"]["label"] == "neutral"


@pytest.mark.parametrize(
    ("unmended", "included", "weight", "reason"),
    [
        ("soft", True, 0.4, "automatic: given label in doubt (p 0.400)"),
        ("keep", True, 1.0, None),
        ("drop", False, 1.0, "automatic: given label in doubt (p 0.400)"),
    ],
)
def test_what_is_doubted_and_not_mended_weighs_less_or_is_kept_or_dropped(
    work: Small, unmended: str, included: bool, weight: float, reason: str | None
) -> None:
    release(work.ws, "v1", policy="auto", threshold=0.9, unmended=unmended)  # type: ignore[arg-type]
    row = items(work, "v1")["train_00006"]
    assert (row["label"], row["included"], row["weight"]) == ("surprise", included, pytest.approx(weight))
    assert row["reason"] == reason
    sure = items(work, "v1")["train_00002"]
    assert (sure["included"], sure["weight"]) == (True, 1.0)


def test_soft_labels_are_the_verdicts_or_all_of_it_on_what_people_said(work: Small) -> None:
    decide(work, "train_00001", "relabel", "surprise")
    decide(work, "train_00003", "keep")
    decide(work, "train_00004", "ambiguous")
    decide(work, "test_0002", "relabel", "fear")
    release(work.ws, "v1", policy="auto")
    rows = items(work, "v1")
    assert rows["test_0002"]["label"] == "fear"
    assert rows["test_0002"]["soft_label"] is None  # decided or not, a test row has no target to train on
    for key, label in (("train_00001", "surprise"), ("train_00003", "sadness")):
        assert rows[key]["soft_label"] == [float(name == label) for name in CLASSES]
    assert rows["train_00004"]["soft_label"] == pytest.approx(p_true("neutral", "sadness", 0.3))
    assert rows["train_00006"]["soft_label"] == pytest.approx(p_true("surprise", "fear", 0.6))
    assert rows["test_0001"]["soft_label"] is None
    release(work.ws, "people")
    assert all(row["soft_label"] is None for row in items(work, "people").values())


def test_new_soft_labels_under_a_frozen_name_are_refused(work: Small) -> None:
    release(work.ws, "v1", policy="auto")
    run = runs.start_run(work.ws, kind="triage", method="fused", config={"again": 1}, seed=0, fingerprint="f")
    again = verdicts.get_verdicts(work.ws)
    again["soft_label"] = [[0.0] * 6 + [1.0]] * len(again)
    verdicts.put_verdicts(work.ws, run, again)
    runs.finish_run(work.ws, run)
    with pytest.raises(UsageError, match="frozen"):
        release(work.ws, "v1", policy="auto")


def test_verdicts_without_the_chance_of_each_true_label_are_refused_with_the_way_out(work: Small) -> None:
    run = runs.start_run(work.ws, kind="triage", method="fused", config={"old": 1}, seed=0, fingerprint="f")
    old = verdicts.get_verdicts(work.ws).drop(columns=["p_true", "p_suggested"])
    verdicts.put_verdicts(work.ws, run, old)
    runs.finish_run(work.ws, run)
    with pytest.raises(FercleanError, match="run `ferclean triage` again"):
        release(work.ws, "v1", policy="auto")
    assert release(work.ws, "v1").counts["label_accuracy"] is None


def test_an_unknown_policy_names_the_known_ones(work: Small) -> None:
    with pytest.raises(UsageError, match="decisions, auto"):
        release(work.ws, "v1", policy="magic")  # type: ignore[arg-type]


def test_without_verdicts_there_are_decisions_to_release_and_nothing_for_auto_or_a_budget_to_go_by(
    tmp_path: Path,
) -> None:
    work = small(tmp_path, triaged=False)
    decide(work, "train_00001", "relabel", "fear")
    for options in ({"policy": "auto"}, {"budget": 2}, {"policy": "auto", "dry_run": True}):
        with pytest.raises(FercleanError, match="nothing was judged; run `ferclean score` first"):
            release(work.ws, "v1", **options)  # type: ignore[arg-type]
    run = runs.start_run(work.ws, kind="score", method="m", config={}, seed=0, fingerprint="f")
    scores.put_signals(work.ws, run, [], {})
    runs.finish_run(work.ws, run)
    with pytest.raises(FercleanError, match="run `ferclean triage` first, or release people's"):
        release(work.ws, "v1", policy="auto")
    release(work.ws, "v1")
    assert items(work, "v1")["train_00001"]["label"] == "fear"
    assert items(work, "v1")["train_00003"]["label"] == "sadness"


@pytest.mark.parametrize(("option", "value"), [("threshold", 0.9), ("unmended", "soft"), ("unmended", "drop")])
def test_what_counts_under_auto_alone_is_refused_for_decisions(work: Small, option: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"--{option} counts under policy auto alone"):
        release(work.ws, "v1", **{option: value})  # type: ignore[arg-type]
    shown = str(value)
    assert cli.run(["-w", str(work.ws.root), "release", "v1", f"--{option}", shown]) == 2
    # a budget counts under both: people's decisions have faces that are least sure, too
    assert len(release(work.ws, "v1", budget=2).look_first) == 2


def test_a_relabel_mends_a_row_whose_label_could_not_be_read(tmp_path: Path) -> None:
    from made_sets import image_bytes

    from ferclean.steps.decide import decide as record
    from ferclean.steps.ingest import ingest
    from ferclean.store.releases import get_release_items
    from ferclean.store.workspace import Workspace

    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(image_bytes(i, "PNG"))
    (tmp_path / "set.csv").write_text("path,label\n0.png,anger\n1.png,fear\n2.png,weird\n")
    ws = Workspace.create(tmp_path / "W")
    ingest(ws, "table", tmp_path / "set.csv", classes="anger,fear,happiness")
    record(ws, "2.png", "relabel", label="happiness", reviewer="ada")
    release(ws, "v1")
    items = get_release_items(ws, "v1")
    assert items["included"].all()
    assert "happiness" in set(items["label"])
