"""`ingest` of an archive: unpacked into the workspace once, read there, and gone again where nothing came of it."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest

from ferclean.cli import run
from ferclean.errors import BadDataError, UsageError, WorkspaceBusyError
from ferclean.leases import leased
from ferclean.parts.at_hand import Caps, at_hand
from ferclean.steps.export import export
from ferclean.steps.ingest import ingest
from ferclean.store import samples
from ferclean.store.workspace import Workspace
from tests.made_sets import fer_row, image_bytes, rafdb_pairs, write_csv, write_fer2013, write_folder, write_rafdb


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "W")


@pytest.fixture
def rafdb(tmp_path: Path) -> Path:
    """The folder of a RAF-DB layout two folders deep, with clutter."""
    write_rafdb(tmp_path / "set/RAF-DB/basic", rafdb_pairs())
    write_folder(tmp_path / "set/__MACOSX", ["._a.jpg"])
    (tmp_path / "set/RAF-DB/.DS_Store").write_bytes(b"x")
    return tmp_path / "set"


def packed(folder: Path, kind: str = "zip", name: str = "faces") -> Path:
    return Path(shutil.make_archive(str(folder.parent / name), kind, folder))


@pytest.mark.parametrize("kind", ["zip", "gztar"])
def test_an_archive_comes_in_like_its_folder(ws: Workspace, rafdb: Path, tmp_path: Path, kind: str) -> None:
    plain = ingest(Workspace.create(tmp_path / "plain"), "rafdb", rafdb / "RAF-DB/basic")
    archive = packed(rafdb, kind)
    summary = ingest(ws, "rafdb", archive)
    assert (summary.by_class, summary.quarantined) == (plain.by_class, plain.quarantined)
    assert summary.notes[1].endswith(
        "2 entries of " + f"{archive} are no data (hidden, or an operating system's): left out"
    )
    (folder,) = ws.sources.iterdir()
    paths = [Path(path) for path in samples.get_samples(ws)["path"]]
    assert all(path.is_relative_to(folder / "files/RAF-DB/basic") for path in paths)
    again = ingest(ws, "rafdb", archive)
    assert (again.added, again.unchanged) == (0, 21)
    assert "lie since before below" in again.notes[0]
    out = tmp_path / "out"
    export(ws, form="rafdb", release="original", out=out)
    for file in (rafdb / "RAF-DB/basic/Image").rglob("*.jpg"):
        assert (out / file.relative_to(rafdb / "RAF-DB/basic")).read_bytes() == file.read_bytes()


def test_a_path_may_lead_into_an_archive(ws: Workspace, rafdb: Path) -> None:
    archive = packed(rafdb)
    assert ingest(ws, "rafdb", archive / "RAF-DB/basic").added == 21
    with pytest.raises(BadDataError, match=r"faces.zip holds no 'RAF-DB/compound'; on top it holds RAF-DB$"):
        ingest(ws, "rafdb", archive / "RAF-DB/compound")
    with pytest.raises(UsageError, match="leads out of"):
        ingest(ws, "rafdb", archive / "../../etc")
    assert len([*ws.sources.iterdir()]) == 1


def test_one_file_alone_is_the_data_set_and_options_may_name_what_lies_in_the_archive(
    ws: Workspace, tmp_path: Path
) -> None:
    rows = [fer_row(number, number % 7) for number in range(7)]
    write_fer2013(tmp_path / "set/fer2013/fer2013.csv", rows)
    assert ingest(ws, "fer2013", packed(tmp_path / "set")).added == 7
    write_folder(tmp_path / "two", ["pictures/a.png", "pictures/b.png"])
    (tmp_path / "two/lists").mkdir()
    (tmp_path / "two/lists/faces.csv").write_text("image,label\na.png,fear\nb.png,anger\n")
    archive = packed(tmp_path / "two", name="two")
    other = Workspace.create(tmp_path / "other")
    assert ingest(other, "table", archive / "lists/faces.csv", images=archive / "pictures").added == 2


def test_a_folder_that_is_a_split_or_a_class_is_not_entered(ws: Workspace, tmp_path: Path) -> None:
    write_folder(tmp_path / "set", ["test/happy/a.png", "test/sad/b.png"])
    assert ingest(ws, "image_folder", packed(tmp_path / "set")).by_split == {"test": 2}
    write_folder(tmp_path / "one", ["happy/a.png"])
    other = Workspace.create(tmp_path / "other")
    assert ingest(other, "image_folder", packed(tmp_path / "one", name="one")).by_class["train"]["happiness"] == 1


def test_another_content_comes_in_beside_the_old_samples_and_one_copy_stays(ws: Workspace, tmp_path: Path) -> None:
    write_folder(tmp_path / "set", ["happy/a.png", "sad/b.png"])
    ingest(ws, "image_folder", packed(tmp_path / "set"))
    (tmp_path / "set/happy/a.png").write_bytes(image_bytes(77))
    (tmp_path / "set/sad/c.png").write_bytes(image_bytes(78))
    archive = packed(tmp_path / "set")
    os.utime(archive, ns=(1, 1))
    (old,) = ws.sources.iterdir()
    (old.parent / "other.zip-0.lease").touch()  # of a process that was killed
    with leased(old.with_name(f"{old.name}.lease")):  # another process reads it
        summary = ingest(ws, "image_folder", archive)
        assert (summary.added, summary.changed, summary.unchanged) == (2, 1, 1)
        (new,) = {path for path in ws.sources.iterdir() if path.is_dir()} - {old}
    with leased(new.with_name(f"{new.name}.lease")), pytest.raises(WorkspaceBusyError, match=rf"taking in {archive};"):
        ingest(ws, "image_folder", archive)
    ingest(ws, "image_folder", archive)
    assert [*ws.sources.iterdir()] == [new]


def test_a_column_may_be_called_like_an_address_and_no_file_of_votes_is_fetched(ws: Workspace, tmp_path: Path) -> None:
    write_folder(tmp_path, ["a.png", "b.png"])
    named = "https://host/emotion"
    file = write_csv(tmp_path / "t.csv", [["path", named], ["a.png", "happy"], ["b.png", "sad"]])
    assert ingest(ws, "table", file, label_column=named).by_class["train"]["happiness"] == 1
    with pytest.raises(UsageError, match="only the set itself is fetched"):
        ingest(ws, "table", file, label_column=named, votes="https://host/votes.csv")


def test_what_is_refused_leaves_nothing_behind(ws: Workspace, tmp_path: Path) -> None:
    write_folder(tmp_path / "set", ["cats/a.png", "dogs/b.png"])
    archive = packed(tmp_path / "set")
    for card, error in (("image_folder", rf"{archive}: folder 'cats' names no known class"), ("rafdb", str(archive))):
        with pytest.raises(BadDataError, match=error):
            ingest(ws, card, archive)
        assert not ws.sources.exists()
    with zipfile.ZipFile(archive, "a") as out:
        out.writestr("../evil.png", b"1")
    with pytest.raises(BadDataError, match="leads out of the folder"):
        ingest(ws, "image_folder", archive, classes="cats,dogs")
    assert not ws.sources.exists()
    with pytest.raises(BadDataError, match="raise --max-entries"):
        ingest(ws, "image_folder", archive, classes="cats,dogs", caps=Caps(entries=1))
    assert not ws.sources.exists()
    assert samples.find_dataset(ws) is None


def test_a_dry_run_and_a_stop_leave_nothing_behind_and_what_was_there_stays(ws: Workspace, tmp_path: Path) -> None:
    write_folder(tmp_path / "set", ["happy/a.png", "sad/b.png"])
    archive = packed(tmp_path / "set")
    assert ingest(ws, "image_folder", archive, dry_run=True).added == 2
    assert not ws.sources.exists()

    def stop(what: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest(ws, "image_folder", archive, progress=stop)
    assert not ws.sources.exists()
    ingest(ws, "image_folder", archive)
    kept = sorted(ws.sources.rglob("*"))
    with pytest.raises(BadDataError):
        ingest(ws, "rafdb", archive)
    ingest(ws, "image_folder", archive, dry_run=True)
    assert sorted(ws.sources.rglob("*")) == kept


def test_half_of_an_unpacked_archive_is_never_taken_for_all(tmp_path: Path) -> None:
    write_folder(tmp_path / "set", ["happy/a.png", "sad/b.png"])
    archive = packed(tmp_path / "set")
    with at_hand(tmp_path / "sources", archive) as here:
        (here.path / "sad/b.png").unlink()
        (here.path.parent / "complete.json").unlink()  # as after a stop while it was removed
    with at_hand(tmp_path / "sources", archive) as here:
        assert (here.path / "sad/b.png").is_file()


def test_auto_names_the_archive_in_its_command_and_keeps_nothing_before_it_is_run(
    rafdb: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive, root = packed(rafdb), tmp_path / "W"
    assert run(["-w", str(root), "--json", "ingest", "auto", str(archive)]) == 3
    (guess,) = json.loads(capsys.readouterr().out)["recognised"]
    assert guess["command"] == f"ferclean -w {root} ingest rafdb {archive}/RAF-DB/basic"
    assert guess["path"] == f"{archive}/RAF-DB/basic"
    assert not root.exists()
    assert run(["-w", str(root), "ingest", "auto", str(archive), "--yes"]) == 0
    said = capsys.readouterr().err
    assert f"certain: rafdb at {archive}/RAF-DB/basic" in said
    assert "and are read there: keep them" in said
    assert run(["-w", str(root), "ingest", "auto", str(archive), "--yes", "--max-entries", "2", "--max-gb", "1"]) == 0
    assert run(["-w", str(tmp_path / "X"), "ingest", "auto", str(archive), "--yes", "--max-entries", "2"]) == 4
    assert "raise --max-entries" in capsys.readouterr().err
    assert not (tmp_path / "X").exists()
