"""The workspace folder: making and opening it, its lock, and what happens when something goes wrong on the disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
from disks import fill, read_only, small_disk

from ferclean.errors import FercleanError, UsageError, WorkspaceBusyError
from ferclean.store import lock, runs
from ferclean.store.decisions import Decision, append_decisions, current_decisions, decision_history
from ferclean.store.exchange import rows
from ferclean.store.samples import get_dataset, put_dataset
from ferclean.store.workspace import Workspace
from tests.bare_workspace import bare, dataset

HOLDER = """
import sys
from ferclean.store.workspace import Workspace
with Workspace(__import__("pathlib").Path(sys.argv[1])).session("counting sheep"):
    print("held", flush=True)
    sys.stdin.read()
"""
STRANGER = """
import sys, duckdb
con = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def process(script: str, argument: Path) -> Iterator[subprocess.Popen[str]]:
    """Another Python process that holds something until the block ends."""
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(argument)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == "held\n"
        yield child
    finally:
        child.stdin.close()
        child.wait(timeout=30)
        child.stdout.close()


def test_create_makes_a_commented_config_and_a_database_and_leaves_other_files_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    ws = Workspace.create(tmp_path)
    assert ws.database.is_file()
    assert (tmp_path / "ferclean.toml").read_text(encoding="utf-8").startswith("#")
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_creating_twice_opens_the_same_workspace_and_keeps_its_settings(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path)
    put_dataset(ws, dataset())
    (tmp_path / "ferclean.toml").write_text("seed = 3\n", encoding="utf-8")
    again = Workspace.create(tmp_path)
    assert get_dataset(again).name == "tiny"
    assert (tmp_path / "ferclean.toml").read_text(encoding="utf-8") == "seed = 3\n"


