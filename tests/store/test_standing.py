"""What stands of a log of decisions, by the views and by a plain replay of its rows."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from ferclean.review.desk import open_desk
from ferclean.steps import review
from ferclean.steps.decide import decide, decide_from_file
from ferclean.store import workspace
from ferclean.store.connection import opened
from ferclean.store.deciding import deciding
from ferclean.store.decisions import append_decisions, current_decisions
from ferclean.store.exchange import insert, now, numbers, text
from ferclean.store.standing import open_conflicts, skipped, standing_decisions, words
from ferclean.store.table import queue, sample_table
from tests.bare_workspace import CLASSES, bare, triaged
from tests.store.test_store_decisions import about

PEOPLE = ("ann", "bob", "eve")
SAYS = (("keep", None), ("relabel", "anger"), ("relabel", "fear"), ("ambiguous", None), ("skip", None))


def random_log(ids: list[str], *, seed: int) -> list[dict[str, Any]]:
    """Words, skips, adjudications and undos of three people, of which an undo may take back another undo's target."""
    chance = random.Random(seed)
    log: list[dict[str, Any]] = []
    for number in range(1, 7 * len(ids) + 1):
        row = {"decision_id": number, "reviewer": chance.choice(PEOPLE), "undo_of": None, "label": None}
        if log and chance.random() < 0.2:
            target = chance.choice([one for one in log if one["action"] != "undo"])
            row |= {"sample_id": target["sample_id"], "action": "undo", "undo_of": target["decision_id"]}
            row["source"] = "api"
        else:
            action, label = chance.choice(SAYS)
            settles = action != "skip" and chance.random() < 0.2
            row |= {"sample_id": chance.choice(ids), "action": action, "label": label}
            row["source"] = "adjudication" if settles else chance.choice(["review"] * 6 + ["repeat", "honeypot"])
        log.append(row)
    return log


class Replay:
    """What stands of one sample, from its rows alone and without SQL."""

    def __init__(self, rows: list[dict[str, Any]], given: str) -> None:
        undone = {row["undo_of"] for row in rows}
        live = [row for row in rows if row["action"] != "undo" and row["decision_id"] not in undone]
        live = [row for row in live if row["source"] not in ("repeat", "honeypot")]
        said = [row for row in live if row["action"] != "skip"]
        settled = next((row for row in reversed(said) if row["source"] == "adjudication"), None)
        after = [row for row in said if settled is None or row["decision_id"] > settled["decision_id"]]
        self.own = {row["reviewer"]: row for row in after}
        self.settled = settled
        self.stands = [*([settled] if settled else []), *self.own.values()]
        self.reviewers = {row["reviewer"] for row in said}
        self.skipped = {row["reviewer"] for row in {row["reviewer"]: row for row in live}.values()
                        if row["action"] == "skip"}  # fmt: skip
        kept = ("relabel", given)
        meant = {(row["action"], row["label"]) for row in self.stands}
        self.conflict = len({("keep", None) if one == kept else one for one in meant}) > 1

    def word(self, reviewer: str) -> dict[str, Any] | None:
        return self.own.get(reviewer, self.settled)


@pytest.mark.parametrize("seed", [0, 1])
def test_every_room_says_what_a_plain_replay_of_the_log_gives(tmp_path: Path, seed: int) -> None:
    ws, ids = bare(tmp_path, 60)
    triaged(ws, ids)
    log = random_log(ids, seed=seed)
    names = ("sample_id", "action", "label", "reviewer", "source")
    with ws.session("writing a log") as con:
        insert(
            con, "decision",
            {name: text([row[name] for row in log]) for name in names}
            | {"decision_id": pa.array([row["decision_id"] for row in log], type=pa.int64()),
               "undo_of": numbers([row["undo_of"] for row in log], pa.int64()), "note": [""] * len(log),
               "decided_at": pa.array([now()] * len(log), type=pa.timestamp("us"))},
        )  # fmt: skip
    replay = {
        one: Replay([row for row in log if row["sample_id"] == one], CLASSES[number % 3])
        for number, one in enumerate(ids)
    }
    decided = {one: found for one, found in replay.items() if found.stands}
    assert 5 < sum(found.conflict for found in replay.values()) < len(decided) < len(ids)

    last = {one: max(found.stands, key=lambda row: row["decision_id"]) for one, found in decided.items()}
    columns = ["sample_id", "action", "label", "reviewer", "n_reviewers", "conflict"]
    assert {row[0]: tuple(row[1:]) for row in current_decisions(ws)[columns].itertuples(index=False)} == {
        one: (row["action"], row["label"], row["reviewer"], len(replay[one].reviewers), replay[one].conflict)
        for one, row in last.items()
    }
    table = sample_table(ws).set_index("sample_id")
    assert table["decision"].dropna().to_dict() == {one: row["action"] for one, row in last.items()}
    for reviewer in PEOPLE:
        own = {one: row["decision_id"] for one, found in replay.items() if (row := found.word(reviewer))}
        assert {one: word.decision_id for one, word in words(ws, reviewer).items()} == own
        waiting = queue(ws, reviewer=reviewer)
        assert set(waiting["sample_id"]) == set(ids) - set(own), "nobody is asked about what stands for them"
        late = {one for one, found in replay.items() if reviewer in found.skipped}
        assert skipped(ws, reviewer) == late
        assert set(waiting.loc[waiting["skipped"], "sample_id"]) == late - set(own)
    said = open_conflicts(ws)
    assert dict(said.groupby("sample_id").size()) == {
        one: len(found.stands) for one, found in replay.items() if found.conflict
    }
    carried = standing_decisions(ws)
    assert not carried.duplicated(["sample_id", "reviewer"]).any()
    assert set(carried["sample_id"]) == set(decided)
    with deciding(ws, dry_run=True) as log_:
        assert log_.conflicts(ids[:30]) == {one for one in ids[:30] if replay[one].conflict}
        found = log_.said(ids[:30])
    for (one, reviewer), saying in found.items():
        assert saying.put_off == (reviewer in replay[one].skipped)
        assert (saying.action is not None) == (reviewer in replay[one].reviewers)
        stands = reviewer in {row["reviewer"] for row in replay[one].stands}
        assert saying.overruled == (saying.action is not None and not stands)


