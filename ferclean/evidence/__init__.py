"""Arrays in, arrays out: signals, checks, verdicts. The two functions scripts want are here by cleanlab's names.

Importing the room loads no numpy; nothing in it reads a file, a network or a workspace.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ferclean.evidence.compat.issues import find_label_issues, get_label_quality_scores

__all__ = ["find_label_issues", "get_label_quality_scores"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from ferclean.evidence.compat import issues

        return getattr(issues, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
