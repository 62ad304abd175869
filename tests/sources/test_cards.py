"""Data cards: what they promise, and what a broken one says."""

from __future__ import annotations

import pytest

from ferclean import sources
from ferclean.bundled_files import known_cards
from ferclean.errors import BadDataError, UsageError
from ferclean.evidence.labels import EXPRESSIONS
from ferclean.sources.cards import Card, load_card, parse_card

GOOD = """---
pretty_name: Mine
license: cc-by-4.0
ferclean:
  layout: image_folder
  classes: [happy, Sad]
  codes: {1: happiness, 2: sad}
  splits: {a: train, b: test}
  expected:
    train: {happiness: 3, sadness: 4}
  split_totals: {test: 5}
  class_totals: {happy: 4, sad: 8}
  size: [48, 64]
  naming: '(?P<person>S[0-9]+)_(?P<label>[12])_[0-9]+'
  no_labels: {3: no face}
  citation: Somebody, 2020
  redistributable: true
---
Words.
"""


def test_a_card_is_read_with_canonical_names() -> None:
    card = parse_card(GOOD, name="mine")
    assert card.classes == ("happiness", "sadness")
    assert card.codes == {"1": "happiness", "2": "sadness"}
    assert card.expected == {"train": {"happiness": 3, "sadness": 4}}
    assert (card.title, card.licence, card.redistributable, card.text) == ("Mine", "cc-by-4.0", True, "Words.\n")


def test_a_card_tells_totals_the_size_of_pictures_and_what_a_files_name_says() -> None:
    card = parse_card(GOOD, name="mine")
    assert (card.split_totals, card.class_totals) == ({"test": 5}, {"happiness": 4, "sadness": 8})
    assert (card.size, card.no_labels, card.citation) == ((48, 64), {"3": "no face"}, "Somebody, 2020")
    assert card.told_by("a/S01_2_7.png") == {"person": "S01", "label": "2"}
    assert card.told_by("a/s01_2_7.PNG") == {"person": "S01", "label": "2"}
    assert card.told_by("S01_2_7_copy.png") is None
    assert load_card("sfew").split_of("val_aligned_faces") == "validation"
    assert load_card("fer2013").told_by("privatetest_7.jpg") == {}
    assert load_card("rafdb").told_by("TRAIN_00007_ALIGNED.JPG") == {"split": "train"}
    assert set(card.as_dict()) == {name for name in Card.__dataclass_fields__ if name not in ("text", "counted_codes")}


def test_every_bundled_card_is_well_formed() -> None:
    assert {"rafdb", "fer2013", "image_folder", "table"} <= set(known_cards())
    for name in known_cards():
        card = load_card(name)
        assert card.title
        assert name == "rafdb_compound" or set(card.classes) <= set(EXPRESSIONS)
        assert not card.expected or not card.split_totals
        assert set(card.codes.values()) == set(card.classes)
        assert sources.source(card.layout).read
        assert len(card.text) > 100


def test_rafdb_and_fer2013_keep_their_published_order_and_counts() -> None:
    rafdb, fer = load_card("rafdb"), load_card("fer2013")
    assert rafdb.classes == ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
    assert [rafdb.label_of(str(code)) for code in range(1, 8)] == list(rafdb.classes)
    assert fer.classes == ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
    assert [fer.label_of(str(code)) for code in range(7)] == list(fer.classes)
    assert rafdb.expected is not None
    assert {split: sum(counts.values()) for split, counts in rafdb.expected.items()} == {"train": 12271, "test": 3068}
    assert fer.expected is not None
    assert {split: sum(counts.values()) for split, counts in fer.expected.items()} == {
        "train": 28709,
        "validation": 3589,
        "test": 3589,
    }
    assert not rafdb.redistributable
    assert not fer.redistributable


def test_labels_are_known_by_code_canonical_name_and_spelling() -> None:
    card = load_card("rafdb")
    assert [card.label_of(text) for text in ("4", " 4 ", "happiness", "Happy", "8", "contempt", "bored", "")] == [
        "happiness", "happiness", "happiness", "happiness", None, None, None, None,
    ]  # fmt: skip


def test_a_card_means_its_names_as_they_are_written() -> None:
    text = (
        "---\nferclean:\n  layout: table\n  classes: [yes, null, 1.10]\n  codes: {010: yes, no: null, 2.0: 1.10}\n---\n"
    )
    card = parse_card(text, name="x")
    assert card.classes == ("yes", "null", "1.10")
    assert card.codes == {"010": "yes", "no": "null", "2": "1.10"}
    with pytest.raises(BadDataError, match=r"data card 'x': the front matter is not YAML \(the key 010 comes twice"):
        parse_card(text.replace("no:", "010:"), name="x")


def test_splits_are_known_by_the_cards_names_and_the_usual_ones() -> None:
    card = load_card("fer2013")
    assert [card.split_of(name) for name in ("Training", "PublicTest", "PrivateTest", "val", "Extra")] == [
        "train", "validation", "test", "validation", None,
    ]  # fmt: skip


def test_a_vocabulary_of_ones_own_has_codes_from_zero() -> None:
    card = load_card("table").with_classes(["Happy", "bored"])
    assert card.classes == ("happiness", "bored")
    assert [card.label_of(code) for code in ("0", "1", "2", "bored", "happy", "anger")] == [
        "happiness", "bored", None, "bored", "happiness", None,
    ]  # fmt: skip
    with pytest.raises(UsageError, match="twice"):
        card.with_classes(["happy", "happiness"])


def test_an_unknown_card_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"rafbd.*fer2013.*rafdb"):
        load_card("rafbd")


def test_a_card_file_of_ones_own_is_read_by_path(tmp_path) -> None:
    (tmp_path / "mine.md").write_text(GOOD)
    card = load_card(tmp_path / "mine.md")
    assert isinstance(card, Card)
    assert card.name == "mine"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("---\npretty", "pretty", "no front matter"),
        ("\n---\nWords", "\nWords", "no front matter"),
        ("pretty_name: Mine", "pretty_name: [", "not YAML"),
        ("pretty_name: Mine", "pretty_name: !!python/object/apply:os.getcwd []", "not YAML"),
        ("ferclean:", "fercleaner:", "no `ferclean:` block"),
        ("layout: image_folder", "layout: zip", "no layout 'zip'; known: affectnet, coco, cvat, drawn_faces"),
        ("  splits: {a: train", "  colour: red\n  splits: {a: train", "unknown entries colour"),
        ("[happy, Sad]", "[happy, happiness]", "twice"),
        ("[happy, Sad]", "happy", "classes is a list"),
        ("2: sad}", "2: anger}", "code 2 stands for 'anger'"),
        ("b: test}", "b: exam}", "splits lead to exam"),
        ("{a: train, b: test}", "[a, b]", "splits is a mapping"),
        ("train: {happiness", "exam: {happiness", "expected holds class counts"),
        ("{happiness: 3, s", "{fear: 3, s", "expected stands for 'fear'"),
        ("redistributable: true", "redistributable: perhaps", "true or false"),
        ("{test: 5}", "{exam: 5}", "split_totals counts train, validation, test, not 'exam'"),
        ("{happy: 4", "{happy: many", "class_totals holds whole numbers, not happy: many"),
        ("[48, 64]", "[48]", r"size is \[width, height\]"),
        ("(?P<person>", "(?P<person", "naming is a regular expression"),
    ],
)
def test_a_broken_card_says_what_is_wrong(old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(BadDataError, match=message):
        parse_card(GOOD.replace(old, new, 1), name="mine")
