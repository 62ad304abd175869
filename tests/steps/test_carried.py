"""Facts about decisions that go along into another workspace: they stay with the picture that they were made about."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ferclean.cli import run
from ferclean.errors import BadDataError, UsageError
from ferclean.parts.carried import decisions_to_file
from ferclean.steps.decide import decide_from_file
from ferclean.steps.ingest import ingest
from ferclean.store import samples
from ferclean.store.decisions import Decision, append_decisions, current_decisions, undo
from ferclean.store.workspace import Workspace
from tests.made_sets import RAFDB_CODES, image_bytes, rafdb_pairs, write_folder, write_rafdb

PAIRS = rafdb_pairs()


def say(ws: Workspace, key: str, action: str, label: str | None = None, *, by: str = "ada", **more: str) -> None:
    decision = Decision(sample_id=samples.find_sample(ws, key), action=action, label=label, reviewer=by, **more)  # type: ignore[arg-type]
    append_decisions(ws, [decision])


def standing(ws: Workspace) -> dict[str, tuple[str, str | None, str]]:
    key = samples.get_samples(ws, include_quarantined=True).set_index("sample_id")["source_key"]
    columns = ["sample_id", "action", "label", "reviewer"]
    return {key[one]: (action, label, by) for one, action, label, by in current_decisions(ws)[columns].to_numpy()}


def test_the_way_that_a_refused_ingest_names_takes_the_decisions_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    root = write_rafdb(tmp_path / "set", PAIRS)
    old = Workspace.create(tmp_path / "OLD")
    ingest(old, "rafdb", root)
    say(old, "train_00001", "keep")  # surprise, which the mended list will call fear
    say(old, "train_00002", "relabel", "fear", note='=1+1, "wide"\neyes')  # as the mended list will say itself
    say(old, "train_00003", "relabel", "anger")
    say(old, "train_00003", "exclude")
    say(old, "train_00004", "exclude")
    undo(old, reviewer="ada")
    say(old, "train_00005", "keep")
    say(old, "train_00005", "ambiguous", by="bob")
    say(old, "train_00005", "relabel", "neutral", by="cleo", source="adjudication")
    say(old, "train_00006", "keep")  # its picture will be another one
    say(old, "train_00007", "skip")

    mended = {"train_00001": RAFDB_CODES["fear"], "train_00002": RAFDB_CODES["fear"]}
    write_rafdb(tmp_path / "mended", [(key, mended.get(key, code)) for key, code in PAIRS])
    (tmp_path / "mended/Image/aligned/train_00006_aligned.jpg").write_bytes(image_bytes(500))
    assert run(["-w", "OLD", "ingest", "rafdb", "mended"]) == 4
    refused = capsys.readouterr().err
    for command in ("-w NEW ingest", "decide --to-file decisions.csv", "-w NEW decide --from-file decisions.csv"):
        assert command in refused
    assert run(["-w", "OLD", "decide", "--to-file", "decisions.csv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["written"] == 5
    assert run(["-w", "NEW", "ingest", "rafdb", "mended"]) == 0
    assert run(["-w", "NEW", "decide", "--from-file", "decisions.csv"]) == 0
    assert "1 are about pictures that this workspace does not hold" in capsys.readouterr().out

    new = Workspace.open(tmp_path / "NEW")
    assert standing(new) == {
        "train_00001": ("relabel", "surprise", "ada"),
        "train_00002": ("keep", None, "ada"),
        "train_00003": ("exclude", None, "ada"),
        "train_00005": ("relabel", "neutral", "cleo"),
    }
    assert not current_decisions(new)["conflict"].any()
    again = decide_from_file(new, "decisions.csv")
    assert (again.recorded, again.already, again.elsewhere, again.ignored_columns) == (0, 4, 1, ())
    # out and in once more: nothing is lost on the way, notes of any form included
    assert decisions_to_file(new, "again.csv").written == 4
    assert '"\'=1+1, ""wide""\neyes"' in Path("again.csv").read_text("utf-8")
    assert decide_from_file(new, "again.csv").recorded == 0


def test_a_picture_that_moved_to_another_class_keeps_its_decision(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "set", ["happy/a.png", "happy/b.png", "sad/c.png"])
    (root / "sad/twin.png").write_bytes((root / "happy/b.png").read_bytes())
    old, new = Workspace.create(tmp_path / "OLD"), Workspace.create(tmp_path / "NEW")
    ingest(old, "image_folder", root)
    say(old, "happy/a.png", "keep")
    say(old, "happy/b.png", "exclude")
    (root / "happy/a.png").rename(root / "sad/renamed.png")
    (root / "happy/b.png").rename(root / "sad/b.png")
    decisions_to_file(old, tmp_path / "d.csv")
    ingest(new, "image_folder", root, classes="happiness,sadness")
    assert decide_from_file(new, tmp_path / "d.csv").recorded == 2
    # of two equal pictures the one with the same file name is meant
    assert standing(new) == {"sad/renamed.png": ("relabel", "happiness", "ada"), "sad/b.png": ("exclude", None, "ada")}


def test_decisions_about_rows_that_were_renamed_go_to_the_same_pictures_of_this_workspace(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "set", ["happy/a.png", "happy/b.png", "sad/c.png"])
    ws = Workspace.create(tmp_path / "W")
    ingest(ws, "image_folder", root)
    say(ws, "happy/a.png", "relabel", "sadness")
    say(ws, "happy/b.png", "exclude")
    (root / "happy/a.png").rename(root / "happy/renamed.png")
    (root / "happy/b.png").unlink()
    ingest(ws, "image_folder", root)
    decisions_to_file(ws, tmp_path / "d.csv")
    assert decide_from_file(ws, tmp_path / "d.csv").recorded == 1
    assert standing(ws)["happy/renamed.png"] == ("relabel", "sadness", "ada")
    assert standing(ws)["happy/b.png"] == ("exclude", None, "ada")
    assert decide_from_file(ws, tmp_path / "d.csv").recorded == 0


def test_decisions_about_another_set_are_refused_and_no_file_is_written_over(tmp_path: Path) -> None:
    made = []
    for name, keys in (("A", ["happy/a.png"]), ("B", ["sad/x/b.png", "happy/y/c.png"])):
        ws = Workspace.create(tmp_path / name)
        root = write_folder(tmp_path / f"set{name}", keys)
        (root / keys[0]).write_bytes(image_bytes(ord(name), "PNG"))
        ingest(ws, "image_folder", root)
        made.append(ws)
    say(made[0], "happy/a.png", "keep")
    decisions_to_file(made[0], tmp_path / "d.csv")
    with pytest.raises(BadDataError, match="none of its 1 decisions is about a picture of this workspace"):
        decide_from_file(made[1], tmp_path / "d.csv")
    with pytest.raises(UsageError, match=r"d\.csv exists"):
        decisions_to_file(made[0], tmp_path / "d.csv")
    assert run(["-w", str(made[0].root), "decide", "--to-file", "x.csv", "--adjudicate"]) == 2
