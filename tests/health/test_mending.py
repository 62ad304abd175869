"""`doctor --fix`: what it excludes, what it leaves to people, and one undo that takes it back."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from PIL import Image

from ferclean.cli import run
from ferclean.errors import UsageError
from ferclean.steps.doctor import doctor, fix
from ferclean.steps.ingest import ingest
from ferclean.store.decisions import Decision, append_decisions, current_decisions, undo
from ferclean.store.samples import get_samples
from ferclean.store.standing import only_reverted
from ferclean.store.workspace import Workspace
from tests.made_sets import pixels, rafdb_pairs, write_rafdb


@pytest.fixture
def ill(tmp_path: Path) -> Workspace:
    """A spare copy, two labels for one picture, a leak, a mirrored one, a blank training and a blank test picture."""
    root = write_rafdb(tmp_path / "set", rafdb_pairs(per_class=4, test=2))

    def file(key: str) -> Path:
        return root / f"Image/aligned/{key}_aligned.jpg"

    for copy, original in (
        ("train_00002", "train_00001"),
        ("train_00005", "train_00003"),
        ("test_0001", "train_00004"),
    ):
        file(copy).write_bytes(file(original).read_bytes())
    with Image.open(file("test_0008")) as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(file("train_00022"), "JPEG", quality=95)
    for key, grey in (("train_00028", 90), ("test_0014", 160)):
        Image.fromarray(pixels(0) // 255 + grey).save(file(key))
    ws = Workspace.create(tmp_path / "W")
    ingest(ws, "rafdb", root)
    return ws


def excluded(ws: Workspace) -> list[str]:
    keys = get_samples(ws).set_index("sample_id")["source_key"]
    stands = current_decisions(ws)
    return [keys[one] for one in stands.loc[stands["action"] == "exclude", "sample_id"]]


def test_what_needs_nobodys_eye_is_excluded_as_one_bulk_and_nothing_else(ill: Workspace) -> None:
    files = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in (ill.root.parent / "set").rglob("*.jpg")}
    report = doctor(ill)
    planned = fix(ill, report, reviewer="ann", dry_run=True)
    assert planned.bulk_id is None
    assert excluded(ill) == []
    assert {one["source_key"]: one["why"] for one in planned.excluded} == {
        "train_00002": ["exact_duplicates"], "train_00004": ["leak"], "train_00022": ["near_leak"],
        "train_00028": ["blank"],
    }  # fmt: skip
    assert planned.asks["conflicting_labels"] == 2
    done = fix(ill, report, reviewer="ann", asked=planned)
    assert excluded(ill) == ["train_00002", "train_00004", "train_00022", "train_00028"]
    assert files == {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    assert len(only_reverted(ill)) == 4  # nobody looked at them
    again = {finding.kind: finding for finding in doctor(ill).findings}
    assert {"leak", "near_leak"}.isdisjoint(again)
    assert again["blank"].examples == ["test_0014"]
    assert again["left_out"].count == 4
    assert fix(ill, doctor(ill), reviewer="ann").excluded == []
    assert len(undo(ill, bulk_id=done.bulk_id)) == 4
    assert excluded(ill) == []
    assert "leak" in {finding.kind for finding in doctor(ill).findings}


def test_who_has_decided_is_not_overruled_and_what_changed_since_it_was_shown_is_not_recorded(ill: Workspace) -> None:
    report = doctor(ill)
    planned = fix(ill, report, reviewer="ann", dry_run=True)
    kept = planned.excluded[0]["sample_id"]
    append_decisions(ill, [Decision(sample_id=kept, action="keep", reviewer="ben")])
    changed = fix(ill, report, reviewer="ann", asked=planned)
    assert (changed.bulk_id, changed.decided, len(changed.excluded)) == (None, 1, 3)
    assert excluded(ill) == []


def test_the_command_shows_first_and_records_only_when_told(ill: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["-w", str(ill.root), "doctor"]
    assert run([*words, "--fix", "--dry-run"]) == 3
    assert "4 pictures would be excluded" in capsys.readouterr().out
    assert run([*words, "--fix"]) == 3  # nobody can be asked
    assert "add --yes" in capsys.readouterr().err
    assert excluded(ill) == []
    assert run([*words, "--fix", "--yes", "--reviewer", "ann", "--json"]) == 3
    told = json.loads(capsys.readouterr().out)["fix"]
    assert len(told["excluded"]) == len(excluded(ill)) == 4
    assert run(["-w", str(ill.root), "undo", "--bulk", told["bulk_id"]]) == 0
    assert run([*words, "--yes"]) == UsageError.exit_code
    assert "goes with --fix" in capsys.readouterr().err
