"""Files and folders land whole or not at all, and only what dead processes left half-written is removed."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from disks import fill, small_disk

from ferclean import files
from ferclean.errors import FercleanError, UsageError
from ferclean.files import DRAFT, PAGE, check_absent, whole_file, whole_files, whole_folder
from ferclean.store.workspace import Workspace

WRITER = """
import os, signal, sys
from pathlib import Path
from ferclean import files
out, moment = Path(sys.argv[1]), sys.argv[2]
if moment == "between":
    rename = os.rename
    def rename_once(source, target):
        rename(source, target)
        os.kill(os.getpid(), signal.SIGKILL)
    os.rename = rename_once
with files.whole_folder(out) as draft:
    (draft / "new.txt").write_text("new")
    if moment == "while filling":
        os.kill(os.getpid(), signal.SIGKILL)
    if moment == "wait":
        print("filling", flush=True)
        sys.stdin.read()
"""


def killed(out: Path, moment: str) -> None:
    done = subprocess.run([sys.executable, "-c", WRITER, str(out), moment], check=False, timeout=60)
    assert done.returncode == -9


def drafts(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.startswith(DRAFT)]


def test_a_folder_takes_the_place_of_an_empty_one(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with whole_folder(out) as draft:
        (draft / "new.txt").write_text("new", "utf-8")
    assert (os.listdir(out), os.listdir(tmp_path)) == (["new.txt"], ["out"])


def test_many_files_share_one_draft_and_only_whole_ones_stay(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    with whole_files(folder):
        pass
    assert not folder.exists()
    with whole_files(folder) as put, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: put(f"{n % 3}/{n}.png", str(n).encode()), range(30)))
        assert len(drafts(folder)) == 1
        assert (folder / "1" / "25.png").read_bytes() == b"25"
    assert sorted(os.listdir(folder)) == ["0", "1", "2"]
    (folder / "3").write_text("a file in the way", "utf-8")
    with pytest.raises(FercleanError, match=r"cannot write .*3/1\.png"), whole_files(folder) as put:
        put("3/1.png", b"")
    assert drafts(folder) == []


def test_a_file_appears_when_it_is_whole_and_the_older_one_stays_until_then(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "table.csv"
    for text in ("first", "second"):
        with whole_file(out) as draft:
            assert draft.suffix == ".csv"
            draft.write_text(text, "utf-8")
            assert not out.exists() or out.read_text("utf-8") == "first"
        assert out.read_text("utf-8") == text
    with pytest.raises(KeyError), whole_file(out) as draft:  # noqa: PT012 - the block is the subject
        draft.write_text("half", "utf-8")
        raise KeyError
    assert out.read_text("utf-8") == "second"
    assert os.listdir(out.parent) == ["table.csv"]


def test_files_are_as_readable_as_any_other_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "usual").write_text("", "utf-8")
    (tmp_path / "usual folder").mkdir()
    with whole_file(tmp_path / "file") as draft:
        draft.write_text("", "utf-8")
    with whole_folder(tmp_path / "folder") as draft:
        (draft / "inside").write_text("", "utf-8")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "usual").stat().st_mode
    assert (tmp_path / "folder").stat().st_mode == (tmp_path / "usual folder").stat().st_mode


@pytest.mark.parametrize("moment", ["while filling", "between"])
def test_a_killed_writer_leaves_the_earlier_folder_or_it_comes_back_and_its_draft_goes(
    tmp_path: Path, moment: str
) -> None:
    out = tmp_path / "out"
    with whole_folder(out) as draft:
        (draft / "old.txt").write_text("old", "utf-8")
    killed(out, moment)
    assert drafts(tmp_path)
    assert out.exists() == (moment != "between")
    with whole_file(tmp_path / "anything beside it") as draft:
        draft.write_text("", "utf-8")
    assert drafts(tmp_path) == []
    assert (out / "old.txt").read_text("utf-8") == "old"
    assert os.listdir(out) == ["old.txt"]


def test_the_draft_of_a_living_process_stays(tmp_path: Path) -> None:
    out = tmp_path / "out"
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(out), "wait"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline() == "filling\n"
    with whole_file(tmp_path / "other") as draft:
        draft.write_text("", "utf-8")
    assert len(drafts(tmp_path)) == 1
    child.stdin.close()
    assert child.wait(timeout=30) == 0
    child.stdout.close()
    assert os.listdir(out) == ["new.txt"]
    assert drafts(tmp_path) == []


def test_a_lock_counts_only_while_its_file_lies_at_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, take = tmp_path / "a.lock", files.take_lock

    def late(descriptor: int) -> bool:
        # meanwhile its owner has given it back, and somebody else holds a new one
        path.unlink()
        path.touch()
        return take(descriptor)

    path.touch()
    monkeypatch.setattr(files, "take_lock", late)
    assert files.lock_of_the_dead(path) is None
    path.unlink()
    assert files.make_locked(path) is None
    monkeypatch.undo()
    lock = files.lock_of_the_dead(path)
    assert lock is not None
    files.free_lock(lock)


def test_what_only_looks_like_a_draft_is_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / f"{DRAFT}notes"
    mine.mkdir()
    (mine / "mine.txt").write_text("mine", "utf-8")
    (tmp_path / "precious").write_text("precious", "utf-8")
    (tmp_path / f"{DRAFT}link").symlink_to(tmp_path)
    (tmp_path / f"{DRAFT}file").write_text("mine", "utf-8")
    with whole_file(tmp_path / "out") as draft:
        draft.write_text("", "utf-8")
    assert (mine / "mine.txt").exists()
    assert (tmp_path / "precious").exists()
    assert len(drafts(tmp_path)) == 3


def test_a_full_disk_is_said_in_one_line_with_path_and_mend_and_the_old_stays(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "300k") as disk:
        with whole_folder(disk / "out") as draft:
            (draft / "old.txt").write_text("old", "utf-8")
        filler = fill(disk)
        for write in (whole_file, whole_folder):
            with (
                pytest.raises(FercleanError, match=r"cannot write .*/out: No space left on device; free some.*--out"),
                write(disk / "out", elsewhere="pass another --out") as draft,
            ):
                (draft / "new" if write is whole_folder else draft).write_bytes(b"x" * 400_000)
        filler.unlink()
        assert (disk / "out" / "old.txt").read_text("utf-8") == "old"
        assert drafts(disk) == []


def test_an_error_about_another_file_is_not_told_as_one_of_writing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "out") as draft:
        draft.write_bytes((tmp_path / "source that is gone").read_bytes())


def test_weights_on_a_full_disk_are_told_like_any_other_file(tmp_path: Path) -> None:
    import torch

    from ferclean.recognition.tensor_files import write_tensors

    with small_disk(tmp_path / "disk", "300k") as disk:
        with pytest.raises(FercleanError, match=r"cannot write .*/net.safetensors: No space left on device; free some"):
            write_tensors(disk / "net.safetensors", {"weight": torch.zeros(200_000)})
        assert os.listdir(disk) == []


def test_a_file_that_a_user_named_takes_no_others_place_unless_told(tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    check_absent(file, "--out")
    file.write_text("answers")
    with pytest.raises(UsageError, match=r"out\.csv exists and is left as it is; name another file with --out"):
        check_absent(file, "--out")
    with pytest.raises(UsageError, match="pass --overwrite, or name another"):
        check_absent(file, "--out", overwrite=False)
    check_absent(file, "--out", overwrite=True)
    with pytest.raises(UsageError, match="another kind of file and is left as it is"):
        check_absent(file, "--out", overwrite=True, begins=PAGE)
    file.write_bytes(PAGE + b"><html>")
    check_absent(file, "--out", overwrite=True, begins=PAGE)
    database = Workspace.create(tmp_path / "W").database
    with pytest.raises(UsageError, match="another kind of file and is left as it is"):
        check_absent(database, "--csv", overwrite=True)
    # a link to nowhere is something that stands there, too
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="exists"):
        check_absent(tmp_path / "link", "--out")
    with pytest.raises(UsageError, match="is a folder"):
        check_absent(tmp_path, "--out", overwrite=True)
