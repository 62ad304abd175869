"""ferclean finds, reviews and fixes wrong labels in facial-expression image sets.

Importing the package loads none of torch, duckdb, streamlit, fiftyone or datasets, and no numpy either.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ferclean.evidence.compat.issues import find_label_issues, get_label_quality_scores

__version__ = "0.1.0"
__all__ = ["__version__", "find_label_issues", "get_label_quality_scores"]


def __getattr__(name: str) -> Any:
    # the functions bring numpy along, so they come when first asked for
    if name in __all__:
        from ferclean.evidence.compat import issues

        return getattr(issues, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
