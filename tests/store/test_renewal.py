"""Facts about ingesting again: up to date afterwards, nothing given is replaced, decisions stay with their picture."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ferclean.errors import BadDataError, FercleanError
from ferclean.steps.doctor import doctor
from ferclean.steps.ingest import IngestSummary, ingest
from ferclean.steps.status import status
from ferclean.store import pictures, samples
from ferclean.store.decisions import Decision, append_decisions, current_decisions
from ferclean.store.workspace import Workspace
from tests.bare_workspace import dataset, sample
from tests.made_sets import (
    RAFDB_CODES,
    fer_row,
    image_bytes,
    rafdb_pairs,
    write_csv,
    write_fer2013,
    write_folder,
    write_rafdb,
)

PAIRS = rafdb_pairs()


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "workspace")


def counts(done: IngestSummary | samples.PutSummary) -> tuple[int, int, int, int, int]:
    return done.added, done.unchanged, done.changed, done.vanished, done.returned


def reasons(ws: Workspace) -> dict[str, str | None]:
    """Sample id -> why it takes no part."""
    table = samples.get_samples(ws, include_quarantined=True)
    return dict(zip(table["sample_id"], table["quarantine_reason"], strict=True))


def id_of(ws: Workspace, key: str) -> str:
    return samples.find_sample(ws, key)


def aligned(root: Path, key: str) -> Path:
    return root / "Image/aligned" / f"{key}_aligned.jpg"


def write_list(root: Path, pairs: list[tuple[str, object]]) -> None:
    lines = "".join(f"{key}.jpg {code}\n" for key, code in pairs)
    (root / "EmoLabel/list_patition_label.txt").write_text(lines)


def test_a_changed_source_brings_the_workspace_up_to_date_and_decisions_stay(ws: Workspace, tmp_path: Path) -> None:
    root = write_rafdb(tmp_path / "set", PAIRS)
    ingest(ws, "rafdb", root)
    old, gone, kept = (id_of(ws, key) for key in ("train_00001", "train_00002", "train_00003"))
    append_decisions(ws, [Decision(sample_id=one, action="exclude", reviewer="ada") for one in (old, gone, kept)])
    aligned(root, "train_00001").write_bytes(image_bytes(500))
    aligned(root, "train_99999").write_bytes(image_bytes(501))
    write_list(root, [pair for pair in PAIRS if pair[0] != "train_00002"] + [("train_99999", 1)])

    assert counts(ingest(ws, "rafdb", root, dry_run=True)) == (2, 19, 1, 1, 0)
    assert not any(reasons(ws).values())
    assert counts(ingest(ws, "rafdb", root)) == (2, 19, 1, 1, 0)
    new = id_of(ws, "train_00001")  # a key means the sample that holds it now
    assert new != old
    stood = reasons(ws)
    assert (stood[old], stood[gone]) == (f"source: bytes changed (now sample {new})", "source: row vanished")
    assert (stood[new], stood[kept]) == (None, None)
    assert set(current_decisions(ws)["sample_id"]) == {old, gone, kept}
    assert status(ws).quarantine_reasons == {"source: bytes changed": 1, "source: row vanished": 1}
    assert counts(ingest(ws, "rafdb", root)) == (0, 21, 0, 0, 0)
    assert reasons(ws) == stood

    aligned(root, "train_00001").write_bytes(image_bytes(0))
    write_list(root, PAIRS)
    assert counts(ingest(ws, "rafdb", root)) == (0, 19, 1, 1, 2)
    assert id_of(ws, "train_00001") == old
    assert {key for key, reason in reasons(ws).items() if reason} == {new, id_of(ws, "train_99999")}
    assert {key for key, action in current_decisions(ws)[["sample_id", "action"]].itertuples(index=False)} == {
        old, gone, kept,
    }  # fmt: skip


def test_another_given_label_is_refused_by_name_and_nothing_is_stored(ws: Workspace, tmp_path: Path) -> None:
    root = write_rafdb(tmp_path / "set", PAIRS)
    ingest(ws, "rafdb", root)
    before = samples.get_samples(ws, include_quarantined=True)
    moved = Path(shutil.copytree(root, tmp_path / "moved"))
    wrong = {"train_00001": RAFDB_CODES["fear"], "train_00002": RAFDB_CODES["anger"]}
    write_list(moved, [("train_77777", 1), *((key, wrong.get(key, code)) for key, code in PAIRS)])
    aligned(moved, "train_77777").write_bytes(image_bytes(502))
    with pytest.raises(
        BadDataError,
        match=r"2 rows come with another given label .*'train_00001' \(surprise, now fear\), 'train_00002' "
        r"\(surprise, now anger\): .*ferclean -w NEW ingest.*decide --to-file decisions\.csv.*--from-file",
    ):
        ingest(ws, "rafdb", moved)
    assert samples.get_samples(ws, include_quarantined=True).equals(before)
    assert samples.get_dataset(ws).root == str(root)


def test_pictures_that_a_refused_ingest_has_written_are_taken_away(ws: Workspace, tmp_path: Path) -> None:
    rows = [fer_row(seed, seed % 7) for seed in range(14)]
    ingest(ws, "fer2013", write_fer2013(tmp_path / "fer2013.csv", rows))
    stored = sorted(ws.images.rglob("*.png"))
    rows.insert(0, fer_row(99, 6))  # rows are numbered: all behind it have moved
    with pytest.raises(BadDataError, match="14 rows come with another given label"):
        ingest(ws, "fer2013", write_fer2013(tmp_path / "fer2013.csv", rows))
    assert sorted(file for file in ws.images.rglob("*") if file.is_file()) == stored


def test_a_kept_picture_that_was_damaged_is_whole_again_after_the_next_ingest(ws: Workspace, tmp_path: Path) -> None:
    file = write_fer2013(tmp_path / "set/fer2013.csv", [fer_row(seed, seed % 7) for seed in range(7)])
    ingest(ws, "fer2013", file)
    whole = {path: path.read_bytes() for path in ws.images.rglob("*.png")}
    cut, other, fine = list(whole)[:3]
    cut.write_bytes(whole[cut][:50])
    other.write_bytes(whole[fine])
    assert len(pictures.set_aside_lost(ws)) == 2
    assert ingest(ws, "fer2013", file).returned == 2
    assert {path: path.read_bytes() for path in ws.images.rglob("*.png")} == whole
    assert pictures.lost_pictures(ws) == {}


def test_a_file_moved_to_another_class_or_split_is_a_changed_label(ws: Workspace, tmp_path: Path) -> None:
    root = write_folder(
        tmp_path / "set", ["train/happy/a.png", "train/happy/b.png", "train/sad/c.png", "test/sad/d.png"]
    )
    ingest(ws, "image_folder", root)
    for target, what in (("train/sad/a.png", r"label .*\(happiness, now sadness\)"), ("test/happy/a.png", "split")):
        (root / target).parent.mkdir(exist_ok=True)
        (root / "train/happy/a.png").rename(root / target)
        with pytest.raises(BadDataError, match=f"1 rows come with another (given )?{what}"):
            ingest(ws, "image_folder", root)
        (root / target).rename(root / "train/happy/a.png")
    # under another name it is another row: the same picture may stand in a set twice
    (root / "train/happy/a.png").rename(root / "train/happy/renamed.png")
    assert counts(ingest(ws, "image_folder", root)) == (1, 3, 0, 1, 0)


def test_a_limit_leaves_rows_that_it_did_not_draw_as_they_are(ws: Workspace, tmp_path: Path) -> None:
    root = write_rafdb(tmp_path / "set", PAIRS)
    ingest(ws, "rafdb", root)
    write_list(root, [pair for pair in PAIRS if pair[0] != "train_00002"])
    limited = ingest(ws, "rafdb", root, limit=7)
    assert counts(limited) == (0, 7, 0, 1, 0)
    assert limited.left_out == 14
    assert [key for key, reason in reasons(ws).items() if reason] == [id_of(ws, "train_00002")]
    assert samples.get_dataset(ws).card["left_out"] == 0  # every row of the source is in the workspace


def test_the_key_of_a_double_row_does_not_depend_on_which_rows_a_limit_draws(ws: Workspace, tmp_path: Path) -> None:
    write_folder(tmp_path, ["a.png", "b.png", "c.png"])
    rows = [["image", "label"], ["a.png", "happy"], ["a.png", "sad"], ["b.png", "happy"], ["c.png", "sad"]]
    table = write_csv(tmp_path / "labels.csv", rows)
    for seed in range(4):
        ingest(ws, "table", table, classes="happy,sad", limit=2, seed=seed)
    assert ingest(ws, "table", table, classes="happy,sad").left_out == 0
    found = samples.get_samples(ws).set_index("source_key")["given_label"].to_dict()
    assert found == {"a.png": "happiness", "a.png#2": "sadness", "b.png": "happiness", "c.png": "sadness"}


def test_a_file_speaks_for_its_own_rows_alone(ws: Workspace, tmp_path: Path) -> None:
    write_folder(tmp_path, [f"{name}.png" for name in "abcd"])
    head = ["image", "label", "split"]
    first = write_csv(tmp_path / "train.csv", [head, ["a.png", "happy", "train"], ["b.png", "sad", "train"]])
    second = write_csv(tmp_path / "test.csv", [head, ["c.png", "happy", "test"], ["d.png", "sad", "test"]])
    ingest(ws, "table", first, classes="happy,sad")
    both = ingest(ws, "table", second, classes="happy,sad")
    assert (counts(both), both.elsewhere) == ((2, 0, 0, 0, 0), 2)
    write_csv(tmp_path / "train.csv", [head, ["a.png", "happy", "train"]])
    assert counts(ingest(ws, "table", first, classes="happy,sad")) == (0, 1, 0, 1, 0)
    assert [reasons(ws)[id_of(ws, f"{name}.png")] for name in "abcd"] == [None, "source: row vanished", None, None]


def test_a_picture_that_is_gone_or_mended_is_told_apart_from_a_row_that_is(ws: Workspace, tmp_path: Path) -> None:
    root = write_rafdb(tmp_path / "set", PAIRS)
    aligned(root, "train_00001").write_bytes(b"")
    ingest(ws, "rafdb", root)
    broken, whole = id_of(ws, "train_00001"), id_of(ws, "train_00002")
    assert reasons(ws)[broken] == "image: empty"
    aligned(root, "train_00002").unlink()
    assert counts(ingest(ws, "rafdb", root)) == (0, 20, 0, 1, 0)
    assert reasons(ws)[whole] == "file: missing since ingest"
    assert counts(ingest(ws, "rafdb", root)) == (0, 20, 0, 0, 0)
    aligned(root, "train_00002").write_bytes(image_bytes(1))
    aligned(root, "train_00001").write_bytes(image_bytes(0))
    assert counts(ingest(ws, "rafdb", root)) == (1, 19, 1, 0, 1)
    mended = id_of(ws, "train_00001")
    assert reasons(ws)[whole] is None
    # what was wrong with a file from the start stays wrong with it
    assert reasons(ws)[broken] == f"image: empty; source: bytes changed (now sample {mended})"
    aligned(root, "train_00001").write_bytes(b"")
    ingest(ws, "rafdb", root)
    assert reasons(ws)[broken] == "image: empty"


def test_a_row_whose_picture_came_late_becomes_a_sample_and_loses_it_again(ws: Workspace, tmp_path: Path) -> None:
    root = write_rafdb(tmp_path / "set", PAIRS)
    aligned(root, "train_00001").unlink()
    ingest(ws, "rafdb", root)
    absent = id_of(ws, "train_00001")
    aligned(root, "train_00001").write_bytes(image_bytes(0))
    assert counts(ingest(ws, "rafdb", root)) == (1, 20, 1, 0, 0)
    present = id_of(ws, "train_00001")
    aligned(root, "train_00001").unlink()
    assert counts(ingest(ws, "rafdb", root)) == (0, 20, 0, 1, 0)
    stood = reasons(ws)
    assert stood[present] == "file: missing since ingest"
    assert stood[absent] == f"file: missing; source: bytes changed (now sample {present})"


def test_rows_of_pixels_are_known_by_their_pixels_and_old_pictures_stay(ws: Workspace, tmp_path: Path) -> None:
    rows = [fer_row(seed, seed % 7) for seed in range(14)]
    file = write_fer2013(tmp_path / "fer2013.csv", rows)
    ingest(ws, "fer2013", file)
    old = id_of(ws, "3")
    assert counts(ingest(ws, "fer2013", file)) == (0, 14, 0, 0, 0)
    rows[3] = fer_row(300, 3)
    assert counts(ingest(ws, "fer2013", write_fer2013(file, rows[:-1]))) == (1, 12, 1, 1, 0)
    assert pictures.image_bytes(ws, old) != pictures.image_bytes(ws, id_of(ws, "3"))


def test_a_class_that_lost_its_last_image_is_still_a_class(ws: Workspace, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "set", ["happy/a.png", "sad/b.png", "fear/c.png"])
    ingest(ws, "image_folder", root)
    (root / "fear/c.png").unlink()
    done = ingest(ws, "image_folder", root)
    assert (done.vanished, done.classes) == (1, ["fear", "happiness", "sadness"])


def test_rows_that_left_the_source_count_no_longer_against_the_card(ws: Workspace, tmp_path: Path) -> None:
    root = write_rafdb(tmp_path / "set", PAIRS)
    ingest(ws, "rafdb", root)
    before = [finding.message for finding in doctor(ws).findings if finding.kind == "counts"]
    aligned(root, "train_00001").write_bytes(image_bytes(500))
    ingest(ws, "rafdb", root)
    assert [finding.message for finding in doctor(ws).findings if finding.kind == "counts"] == before


def test_rows_put_without_the_rest_of_the_source_say_nothing_about_it(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "w")
    samples.put_dataset(ws, dataset(tmp_path))
    samples.put_samples(ws, [sample("a"), sample("b")])
    assert samples.put_samples(ws, [sample("c")]) == samples.PutSummary(added=1, unchanged=0)
    assert not any(reasons(ws).values())


def test_a_source_that_holds_nothing_is_refused_instead_of_emptying_the_workspace(
    ws: Workspace, tmp_path: Path
) -> None:
    root = write_folder(tmp_path / "set", ["happy/a.png", "sad/b.png"])
    ingest(ws, "image_folder", root)
    shutil.rmtree(root / "happy")
    shutil.rmtree(root / "sad")
    with pytest.raises(FercleanError, match="holds no samples"):
        ingest(ws, "image_folder", root)
    assert not any(reasons(ws).values())
