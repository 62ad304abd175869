"""JSON piece by piece: the same as at once, whatever the chunks cut, and told by line where it is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ferclean.errors import BadDataError, UsageError
from ferclean.sources import json_files
from ferclean.sources.json_files import elements_of, value_of

WHOLE = {
    "info": {"by": "é", "numbers": [1, 2, {"c": None}]},
    "count": 12345,
    "images": [{"id": n, "name": "é" * (n % 7), "box": [n / 3, -n]} for n in range(40)],
    "numbers": [12345678, -1.5e-7, True, None, "a]b,c}"],
    "none": [],
    "nothing": {},
}


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64, 10_000])
@pytest.mark.parametrize("indent", [None, 2])
def test_every_element_comes_once_however_the_file_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, indent: int | None
) -> None:
    monkeypatch.setattr(json_files, "_CHUNK", chunk)
    file = tmp_path / "a.json"
    file.write_text("\ufeff" + json.dumps(WHOLE, ensure_ascii=False, indent=indent).replace("\n", "\r\n"), "utf-8")
    found: dict[str | None, list[Any]] = {}
    for key, element in elements_of(file):
        found.setdefault(key, []).append(element)
    assert found["images"] == WHOLE["images"]
    assert found["numbers"] == WHOLE["numbers"]
    assert found["count"] == [12345]
    assert dict(found["info"]) == WHOLE["info"]
    assert set(found) == {"info", "count", "images", "numbers"}
    file.write_text(json.dumps(WHOLE["numbers"], indent=indent))
    assert list(elements_of(file)) == [(None, element) for element in WHOLE["numbers"]]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "starts with neither"),
        ("x", "starts with neither"),
        ("[1,\n2", r"\] is missing at its end \(line 2\)"),
        ("[1,]", r"Expecting value \(line 1\)"),
        ('{"a": 1, "a": 2}', "'a' comes twice"),
        ('{"a": {"b": 1, "b": 2}}', "'b' comes twice"),
        ('[{"a": 1, "a": 2}]', "'a' comes twice"),
        ("[1]2", "something stands behind its end"),
        ('{"a"}', ": is missing before }"),
        ('[1\n,\n2 "x"]', r'\] is missing before " \(line 3\)'),
        ("[" * 100_000, "nested too deep"),
        ("[" + "9" * 5000 + "]", "digits"),
        ("[tru]", "Expecting value"),
    ],
)
def test_what_is_no_json_is_told(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(BadDataError, match=rf"a\.json .*{why}"):
        list(elements_of(tmp_path / "a.json"))


def test_an_element_has_a_largest_size_and_a_file_must_be_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_files, "_MAX_ELEMENT", 1000)
    file = tmp_path / "a.json"
    file.write_text(json.dumps(["a" * 400_000]))
    with pytest.raises(BadDataError, match="an element is larger than 1,000 characters"):
        list(elements_of(file))
    file.write_bytes(b'["\xff"]')
    with pytest.raises(BadDataError, match="not JSON in UTF-8"):
        list(elements_of(file))
    with pytest.raises(UsageError, match="cannot read"):
        list(elements_of(tmp_path))


def test_one_value_is_found_without_reading_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"images": [{"id": n} for n in range(9)], "categories": [{"id": 1}], "z": 0}))
    assert value_of(file, "categories") == [{"id": 1}]
    assert value_of(file, "z") == 0
    assert value_of(file, "nothing") is None
    file.write_text("")
    assert value_of(file, "z") is None