def test_opening_a_folder_that_is_no_workspace_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(FercleanError, match=r"no workspace at .*; create one with `ferclean -w .* ingest"):
        Workspace.open(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize(
    ("name", "reason"), [("why?", "options"), ("a\\b", "another folder"), (os.fsdecode(b"\xff"), "no UTF-8")]
)
def test_a_folder_that_duckdb_would_take_for_another_is_refused_before_anything_is_made(
    tmp_path: Path, name: str, reason: str
) -> None:
    for enter in (Workspace.create, Workspace.open):
        with pytest.raises(UsageError, match=rf"cannot be a workspace: .*{reason}.*name another .*--workspace") as told:
            enter(tmp_path / name / "W")
        assert "\n" not in str(told.value)
        str(told.value).encode()
    assert not any(tmp_path.iterdir())


def test_any_other_folder_holds_a_workspace_that_can_be_written_and_read(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "#%41*[a]{b,c}:memory:$~;--'\"\n=1 é")
    put_dataset(ws, dataset())
    assert get_dataset(Workspace.open(ws.root)).name == "tiny"


@pytest.mark.parametrize("left", [(), ("runs",), ("pixels",), ("ferclean.duckdb.v1.backup",)])
def test_a_workspace_without_its_database_is_told_and_no_opening_of_it_makes_an_empty_one(
    tmp_path: Path, left: tuple[str, ...]
) -> None:
    ws, ids = bare(tmp_path)
    ws.database.unlink()
    for name in left:
        (ws.root / name).mkdir()

    def write(root: Path) -> None:
        append_decisions(ws, [Decision(sample_id=ids[0], action="keep", reviewer="ann", source="cli")])

    there = sorted(os.listdir(ws.root))
    # where nothing tells of a past, making it is the mend
    for attempt in (Workspace.open, write, lambda root: decision_history(ws), *([Workspace.create] if left else [])):
        with pytest.raises(FercleanError, match="has lost its database") as caught:
            attempt(ws.root)
        assert ("newest backup" in str(caught.value)) == any("backup" in name for name in left)
        assert sorted(os.listdir(ws.root)) == there


def test_an_empty_file_in_place_of_a_database_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    ws.database.write_bytes(b"")
    with pytest.raises(FercleanError, match=r"is damaged .*it is empty"):
        append_decisions(ws, [Decision(sample_id=ids[0], action="keep", reviewer="ann", source="cli")])
    assert not ws.database.stat().st_size


def test_a_session_that_fails_changes_nothing(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    with pytest.raises(KeyError, match="oops"), ws.session("trying") as con:  # noqa: PT012 - the block is the subject
        con.execute("DELETE FROM sample")
        raise KeyError("oops")
    with ws.session("counting") as con:
        assert rows(con, "SELECT count(*) FROM sample") == [(len(ids),)]


def test_a_session_never_loads_extensions_by_itself(tmp_path: Path) -> None:
    with Workspace.create(tmp_path).session("asking") as con:
        for name in ("autoinstall_known_extensions", "autoload_known_extensions"):
            assert rows(con, "SELECT current_setting(?)", [name]) == [(False,)]


def test_a_session_inside_a_session_of_the_same_thread_is_a_clear_error_not_a_wait(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path)
    with (
        ws.session("outer"),
        pytest.raises(RuntimeError, match="'inner' was begun inside 'outer'"),
        ws.session("inner"),
    ):
        pass
    with ws.session("after"):
        pass


@pytest.mark.parametrize("told", [RuntimeError("Query interrupted"), duckdb.InterruptException("INTERRUPT Error")])
def test_what_duckdb_makes_of_a_ctrl_c_in_a_query_is_one_again_and_the_run_interrupted(
    tmp_path: Path, told: Exception
) -> None:
    ws, _ = bare(tmp_path)
    with (
        pytest.raises(KeyboardInterrupt),
        runs.running(ws, kind="score", method="m", config={}, seed=0, fingerprint="f") as run_id,
        ws.reading("counting"),
    ):
        raise told  # when a signal stops a query is up to DuckDB, so none is sent here
    run = runs.get_run(ws, run_id)
    assert run is not None
    assert run.state == "interrupted"


def test_threads_take_turns_and_lose_nothing(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    found: list[int] = []

    def work(name: str) -> None:
        for sample_id in ids[:3]:
            found.extend(append_decisions(ws, [Decision(sample_id=sample_id, action="keep", reviewer=name)]))

    threads = [threading.Thread(target=work, args=(f"r{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(1, 13))
    assert len(decision_history(ws)) == 12


def test_a_workspace_held_by_another_process_is_busy_and_names_the_holder_and_its_action(tmp_path: Path) -> None:
    Workspace.create(tmp_path)
    with process(HOLDER, tmp_path) as child:
        with pytest.raises(WorkspaceBusyError, match=rf"process {child.pid} \(counting sheep\)") as caught:
            Workspace.open(tmp_path, timeout=0.2)
        assert caught.value.exit_code == 5
    Workspace.open(tmp_path)


def test_a_database_held_by_another_program_is_busy_not_a_traceback_of_duckdb(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path, timeout=0.3)
    with process(STRANGER, ws.database), pytest.raises(WorkspaceBusyError, match="another program"), ws.session("x"):
        pass


def test_a_holder_note_that_cannot_be_read_still_names_somebody(tmp_path: Path) -> None:
    (tmp_path / "ticket").write_text("{", encoding="utf-8")
    assert lock.holder(tmp_path / "ticket") == "another process"


def cut(data: bytes) -> bytes:
    return data[:20_000]


def scribbled(data: bytes) -> bytes:
    """Every page but the header's is noise: found when a table is read, not when the file is opened."""
    return data[:12288] + bytes(reversed(data[12288:]))


@pytest.mark.parametrize("harm", [cut, scribbled, lambda data: b"no database" * 1000, lambda data: b""])
def test_a_damaged_database_is_called_damaged_with_its_backup_and_never_safe(
    tmp_path: Path, harm: Callable[[bytes], bytes]
) -> None:
    ws, ids = bare(tmp_path)
    ws.releases.mkdir()
    backup = ws.database.with_name("ferclean.duckdb.v1.backup")
    shutil.copy(ws.database, backup)
    ws.database.write_bytes(harm(ws.database.read_bytes()))
    for attempt in (Workspace.open, Workspace.create, lambda root: decision_history(ws)):
        with pytest.raises(FercleanError, match=r"duckdb is damaged .*v1\.backup, to ferclean\.duckdb") as caught:
            attempt(ws.root)
        assert "safe" not in str(caught.value)
    backup.unlink()
    with pytest.raises(FercleanError, match="no backup lies beside it"):
        Workspace.open(ws.root)
    assert ids


def test_words_of_a_folder_or_a_value_never_make_a_whole_database_a_damaged_one(tmp_path: Path) -> None:
    home = tmp_path / "corrupt checksums"
    home.mkdir()
    ws, _ = bare(home)
    with pytest.raises(duckdb.ConversionException), ws.session("counting") as con:
        rows(con, "SELECT CAST('corrupt' AS INTEGER)")
    ws.database.rename(ws.database.with_name("aside"))
    with pytest.raises(FercleanError, match="has lost its database"):
        decision_history(ws)


def test_the_first_ingest_on_a_full_disk_leaves_nothing_that_bars_the_second(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "3m") as disk:
        filler = fill(disk)
        with pytest.raises(FercleanError, match=r"cannot write .*No space left on device|could not be read or written"):
            Workspace.create(disk / "w")
        with pytest.raises(FercleanError, match="no workspace at"):
            Workspace.open(disk / "w")
        filler.unlink()
        ws = Workspace.create(disk / "w")
        put_dataset(ws, dataset())
        assert get_dataset(Workspace.open(ws.root)).name == "tiny"
        assert sorted(os.listdir(ws.root)) == ["ferclean.duckdb", "ferclean.lock", "ferclean.toml"]


def test_an_empty_file_that_an_older_version_left_on_a_full_disk_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "ferclean.duckdb").touch()
    with pytest.raises(FercleanError, match="no workspace at"):
        Workspace.open(tmp_path)
    put_dataset(Workspace.create(tmp_path), dataset())
    assert get_dataset(Workspace.open(tmp_path)).name == "tiny"


def test_a_workspace_on_a_read_only_disk_can_be_read_and_not_written(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    append_decisions(ws, [Decision(sample_id=ids[0], action="keep", reviewer="ann")])
    with read_only(ws.root):
        assert len(current_decisions(Workspace.open(ws.root))) == 1
        with pytest.raises(FercleanError, match=r"cannot write in the workspace .*Read-only file system"):
            append_decisions(ws, [Decision(sample_id=ids[1], action="keep", reviewer="ann")])
    assert not list(ws.root.glob("ferclean.lock.*"))


def test_a_reader_of_a_read_only_workspace_sees_what_a_killed_writer_had_committed(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", COMMITTED, str(ws.root), ids[0]], check=False, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == -9
    assert ws.database.with_name("ferclean.duckdb.wal").is_file()
    with read_only(ws.root):
        assert current_decisions(Workspace.open(ws.root))["sample_id"].tolist() == [ids[0]]
    assert current_decisions(Workspace.open(ws.root))["sample_id"].tolist() == [ids[0]]


@contextmanager
def without_root() -> Iterator[None]:
    """Root may write everywhere: give its rights up while the block runs."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_that_cannot_be_written_is_a_clear_error() -> None:
    # not tmp_path: nobody but its owner may enter that
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bare(folder)
        for path in (folder, folder / "w"):
            path.chmod(0o555)
        try:
            with without_root():
                ws = Workspace.create(folder / "w")
                with pytest.raises(FercleanError, match=r"cannot write in the workspace .*writable"):
                    put_dataset(ws, dataset())
                with pytest.raises(FercleanError, match=r"cannot write .*new: Permission denied; make the folder"):
                    Workspace.create(folder / "new")
        finally:
            for path in (folder, folder / "w"):
                path.chmod(0o755)
        assert get_dataset(Workspace.open(folder / "w")).name == "tiny"


COMMITTED = """
import os, signal, sys
from ferclean.store import connection, decisions
from ferclean.store.workspace import Workspace
ws = Workspace.open(sys.argv[1])
close = connection.transaction.__wrapped__
def committed_then_killed(con, database):
    yield from close(con, database)
    os.kill(os.getpid(), signal.SIGKILL)
import contextlib, ferclean.store.workspace as room
room.transaction = contextlib.contextmanager(committed_then_killed)
decisions.append_decisions(ws, [decisions.Decision(sample_id=sys.argv[2], action="keep", reviewer="ann")])
"""
FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from ferclean.errors import FercleanError
from ferclean.store.samples import put_samples
from ferclean.store.workspace import Workspace
from tests.bare_workspace import sample
ws = Workspace.open(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limit = ws.database.stat().st_size + 200_000
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
try:
    put_samples(ws, [sample(f"new{i}", attributes={"note": str(hash(str(i))) * 40}) for i in range(3000)])
except FercleanError as error:
    print(error)
"""


def test_a_full_disk_is_a_clear_error_and_what_was_stored_is_safe(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    append_decisions(ws, [Decision(sample_id=ids[0], action="keep", reviewer="ann")])
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(ws.root)], capture_output=True, text=True, check=False,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert "could not be read or written" in done.stdout, done.stdout + done.stderr
    assert "disk has room" in done.stdout
    again = Workspace.open(ws.root)
    assert list(current_decisions(again)["sample_id"]) == [ids[0]]
    with again.session("counting") as con:
        assert rows(con, "SELECT count(*) FROM sample") == [(len(ids),)]
