"""What a browser sends as an answer, read as one; whatever is none is refused in words.

It records nothing; what becomes of an answer is decided in `ferclean.steps.answers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ferclean.errors import UsageError
from ferclean.review.checks import check_of
from ferclean.steps.answers import Answer

_DAY = 86_400.0


def answer_of(sent: Mapping[str, Any], reviewer: str) -> Answer:
    """As the browser sends it. Raises UsageError where it is no answer."""
    try:
        said = {name: _whole(value) for name, value in sent.items()}
        for name in ("sample_id", "label", "undoes", "run_id"):
            if not isinstance(said.get(name), str | None):
                raise TypeError(f"{name} is text")
        seen, seconds = said.get("seen") or 0, said.get("seconds")
        if (
            isinstance(seen, bool)
            or not isinstance(seen, str | int)
            or (isinstance(seen, int) and not 0 <= seen < 2**62)
        ):
            raise TypeError("seen is the number of a decision, or the name of an answer")
        return Answer(
            answer_id=str(said["answer_id"]), action=str(said["action"]), sample_id=said.get("sample_id"),
            label=said.get("label"), seen=seen, undoes=said.get("undoes"), run_id=said.get("run_id"),
            # whoever was away for a day was not thinking
            seconds=None if seconds is None else min(float(seconds), _DAY), model_hidden=bool(said.get("model_hidden")),
            note=str(said.get("note") or "")[:500], by_choice=bool(said.get("by_choice")),
            shares=None if said.get("shares") is None else _shares(said["shares"]),
            check=check_of(reviewer, str(said.get("sample_id")), str(said.get("token"))),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"this is no answer: {error}") from error


def _shares(sent: Any) -> dict[str, float]:
    return {str(_whole(name)): float(share) for name, share in dict(sent).items()}


def _whole(value: Any) -> Any:
    """Text without halves of characters, which no database takes."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