def test_to_say_again_what_was_overruled_is_to_object_but_to_read_its_file_again_is_not(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    append_decisions(ws, [about(ids[0], "keep"), about(ids[0], "exclude", reviewer="bob")])
    decide(ws, ids[0], "exclude", reviewer="eve", adjudicate=True)
    path = tmp_path / "said.csv"
    path.write_text("source_key,action,reviewer\nk0,keep,ann\n", encoding="utf-8")
    assert decide_from_file(ws, path).already == 1
    assert decide(ws, ids[0], "keep", reviewer="ann").disagreements == 1
    assert decide(ws, ids[0], "keep", reviewer="ann").already == 1


def test_a_skip_takes_no_word_back(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    assert [decide(ws, "k0", action, reviewer="ann").recorded for action in ("keep", "skip", "skip", "keep")] == [
        1, 1, 0, 0,
    ]  # fmt: skip
    assert skipped(ws, "ann") == {ids[0]}


def test_who_adjudicated_and_says_otherwise_later_objects_as_everybody_does(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    append_decisions(ws, [about(ids[0], "keep"), about(ids[0], "exclude", reviewer="bob")])
    append_decisions(ws, [about(ids[0], "ambiguous", reviewer="eve", source="adjudication")])
    append_decisions(ws, [about(ids[0], "keep", reviewer="eve")])
    assert open_conflicts(ws)["action"].tolist() == ["ambiguous", "keep"]
    assert words(ws, "ann")[ids[0]].action == "ambiguous"


class Counted:
    """A connection that counts the rows that come back through it."""

    def __init__(self, con: Any) -> None:
        self.con, self.rows = con, 0

    def execute(self, *asked: Any) -> Counted:
        self.con.execute(*asked)
        return self

    def fetchall(self) -> list[Any]:
        found = self.con.fetchall()
        self.rows += len(found)
        return list(found)

    def sql(self, *asked: Any, **options: Any) -> Any:
        found = self.con.sql(*asked, **options)
        self.rows += found.to_arrow_table().num_rows
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self.con, name)


def test_a_decision_reads_no_rows_but_its_own_in_one_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ws, ids = bare(tmp_path, 60)
    triaged(ws, ids, drawn_at_random=True, inclusion_probability=0.5)
    append_decisions(ws, [about(one, "keep") for one in ids[:50]])
    append_decisions(ws, [about(one, "exclude", reviewer="bob") for one in ids[:50]])
    desk = open_desk(ws, reviewer="ann")
    item = desk.items[ids[2]]
    sessions: list[Counted] = []

    @contextmanager
    def counting(*asked: Any, **options: Any) -> Iterator[Counted]:
        with opened(*asked, **options) as con:
            sessions.append(Counted(con))
            yield sessions[-1]

    monkeypatch.setattr(workspace, "opened", counting)
    path = tmp_path / "said.csv"
    path.write_text("source_key,action,reviewer\nk1,ambiguous,ann\n", encoding="utf-8")
    acts: list[tuple[int, Callable[[], Any]]] = [
        (1, lambda: decide(ws, "k0", "ambiguous", reviewer="ann")),
        (1, lambda: decide(ws, "k3", "exclude", reviewer="eve", adjudicate=True)),
        (2, lambda: decide_from_file(ws, path)),  # what it names is asked first, and checked while nobody waits
        (1, lambda: review.decide(desk, item.sample_id, "ambiguous")),
    ]
    for expected, act in acts:
        sessions.clear()
        act()
        assert len(sessions) == expected
        assert all(0 < session.rows <= 20 for session in sessions)


def test_plain_duckdb_shows_what_stands_without_ferclean(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    append_decisions(ws, [about(ids[0], "keep"), about(ids[0], "exclude", reviewer="bob"), about(ids[1], "skip")])
    con = duckdb.connect(str(ws.database), read_only=True)
    assert con.execute("SELECT sample_id, action, conflict FROM current_decision").fetchall() == [
        (ids[0], "exclude", True)
    ]
    assert con.execute("SELECT count(*) FROM standing_decision").fetchall() == [(2,)]
    assert con.execute("SELECT sample_id, reviewer FROM skipped_sample").fetchall() == [(ids[1], "ann")]
    con.close()
