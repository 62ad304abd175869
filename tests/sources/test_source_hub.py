"""A set of the Hub comes over the real client from a Hub on the loopback: at one commit, and once."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import datasets
import pytest
from hub_stand_in import COMMIT, Hub, hub_of_the_client

from ferclean.errors import BadDataError, FercleanError, UsageError, WorkspaceBusyError
from ferclean.leases import leased
from ferclean.sources import hub
from ferclean.sources.admission import Caps
from ferclean.steps.ingest import ingest
from ferclean.store.samples import get_dataset, get_samples
from ferclean.store.workspace import Workspace
from tests.made_sets import image_bytes

REPO = "ada/faces"


def fetched(address: str | Path, into: Path, *, caps: Caps | None = None) -> tuple[Path, str]:
    with hub.fetched(address, into, caps=caps) as found:
        return found


def shard(seed: int) -> bytes:
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["Happy", "Sad"])})
    cells = {"image": [{"bytes": image_bytes(seed + n), "path": None} for n in range(2)], "label": [0, 1]}
    target = io.BytesIO()
    datasets.Dataset.from_dict(cells, features=features).to_parquet(target)
    return target.getvalue()


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub_of_the_client(monkeypatch) as made:
        made.private[REPO] = True
        made.files[REPO] = {
            "data/train-00000-of-00001.parquet": shard(0),
            "data/test-00000-of-00001.parquet": shard(5),
            "README.md": b"# Faces\n",
            "faces.py": b"raise SystemExit",
        }
        yield made


def test_it_is_ingested_at_a_commit_that_is_kept_and_fetched_once(there: Hub, tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "W")
    told = ingest(ws, "hf", f"hf://{REPO}")
    assert told.by_class == {split: {"happiness": 1, "sadness": 1} for split in ("train", "test")}
    assert get_dataset(ws).card["version"] == f"{REPO}@{COMMIT}"
    assert any(f"{REPO}@{COMMIT}" in note for note in told.notes)
    assert (ws.root / f"hub/ada--faces-{COMMIT}/data/train-00000-of-00001.parquet").read_bytes() == shard(0)
    assert "faces.py" not in there.downloads
    assert not list((ws.root / "hub").rglob("*.py"))
    asked = list(there.downloads)
    again = fetched(Path(f"hf://datasets/{REPO}@{COMMIT}"), ws.root / "hub")  # as the command line has it
    assert again == (ws.root / f"hub/ada--faces-{COMMIT}", f"{REPO}@{COMMIT}")
    assert there.downloads == asked
    assert set(get_samples(ws)["split"]) == {"train", "test"}


def test_what_the_hub_refuses_is_told_without_the_token(
    there: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wrong in ("hf://faces", "hf://ada/faces/data", "hf://ada/../faces", "hf://ada/faces@../main",
                  "hf://me:SECRET@ada/faces", Path("hf://ada:SECRET@/faces"), "hf://ada/faces?k=SECRET"):  # fmt: skip
        with pytest.raises(UsageError, match="write hf://OWNER/NAME") as told:
            fetched(wrong, tmp_path)
        assert "SECRET" not in str(told.value)
    with pytest.raises(FercleanError, match=r"did not give ada/faces \(404\)"):
        fetched(f"hf://{REPO}@other", tmp_path)
    there.files[REPO]["data/../../evil.parquet"] = b""
    with pytest.raises(BadDataError, match=r"evil\.parquet' leads out of the folder"):
        fetched(f"hf://{REPO}", tmp_path)
    there.files[REPO] = {"model.bin": b""}
    with pytest.raises(BadDataError, match="holds no data"):
        fetched(f"hf://{REPO}", tmp_path)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(FercleanError, match=r"did not give ada/faces \(401\).*in HF_TOKEN"):
        fetched(f"hf://{REPO}", tmp_path)
    monkeypatch.setenv("HF_TOKEN", "hf_another")
    there.echo = True
    with pytest.raises(FercleanError) as caught:
        fetched(f"hf://{REPO}", tmp_path)
    assert "hf_another" not in str(caught.value)


def test_what_is_here_goes_when_a_newer_commit_was_taken_in_and_not_before(there: Hub, tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "W")
    ingest(ws, "hf", f"hf://{REPO}")
    old = ws.root / f"hub/ada--faces-{COMMIT}"
    for commit, broken in (("1" * 40, True), ("2" * 40, False)):
        there.commit = commit
        there.files[REPO]["data/train-00000-of-00001.parquet"] = b"no Parquet" if broken else shard(20)
        if broken:
            with pytest.raises(FercleanError, match="cannot be opened as a Hugging Face data set"):
                ingest(ws, "hf", f"hf://{REPO}")
        else:
            ingest(ws, "hf", f"hf://{REPO}", dry_run=True)
        assert (old / "data/train-00000-of-00001.parquet").read_bytes() == shard(0)
    for number in (3, 4):  # one that another process fetches, one that broke off
        (old.parent / f"ada--faces-{str(number) * 40}.fetching").mkdir()
    (old.parent / f"ada--faces-{'5' * 40}.lease").touch()  # of a process that was killed
    with leased(old.parent / f"ada--faces-{commit}.lease"), pytest.raises(WorkspaceBusyError, match="is taking in"):
        ingest(ws, "hf", f"hf://{REPO}")
    with leased(old.parent / f"ada--faces-{'3' * 40}.lease"):
        done = ingest(ws, "hf", f"hf://{REPO}")
    assert (done.changed, done.unchanged, get_dataset(ws).card["version"]) == (2, 2, f"{REPO}@{commit}")
    left = {f"ada--faces-{commit}", f"ada--faces-{'3' * 40}.fetching"}
    assert {path.name for path in (ws.root / "hub").iterdir()} == left


def test_the_caps_hold_for_the_hub_also_where_it_lies_about_sizes(there: Hub, tmp_path: Path) -> None:
    for caps, says in (
        (Caps(entries=2), "hf://ada/faces: it holds more than 2 entries.*--max-entries"),
        (Caps(gigabytes=1e-6), "more than 1e-06 GB come out of it.*--max-gb"),
        (Caps(file_gigabytes=1e-6), "alone has more than 1e-06 GB.*--max-file-gb"),
    ):
        with pytest.raises(BadDataError, match=says):
            ingest(Workspace.create(tmp_path / "W"), "hf", f"hf://{REPO}", caps=caps)
    assert there.downloads == []
    there.declared = 1
    with pytest.raises(BadDataError, match="more than 1e-06 GB come out of it"):
        fetched(f"hf://{REPO}", tmp_path / "hub", caps=Caps(gigabytes=1e-6))
    assert list((tmp_path / "hub").iterdir()) == []
    there.files[REPO] = {f"{n}.txt": b"0" * 2000 for n in range(20)}
    for caps in (Caps(gigabytes=1e-6), Caps(file_gigabytes=1e-6)):
        there.downloads.clear()
        with pytest.raises(BadDataError, match="more than 1e-06 GB"):
            fetched(f"hf://{REPO}", tmp_path / "hub", caps=caps)
        assert len(there.downloads) <= 8  # those that ran when the first one was counted
    there.commit = "../../../up"
    with pytest.raises(BadDataError, match="names no commit of ada/faces"):
        fetched(f"hf://{REPO}", tmp_path / "hub")


def test_a_parquet_file_is_a_data_set_too(tmp_path: Path) -> None:
    for name in ("some/a", "some/b", "some/in [it]/a"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{name}.parquet").write_bytes(shard(5 if name == "some/b" else 0))
    one = ingest(Workspace.create(tmp_path / "W"), "hf", tmp_path / "some/in [it]/a.parquet", split="test")
    assert (one.added, one.by_split) == (2, {"test": 2})
    (tmp_path / "some/in [it]/a.parquet").unlink()
    both = ingest(Workspace.create(tmp_path / "V"), "hf", tmp_path / "some")
    assert (both.added, both.by_split) == (4, {"train": 4})
