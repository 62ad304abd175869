"""Facts about `ferclean audit`: what is drawn, what the answers count for, and what is said about what is left."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from ferclean.cli import run
from ferclean.errors import BadDataError, FercleanError, UsageError
from ferclean.review.desk import Filters, open_desk, select
from ferclean.steps.audit import AuditSummary, audit
from ferclean.steps.decide import decide_from_file
from ferclean.steps.release import release
from ferclean.steps.revert import Part, revert
from ferclean.steps.review import decide
from ferclean.store.audits import get_audit, put_audit
from ferclean.store.decisions import Decision, append_decisions, decision_history
from ferclean.store.runs import latest_run
from ferclean.store.samples import get_samples
from ferclean.store.workspace import Workspace
from tests.workspaces import SEVEN, make_workspace


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make_workspace(tmp_path_factory.mktemp("audit"), n=84)


@pytest.fixture
def ws(original: Workspace, tmp_path: Path) -> Workspace:
    shutil.copytree(original.root, tmp_path / "workspace")
    return Workspace.open(tmp_path / "workspace")


def drawn(ws: Workspace) -> list[str]:
    items = get_audit(ws)
    return items.loc[items["position"].notna(), "sample_id"].tolist()


def say(ws: Workspace, ids: list[str], action: str, *, other: bool = True) -> None:
    """A decision about each; a relabel is with another label than the given one, or with that one."""
    given = get_samples(ws).set_index("sample_id")["given_label"]
    step = 1 if other else 0
    label = {i: SEVEN[(SEVEN.index(given[i]) + step) % 7] if action == "relabel" else None for i in ids}
    append_decisions(ws, [Decision(sample_id=i, action=action, label=label[i], reviewer="ann") for i in ids])


def counts(found: AuditSummary) -> tuple[int, ...]:
    return found.answered, found.wrong, found.right, found.ambiguous, found.unusable, found.unanswered, found.further


def test_the_first_call_draws_and_the_next_one_reports(ws: Workspace) -> None:
    first = audit(ws, n=40, seed=3)
    assert (first.drawn_now, first.drawn, first.population, first.whole, first.answered) == (True, 40, 84, 84, 0)
    assert (first.advice, first.errors["count"], first.errors["high"]) == ("answer", None, 84)
    order = drawn(ws)
    second = audit(ws, n=10, seed=8)
    assert (second.drawn_now, second.drawn, second.run_id) == (False, 40, first.run_id)
    assert drawn(ws) == order
    run_ = latest_run(ws, "audit")
    assert run_ is not None
    assert (run_.kind, run_.seed, run_.run_id) == ("audit", 3, first.run_id)


def test_a_new_draw_is_another_sample_of_the_undecided(ws: Workspace) -> None:
    audit(ws, n=30)
    before = drawn(ws)
    say(ws, before[:10], "keep")
    again = audit(ws, n=30, new=True)
    assert (again.population, again.whole, again.answered) == (74, 84, 0)
    assert not set(before[:10]) & set(drawn(ws))
    assert drawn(ws) != before


def test_each_kind_of_answer_counts_for_what_it_says(ws: Workspace) -> None:
    audit(ws, n=40)
    ids = drawn(ws)
    say(ws, ids[:3], "relabel")
    say(ws, ids[3:8], "keep")
    say(ws, ids[8:9], "relabel", other=False)
    say(ws, ids[9:11], "ambiguous")
    say(ws, ids[11:12], "exclude")
    say(ws, ids[12:14], "skip")
    assert counts(audit(ws)) == (12, 3, 6, 2, 1, 2, 0)


def test_answers_reached_through_the_queue_do_not_count_as_drawn_until_the_order_reaches_them(ws: Workspace) -> None:
    audit(ws, n=40)
    ids = drawn(ws)
    say(ws, ids[5:10], "relabel")
    assert counts(audit(ws)) == (0, 0, 0, 0, 0, 0, 5)
    say(ws, ids[:5], "keep")
    assert counts(audit(ws)) == (10, 5, 5, 0, 0, 0, 0)


def test_errors_found_elsewhere_leave_the_rest_and_decisions_keep_their_chance(ws: Workspace) -> None:
    audit(ws, n=40)
    ids = drawn(ws)
    say(ws, ids[:20], "relabel")
    say(ws, ids[20:40], "keep")
    before = audit(ws)
    items = get_audit(ws).set_index("sample_id")
    history = decision_history(ws).set_index("sample_id")
    assert (history["inclusion_probability"] == items["inclusion_probability"].loc[history.index]).all()
    others = [i for i in items.index if i not in ids]
    say(ws, others[:15], "relabel")
    after = audit(ws)
    assert (before.errors["rows"], after.errors["rows"]) == (44, 29)
    assert float(after.errors["count"] or 0) < float(before.errors["count"] or 0)
    assert decision_history(ws)["inclusion_probability"].notna().sum() == 40


def test_each_given_label_has_a_figure_of_its_own_faces_and_none_where_they_are_few(ws: Workspace) -> None:
    audit(ws, n=84)
    order, given = drawn(ws), get_samples(ws).set_index("sample_id")["given_label"]
    assert {one["rate"] for one in audit(ws).classes} == {None}
    own = [sample for sample in order if given[sample] == SEVEN[0]]
    last = order.index(own[9])
    say(ws, [sample for sample in order[: last + 1] if sample not in own[:3]], "keep")
    say(ws, own[:3], "relabel")
    found = audit(ws)
    told = {one["label"]: one for one in found.classes}
    assert [one["label"] for one in found.classes] == list(SEVEN)
    for name in ("drawn", "answered", "wrong"):
        assert sum(one[name] for one in found.classes) == getattr(found, name)
    assert sum(one["rows"] for one in found.classes) == found.errors["rows"]
    assert (told[SEVEN[0]]["answered"], told[SEVEN[0]]["wrong"], told[SEVEN[0]]["rate"]) == (10, 3, None)


def test_a_revert_is_no_answer_of_an_audit(ws: Workspace) -> None:
    audit(ws, n=20)
    order = drawn(ws)
    say(ws, order[:4], "relabel")
    release(ws, "v1")
    revert(ws, "original", "v1", Part(sample_ids=order[:2]), reviewer="eve")
    assert counts(audit(ws))[:3] == (4, 4, 0), "nobody looked again: what people saw still counts"
    say(ws, order[4:6], "skip")
    append_decisions(
        ws,
        [
            Decision(
                sample_id=order[6],
                action="keep",
                reviewer="eve",
                source="adjudication",
                overrules=True,
                bulk_id="revert-1",
            )
        ],
    )
    assert counts(audit(ws)) == (4, 4, 0, 0, 0, 3, 0)


def test_the_advice_follows_what_is_left_and_what_the_queue_holds(ws: Workspace) -> None:
    audit(ws, n=40)
    ids = drawn(ws)
    say(ws, ids, "keep")
    clean = audit(ws)
    assert clean.errors["count"] == 0
    assert "expected remaining errors 0 to" in clean.advice_text
    assert clean.advice in ("go_on", "stop_slow")
    say(ws, [i for i in get_audit(ws)["sample_id"] if i not in ids], "keep")
    done = audit(ws)
    assert (done.advice, done.errors["rows"], done.errors["high"]) == ("stop_clean", 0, 0)
    with pytest.raises(FercleanError, match="nothing left to audit"):
        audit(ws, new=True)


def test_the_list_is_blind_and_comes_back_as_decisions(ws: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "audit.csv"
    assert audit(ws, n=30, out=out).list_path == str(out)
    with out.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert list(rows[0]) == ["sample_id", "path", "given_label", "action", "label"]
    assert [row["sample_id"] for row in rows] == drawn(ws)
    with pytest.raises(UsageError, match="exists and is left as it is; name another file with --out"):
        audit(ws, out=out)
    with out.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, list(rows[0]))
        writer.writeheader()
        writer.writerows(row | {"action": "keep"} for row in rows)
    assert decide_from_file(ws, out, reviewer="ann").recorded == 30
    assert audit(ws).answered == 30
    assert decision_history(ws)["inclusion_probability"].notna().all()
    audit(ws, out=tmp_path / "rest.csv")
    assert len((tmp_path / "rest.csv").read_text("utf-8").splitlines()) == 1


def test_only_scored_samples_are_drawn(judged_copy: Path) -> None:
    ws = Workspace.open(judged_copy)
    audit(ws, n=500)
    known = get_samples(ws, include_quarantined=True).set_index("sample_id").loc[get_audit(ws)["sample_id"]]
    assert set(known["split"]) == {"train"}
    assert known["quarantine_reason"].isna().all()


def test_the_screen_asks_in_the_order_of_the_draw(ws: Workspace) -> None:
    assert select(open_desk(ws, reviewer="ann"), Filters(audit=True)) == []
    audit(ws, n=40)
    desk = open_desk(ws, reviewer="ann")
    order = select(desk, Filters(audit=True, blind=True, given=("fear",)))
    assert order == drawn(ws)
    decide(desk, order[0], "keep", model_hidden=True)
    assert audit(ws).answered == 1


def test_the_verb_says_what_to_do_next_and_gives_one_object(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    place = ["-w", str(ws.root)]
    assert run([*place, "audit", "--n", "40"]) == 0
    said = capsys.readouterr()
    assert "0 of 40 answered" in said.out
    assert "review" in said.err
    say(ws, drawn(ws), "keep")
    assert run([*place, "audit"]) == 0
    assert "wrong labels left: about 0 (0 to" in capsys.readouterr().out
    assert run([*place, "audit", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["schema"], found["verb"], found["answered"], found["errors"]["count"]) == (1, "audit", 40, 0)


def test_an_audit_before_triage_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(FercleanError, match="ferclean triage"):
        audit(make_workspace(tmp_path, n=4, triaged=False))


def test_a_draw_that_makes_no_sense_is_not_stored(ws: Workspace) -> None:
    audit(ws, n=30)
    items = get_audit(ws)
    run_id = str(items["run_id"][0])
    with pytest.raises(BadDataError, match="outside"):
        put_audit(ws, run_id, items.assign(inclusion_probability=0.0))
    with pytest.raises(BadDataError, match="without gaps"):
        put_audit(ws, run_id, items.assign(position=items["position"] + 1))
    assert len(get_audit(ws)) == len(items)
