"""What labelling tools export is known by a bounded look, and not taken for a set of faces where it holds other things.

Each form is written as the tool of that name writes it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ferclean.errors import BadDataError
from ferclean.parts.recognised import recognise
from tests.layouts import Layout, put
from tests.made_sets import FER_CODES, write_csv

PROJECT = "project-3-at-2026-01-01-10-00-1a2b3c4d"


def label_studio_task(number: int, image: str, *words: str) -> dict[str, Any]:
    """A task as Label Studio's JSON has it, one annotator to a word."""
    answers = [
        {
            "id": 10 * number + who,
            "completed_by": who,
            "result": [{"from_name": "choice", "to_name": "image", "type": "choices", "value": {"choices": [word]}}],
            "was_cancelled": False,
            "ground_truth": False,
            "lead_time": 3.2,
        }
        for who, word in enumerate(words, 1)
    ]
    data = {"image": image}
    return {"id": number, "annotations": answers, "drafts": [], "predictions": [], "data": data, "meta": {}}


def label_studio(root: Path, faces: Sequence[bytes]) -> None:
    names = [f"0a1b2c{n:02d}-face_{n}.jpg" for n in range(7)]
    put(root, faces, [f"media/upload/3/{name}" for name in names])
    tasks = [label_studio_task(n, f"/data/upload/3/{names[n]}", c, c) for n, c in enumerate(FER_CODES)]
    (root / f"{PROJECT}.json").write_text(json.dumps(tasks))


def label_studio_csv(root: Path, faces: Sequence[bytes]) -> None:
    put(root, faces, [f"faces/{n}.jpg" for n in range(7)])
    header = ["annotation_id", "annotator", "choice", "created_at", "id", "image", "lead_time", "updated_at"]
    day = "2026-01-01T10:00:00Z"
    rows = [
        [n, 1, c.capitalize(), day, n, f"/data/local-files/?d=faces/{n}.jpg", 2.5, day] for n, c in enumerate(FER_CODES)
    ]
    write_csv(root / f"{PROJECT}.csv", [header, *rows])


LAYOUTS: dict[str, Layout] = {
    "Label Studio's JSON": Layout(
        label_studio, "label_studio", f"{PROJECT}.json", {}, {"upload/3/0a1b2c03-face_3.jpg": "happiness"}
    ),
    "Label Studio's CSV": Layout(label_studio_csv, "label_studio", f"{PROJECT}.csv", {}, {"faces/2.jpg": "fear"}),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_an_export_is_recognised_and_read(name: str, faces: list[bytes], tmp_path: Path) -> None:
    LAYOUTS[name].check(tmp_path, faces)


def _label_studio_cats(root: Path, faces: Sequence[bytes]) -> None:
    put(root, faces, ["a.jpg"])
    tasks = [label_studio_task(n, "a.jpg", word) for n, word in enumerate(("cat", "dog"))]
    (root / "export.json").write_text(json.dumps(tasks))


def _label_studio_elsewhere(root: Path, faces: Sequence[bytes]) -> None:
    tasks = [label_studio_task(n, f"/data/upload/1/{n}.jpg", c) for n, c in enumerate(FER_CODES)]
    (root / "export.json").write_text(json.dumps(tasks))


NOT_KNOWN: dict[str, tuple[Callable[[Path, Sequence[bytes]], None], str]] = {
    "Label Studio's, of other choices": (_label_studio_cats, r"its choices \(cat, dog\) are no expressions"),
    "Label Studio's without pictures": (_label_studio_elsewhere, "its pictures are not beside it: give --images"),
}


@pytest.mark.parametrize("name", NOT_KNOWN)
def test_an_export_of_other_things_is_said_to_be_unknown(name: str, faces: list[bytes], tmp_path: Path) -> None:
    make, why = NOT_KNOWN[name]
    make(tmp_path, faces)
    with pytest.raises(BadDataError, match=f"is no data set that is known here: .*{why}.*Name what it is"):
        recognise(tmp_path)
