"""Facts about the Croissant file of the Hugging Face form, read and validated by mlcroissant itself."""

from __future__ import annotations

import json
from pathlib import Path

import mlcroissant
import pytest
from small_workspace import CLASSES, photos, shared, small
from small_workspace import decide as say

from ferclean.exports.content import read_content
from ferclean.exports.provenance import provenance
from ferclean.steps.export import export
from ferclean.steps.release import release

# rdflib's own parser, below mlcroissant, uses a class of rdflib that is deprecated
pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")


def opened(folder: Path) -> mlcroissant.Dataset:
    found = mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))
    assert not found.metadata.ctx.issues.errors
    return found


def test_mlcroissant_validates_it_and_gives_the_rows_with_their_pictures(exported: Path) -> None:
    found = opened(exported)
    rows = {row["rows/source_key"].decode(): row for row in found.records("rows")}
    content = read_content(shared(released=True).ws, "v1").rows.set_index("source_key")
    assert {key: CLASSES[row["rows/label"]] for key, row in rows.items()} == content["release_label"].to_dict()
    assert {key: row["rows/split"].decode() for key, row in rows.items()} == content["split"].to_dict()
    assert rows["train_00001"]["rows/image"].size == (12, 12)
    assert sum(rows["train_00006"]["rows/soft_label"]) == pytest.approx(1)
    assert [row["classes/name"] for row in found.records("classes")] == list(CLASSES)


def test_it_says_how_the_labels_came_about_in_the_fields_of_responsible_ai(exported: Path) -> None:
    said = opened(exported).metadata.to_json()
    assert "0.9" in said["rai:dataManipulationProtocol"]
    assert any("triage fused" in line for line in said["rai:machineAnnotationTools"])
    assert "2 images of the source are left out" in said["rai:dataCollectionMissingData"]
    assert "about 40 votes" in said["rai:annotationsPerItem"]
    assert said["citeAs"].startswith("Li, Deng, Du")
    assert "must not be published" in said["description"]
    assert len(said["rai:dataLimitations"]) == 3


def test_hostile_names_stay_text_and_the_given_labels_are_described_too(tmp_path: Path) -> None:
    names = ('"}], "@id": "x', "<b>😀</b>", "très triste")
    ws = photos(tmp_path, ["a.png", "b.png", "c.png"], classes=names, labels=names)
    export(ws, form="hf", out=tmp_path / "out", release="original")
    found = opened(tmp_path / "out")
    assert [row["classes/name"] for row in found.records("classes")] == list(names)
    assert "datePublished" not in json.loads((tmp_path / "out" / "croissant.json").read_text("utf-8"))


def test_card_and_croissant_tell_the_people_their_flows_and_no_agreement_on_too_few_faces(tmp_path: Path) -> None:
    work = small(tmp_path)
    for reviewer in ("ann", "<i>bob</i>"):
        say(work, "train_00001", "relabel", label="fear", reviewer=reviewer)
    release(work.ws, "v1")
    origin = provenance(read_content(work.ws, "v1"))
    assert origin.flows == (("anger", "fear", 1),)
    assert (origin.runs, origin.people, origin.votes) == ((), None, None)
    export(work.ws, form="hf", out=tmp_path / "out", release="v1")
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "| anger → fear | 1 |" in card
    told = "Fewer than 30 faces were answered by two people or more: no agreement is stated."
    assert told in card
    assert opened(tmp_path / "out").metadata.to_json()["rai:dataAnnotationAnalysis"] == told
