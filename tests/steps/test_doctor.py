"""Doctor: what it finds in sets that are wrong in one way each, and its silence about a good one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ferclean.errors import UsageError
from ferclean.sources.cards import Card, load_card
from ferclean.steps.doctor import DoctorReport, Finding, doctor
from ferclean.steps.ingest import ingest
from ferclean.store import verdicts
from ferclean.store.workspace import Workspace
from tests.made_sets import RAFDB_CODES, image_bytes, pixels, rafdb_pairs, write_csv, write_folder, write_rafdb

PAIRS = rafdb_pairs(per_class=21, test=2)


def card(expected: dict[str, dict[str, int]] | None = None) -> Card:
    return replace(load_card("rafdb"), expected=expected, size=(24, 24))


def examined(tmp_path: Path, root: Path, given: Card | None = None, **options) -> tuple[Workspace, DoctorReport]:
    ws = Workspace.create(tmp_path / "workspace")
    ingest(ws, given or card(), root, **options)
    return ws, doctor(ws)


def told(report: DoctorReport) -> list[Finding]:
    """The findings, but for the word that these pictures are no faces."""
    return [finding for finding in report.findings if finding.kind != "faces_not_looked"]


def by_kind(report: DoctorReport) -> dict[str, Finding]:
    return {finding.kind: finding for finding in report.findings}


def aligned(root: Path, key: str) -> Path:
    return root / f"Image/aligned/{key}_aligned.jpg"


def test_a_good_set_has_no_findings(tmp_path: Path) -> None:
    counts = {"train": dict.fromkeys(RAFDB_CODES, 21), "test": dict.fromkeys(RAFDB_CODES, 2)}
    _, report = examined(tmp_path, write_rafdb(tmp_path / "set", PAIRS), card(counts))
    assert told(report) == []
    assert not report.gate_crossed
    assert report.samples == len(PAIRS)
    assert json.loads(json.dumps(report.as_dict()))["gate_crossed"] is False


def test_other_counts_than_the_cards_are_told(tmp_path: Path) -> None:
    counts = {"train": dict.fromkeys(RAFDB_CODES, 21) | {"fear": 24}, "test": dict.fromkeys(RAFDB_CODES, 2)}
    _, report = examined(tmp_path, write_rafdb(tmp_path / "set", PAIRS), card(counts))
    finding = by_kind(report)["missing_pictures"]
    assert finding.message == "train lacks 3 of the card's 150 pictures: fear 3"
    assert (finding.count, finding.severity) == (3, "error")
    assert report.gate_crossed
    counts["train"]["fear"] = 20
    _, report = examined(tmp_path / "more", write_rafdb(tmp_path / "set2", PAIRS), card(counts))
    assert by_kind(report)["counts"].message == "train has 1 more than the card's 146: fear 1"


def test_counts_are_not_compared_after_a_limit(tmp_path: Path) -> None:
    counts = {"train": dict.fromkeys(RAFDB_CODES, 21)}
    _, report = examined(tmp_path, write_rafdb(tmp_path / "set", PAIRS), card(counts), limit=100)
    assert "counts" not in by_kind(report)
    assert by_kind(report)["limited"].severity == "info"


UNEQUAL = {"train": dict(zip(RAFDB_CODES, (30, 8, 12, 60, 40, 13, 50), strict=True))}


def unequal(
    tmp_path: Path, code_of: Callable[[int], int], *, without: int = 0
) -> tuple[Path, list[tuple[str, object]]]:
    """A set with the numbers of UNEQUAL whose list holds other codes than the true ones."""
    names = [name for name, count in UNEQUAL["train"].items() for _ in range(count)]
    pairs = [(f"train_{index:05d}", code_of(RAFDB_CODES[name])) for index, name in enumerate(names)][without:]
    return write_rafdb(tmp_path / "set", pairs), pairs


@pytest.mark.parametrize(
    ("code_of", "kind", "words"),
    [
        (lambda code: {1: 6, 6: 1}.get(code, code), "swapped_labels", "surprise has the card's number of anger"),
        # all but equal in size, and yet told apart: the numbers are the card's to the last picture
        (lambda code: {3: 6, 6: 3}.get(code, code), "swapped_labels", "disgust has the card's number of anger"),
        (lambda code: code % 7 + 1, "shifted_labels", "labels of train look off by one: surprise has the card's"),
        (lambda code: (code - 2) % 7 + 1, "shifted_labels", "surprise has the card's number of fear"),
        (
            lambda code: {1: 2, 2: 3, 3: 1}.get(code, code),
            "permuted_labels",
            "surprise has the card's number of disgust",
        ),
    ],
)
def test_labels_in_another_order_are_named_by_the_numbers_of_the_card(
    tmp_path: Path, code_of: Callable[[int], int], kind: str, words: str
) -> None:
    _, report = examined(tmp_path, unequal(tmp_path, code_of)[0], card(UNEQUAL))
    assert words in by_kind(report)[kind].message
    assert {"counts", "missing_pictures"}.isdisjoint(by_kind(report))
    assert report.gate_crossed


def test_lacking_pictures_are_counted_whether_the_list_still_names_them_or_not(tmp_path: Path) -> None:
    root, pairs = unequal(tmp_path, lambda code: code)
    for key, _ in pairs[:9]:
        aligned(root, key).unlink()
    _, report = examined(tmp_path, root, card(UNEQUAL))
    found = by_kind(report)["missing_pictures"]
    assert found.message == (
        "train lacks 9 of the card's 213 pictures: surprise 9 (a file is missing for 9 rows of the list)"
    )
    assert found.examples == [f"train_{number:05d}" for number in range(5)]
    shorter, _ = unequal(tmp_path / "shorter", lambda code: code, without=9)
    _, report = examined(tmp_path / "shorter", shorter, card(UNEQUAL))
    assert by_kind(report)["missing_pictures"].message == "train lacks 9 of the card's 213 pictures: surprise 9"
    assert report.gate_crossed


def test_pictures_of_another_size_and_files_of_other_names_are_not_the_cards(tmp_path: Path) -> None:
    root = write_rafdb(tmp_path / "set", [*PAIRS, ("train_7", 1)])
    _, report = examined(tmp_path, root, replace(card(), size=(100, 100)))
    found = by_kind(report)
    assert found["other_size"].message == "162 of 162 pictures are not 100 x 100 as the card says: 24 x 24 (162)"
    assert found["naming"].message.endswith("those of RAF-DB (basic expressions): train_7_aligned.jpg")
    assert (found["other_size"].severity, found["naming"].severity) == ("error", "warning")


def test_totals_of_a_card_that_gives_no_more_are_compared(tmp_path: Path) -> None:
    root = write_rafdb(tmp_path / "set", PAIRS)
    totals = {"split_totals": {"train": 150, "test": 14}, "class_totals": dict.fromkeys(RAFDB_CODES, 23) | {"fear": 22}}
    _, report = examined(tmp_path, root, replace(card(), **totals))
    assert [one.message for one in told(report)] == [
        "the set has 1 more than the card's 160: fear 1",
        "train lacks 3 of the card's 150 pictures",
    ]


def test_votes_expose_labels_in_another_order(tmp_path: Path) -> None:
    names = {code: name for name, code in RAFDB_CODES.items()}
    swapped = [(key, {1: 6, 6: 1}.get(code, code)) for key, code in PAIRS]
    shares = tmp_path / "votes.txt"
    lines = [f"{key}.jpg {' '.join('34' if code == one else '1' for one in names)}" for key, code in PAIRS]
    shares.write_text("\n".join(lines))
    root = write_rafdb(tmp_path / "set", swapped)
    _, report = examined(tmp_path, root, votes=shares)
    message = by_kind(report)["swapped_labels"].message
    assert "what the votes call surprise is labelled anger" in message
    write_rafdb(tmp_path / "right", PAIRS)
    assert told(examined(tmp_path / "right", tmp_path / "right", votes=shares)[1]) == []


def test_missing_and_tiny_classes_are_told(tmp_path: Path) -> None:
    pairs = [(key, code) for key, code in PAIRS if not (code == 2 and key.startswith("train"))]
    pairs = [(key, code) for key, code in pairs if code != 3 or key in ("train_00043", "train_00044")]
    _, report = examined(tmp_path, write_rafdb(tmp_path / "set", pairs))
    missing = [finding.message for finding in report.findings if finding.kind == "missing_class"]
    assert missing == ["train has no sample of fear", "test has no sample of disgust"]
    assert by_kind(report)["tiny_class"].message == "fewer than 20 samples to learn from: disgust 2"
    assert report.gate_crossed


def test_a_set_without_training_data_is_an_error(tmp_path: Path) -> None:
    _, report = examined(tmp_path, write_rafdb(tmp_path / "set", [(key, code) for key, code in PAIRS if "test" in key]))
    assert by_kind(report)["missing_split"].severity == "error"


def test_copies_conflicts_and_leaks_are_told_apart(tmp_path: Path) -> None:
    root = write_rafdb(tmp_path / "set", PAIRS)
    aligned(root, "train_00002").write_bytes(aligned(root, "train_00001").read_bytes())  # same label
    aligned(root, "train_00025").write_bytes(aligned(root, "train_00003").read_bytes())  # fear and surprise
    aligned(root, "test_0001").write_bytes(aligned(root, "train_00004").read_bytes())  # surprise in both
    _, report = examined(tmp_path, root)
    found = by_kind(report)
    assert found["exact_duplicates"].count == 6
    assert found["exact_duplicates"].severity == "warning"
    assert found["conflicting_labels"].examples == ["train_00003", "train_00025"]
    assert found["leak"].examples == ["train_00004", "test_0001"]
    assert report.gate_crossed
    assert [finding.severity for finding in told(report)] == ["error", "error", "warning"]


@pytest.mark.parametrize("column", ["person", "Subject_ID"])
def test_people_in_several_splits_are_told_where_the_set_says_who_is_shown(tmp_path: Path, column: str) -> None:
    rows = [["path", "label", "split", column]]
    who = ("a", "a", "b", "b", "c", "c", "")
    splits = ("train", "test", "train", "train", "validation", "test", "test")
    rows += [[f"{number}.png", "fear", split, one] for number, (one, split) in enumerate(zip(who, splits, strict=True))]
    write_folder(tmp_path, [row[0] for row in rows[1:]])
    _, report = examined(tmp_path, write_csv(tmp_path / "faces.csv", rows), load_card("table"), attributes=column)
    found = by_kind(report)["same_person"]
    assert found.message == (
        f"2 of 3 people ({column}) are in several splits, with 4 pictures (1 in train, 1 in validation, 2 in "
        "test): a, c"
    )
    assert (found.severity, found.count, [len(shown) for shown in found.shown]) == ("warning", 4, [2, 2])


def test_people_of_files_names_are_told_and_those_of_one_split_are_not(tmp_path: Path) -> None:
    for name, split in (("S010_004_00000017", "train"), ("S010_006_00000015", "test"), ("S011_001_00000016", "train")):
        write_folder(tmp_path / "set", [f"{split}/happy/{name}.png"])
    _, report = examined(tmp_path, tmp_path / "set", load_card("ckplus"))
    assert "1 of 2 people (person) are in several splits" in by_kind(report)["same_person"].message
    shutil.move(tmp_path / "set/test/happy/S010_006_00000015.png", tmp_path / "set/train/happy/S010_006_00000015.png")
    _, report = examined(tmp_path / "one", tmp_path / "set", load_card("ckplus"))
    assert "same_person" not in by_kind(report)


def test_quarantined_rows_are_counted_by_reason(tmp_path: Path) -> None:
    root = write_rafdb(tmp_path / "set", PAIRS)
    for key in ("train_00001", "train_00002"):
        aligned(root, key).write_bytes(b"")
    aligned(root, "train_00003").unlink()
    _, report = examined(tmp_path, root)
    messages = [finding.message for finding in report.findings if finding.kind == "quarantined"]
    assert messages == ["1 quarantined: file: missing", "2 quarantined: image: empty"]
    assert not report.gate_crossed


def test_many_broken_rows_cross_the_gate(tmp_path: Path) -> None:
    root = write_rafdb(tmp_path / "set", PAIRS)
    for number in range(1, 21):
        aligned(root, f"train_{number:05d}").write_bytes(image_bytes(number)[:100])
    _, report = examined(tmp_path, root)
    assert by_kind(report)["quarantined"].severity == "error"


def test_blank_images_are_told(tmp_path: Path) -> None:
    from PIL import Image

    root = write_rafdb(tmp_path / "set", PAIRS)
    Image.fromarray(pixels(0) // 255 + 100).save(aligned(root, "train_00001"))
    _, report = examined(tmp_path, root)
    assert by_kind(report)["blank"].examples == ["train_00001"]


def test_faces_that_are_only_alike_in_coarse_are_no_copies(tmp_path: Path) -> None:
    """What scoring keeps in one fold to be safe is no finding yet."""
    from PIL import Image

    root = write_rafdb(tmp_path / "set", PAIRS)
    other = np.random.default_rng(0)
    for key in ("train_00001", "test_0001"):
        fine = other.integers(-15, 16, (48, 48, 1))
        coarse = np.asarray(Image.fromarray(pixels(0)).resize((48, 48)), dtype=int)
        Image.fromarray((coarse * 0.7 + 40 + fine).clip(0, 255).astype(np.uint8)).save(aligned(root, key), quality=98)
    ws, report = examined(tmp_path, root, replace(card(), size=None))
    assert list(verdicts.get_pairs(ws)["kind"]) == ["near"]
    assert told(report) == []


def test_recompressed_and_mirrored_copies_are_told_before_anything_is_scored(tmp_path: Path) -> None:
    from PIL import Image

    root = write_rafdb(tmp_path / "set", PAIRS)
    with Image.open(aligned(root, "train_00001")) as image:
        image.save(aligned(root, "train_00003"), "JPEG", quality=40)
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(aligned(root, "test_0001"), "JPEG")
    ws, report = examined(tmp_path, root)
    pairs = verdicts.get_pairs(ws, mirrored=True)
    assert sorted(pairs["kind"]) == ["mirrored", "mirrored", "near"]
    assert list(verdicts.get_pairs(ws)["kind"]) == ["near"]  # what folds keep together
    found = by_kind(report)
    assert "3 pairs of nearly equal images, 2 of them mirrored" in found["near_duplicates"].message
    assert found["near_leak"].severity == "error"
    assert sorted(found["near_leak"].examples) == ["test_0001", "train_00001", "train_00003"]


def test_a_lost_picture_keeps_nobody_from_the_other_findings(tmp_path: Path) -> None:
    root = write_rafdb(tmp_path / "set", PAIRS)
    ws, before = examined(tmp_path, root)
    assert "not_looked" not in by_kind(before)
    aligned(root, "train_00001").unlink()
    after = by_kind(doctor(ws))
    assert after.pop("lost_files").examples == ["train_00001"]
    assert after == by_kind(before)  # the arrays are there
    other = Workspace.create(tmp_path / "other")
    other_root = write_rafdb(tmp_path / "other_set", PAIRS)
    ingest(other, card(), other_root)
    shutil.rmtree(other.pixels)
    aligned(other_root, "train_00001").unlink()
    found = by_kind(doctor(other))
    assert "put the data set back" in found["not_looked"].message
    assert set(found) - {"not_looked", "lost_files"} == set(by_kind(before))


def test_the_gate_can_be_set(tmp_path: Path) -> None:
    root = write_rafdb(tmp_path / "set", PAIRS)
    aligned(root, "train_00002").write_bytes(aligned(root, "train_00001").read_bytes())
    ws, report = examined(tmp_path, root)
    assert not report.gate_crossed
    assert doctor(ws, fail_on="warning").gate_crossed
    assert not doctor(ws, fail_on="never").gate_crossed
    with pytest.raises(UsageError, match="fail_on"):
        doctor(ws, fail_on="always")  # type: ignore[arg-type]


def test_an_empty_workspace_says_how_to_fill_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ingest"):
        doctor(Workspace.create(tmp_path / "workspace"))
