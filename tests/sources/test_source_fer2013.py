"""fer2013.csv and FERPlus's votes: row numbers, pixels, and files that do not belong together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ferclean.errors import BadDataError, UsageError
from ferclean.sources import fer2013
from ferclean.sources.cards import load_card
from ferclean.sources.rows import SourceRow
from tests.made_sets import fer_row, pixels, write_csv, write_fer2013

CARD = load_card("fer2013")
VOTE_HEADER = [
    "Usage", "Image name", "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt",
    "unknown", "NF",
]  # fmt: skip
ROWS = [fer_row(0, 0), fer_row(1, 3, "PublicTest"), fer_row(2, 6, "PrivateTest")]
VOTES = [
    ["Training", "fer0000000.png", 2, 0, 0, 0, 8, 0, 0, 0, 0, 0],
    ["PublicTest", "", 0, 9, 0, 0, 0, 0, 0, 0, 1, 0],
    ["PrivateTest", "fer0000001.png", 0, 0, 0, 0, 0, 0, 0, 0, 0, 10],
]


def rows_of(path: Path, **options: object) -> list[SourceRow]:
    return list(fer2013.read(path, CARD, **options))


@pytest.mark.parametrize("header", [("emotion", "pixels", "Usage"), ("emotion", " Usage", " pixels")])
def test_rows_carry_number_label_split_and_exact_pixels(tmp_path: Path, header: tuple[str, ...]) -> None:
    write_fer2013(tmp_path / "fer2013.csv", ROWS, header)
    for path in (tmp_path, tmp_path / "fer2013.csv"):
        rows = rows_of(path)
        assert [(row.source_key, row.given_label, row.split) for row in rows] == [
            ("0", "anger", "train"),
            ("1", "happiness", "validation"),
            ("2", "neutral", "test"),
        ]
        for seed, row in enumerate(rows):
            assert row.pixels is not None
            assert row.pixels.dtype == np.uint8
            assert np.array_equal(row.pixels, pixels(seed, 48, grey=True))
        assert {row.votes is None for row in rows} == {True}


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        ({"pixels": "1 2 3"}, "image: wrong number of pixels (3 instead of 2304)"),
        ({"pixels": ""}, "image: wrong number of pixels (0"),
        ({"pixels": "1 2 x"}, "image: pixels are not whole numbers"),
        ({"pixels": "9" * 30}, "image: pixels are not whole numbers"),
        ({"pixels": " ".join(["256"] * 2304)}, "image: pixels outside 0 to 255"),
        ({"pixels": " ".join(["-1"] * 2304)}, "image: pixels outside 0 to 255"),
        ({"emotion": "7"}, "label: unknown code ('7'"),
        ({"emotion": ""}, "label: missing"),
        ({"emotion": "nan"}, "label: missing"),
        ({"Usage": "Holiday"}, "split: unknown ('Holiday'"),
    ],
)
def test_a_malformed_row_stays_with_its_reason(tmp_path: Path, cells: dict[str, str], problem: str) -> None:
    file = write_fer2013(tmp_path / "fer2013.csv", [ROWS[0], {**ROWS[1], **cells}, ROWS[2]])
    rows = rows_of(file)
    assert [row.source_key for row in rows] == ["0", "1", "2"]
    assert rows[1].problem is not None
    assert rows[1].problem.startswith(problem)
    assert rows[0].problem is rows[2].problem is None


def test_codes_with_a_point_and_counts_with_one_are_whole_numbers(tmp_path: Path) -> None:
    file = write_fer2013(tmp_path / "fer2013.csv", [{**row, "emotion": row["emotion"] + ".0"} for row in ROWS])
    votes = [[row[0], row[1], *(f"{count}.0" for count in row[2:])] for row in VOTES]
    rows = rows_of(file, votes=write_csv(tmp_path / "votes.csv", [VOTE_HEADER, *votes]))
    assert [(row.given_label, row.given_code) for row in rows] == [("anger", "0"), ("happiness", "3"), ("neutral", "6")]
    assert rows[0].votes == {"neutral": 2, "anger": 8}


def test_shares_of_votes_are_counts_out_of_the_cards_annotators(tmp_path: Path) -> None:
    file = write_fer2013(tmp_path / "fer2013.csv", ROWS)
    shares = [[*row[:2], *(int(count) / 10 for count in row[2:])] for row in VOTES]
    rows = rows_of(file, votes=write_csv(tmp_path / "votes.csv", [VOTE_HEADER, *shares]))
    assert [row.votes for row in rows] == [
        {"neutral": 2, "anger": 8},
        {"happiness": 9, "unknown": 1},
        {"not_a_face": 10},
    ]


def test_votes_are_joined_by_row_order_not_by_name(tmp_path: Path) -> None:
    file = write_fer2013(tmp_path / "fer2013.csv", ROWS)
    votes = write_csv(tmp_path / "fer2013new.csv", [VOTE_HEADER, *VOTES])
    assert [row.votes for row in rows_of(file, votes=votes)] == [
        {"neutral": 2, "anger": 8},
        {"happiness": 9, "unknown": 1},
        {"not_a_face": 10},
    ]


@pytest.mark.parametrize(
    ("votes", "message"),
    [
        (VOTES[:2], "has 2 rows and fer2013.csv 3"),
        ([*VOTES, VOTES[2]], "has 4 rows and fer2013.csv 3"),
        ([VOTES[0], VOTES[2], VOTES[1]], "row 1: Usage is 'PrivateTest', but 'PublicTest'"),
        ([VOTES[0], [*VOTES[1][:3], "many", *VOTES[1][4:]], VOTES[2]], "row 1: votes are negative or no numbers"),
        ([[*VOTES[0][:3], -1, *VOTES[0][4:]], *VOTES[1:]], "row 0: votes are negative or no numbers"),
    ],
)
def test_votes_of_other_rows_are_refused(tmp_path: Path, votes: list[list[object]], message: str) -> None:
    file = write_fer2013(tmp_path / "fer2013.csv", ROWS)
    with pytest.raises(BadDataError, match=message):
        rows_of(file, votes=write_csv(tmp_path / "votes.csv", [VOTE_HEADER, *votes]))


def test_votes_for_unknown_words_or_no_votes_file_are_refused(tmp_path: Path) -> None:
    file = write_fer2013(tmp_path / "fer2013.csv", ROWS)
    strange = write_csv(tmp_path / "votes.csv", [[*VOTE_HEADER, "boredom"], *[[*row, 0] for row in VOTES]])
    with pytest.raises(BadDataError, match="boredom"):
        rows_of(file, votes=strange)
    with pytest.raises(UsageError, match="no such file of votes"):
        rows_of(file, votes=tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty"),
        (b"emotion,picture,Usage\n", "has no column pixels"),
        (b"emotion,pixels,Usage\n0,\xff\xfe,Training\n", "nor CSV in UTF-8"),
        (b"emotion,pixels,Usage\n0," + b"1 " * 100_000 + b",Training\n", "not CSV"),
    ],
    ids=["empty", "columns", "encoding", "huge-cell"],
)
def test_a_file_that_is_not_fer2013_is_refused(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / "fer2013.csv").write_bytes(text)
    with pytest.raises(BadDataError, match=message):
        rows_of(tmp_path)


def test_a_folder_without_the_csv_says_what_it_looked_for(tmp_path: Path) -> None:
    with pytest.raises(BadDataError, match=r"fer2013\.csv"):
        rows_of(tmp_path)
