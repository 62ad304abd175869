"""Files of votes for a table: single votes with names, counts per class, and everything that is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ferclean.errors import BadDataError, UsageError
from ferclean.sources.cards import load_card
from ferclean.sources.vote_file import VoteFile, read_vote_file
from ferclean.steps.ingest import ingest
from ferclean.steps.status import status
from ferclean.store.votes import get_votes
from ferclean.store.workspace import Workspace
from tests.made_sets import write_csv, write_folder

CARD = load_card("table")
LONG = [
    ["key", "annotator", "label"],
    ["a.png", "ann", "Happy"], ["a.png", "bob", "happiness"], ["a.png", "cy", "NF"],
    ["b.png", "ann", "fear"], ["b.png", "bob", "surprise"], ["c.png", "bob", "contempt"],
]  # fmt: skip
WIDE = [["path", "happy", "Fear", "unknown", "NF", "Usage"], ["a.png", 7, 2, 1, 0, "x"], ["b.png", 0, "", "3.0", 2, ""]]


def read(folder: Path, rows: list[list[object]], card: str = "table") -> VoteFile:
    return read_vote_file(write_csv(folder / "votes.csv", rows), load_card(card))


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    write_folder(tmp_path, ["a.png", "b.png", "c.png", "d.png"])
    labels = ["happiness", "fear", "surprise", "fear"]
    rows = [[f"{name}.png", label] for name, label in zip("abcd", labels, strict=True)]
    return write_csv(tmp_path / "t.csv", [["path", "label"], *rows])


def test_a_long_file_says_who_gave_which_label(tmp_path: Path) -> None:
    found = read(tmp_path, LONG)
    assert found.counts == {}
    assert found.annotations == {
        "a.png": {"ann": "happiness", "bob": "happiness", "cy": "not_a_face"},
        "b.png": {"ann": "fear", "bob": "surprise"},
        "c.png": {"bob": "contempt"},
    }


def test_a_wide_file_counts_per_class_under_any_word_for_it(tmp_path: Path) -> None:
    found = read(tmp_path, WIDE)
    assert found.annotations == {}
    assert found.counts == {
        "a.png": {"happiness": 7, "fear": 2, "unknown": 1},
        "b.png": {"unknown": 3, "not_a_face": 2},
    }


def test_classes_called_like_a_column_of_splits_or_nan_are_voted_for_and_nameless_columns_are_not(
    tmp_path: Path,
) -> None:
    file = tmp_path / "votes.csv"
    card = load_card("table").with_classes(["split", "nan"])
    file.write_text("key,split,nan,\na,2,1,9\n")
    assert read_vote_file(file, card).counts == {"a": {"split": 2, "nan": 1}}
    file.write_text("key,annotator,label\na,Eve,nan\n")
    assert read_vote_file(file, card).annotations == {"a": {"Eve": "nan"}}


def test_shares_weigh_the_same_in_every_row_of_a_file(tmp_path: Path) -> None:
    header, rows = WIDE[0], [["a.png", 0.7, 0.3, 0, 0, ""], ["b.png", 0, 1, "", 0, ""], ["c.png", 0, 0, 0, 0, ""]]
    assert read(tmp_path, [header, *rows], "fer2013").counts == {
        "a.png": {"happiness": 7, "fear": 3},
        "b.png": {"fear": 10},
        "c.png": {},
    }
    for points in (70, 70.5):
        per_cent = [["a.png", points, 100 - points, 0, 0, ""], ["b.png", 0, 100, "", 0, ""], rows[2]]
        assert read(tmp_path, [header, *per_cent], "fer2013").counts == {
            "a.png": {"happiness": 7, "fear": 3},
            "b.png": {"fear": 10},
            "c.png": {},
        }
    assert read(tmp_path, [header, ["a.png", 60, 40, 0, 0, ""]], "table").counts == {
        "a.png": {"happiness": 60, "fear": 40}
    }
    with pytest.raises(BadDataError, match=r"1 of 4 rows do not add up to 1, first d.png; give shares in every row"):
        read(tmp_path, [header, *rows, ["d.png", 7, 3, 0, 0, ""]], "fer2013")


def test_parquet_codes_and_own_words_are_read(tmp_path: Path) -> None:
    columns = {"source_key": ["1", "1"], "rater": [7, 8], "emotion": [3.0, 0.0]}
    pq.write_table(pa.table(columns), tmp_path / "v.parquet")
    found = read_vote_file(tmp_path / "v.parquet", load_card("fer2013"))
    assert found.annotations == {"1": {"7": "happiness", "8": "anger"}}
    own = read_vote_file(
        write_csv(tmp_path / "v.csv", [["id", "bored", "keen"], ["x", 1, 2]]), CARD.with_classes(["bored", "keen"]),
        key_column="id",
    )  # fmt: skip
    assert own.counts == {"x": {"bored": 1, "keen": 2}}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [*LONG, ["d.png", "ann", "joy"], ["e.png", "ann", "joy"]],
            r"2 votes for unknown labels, 'joy' \(2\); known: sur",
        ),
        ([*LONG, ["a.png", "ann", "fear"]], "1 annotators labelled a key twice, first ann on a.png"),
        ([*LONG, ["a.png", "", "fear"], ["", "ann", "fear"]], "2 rows lack a key, an annotator or a label, first 6, 7"),
        (LONG[:1], "holds no votes"),
        (
            [*WIDE, ["c.png", -1, "many", 0, 0, ""]],
            r"2 votes are negative or no numbers, first '-1' \(happy of c.png\), 'many'",
        ),
        ([*WIDE, ["c.png", 1, 0.5, 0, 0, ""]], "shares; the card must say how many annotators"),
        ([*WIDE, ["a.png", 1, 1, 0, 0, ""]], "1 keys come twice, first a.png"),
        ([*WIDE, ["", 1, 1, 0, 0, ""]], "1 rows lack a key, first 2"),
        ([["path", "happy", "mood"], ["a.png", 1, 1]], "1 columns are no class, mood; known: surprise"),
        ([["path", "usage"], ["a.png", "x"]], "has no column of votes"),
        (WIDE[:1], "holds no votes"),
    ],
)
def test_what_is_wrong_is_counted_and_named(tmp_path: Path, rows: list[list[object]], message: str) -> None:
    with pytest.raises(BadDataError, match=message):
        read(tmp_path, rows)


def test_a_file_that_is_missing_or_has_no_keys_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file of votes"):
        read_vote_file(tmp_path / "gone.csv", CARD)
    with pytest.raises(UsageError, match="name one with key_column"):
        read(tmp_path, [["face", "happy"], ["a", 1]])


def test_named_votes_are_stored_and_status_tells_how_far_people_agree(tmp_path: Path, faces: Path) -> None:
    ws = Workspace.create(tmp_path / "w")
    assert ingest(ws, "table", faces).with_votes == 0
    assert len(get_votes(ws)) == 0
    assert status(ws).agreement is None
    votes = write_csv(tmp_path / "votes.csv", LONG)
    assert ingest(ws, "table", faces, votes=votes).with_votes == 3
    assert len(get_votes(ws)) == len(LONG) - 1
    found = json.loads(json.dumps(status(ws).as_dict(), allow_nan=False))["agreement"]
    assert (found["voted"], found["mean_votes"]) == (3, 2)
    assert found["share_without_majority"] == pytest.approx(2 / 3)
    assert found["share_contradicting"] == 0
    assert [(one["annotator"], one["num_examples_labeled"]) for one in found["annotators"]] == [
        ("ann", 2), ("bob", 2), ("cy", 0),
    ]  # fmt: skip


def test_counts_are_stored_without_names(tmp_path: Path, faces: Path) -> None:
    ws = Workspace.create(tmp_path / "w")
    assert ingest(ws, "table", faces, votes=write_csv(tmp_path / "votes.csv", WIDE)).with_votes == 2
    assert get_votes(ws)["annotator"].isna().all()
    found = status(ws).agreement
    assert found is not None
    assert (found["voted"], found["mean_votes"]) == (2, 7.5)
    assert "annotators" not in found


def test_votes_on_unknown_keys_are_refused_and_nothing_is_stored(tmp_path: Path, faces: Path) -> None:
    ws = Workspace.create(tmp_path / "w")
    votes = write_csv(tmp_path / "votes.csv", [*LONG, ["x.png", "ann", "fear"], ["y.png", "ann", "fear"]])
    with pytest.raises(BadDataError, match=r"2 of 5 keys are no sample's source_key, first x.png, y.png; take them"):
        ingest(ws, "table", faces, votes=votes)
    with pytest.raises(UsageError, match="empty"):
        status(ws)


def test_votes_come_from_one_place(tmp_path: Path, faces: Path) -> None:
    votes = write_csv(tmp_path / "votes.csv", LONG)
    with pytest.raises(UsageError, match="not from both"):
        ingest(Workspace.create(tmp_path / "w"), "table", faces, votes=votes, vote_prefix="v_")


def test_a_limit_keeps_the_votes_of_the_samples_taken(tmp_path: Path, faces: Path) -> None:
    ws = Workspace.create(tmp_path / "w")
    summary = ingest(ws, "table", faces, votes=write_csv(tmp_path / "votes.csv", LONG), limit=2)
    assert summary.added == 2
    assert summary.with_votes <= 2
