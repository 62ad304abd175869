"""Label Studio's exports: three forms of the same answers, several annotators as votes, and a reason for each gap."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from ferclean.errors import BadDataError, UsageError
from ferclean.sources import label_studio
from ferclean.sources.cards import load_card
from ferclean.sources.rows import SourceRow
from ferclean.steps.ingest import ingest
from ferclean.store.workspace import Workspace
from tests.made_sets import image_bytes, write_csv, write_folder

CARD = load_card("label_studio")


def answer(word: str | list[str] | None, who: Any = 1, **told: Any) -> dict[str, Any]:
    words = [] if word is None else [word] if isinstance(word, str) else word
    result = [{"from_name": "emotion", "to_name": "image", "type": "choices", "value": {"choices": words}}]
    return {"id": 5, "completed_by": who, "result": result if words else [], "was_cancelled": False, **told}


def task(number: int, image: str, *answers: dict[str, Any], **data: str) -> dict[str, Any]:
    told = {"image": image, **data}
    guess = [{"model_version": "m", "result": answer("Sad")["result"]}]
    return {"id": number, "data": told, "annotations": list(answers), "predictions": guess, "drafts": []}


def rows(root: Path, *tasks: Any, **options: Any) -> dict[str, SourceRow]:
    (root / "export.json").write_text(json.dumps(tasks), encoding="utf-8")
    return {row.source_key: row for row in label_studio.read(root / "export.json", CARD, **options)}


def test_the_three_forms_say_the_same(tmp_path: Path) -> None:
    write_folder(tmp_path, ["upload/1/0a1b2c3d-a.png", "upload/1/0a1b2c3e-b.png"])
    names = ["/data/upload/1/0a1b2c3d-a.png", "/data/upload/1/0a1b2c3e-b.png"]
    whole = rows(
        tmp_path,
        task(1, names[0], answer("Happy", 1), answer("Happy", 2), answer("Fear", 3)),
        task(2, names[1], answer(["Happy", "Fear"], 1)),
    )
    said = [(1, names[0], "Happy", 1), (1, names[0], "Happy", 2), (1, names[0], "Fear", 3)]
    said.append((2, names[1], {"choices": ["Happy", "Fear"]}, 1))
    flat = [
        {"id": n, "image": image, "emotion": word, "annotator": who, "annotation_id": n, "lead_time": 1.5}
        for n, image, word, who in said
    ]
    (tmp_path / "min.json").write_text(json.dumps(flat))
    cells = [[json.dumps(cell) if isinstance(cell, dict) else cell for cell in row.values()] for row in flat]
    write_csv(tmp_path / "export.csv", [list(flat[0]), *cells])
    for name in ("min.json", "export.csv"):
        again = {row.source_key: row for row in label_studio.read(tmp_path / name, CARD)}
        assert again == whole
    first, second = whole.values()
    assert first.source_key == first.relative_path == "upload/1/0a1b2c3d-a.png"
    assert (first.given_label, first.annotations) == ("happiness", {"1": "happiness", "2": "happiness", "3": "fear"})
    assert (second.given_label, second.problem, second.annotations) == (None, "label: several (Happy, Fear)", None)


def test_whatever_has_no_label_says_why(tmp_path: Path) -> None:
    write_folder(tmp_path, [f"{name}.png" for name in "abcdefgh"])
    found = rows(
        tmp_path,
        task(1, "a.png"),
        task(2, "b.png", answer(None, was_cancelled=True)),
        task(3, "c.png", answer(None)),
        task(4, "d.png", answer("bored")),
        task(5, "e.png", answer("Happy", 1), answer("Sad", 2)),
        task(6, "f.png", answer("not_a_face", 1), answer("not_a_face", 2), answer("Sad", 3)),
        task(7, "g.png", answer("bored", 1), answer(None, 2)),
        task(8, "h.png", answer("Happy", was_cancelled=True), answer("Sad", 2)),
        task(9, "lost.png", answer("Happy")),
        task(10, "../../etc/passwd.png", answer("Happy")),
    )
    assert {key: row.problem and row.problem.partition(";")[0] for key, row in found.items()} == {
        "a.png": "label: missing",
        "b.png": "label: skipped by every annotator",
        "c.png": "label: missing",
        "d.png": "label: unknown ('bored'",
        "e.png": "label: no class has the most votes",
        "f.png": "label: none of the classes, but 'not_a_face'",
        "g.png": "label: no answer is a class (bored, empty)",
        "h.png": None,
        "lost.png": "file: missing",
        "../../etc/passwd.png": "file: path leaves the data set's folder",
    }
    assert found["h.png"].given_label == "sadness"
    assert found["h.png"].annotations is None
    assert found["e.png"].annotations == {"1": "happiness", "2": "sadness"}


def test_the_ground_truth_wins_and_a_persons_last_answer_counts(tmp_path: Path) -> None:
    write_folder(tmp_path, ["a.png", "b.png"])
    found = rows(
        tmp_path,
        task(1, "a.png", answer("Sad", 1), answer("Sad", 2), answer("Fear", 3, ground_truth=True)),
        task(
            2,
            "b.png",
            answer("Fear", {"id": 7, "email": "somebody@example.org"}, updated_at="2026-02-01"),
            answer("Sad", {"id": 7, "email": "somebody@example.org"}, updated_at="2026-01-01"),
        ),
    )
    assert found["a.png"].given_label == "fear"
    assert found["a.png"].annotations == {"1": "sadness", "2": "sadness", "3": "fear"}
    assert (found["b.png"].given_label, found["b.png"].annotations) == ("fear", None)


def test_pictures_are_found_where_they_lie_now_and_never_mistaken(tmp_path: Path) -> None:
    write_folder(tmp_path, ["sets/happy/1.png", "sets/sad/1.png", "one.png", "twice.png"])
    inline = "data:image/jpeg;base64," + base64.b64encode(image_bytes(1)).decode()
    local = "/data/local-files/?d=home/me/sets/"
    found = rows(
        tmp_path,
        task(1, f"{local}happy/1.png", answer("Happy")),
        task(2, f"{local}sad/1.png", answer("Sad")),
        task(3, f"{local}1.png", answer("Sad")),
        task(4, "/data/upload/3/0a1b2c3d-one.png", answer("Sad")),
        task(5, "/data/upload/3/0a1b2c3d-twice.png", answer("Sad")),
        task(6, "/data/upload/3/0a1b2c3e-twice.png", answer("Happy")),
        task(7, "https://example.org/faces/far%20away.png?sig=1", answer("Sad")),
        task(8, inline, answer("Sad")),
        task(9, "data:image/png;base64,@", answer("Sad")),
    )
    assert found["home/me/sets/happy/1.png"].relative_path == "sets/happy/1.png"
    assert found["home/me/sets/sad/1.png"].relative_path == "sets/sad/1.png"
    assert found["home/me/sets/1.png"].problem == "file: missing"
    assert found["upload/3/0a1b2c3d-one.png"].relative_path == "one.png"
    for key in ("upload/3/0a1b2c3d-twice.png", "upload/3/0a1b2c3e-twice.png"):
        assert "several names of the export lead to it" in str(found[key].problem)
        assert found[key].relative_path is None
    assert str(found["faces/far away.png"].problem).startswith("file: missing (nothing is fetched: https://example.org")
    assert found["task 8"].data == image_bytes(1)
    assert found["task 9"].problem == "image: its data: address is not base64"


def test_what_cannot_be_told_is_asked_for(tmp_path: Path) -> None:
    write_folder(tmp_path, ["a.png"])
    two = answer("Happy")
    two["result"].append({"from_name": "quality", "type": "choices", "value": {"choices": ["sharp"]}})
    two["result"][0] = {**two["result"][0], "from_name": "face"}
    with pytest.raises(UsageError, match=r"the answers face, quality; say with --label-column"):
        rows(tmp_path, task(1, "a.png", two))
    assert rows(tmp_path, task(1, "a.png", two), label_column="face")["a.png"].given_label == "happiness"
    with pytest.raises(UsageError, match="no answer is called 'faec'"):
        rows(tmp_path, task(1, "a.png", two), label_column="faec")
    with pytest.raises(UsageError, match="the fields x, y; say with --image-column"):
        rows(tmp_path, {**task(1, "a.png", answer("Sad")), "data": {"x": "a.png", "y": "b.png"}})
    assert rows(tmp_path, task(1, "a.png", answer("Sad"), split="val"))["a.png"].split == "validation"
    assert rows(tmp_path, task(1, "a.png", answer("Sad"), split="x"))["a.png"].problem == "split: unknown ('x')"
    for wrong, why in (
        ({"data": 1}, "is no export of Label Studio"),
        ([task(1, "a.png"), 5], "task 1 is no object"),
        ([task(1, "a.png"), {"data": 1}], "task 1 has no data or no annotations"),
    ):
        (tmp_path / "w.json").write_text(json.dumps(wrong))
        with pytest.raises(BadDataError, match=why):
            list(label_studio.read(tmp_path / "w.json", CARD))


def test_it_is_ingested_with_its_votes(tmp_path: Path) -> None:
    write_folder(tmp_path / "set", ["a.png", "b.png", "<b>.png"])
    rows(
        tmp_path / "set",
        task(1, "a.png", answer("Happy", 1), answer("Happy", 2)),
        task(2, "b.png", answer("Sad", 1)),
        task(3, "<b>.png", answer("Sad", 1)),
        task(4, "\0.png", answer("Sad", 1)),
        task(5, "\ud800.png", answer("Sad", 1)),
    )
    told = ingest(Workspace.create(tmp_path / "W"), "label_studio", tmp_path / "set/export.json")
    assert (told.added, told.with_votes, told.classes) == (5, 1, ["happiness", "sadness"])
    assert told.quarantined == {"file: the name holds a NUL character": 1, "file: the name is not UTF-8": 1}
