"""Ingest: every row becomes a sample, bad ones with the reason, and the second time nothing changes."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ferclean.errors import BadDataError, UsageError
from ferclean.recognition.images import decode
from ferclean.sources.cards import load_card
from ferclean.steps.ingest import ingest
from ferclean.store import pictures, samples
from ferclean.store.votes import get_votes
from ferclean.store.workspace import Workspace
from tests.made_sets import (
    FER_CODES,
    fer_row,
    image_bytes,
    pixels,
    rafdb_pairs,
    write_csv,
    write_fer2013,
    write_folder,
    write_rafdb,
)


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "workspace")


def stored(ws: Workspace):
    return samples.get_samples(ws, include_quarantined=True).set_index("source_key")


def test_a_rafdb_set_comes_in_with_facts_and_stays_where_it_is(ws: Workspace, tmp_path: Path) -> None:
    root = write_rafdb(tmp_path / "set", rafdb_pairs())
    summary = ingest(ws, "rafdb", root)
    assert (summary.added, summary.unchanged, summary.quarantined) == (21, 0, {})
    assert summary.by_split == {"train": 14, "test": 7}
    assert set(summary.by_class["train"].values()) == {2}
    table = stored(ws)
    row = table.loc["train_00001"]
    assert row["path"] == str(root / "Image/aligned/train_00001_aligned.jpg")
    assert row["content_hash"] == hashlib.sha256(image_bytes(0)).hexdigest()
    assert (row["width"], row["height"], row["given_label"]) == (24, 24, "surprise")
    assert row["contrast"] > 0.02
    assert not ws.images.exists()
    json.dumps(summary.as_dict())


def test_the_second_time_nothing_changes(ws: Workspace, tmp_path: Path) -> None:
    root = write_rafdb(tmp_path / "set", rafdb_pairs())
    ingest(ws, "rafdb", root)
    before = stored(ws)
    summary = ingest(ws, "rafdb", root)
    assert (summary.added, summary.unchanged) == (0, 21)
    assert before.equals(stored(ws))


def test_sample_ids_do_not_depend_on_the_machine(tmp_path: Path) -> None:
    ids = []
    for name in ("one", "two"):
        ws = Workspace.create(tmp_path / f"workspace-{name}")
        ingest(ws, "rafdb", write_rafdb(tmp_path / name / "deeper", rafdb_pairs()))
        ids.append(list(stored(ws)["sample_id"]))
    assert ids[0] == ids[1]
    digest = hashlib.sha256(f"rafdb\0train_00001\0{hashlib.sha256(image_bytes(0)).hexdigest()}".encode())
    assert ids[0][0] == digest.hexdigest()[:20]


def test_pixel_rows_become_lossless_pngs_in_the_workspace(ws: Workspace, tmp_path: Path) -> None:
    file = write_fer2013(tmp_path / "set/fer2013.csv", [fer_row(seed, seed % 7) for seed in range(14)])
    summary = ingest(ws, "fer2013", file)
    assert summary.classes == list(load_card("fer2013").classes)
    table = stored(ws)
    for seed in range(14):
        row = table.loc[str(seed)]
        shown = decode(pictures.image_bytes(ws, row["sample_id"]))
        assert np.array_equal(shown[..., 1], pixels(seed, 48, grey=True))
        assert Path(row["path"]).is_relative_to(ws.images)
        expected = hashlib.sha256(b"48x48\0" + pixels(seed, 48, grey=True).tobytes()).hexdigest()
        assert row["content_hash"] == expected
    assert not list(ws.images.rglob(".ferclean-draft-*"))


def test_exact_duplicates_stay_rows_of_their_own(ws: Workspace, tmp_path: Path) -> None:
    rows = [fer_row(1, 0), fer_row(1, 3), fer_row(1, 3), fer_row(2, 6)]
    ingest(ws, "fer2013", write_fer2013(tmp_path / "fer2013.csv", rows))
    table = stored(ws)
    assert len(table) == 4
    assert table["sample_id"].is_unique
    assert table["content_hash"].nunique() == 2
    assert list(table["given_label"]) == ["anger", "happiness", "happiness", "neutral"]
    assert len(list(ws.images.rglob("*.png"))) == 2


def test_one_image_under_two_labels_is_two_samples(ws: Workspace, tmp_path: Path) -> None:
    write_folder(tmp_path / "set", ["a.png"])
    lines = [["path", "label"], ["a.png", "fear"], ["a.png", "anger"], ["a.png#2", "anger"], ["a.png", "anger"]]
    summary = ingest(ws, "table", write_csv(tmp_path / "set/t.csv", lines))
    table = stored(ws)
    assert list(table.index) == ["a.png", "a.png#2", "a.png#2#2", "a.png#3"]
    assert list(table["given_label"]) == ["fear", "anger", "anger", "anger"]
    assert summary.quarantined == {"file: missing": 1}


def test_links_that_leave_are_quarantined_and_never_read(ws: Workspace, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "set", ["happy/a.png"])
    (tmp_path / "secret.png").write_bytes(image_bytes(5))
    (root / "happy/leaves.png").symlink_to(tmp_path / "secret.png")
    summary = ingest(ws, "image_folder", root)
    assert summary.quarantined == {"file: symlink leaves the data set's folder": 1}
    row = stored(ws).loc["happy/leaves.png"]
    assert row["content_hash"] is None
    assert row["path"] is None


def test_a_rafdb_link_that_leaves_is_not_read_either(ws: Workspace, tmp_path: Path) -> None:
    root = write_rafdb(tmp_path / "set", rafdb_pairs())
    victim = root / "Image/aligned/train_00001_aligned.jpg"
    victim.unlink()
    (tmp_path / "secret.jpg").write_bytes(image_bytes(5))
    victim.symlink_to(tmp_path / "secret.jpg")
    ingest(ws, "rafdb", root)
    row = stored(ws).loc["train_00001"]
    assert row["quarantine_reason"] == "file: symlink leaves the data set's folder"
    assert row["content_hash"] is None


def test_two_things_wrong_are_both_told(ws: Workspace, tmp_path: Path) -> None:
    root = write_rafdb(tmp_path / "set", [*rafdb_pairs(), ("exam_00099", 4)])
    (root / "Image/aligned/exam_00099_aligned.jpg").write_bytes(b"")
    ingest(ws, "rafdb", root)
    reason = stored(ws).loc["exam_00099", "quarantine_reason"]
    assert reason.startswith("split: unknown ('exam_00099'")
    assert reason.endswith("; image: empty")


def test_bytes_that_are_no_image_are_kept_for_the_record(ws: Workspace, tmp_path: Path) -> None:
    data = [image_bytes(0), b"broken", image_bytes(1, "PNG")]
    pq.write_table(pa.table({"image": data, "label": ["fear", "fear", "anger"]}), tmp_path / "t.parquet")
    summary = ingest(ws, "table", tmp_path / "t.parquet")
    table = stored(ws)
    assert summary.quarantined == {"image: not an image in a known format": 1}
    assert [pictures.image_bytes(ws, sample_id) for sample_id in table["sample_id"]] == data
    assert [Path(path).suffix for path in table["path"]] == [".jpg", ".bin", ".png"]


def test_classes_found_in_the_data_keep_the_canonical_order(ws: Workspace, tmp_path: Path) -> None:
    write_folder(tmp_path / "set", ["sad/a.png", "fear/b.png", "contempt/c.png"])
    assert ingest(ws, "image_folder", tmp_path / "set").classes == ["fear", "sadness", "contempt"]
    assert samples.get_dataset(ws).classes == ("fear", "sadness", "contempt")


def test_a_vocabulary_of_ones_own_is_taken_in_its_order(ws: Workspace, tmp_path: Path) -> None:
    write_folder(tmp_path / "set", ["bored/a.png", "happy/b.png"])
    assert ingest(ws, "image_folder", tmp_path / "set", classes="happy, bored").classes == ["happiness", "bored"]


def test_a_hugging_face_parquet_names_its_own_codes(ws: Workspace, tmp_path: Path) -> None:
    info = {"info": {"features": {"label": {"names": ["sad", "happy"], "_type": "ClassLabel"}}}}
    cells = [{"bytes": image_bytes(seed), "path": f"{seed}.jpg"} for seed in range(2)]
    made = pa.table({"image": cells, "label": [0, 1]}).replace_schema_metadata({"huggingface": json.dumps(info)})
    pq.write_table(made, tmp_path / "t.parquet")
    assert ingest(ws, "table", tmp_path / "t.parquet").classes == ["sadness", "happiness"]
    assert list(stored(ws)["given_label"]) == ["sadness", "happiness"]


def test_a_card_may_be_read_in_another_layout(ws: Workspace, tmp_path: Path) -> None:
    columns = {"png": [image_bytes(0), image_bytes(1)], "emotion": [0, 6], "usage": ["Training", "PublicTest"]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    summary = ingest(ws, "fer2013", tmp_path / "t.parquet", layout="table")
    assert summary.dataset == "fer2013"
    assert list(stored(ws)["given_label"]) == ["anger", "neutral"]
    assert summary.by_split == {"train": 1, "validation": 1}


def test_labels_counted_from_one_instead_of_zero_are_refused(ws: Workspace, tmp_path: Path) -> None:
    rows = [*[fer_row(seed, seed % 7 + 1) for seed in range(14)], fer_row(14, 99)]
    file = write_fer2013(tmp_path / "fer2013.csv", rows)
    with pytest.raises(BadDataError, match=r"look counted from 1: found 1 to 99, but card 'fer2013' counts from 0"):
        ingest(ws, "fer2013", file)
    with pytest.raises(UsageError, match="empty"):
        samples.get_dataset(ws)


def test_labels_counted_from_zero_instead_of_one_are_refused(ws: Workspace, tmp_path: Path) -> None:
    root = write_rafdb(tmp_path / "set", [(f"train_{seed:05d}", seed % 7) for seed in range(14)])
    with pytest.raises(BadDataError, match=r"look counted from 0: found 0 to 6, but card 'rafdb' counts from 1"):
        ingest(ws, "rafdb", root)


def test_folders_counted_from_zero_instead_of_one_are_refused(ws: Workspace, tmp_path: Path) -> None:
    write_folder(tmp_path / "set", [f"{code}/a.png" for code in range(7)])
    with pytest.raises(BadDataError, match=r"look counted from 0: found 0 to 6, but card 'rafdb' counts from 1"):
        ingest(ws, "rafdb", tmp_path / "set", layout="image_folder")


def test_a_class_whose_pictures_are_all_broken_is_a_class_all_the_same(ws: Workspace, tmp_path: Path) -> None:
    write_folder(tmp_path / "set", ["fear/a.png", "sad/b.png"])
    (tmp_path / "set/fear/a.png").write_bytes(b"")
    summary = ingest(ws, "image_folder", tmp_path / "set")
    assert (summary.by_class, sum(summary.quarantined.values())) == ({"train": {"fear": 0, "sadness": 1}}, 1)


def test_pictures_as_text_in_a_column_of_paths_or_labels_fill_no_screen(ws: Workspace, tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", [["path", "label"], ["iVBOR/" * 400 + "0", "fear"]])
    for option in ({}, {"label_column": "path"}):
        with pytest.raises(BadDataError, match=r"characters\)") as raised:
            ingest(ws, "table", tmp_path / "t.csv", **option)
        assert len(str(raised.value)) < 1500
    (tmp_path / "v.csv").write_text("path,label,v_,v_fear\na.png,fear,1,1\n")
    with pytest.raises(UsageError, match=r"v.csv: column 'v_' \(vote_prefix 'v_'\) is no class; known: surprise"):
        ingest(ws, "table", tmp_path / "v.csv", vote_prefix="v_")


def test_one_label_out_of_range_is_one_quarantined_row(ws: Workspace, tmp_path: Path) -> None:
    rows = [*[fer_row(code, code) for code in FER_CODES.values()], fer_row(9, 7), fer_row(10, 99)]
    summary = ingest(ws, "fer2013", write_fer2013(tmp_path / "fer2013.csv", rows))
    assert summary.quarantined == {"label: unknown code": 2}
    assert summary.by_split == {"train": 7}


def test_votes_come_in_only_when_asked_for(tmp_path: Path) -> None:
    file = write_fer2013(tmp_path / "fer2013.csv", [fer_row(0, 0), fer_row(1, 1)])
    votes = write_csv(
        tmp_path / "fer2013new.csv",
        [["Usage", "Image name", "neutral", "happiness", "NF"], ["Training", "x", 7, 3, 0], ["Training", "", 0, 0, 10]],
    )
    ws = Workspace.create(tmp_path / "workspace")
    assert ingest(ws, "fer2013", file).with_votes == 0
    assert len(get_votes(ws)) == 0
    assert ingest(ws, "fer2013", file, votes=votes).with_votes == 2
    assert set(zip(get_votes(ws)["label"], get_votes(ws)["count"], strict=True)) == {
        ("neutral", 7), ("happiness", 3), ("not_a_face", 10),
    }  # fmt: skip


def test_a_limit_takes_the_same_share_everywhere_and_always_the_same_rows(tmp_path: Path) -> None:
    root = write_rafdb(tmp_path / "set", rafdb_pairs(per_class=8, test=4))
    taken = []
    for name in ("a", "b", "c"):
        ws = Workspace.create(tmp_path / name)
        summary = ingest(ws, "rafdb", root, limit=42, seed=int(name == "c"))
        assert (summary.added, summary.left_out) == (42, 42)
        assert summary.by_split == {"train": 28, "test": 14}
        assert set(summary.by_class["train"].values()) == {4}
        taken.append(list(stored(ws).index))
    order = [key for key, _ in rafdb_pairs(per_class=8, test=4)]
    assert taken[0] == taken[1] == sorted(taken[0], key=order.index)
    assert taken[0] != taken[2]


def test_a_limit_beyond_the_set_leaves_nothing_out(ws: Workspace, tmp_path: Path) -> None:
    root = write_rafdb(tmp_path / "set", rafdb_pairs())
    assert ingest(ws, "rafdb", root, limit=1000).left_out == 0
    with pytest.raises(UsageError, match="limit is the number of samples"):
        ingest(ws, "rafdb", root, limit=0)


def test_a_dry_run_tells_all_and_stores_nothing(ws: Workspace, tmp_path: Path) -> None:
    file = write_fer2013(tmp_path / "fer2013.csv", [fer_row(0, 0), fer_row(1, 9)])
    summary = ingest(ws, "fer2013", file, dry_run=True)
    assert (summary.added, summary.quarantined, summary.dry_run) == (2, {"label: unknown code": 1}, True)
    assert not ws.images.exists()
    with pytest.raises(UsageError, match="empty"):
        samples.get_dataset(ws)


def test_hidden_files_are_counted_not_stored(ws: Workspace, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "set", ["happy/a.png"])
    (root / "happy/.DS_Store").write_bytes(b"x")
    summary = ingest(ws, "image_folder", root)
    assert (summary.added, summary.ignored) == (1, 1)


@pytest.mark.parametrize(
    ("name", "message"),
    [("empty", "holds no samples"), ("broken", r"no usable image among 1 rows: image: empty \(1\)")],
)
def test_a_set_without_a_usable_image_is_bad_data(ws: Workspace, tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "set").mkdir()
    if name == "broken":
        (tmp_path / "set/happy").mkdir()
        (tmp_path / "set/happy/a.png").write_bytes(b"")
    with pytest.raises(BadDataError, match=message):
        ingest(ws, "image_folder", tmp_path / "set")


def test_numbers_without_names_ask_for_the_names(ws: Workspace, tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [image_bytes(0)], "label": [3]}), tmp_path / "t.parquet")
    with pytest.raises(BadDataError, match="give --classes"):
        ingest(ws, "table", tmp_path / "t.parquet")


def test_wrong_paths_cards_and_options_are_named(ws: Workspace, tmp_path: Path) -> None:
    with pytest.raises(BadDataError, match="nowhere: no such file or folder"):
        ingest(ws, "rafdb", tmp_path / "nowhere")
    with pytest.raises(UsageError, match="known: "):
        ingest(ws, "rafbd", tmp_path)
    root = write_rafdb(tmp_path / "set", rafdb_pairs())
    with pytest.raises(UsageError, match="layout rafdb has no option label_column; known: votes"):
        ingest(ws, "rafdb", root, label_column="x")


def test_one_image_is_enough_to_come_in(ws: Workspace, tmp_path: Path) -> None:
    summary = ingest(ws, "image_folder", write_folder(tmp_path / "set", ["happy/a.png"]))
    assert (summary.added, summary.classes) == (1, ["happiness"])


def test_hostile_names_round_trip(ws: Workspace, tmp_path: Path) -> None:
    names = ["<b>x</b>.png", "=1+1.png", "two\nlines.png", "😀.png", "'; DROP TABLE sample; --.png"]
    ingest(ws, "image_folder", write_folder(tmp_path / "set", [f"happy/{name}" for name in names]))
    table = stored(ws)
    assert set(table.index) == {f"happy/{name}" for name in names}
    for sample_id in table["sample_id"]:
        assert decode(pictures.image_bytes(ws, sample_id)).shape == (24, 24, 3)


def test_exif_turned_pictures_are_stored_upright_in_size(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "set/happy").mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    target = io.BytesIO()
    Image.new("RGB", (30, 20)).save(target, "JPEG", exif=exif)
    (tmp_path / "set/happy/a.jpg").write_bytes(target.getvalue())
    ingest(ws, "image_folder", tmp_path / "set")
    row = stored(ws).loc["happy/a.jpg"]
    assert (row["width"], row["height"]) == (20, 30)


def test_progress_counts_up_to_the_number_of_samples(ws: Workspace, tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    ingest(
        ws,
        "rafdb",
        write_rafdb(tmp_path / "set", rafdb_pairs()),
        progress=lambda text, done, total: calls.append((text, done, total)),
    )
    assert calls[-1] == ("reading images", 21, 21)
