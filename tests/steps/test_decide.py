"""Facts about decisions from the command line and from files: all rows or none, and never twice."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest
from small_workspace import Small, small

from ferclean.errors import BadDataError, UsageError
from ferclean.steps.decide import decide, decide_from_file
from ferclean.store.decisions import Decision, append_decisions, current_decisions, decision_history, undo
from ferclean.store.verdicts import get_verdicts, put_verdicts


@pytest.fixture
def work(tmp_path: Path) -> Small:
    return small(tmp_path, triaged=False)


def table(work: Small, text: str, name: str = "decisions.csv") -> Path:
    path = work.source.parent / name
    path.write_text(text, encoding="utf-8")
    return path


def current(work: Small) -> dict[str, tuple[str, str | None]]:
    keys = {sample: key for key, sample in work.ids.items()}
    frame = current_decisions(work.ws)
    return {keys[row.sample_id]: (row.action, row.label) for row in frame.itertuples()}


def test_a_sample_is_named_by_its_key_or_its_id(work: Small) -> None:
    decide(work.ws, "train_00001", "relabel", label="fear", reviewer="ann")
    decide(work.ws, work.ids["train_00002"], "keep", reviewer="ann")
    assert current(work) == {"train_00001": ("relabel", "fear"), "train_00002": ("keep", None)}


def test_the_reviewer_is_the_login_name_by_default(work: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "carla")
    decide(work.ws, "train_00001", "keep")
    assert list(decision_history(work.ws)["reviewer"]) == ["carla"]


def test_labels_are_taken_by_their_usual_other_names(work: Small) -> None:
    decide(work.ws, "train_00001", "relabel", label="Happy", reviewer="ann")
    assert current(work)["train_00001"] == ("relabel", "happiness")


@pytest.mark.parametrize(
    ("action", "label", "message"),
    [
        ("delete", None, "keep, relabel, ambiguous, exclude, skip"),
        ("relabel", None, "needs a label"),
        ("relabel", "hungry", "surprise, fear"),
        ("relabel", "contempt", "unknown label"),
        ("exclude", "fear", "belongs to relabel"),
        ("keep", "fear", "belongs to relabel"),
    ],
)
def test_what_makes_no_sense_is_refused(work: Small, action: str, label: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        decide(work.ws, "train_00001", action, label=label, reviewer="ann")
    assert len(decision_history(work.ws)) == 0


def test_an_unknown_sample_is_refused(work: Small) -> None:
    with pytest.raises(UsageError, match="nobody"):
        decide(work.ws, "nobody", "keep", reviewer="ann")


def test_a_dry_run_records_nothing(work: Small) -> None:
    assert decide(work.ws, "train_00001", "keep", reviewer="ann", dry_run=True).recorded == 1
    assert len(decision_history(work.ws)) == 0


def test_a_file_of_decisions_is_recorded_with_its_probabilities(work: Small) -> None:
    summary = decide_from_file(
        work.ws,
        table(
            work,
            "source_key,action,label,reviewer,inclusion_probability,note,mood\n"
            "train_00001,relabel,Fear,ann,0.25,clear,good\n"
            "train_00002,keep,happiness,ann,,,\n"
            "train_00004,ambiguous,,bob,,,\n",
        ),
    )
    history = decision_history(work.ws).set_index("decision_id")
    assert summary.recorded == 3
    assert summary.actions == {"relabel": 1, "keep": 1, "ambiguous": 1}
    assert summary.ignored_columns == ("mood",)
    assert current(work)["train_00001"] == ("relabel", "fear")
    assert history.loc[1, "inclusion_probability"] == 0.25
    assert list(history["source"]) == ["file"] * 3


def test_the_same_file_twice_records_nothing_new(work: Small) -> None:
    path = table(work, "source_key,action,label,reviewer\ntrain_00001,relabel,fear,ann\ntrain_00002,keep,,ann\n")
    decide_from_file(work.ws, path)
    again = decide_from_file(work.ws, path)
    assert (again.recorded, again.already) == (0, 2)
    assert len(decision_history(work.ws)) == 2


def test_an_undone_decision_can_be_read_again(work: Small) -> None:
    path = table(work, "source_key,action,reviewer\ntrain_00001,exclude,ann\n")
    decide_from_file(work.ws, path)
    undo(work.ws, reviewer="ann")
    assert decide_from_file(work.ws, path).recorded == 1
    assert current(work) == {"train_00001": ("exclude", None)}


def test_another_reviewers_equal_decision_is_recorded_too(work: Small) -> None:
    append_decisions(work.ws, [Decision(sample_id=work.ids["train_00001"], action="keep", reviewer="bob")])
    path = table(work, "source_key,action,reviewer\ntrain_00001,keep,ann\n")
    assert decide_from_file(work.ws, path).recorded == 1


def test_one_bad_row_means_that_nothing_is_recorded_and_every_bad_line_is_named(work: Small) -> None:
    path = table(
        work,
        "sample_id,source_key,action,label,reviewer,inclusion_probability\n"
        ",train_00001,relabel,fear,ann,\n"
        ",nobody,keep,,ann,\n"
        ",train_00002,relabel,,ann,\n"
        ",train_00003,keep,,ann,1.5\n"
        ",train_00003,keep,,ann,nan\n"
        ",train_00004,hold,,ann,\n"
        ",,keep,,ann,\n"
        f"{work.ids['train_00005']},train_00006,keep,,ann,\n"
        "ffff,,keep,,ann,\n"
        ",train_00007,keep\n"
        ",train_00007,keep,,ann,,extra\n",
    )
    with pytest.raises(BadDataError) as caught:
        decide_from_file(work.ws, path)
    message = str(caught.value)
    assert "nothing was recorded, 10 rows are wrong" in message
    for line in range(3, 13):
        assert f"line {line}:" in message
    assert len(decision_history(work.ws)) == 0


def test_a_file_that_contradicts_itself_is_refused(work: Small) -> None:
    path = table(work, "source_key,action,reviewer\ntrain_00001,keep,ann\ntrain_00001,exclude,ann\n")
    with pytest.raises(BadDataError, match="line 3: contradicts line 2"):
        decide_from_file(work.ws, path)


def test_a_repeated_row_counts_once(work: Small) -> None:
    path = table(work, "source_key,action,reviewer\ntrain_00001,keep,ann\ntrain_00001,keep,ann\n")
    summary = decide_from_file(work.ws, path)
    assert (summary.recorded, summary.already) == (1, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "nothing"),
        ("source_key,label\nx,fear\n", "needs action"),
        ("action\nkeep\n", "sample_id or source_key"),
        ("source_key,action,action\nx,keep,keep\n", "twice"),
        ("source_key,Action,action\nx,keep,keep\n", "twice"),
    ],
)
def test_a_header_that_lacks_something_is_refused(work: Small, text: str, message: str) -> None:
    with pytest.raises(BadDataError, match=message):
        decide_from_file(work.ws, table(work, text))


def test_a_missing_file_and_bytes_that_are_no_text_are_refused(work: Small) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        decide_from_file(work.ws, work.source / "nothing.csv")
    path = work.source.parent / "bad.csv"
    path.write_bytes(b"source_key,action\n\xff\xfe,keep\n")
    with pytest.raises(BadDataError, match="UTF-8"):
        decide_from_file(work.ws, path)


def test_a_spreadsheets_byte_order_mark_and_escapes_are_understood(work: Small) -> None:
    path = work.source.parent / "bom.csv"
    path.write_bytes("source_key,action,note,reviewer\r\ntrain_00001,keep,'=1+1,ann\r\n".encode("utf-8-sig"))
    decide_from_file(work.ws, path)
    assert list(decision_history(work.ws)["note"]) == ["=1+1"]


def test_a_header_in_any_case_is_read_and_rows_without_content_are_skipped(work: Small) -> None:
    path = table(
        work, " Source Key,ACTION,Label,Reviewer ,Mood\n\n,,,,\ntrain_00001,Relabel,fear,ann,x\n , ,,,\n,,,,\n"
    )
    summary = decide_from_file(work.ws, path)
    assert (summary.recorded, summary.ignored_columns) == (1, ("Mood",))
    assert current(work) == {"train_00001": ("relabel", "fear")}
    with pytest.raises(BadDataError, match="line 5: "):
        decide_from_file(work.ws, table(work, "source_key,action\n,\n\n,\n,keep\n"))


def test_a_dry_run_of_a_file_checks_and_records_nothing(work: Small) -> None:
    path = table(work, "source_key,action,reviewer\ntrain_00001,keep,ann\n")
    summary = decide_from_file(work.ws, path, dry_run=True)
    assert (summary.recorded, summary.dry_run, summary.decision_ids) == (1, True, [])
    assert len(decision_history(work.ws)) == 0


def test_spaces_around_a_key_are_forgiven(work: Small) -> None:
    path = table(work, "source_key,action,reviewer\n train_00001 , keep , ann \n")
    decide_from_file(work.ws, path)
    assert current(work) == {"train_00001": ("keep", None)}


def test_a_row_drawn_at_random_keeps_its_probability_though_the_decision_is_known(work: Small) -> None:
    decide(work.ws, "train_00001", "keep", reviewer="ada")
    again = table(work, "source_key,action,reviewer,inclusion_probability\ntrain_00001,keep,ada,0.25\n")
    assert decide_from_file(work.ws, again).recorded == 1
    assert decision_history(work.ws)["inclusion_probability"].tolist()[-1] == 0.25
    assert decide_from_file(work.ws, again).already == 1


def test_a_row_about_a_random_draw_of_the_queue_keeps_its_chance_and_is_not_recorded_twice(tmp_path: Path) -> None:
    work = small(tmp_path)
    verdicts = get_verdicts(work.ws)
    put_verdicts(work.ws, verdicts["run_id"][0], verdicts.assign(drawn_at_random=True, inclusion_probability=0.2))
    path = table(work, "source_key,action,reviewer\ntrain_00001,keep,ann\n")
    assert decide_from_file(work.ws, path).recorded == 1
    assert decision_history(work.ws)["inclusion_probability"].tolist() == [0.2]
    put_verdicts(work.ws, verdicts["run_id"][0], verdicts)
    assert decide_from_file(work.ws, path).already == 1
