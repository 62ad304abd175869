"""Bars and tiles of the review screen: marks, escaped names, one circle per recognizer beside its first choice."""

from __future__ import annotations

import re

from apps.review import style

CLASSES = ("anger", "fear", "<b>odd</b>")


def _circles(html: str) -> list[int]:
    """Circles beside each class, in order."""
    return [cell.count("○") for cell in re.findall(r'<span class="votes".*?</span>', html)]


def test_each_recognizer_is_a_circle_beside_its_first_choice() -> None:
    html = style.bars(CLASSES, (0.5, 0.3, 0.2), "anger", "fear", ("fear", "anger", "fear"))
    assert _circles(html) == [1, 2, 0]
    assert "first choice of 2 of 3 recognizers" in html
    # no face's bars are longer than another's because recognizers agree
    assert "--recognizers:3" in html


def test_a_single_recognizer_has_no_circles() -> None:
    assert _circles(style.bars(CLASSES, (0.5, 0.3, 0.2), "anger", "fear", ("fear",))) == [0, 0, 0]
    assert _circles(style.bars(CLASSES, None, None, None)) == [0, 0, 0]


def test_names_of_classes_are_text_and_nothing_else() -> None:
    html = style.bars(CLASSES, (0.5, 0.3, 0.2), "<b>odd</b>", None, ("<b>odd</b>", "fear"))
    assert "<b>odd" not in html
    assert _circles(html) == [0, 1, 1]


def test_a_long_name_is_shown_whole_or_told_whole() -> None:
    name = "happily <surprised>"
    shown = style.bars((name, "fear"), (0.5, 0.5), name, None) + style.labels(name, "fear", hidden=False)
    assert shown.count('title="happily &lt;surprised&gt;"') == 2
    assert '<strong class="long" title="happily' in shown
    assert "<strong>fear</strong>" in shown
