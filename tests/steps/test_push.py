"""Facts about pushing: the real client against a Hub on the loopback; private, whole, resumed, and never pixels that
may not go."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest
from hub_stand_in import TOKEN, Hub, hub_of_the_client
from small_workspace import shared

from ferclean.cli import run
from ferclean.errors import FercleanError, UsageError
from ferclean.exports import hf
from ferclean.exports import hub as hub_room
from ferclean.exports.target import MANIFEST
from ferclean.steps.export import export
from ferclean.steps.push import push

REPO = "ada/faces"
# of the client's own call of its HTTP library
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub_of_the_client(monkeypatch) as made:
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export with several files per split, of a set that may be passed on."""
    out = tmp_path_factory.mktemp("push") / "faces"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hf, "_BATCH", 2)
        patch.setattr(hf, "SHARD_BYTES", 1)
        export(shared(redistributable=True, released=True).ws, form="hf", out=out, release="v1")
    return out


def files(folder: Path) -> dict[str, bytes]:
    listed = json.loads((folder / MANIFEST).read_text("utf-8"))["files"]
    return {name: (folder / name).read_bytes() for name in [*listed, MANIFEST]}


def test_an_export_arrives_whole_in_one_commit_and_is_private(there: Hub, folder: Path) -> None:
    done = push(folder, REPO)
    assert there.files[REPO] == files(folder)
    assert there.private == {REPO: True}
    assert len(there.commits) == 1
    assert (done.public, done.files, done.removed, done.others) == (False, len(files(folder)) - 1, (), ())
    assert done.url.startswith(there.url)


def test_a_cut_connection_shows_nothing_and_the_next_push_sends_only_the_rest(there: Hub, folder: Path) -> None:
    there.cut_after = 1
    with pytest.raises(FercleanError, match=r"broke off: .*what has arrived stays there: run the same line again"):
        push(folder, REPO)
    assert there.files[REPO] == {}
    first = list(there.uploads)
    assert len(first) == 1
    there.cut_after = None
    push(folder, REPO)
    assert there.files[REPO] == files(folder)
    assert len(there.uploads) == len({*there.uploads}) == len([name for name in files(folder) if "parquet" in name])


def test_files_of_an_earlier_push_that_would_be_read_along_go_and_those_of_others_stay(
    there: Hub, folder: Path
) -> None:
    there.private[REPO] = True
    old = {"data/train-00008-of-00009.parquet": b"old", "notes.md": b"mine"}
    there.files[REPO] = old | {MANIFEST: b"{}"}
    done = push(folder, REPO)
    assert there.files[REPO] == files(folder) | {"notes.md": b"mine"}
    assert (done.removed, done.others) == (("data/train-00008-of-00009.parquet",), ("notes.md",))


def test_shards_that_no_push_of_ours_left_and_those_beside_another_form_stay(
    there: Hub, folder: Path, tmp_path: Path
) -> None:
    theirs = {"data/train-00000-of-00009.parquet": b"theirs"}
    there.private[REPO], there.files[REPO] = True, dict(theirs)
    assert push(folder, REPO).removed == ()
    assert there.files[REPO] == files(folder) | theirs
    pictures = tmp_path / "pictures"
    export(shared(redistributable=True, released=True).ws, form="image_folder", out=pictures, release="v1")
    assert push(pictures, REPO).removed == ()
    assert there.files[REPO].keys() >= theirs.keys() | {"data/train-00000-of-00002.parquet"} & files(folder).keys()


def test_what_the_hub_says_of_who_may_read_is_told(there: Hub, folder: Path) -> None:
    there.private[REPO], there.files[REPO] = True, {}
    assert not push(folder, REPO, public=True).public, "one that was private stays it"


def test_more_files_than_a_commit_takes_are_refused(there: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_room, "_MOST", 2)
    with pytest.raises(UsageError, match="--form hf writes the same"):
        push(folder, REPO)
    assert there.private == {}


def test_a_public_repository_is_made_and_met_only_when_it_is_said(there: Hub, folder: Path) -> None:
    there.private[REPO], there.files[REPO] = False, {}
    with pytest.raises(UsageError, match="is public already; pass --public"):
        push(folder, REPO)
    assert (there.files[REPO], there.uploads) == ({}, [])
    assert push(folder, REPO, public=True).public
    push(folder, "ada/open", public=True)
    assert there.private == {REPO: False, "ada/open": False}


def test_pixels_that_may_not_be_passed_on_are_refused_before_anything_is_asked(there: Hub, exported: Path) -> None:
    with pytest.raises(
        UsageError, match=r"forbids passing them on; push a patch without pixels instead: .*--form patch"
    ):
        push(exported, REPO)
    assert there.private == {}


def test_a_patch_goes_where_pixels_may_not(there: Hub, tmp_path: Path) -> None:
    export(shared(released=True).ws, release="v1", out=tmp_path / "patch")
    done = push(tmp_path / "patch", REPO)
    assert (done.form, done.files) == ("patch", 2)
    assert set(there.files[REPO]) == {"patch.jsonl", "README.md", MANIFEST}


def test_only_the_files_of_the_export_go_and_none_from_outside_of_it(there: Hub, folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "mine.txt").write_text("mine", encoding="ascii")
    push(copy, REPO)
    assert "mine.txt" not in there.files[REPO]
    (tmp_path / "secret").write_text("secret", encoding="ascii")
    told = json.loads((copy / MANIFEST).read_text("utf-8"))
    for hostile in ("../secret", str(tmp_path / "secret"), "gone.parquet"):
        (copy / MANIFEST).write_text(json.dumps(told | {"files": [*told["files"], hostile]}), encoding="utf-8")
        with pytest.raises(UsageError, match="does not hold all of its export"):
            push(copy, REPO)
    with pytest.raises(UsageError, match="is no folder that `ferclean export` wrote"):
        push(tmp_path, REPO)


def test_the_token_comes_from_the_environment_alone_and_is_never_shown(
    there: Hub, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    there.echo = True  # the answer of this Hub has the token in it
    assert run(["push", str(folder), REPO, "--debug", "--json"]) == 1
    said = "".join(capfd.readouterr())
    assert "Bearer (token)" in said
    assert TOKEN not in said
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody_else")
    there.echo = False
    with pytest.raises(FercleanError, match=r"does not let the token in HF_TOKEN write to ada/faces \(401\)"):
        push(folder, REPO)
    (tmp_path / "token").write_text(TOKEN, encoding="ascii")
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(UsageError, match="HF_TOKEN is not set"):
        push(folder, REPO)


def test_the_verb_tells_where_it_went(there: Hub, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["push", str(folder), REPO]) == 0
    assert "are in ada/faces (private): http://127.0.0.1" in capsys.readouterr().out
    assert run(["push", str(folder), "no good name"]) == 2
    assert "cannot name a repository" in capsys.readouterr().err
