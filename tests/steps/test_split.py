"""Facts about `ferclean split`: what stays together, what stays as published, and that a release follows it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from small_workspace import picture

from ferclean.cli import run
from ferclean.errors import FercleanError, UsageError
from ferclean.exports.content import read_content
from ferclean.parts.training_rows import from_release
from ferclean.sources.cards import load_card
from ferclean.steps.apply import apply
from ferclean.steps.diff import diff
from ferclean.steps.export import export
from ferclean.steps.release import release
from ferclean.steps.revert import Part, revert
from ferclean.steps.split import split
from ferclean.store import assignments
from ferclean.store.decisions import Decision, append_decisions
from ferclean.store.releases import get_release, get_release_items
from ferclean.store.samples import Dataset, Sample, get_samples, make_sample_id, put_dataset, put_samples
from ferclean.store.workspace import Workspace

CLASSES = ("anger", "fear")


def faces(root: Path, count: int = 40, *, tested: int = 0, persons: int = 20, copies: int = 1) -> Workspace:
    """`count` pictures of noise, of which the last `tested` are published as test and the first `copies` are copies of
    the last ones; of two classes, each two of a person."""
    ws, folder = Workspace.create(root / "workspace"), root / "pictures"
    folder.mkdir(parents=True)
    about: dict[str, Any] = {
        "name": "faces",
        "classes": CLASSES,
        "root": str(folder),
        "licence": "cc0-1.0",
        "redistributable": True,
    }
    put_dataset(ws, Dataset(card=load_card("image_folder").as_dict(), **about))
    rows = []
    for number in range(count):
        data = picture(number if number >= copies else count - 1 - number)
        (folder / f"{number}.jpg").write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        person: dict[str, Any] = {"person": f"p{number % persons}"} if persons else {}
        rows.append(
            Sample(
                sample_id=make_sample_id("faces", f"{number}.jpg", digest), source_key=f"{number}.jpg",
                split="test" if number >= count - tested else "train", given_label=CLASSES[number // 2 % 2],
                relative_path=f"{number}.jpg", content_hash=digest,
                attributes=person | {"gender": "f" if number % 3 else "m", "box": [1, 2, 3, 4]},
            )
        )  # fmt: skip
    put_samples(ws, rows)
    return ws


def parts(ws: Workspace, name: str) -> pd.DataFrame:
    """Key -> split, left_out and person."""
    table = assignments.get(ws, name)[0].merge(get_samples(ws)[["sample_id", "attributes"]], on="sample_id")
    table["person"] = [row.get("person") for row in table["attributes"]]
    return table.set_index("source_key")


def test_people_and_copies_stay_together_and_the_same_call_gives_the_same(tmp_path: Path) -> None:
    ws = faces(tmp_path)
    made = split(ws, train=0.6, validation=0.2, test=0.2, balance=["gender"])
    assert made.by == "person"
    assert not made.kept_test
    found = parts(ws, made.name)
    assert found["left_out"].isna().all()
    assert (found.groupby("person")["split"].nunique() == 1).all()
    assert found["split"]["0.jpg"] == found["split"]["39.jpg"], "a copy"
    assert [row["n"] for row in made.splits] == pytest.approx([24, 8, 8], abs=2)
    assert sum(row["identities"] for row in made.splits) == 20
    assert made.differences["gender"]["balanced"] <= made.differences["gender"]["random"]
    again = split(ws, train=0.6, validation=0.2, test=0.2, balance=["gender"])
    assert (again.name, again.kept_before) == (made.name, True)
    (ws.splits / "notes").write_text("of somebody", encoding="ascii")  # a file is no splits
    assert assignments.names(ws) == ["split-1"]


def test_the_published_test_split_stays_and_what_belongs_with_it_is_left_out(tmp_path: Path) -> None:
    ws = faces(tmp_path, tested=10, persons=0)
    made = split(ws, "mine", train=0.8, validation=0.1, test=0.1)
    found = parts(ws, "mine")
    assert set(found.index[found["split"] == "test"]) == {f"{n}.jpg" for n in range(30, 40)}
    assert list(found.index[found["left_out"].notna()]) == ["0.jpg"]
    assert made.left_out == {"a copy of a published test picture": 1}
    assert {row["split"]: row["n"] for row in made.splits} == {"train": 26, "validation": 3, "test": 10}
    assert any("no people are told apart" in said for said in made.warnings)
    fresh = split(ws, train=0.8, validation=0.1, test=0.1, keep_test=False)
    assert any("cannot be compared with published results" in said for said in fresh.warnings)
    assert not fresh.left_out


def test_a_release_follows_its_splits_and_so_do_exports_and_retraining(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ws = faces(tmp_path, tested=10, persons=0)
    release(ws, "v0")
    split(ws, "mine")
    ids = {key: sample for key, sample in zip(get_samples(ws)["source_key"], get_samples(ws)["sample_id"], strict=True)}
    append_decisions(ws, [Decision(sample_id=ids["0.jpg"], action="exclude", reviewer="ann", source="cli")])
    done = release(ws, "v1", splits="mine")
    assert done.splits is not None
    assert not done.splits["new_test"]
    items = get_release_items(ws, "v1").set_index("sample_id")
    wanted = parts(ws, "mine").set_index("sample_id")
    assert (items["split"] == wanted["split"].reindex(items.index)).all()
    assert items.loc[ids["0.jpg"], "reason"] == "splits mine: a copy of a published test picture"
    content = read_content(ws, "v1")
    assert set(content.rows["split"]) == {"train", "validation", "test"}
    assert len(content.rows) == 39
    assert read_content(ws, "v1", "validation").rows["sample_id"].isin(wanted.index[wanted["split"] != "train"]).all()
    assert ids["0.jpg"] not in set(from_release(ws, "v1")[0]["sample_id"]), "no arm may learn from it"
    assert ids["0.jpg"] in set(from_release(ws, "v0")[0]["sample_id"])
    assert "in another split" in " ".join(get_release(ws, "v1").config["changelog"]["why"])
    found = diff(ws, "v0", "v1")
    assert [one["source_key"] for one in found.changes] == ["0.jpg"]
    into = [ids[key] for key, now in parts(ws, "mine")["split"].items() if now == "validation"]
    assert {(one["sample_id"], one["from"], one["to"]) for one in found.moved} == {
        (one, "train", "validation") for one in into
    }
    assert found.as_dict()["moves"] == [{"from": "train", "to": "validation", "count": len(into)}]
    assert run(["-w", str(ws.root), "diff", "v1", "v0"]) == 0
    assert f"{len(into)} face(s) in another split" in capsys.readouterr().out
    back = revert(ws, "v0", "v1", Part(), reviewer="ann")
    assert ([one["source_key"] for one in back.barred], back.moved) == (["0.jpg"], len(into))
    assert release(ws, "v1", splits="mine").unchanged_since


def test_a_patch_upon_a_divided_release_keeps_its_splits_and_none_is_made_of_them(tmp_path: Path) -> None:
    ws = faces(tmp_path, persons=0)
    split(ws, "mine")
    release(ws, "divided", splits="mine")
    told = Decision(sample_id=get_samples(ws)["sample_id"][1], action="relabel", label="fear", reviewer="ann")
    append_decisions(ws, [told])
    release(ws, "plain")
    export(ws, form="patch", release="plain", out=tmp_path / "patch")
    assert apply(ws, tmp_path / "patch", onto="divided", name="both").undone == []
    assert get_release(ws, "both").config["splits"] == get_release(ws, "divided").config["splits"]
    between = diff(ws, "divided", "both").as_dict()
    assert (between["relabelled"], between["moved"]) == (1, [])
    for since in ("original", "plain", "divided"):
        with pytest.raises(UsageError, match=r"divides? the set anew, and a patch holds no splits"):
            export(ws, form="patch", release="both", since=since, out=tmp_path / "no")


def test_a_new_test_split_is_told_on_the_card(tmp_path: Path) -> None:
    ws = faces(tmp_path, tested=10, persons=0)
    split(ws, "anew", keep_test=False)
    release(ws, "v1", splits="anew")
    export(ws, form="image_folder", release="v1", out=tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "This test split is not the published one" in card
    assert "as it was published" not in card


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"train": 0.8, "test": 0.1}, "sum to 0.9, not to 1"),
        ({"train": 0.0, "test": 1.0}, "nothing is left to train on"),
        ({"balance": ["gendre"]}, "did you mean 'gender'.*known: gender, person"),
        ({"by": "box"}, "no attribute 'box'.*known: gender, person"),
        ({"name": "a/b"}, "cannot name splits"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_known(tmp_path: Path, asked: dict[str, Any], words: str) -> None:
    ws = faces(tmp_path, 8, persons=4)
    with pytest.raises(UsageError, match=words):
        split(ws, **asked)
    assert not ws.splits.exists()


def test_a_person_larger_than_every_split_and_too_few_people_are_refused(tmp_path: Path) -> None:
    for number, (persons, words) in enumerate([(2, "fewer groups of people"), (1, "fewer groups|must stay together")]):
        ws = faces(tmp_path / str(number), 12, persons=persons, copies=0)
        with pytest.raises(UsageError, match=words):
            split(ws)
    ws = faces(tmp_path / "large", 12, persons=0, copies=0)
    told = [(f'{{"person": "{"x" if row < 8 else row}"}}', one) for row, one in enumerate(get_samples(ws)["sample_id"])]
    with ws.session("test") as con:
        con.executemany("UPDATE sample SET attributes = ? WHERE sample_id = ?", told)
    with pytest.raises(UsageError, match=r"8 pictures of person x must stay together.*room for 6"):
        split(ws, train=0.5, validation=0.5)


def test_splits_are_frozen_and_must_know_every_sample(tmp_path: Path) -> None:
    ws = faces(tmp_path, 20, persons=0)
    split(ws, "mine", dry_run=True)
    assert assignments.names(ws) == []
    split(ws, "mine")
    with pytest.raises(UsageError, match="frozen"):
        split(ws, "mine", seed=3)
    with pytest.raises(UsageError, match="unknown splits 'nine'; did you mean 'mine'"):
        release(ws, splits="nine")
    new = Sample(sample_id=make_sample_id("faces", "new", "x"), source_key="new", split="train", given_label="fear")
    put_samples(ws, [new])
    with pytest.raises(UsageError, match="1 sample came since the splits 'mine' were made"):
        release(ws, splits="mine")
    (ws.splits / "mine" / assignments.TABLE).write_bytes(b"nonsense")
    with pytest.raises(FercleanError, match=r"is damaged .*make the splits again"):
        release(ws, splits="mine")


def test_the_verb_shows_the_table_and_names_the_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ws = faces(tmp_path)
    assert run(["-w", str(ws.root), "split", "--train", ".6", "--validation", ".2", "--test", ".2"]) == 0
    told = capsys.readouterr()
    assert "largest difference of a share" in told.out
    assert "release --splits split-1" in told.err
