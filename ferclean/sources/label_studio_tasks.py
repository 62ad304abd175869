"""Label Studio's three forms of an export as tasks with the answers that people gave: JSON, JSON-MIN and CSV.

It never judges an answer, and passes over a model's predictions and what was only drafted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from ferclean.errors import BadDataError
from ferclean.sources.json_files import elements_of
from ferclean.sources.references import sound
from ferclean.sources.tabular import SPLIT_COLUMNS, code_of, header_of, records_of, text_of

_SERVICE = {
    "id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement", "inner_id", "comments",
}  # fmt: skip
"""Columns of JSON-MIN and CSV that tell about the annotation."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one person said of a task."""

    who: str
    choices: dict[str, list[str]]
    """What was chosen, by the name of the choice in the labelling interface."""
    when: str = ""
    skipped: bool = False
    truth: bool = False
    """Marked as the ground truth."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One picture that people were asked about."""

    number: str
    data: Mapping[str, Any]
    answers: list[Answer] = field(default_factory=list)


def is_export(elements: list[tuple[str | None, Any]]) -> bool:
    """Whether a JSON file begins as an export does."""
    key, first = elements[0] if elements else ("", None)
    if key is not None or not isinstance(first, dict):
        return False
    whole = isinstance(first.get("data"), dict) and isinstance(_answers_in(first), list)
    return whole or {"annotation_id", "annotator", "lead_time"} <= set(first)


def tasks_of(path: Path) -> Iterator[Task]:
    """Whatever of the three forms the export has."""
    if path.suffix.lower() == ".csv":
        yield from _flat(dict(cells) for _, cells in records_of(path, header_of(path)))
        return
    elements = elements_of(path)
    first = next(elements, None)
    if first is None or not is_export([first]):
        raise BadDataError(f"{path} is no export of Label Studio: give its JSON, JSON-MIN or CSV")
    whole = (_whole(number, path, element) for number, (_, element) in enumerate(chain([first], elements)))
    if not isinstance(first[1].get("data"), dict):
        yield from _flat(whole)
        return
    for number, task in enumerate(whole):
        data, answers = task.get("data"), _answers_in(task)
        if not isinstance(data, dict) or not isinstance(answers, list):
            raise BadDataError(f"{path}, task {number} has no data or no annotations: it is not of one form throughout")
        yield Task(
            number=str(task.get("id", number)),
            data=data,
            answers=[_answer(one, place) for place, one in enumerate(answers) if isinstance(one, dict)],
        )


def _whole(number: int, path: Path, element: Any) -> dict[str, Any]:
    if not isinstance(element, dict):
        raise BadDataError(f"{path}, task {number} is no object, but {str(element)[:60]!r}")
    return element


def _answer(told: Mapping[str, Any], place: int) -> Answer:
    choices: dict[str, list[str]] = {}
    results = told.get("result")
    for result in results if isinstance(results, list) else ():
        value = result.get("value") if isinstance(result, dict) else None
        if isinstance(value, dict) and isinstance(value.get("choices"), list):
            choices.setdefault(str(result.get("from_name")), []).extend(map(str, value["choices"]))
    who = told.get("completed_by")
    who = who.get("id", who.get("email")) if isinstance(who, dict) else who
    return Answer(
        who=sound(text_of(who) or f"annotation {told.get('id', place)}"),
        choices=choices,
        when=str(told.get("updated_at") or told.get("created_at") or ""),
        skipped=bool(told.get("was_cancelled") or told.get("skipped")),
        truth=told.get("ground_truth") is True,
    )


def _answers_in(task: Mapping[str, Any]) -> Any:
    return task.get("annotations", task.get("completions"))


def _flat(records: Iterator[dict[str, Any]]) -> Iterator[Task]:
    """Tasks of rows with an answer each, joined by the task's number, in the order of their first rows."""
    tasks: dict[str, Task] = {}
    for number, cells in enumerate(records):
        name = text_of(cells.get("id")) or f"row {number}"
        task = tasks.setdefault(name, Task(number=name, data=cells))
        task.answers.append(
            Answer(
                who=sound(
                    text_of(cells.get("annotator")) or f"annotation {text_of(cells.get('annotation_id')) or number}"
                ),
                choices={
                    key: _chosen(cell)
                    for key, cell in cells.items()
                    if key not in _SERVICE and key not in SPLIT_COLUMNS
                },
                when=text_of(cells.get("updated_at")) or text_of(cells.get("created_at")) or "",
            )
        )
    yield from tasks.values()


def _chosen(cell: Any) -> list[str]:
    """A cell of choices: one as text, several as {"choices": [...]}, also as text of that."""
    if isinstance(cell, str) and cell.startswith('{"choices"'):
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError):
            return [cell]
    if isinstance(cell, dict):
        found = cell.get("choices")
        return list(map(str, found)) if isinstance(found, list) else []
    text = code_of(cell) if not isinstance(cell, list) else None
    return [] if text is None else [text]
