"""CVAT's XML: tags, boxes and attributes as labels, subsets as splits, and nothing of what XML can do to a reader."""

from __future__ import annotations

from pathlib import Path

import pytest

from ferclean.errors import BadDataError, UsageError
from ferclean.sources import cvat
from ferclean.sources.cards import load_card
from ferclean.sources.rows import SourceRow
from ferclean.steps.ingest import ingest
from ferclean.store.workspace import Workspace
from tests.made_sets import write_folder

CARD = load_card("cvat")


def image(name: str, *shapes: str, **told: str) -> str:
    more = "".join(f' {key}="{value}"' for key, value in told.items())
    return f'<image id="0" name="{name}" width="24" height="24"{more}>{"".join(shapes)}</image>'


def tag(label: str, **attributes: str) -> str:
    return f'<tag label="{label}" source="manual">{_attributes(attributes)}</tag>'


def box(label: str, sides: str = "1 2 9 8", turned: str = "0", **attributes: str) -> str:
    xtl, ytl, xbr, ybr = sides.split()
    where = f'xtl="{xtl}" ytl="{ytl}" xbr="{xbr}" ybr="{ybr}" rotation="{turned}" z_order="0"'
    return f'<box label="{label}" source="manual" occluded="0" {where}>{_attributes(attributes)}</box>'


def _attributes(told: dict[str, str]) -> str:
    return "".join(f'<attribute name="{name}">{value}</attribute>' for name, value in told.items())


def write(root: Path, *images: str) -> Path:
    root.mkdir(exist_ok=True)
    meta = "<meta><task><labels><label><name>anger</name><type>tag</type></label></labels></task></meta>"
    told = f"<version>1.1</version>{meta}{''.join(images)}"
    text = f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n{told}</annotations>'
    (root / "annotations.xml").write_text(text, encoding="utf-8")
    return root


def rows(root: Path, *images: str, **options: str) -> dict[str, SourceRow]:
    return {row.source_key: row for row in cvat.read(write(root, *images), CARD, **options)}


def test_a_tag_is_the_pictures_label_and_a_box_a_faces(tmp_path: Path) -> None:
    write_folder(tmp_path, [f"images/{name}.png" for name in "abcdefgh"] + ["images/i &amp; <b>.png"])
    found = rows(
        tmp_path,
        image("a.png", tag("Happy", emotion_strength="2")),
        image("b.png", box("Sad"), box("face", "2 2 20 20", emotion="Fear", age="30")),
        image("c.png", tag("Happy"), box("face", "0 0 24 24")),
        image("d.png", tag("Happy"), tag("Sad")),
        image("e.png"),
        image("f.png", box("face")),
        image("g.png", '<polygon label="Sad" points="1,1;2,2"/>'),
        image("h.png", box("Sad", "5 5 5 9"), box("Sad", "1 1 9 9", "30.0"), box("Sad", "1 1 nan 9")),
        image("lost.png", tag("Sad")),
        image("../../etc/passwd", tag("Sad")),
    )
    assert (found["a.png"].given_label, found["a.png"].attributes) == ("happiness", {"emotion_strength": "2"})
    assert (found["b.png"].given_label, found["b.png"].box) == ("sadness", (1, 2, 9, 8))
    second = found["b.png:2"]
    assert (second.given_label, second.box, second.box_unit) == ("fear", (2, 2, 20, 20), "pixels")
    assert second.attributes == {"age": "30", "box": [2, 2, 20, 20]}
    assert (found["c.png"].given_label, found["c.png"].box, found["c.png"].attributes) == (
        "happiness",
        (0, 0, 24, 24),
        {},
    )
    known = CARD.known_labels()
    assert {key: row.problem for key, row in found.items() if row.problem} == {
        "d.png": "label: several (happiness, sadness)",
        "e.png": "label: missing",
        "f.png": f"label: unknown ('face'; known: {known})",
        "g.png": "label: missing (only shapes: polygon)",
        "h.png": "image: its box is empty or endless",
        "h.png:2": "image: its box is turned (30 degrees)",
        "h.png:3": "image: its box is empty or endless",
        "lost.png": "file: missing",
        "../../etc/passwd": "file: path leaves the data set's folder",
    }


def test_subsets_are_splits_and_an_attribute_can_be_named(tmp_path: Path) -> None:
    write_folder(tmp_path, ["images/Train/a.png", "images/Test/a.png", "images/b.png"])
    found = rows(
        tmp_path,
        image("a.png", tag("face", mood="Happy"), subset="Train"),
        image("a.png", tag("face", mood="Sad"), subset="Test"),
        image("b.png", tag("face"), subset="odd"),
        image("b.png", tag("face", mood="Sad"), subset="default"),
        label_column="mood",
    )
    assert [(key, row.split, row.given_label, row.relative_path) for key, row in found.items()] == [
        ("Train/a.png", "train", "happiness", "images/Train/a.png"),
        ("Test/a.png", "test", "sadness", "images/Test/a.png"),
        ("odd/b.png", "train", None, "images/b.png"),
        ("b.png", "train", "sadness", "images/b.png"),
    ]
    assert [row.problem for row in found.values()] == [None, None, "split: unknown ('odd')", "split: missing"]
    with pytest.raises(UsageError, match="leave --split out"):
        rows(tmp_path, image("a.png", tag("Sad"), subset="Train"), split="test")
    assert rows(tmp_path, image("b.png", tag("Sad")), split="val")["b.png"].split == "validation"


LAUGHS = '<!DOCTYPE annotations [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><annotations>&b;</annotations>'
FILES = '<!DOCTYPE annotations [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotations><image name="&a;"/></annotations>'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (LAUGHS, "it has a DTD or an entity"),
        (FILES, "it has a DTD or an entity"),
        ('<!DOCTYPE annotations SYSTEM "http://example.org/a.dtd"><annotations/>', "it has a DTD or an entity"),
        ("<html><body/></html>", "its root is 'html'"),
        ("<annotations><track id='0'/></annotations>", "tracks in a video"),
        ("<annotations><image name='a'>", "no element found"),
        ("<annotations><image name='a'></annotations>", "mismatched tag"),
        ("<annotations>&amp;&b;</annotations>", "undefined entity"),
        ("", "no element found"),
        ("<annotations>" + "<a>" * 100_000, "nested more than 32 deep"),
        ("<annotations><image name='" + "a" * 9_000_000 + "'/></annotations>", "no tag in 4,194,304 bytes"),
        (
            "<annotations><image>" + "<tag/>" * 10_001 + "</image></annotations>",
            "more than 10,000 shapes",
        ),
        ("<?xml version='1.0' encoding='klingon'?><annotations/>", "unknown encoding"),
    ],
)
def test_what_xml_can_do_to_a_reader_is_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "annotations.xml").write_text(text)
    with pytest.raises(BadDataError, match=rf"annotations\.xml is not CVAT's XML \(CVAT for images 1\.1\): .*{why}"):
        list(cvat.read(tmp_path, CARD))


def test_it_is_ingested_with_its_faces_cut_out(tmp_path: Path) -> None:
    write_folder(tmp_path / "set", ["a.png", "b.png"])
    write(
        tmp_path / "set",
        image("a.png", box("Sad", "1 1 19 19"), box("Happy", "2 2 20 20")),
        image("b.png", tag("Fear")),
    )
    told = ingest(Workspace.create(tmp_path / "W"), "cvat", tmp_path / "set")
    assert (told.added, told.quarantined, told.classes) == (3, {}, ["fear", "happiness", "sadness"])
    with pytest.raises(BadDataError, match="no such file"):
        list(cvat.read(tmp_path, CARD))
