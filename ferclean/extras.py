"""What the core does without: the packages of each extra, and the line that says how to get one.

It imports none of them.
"""

from __future__ import annotations

import importlib.util

from ferclean.errors import FercleanError

EXTRAS = {
    "review": ("streamlit",),
    "signin": ("streamlit", "authlib"),
    "browse": ("fiftyone", "filelock"),
    "hf": ("datasets",),
    "report": ("matplotlib",),
    "map": ("umap", "threadpoolctl"),
    "onnx": ("onnxruntime", "onnx", "onnxscript"),
}
"""Extra of `pip install 'ferclean[...]'` -> what is imported of it, as in pyproject.toml."""


def require(extra: str, needs: str, *, modules: tuple[str, ...] | None = None) -> None:
    """Raise FercleanError with what to install, in one line, when a module of `extra` (or of `modules`) is not there.

    `needs` says in a few words who asks, such as "the report".
    """
    for module in modules or EXTRAS[extra]:
        if importlib.util.find_spec(module) is None:
            raise missing(module, needs)


def missing(module: str, needs: str = "this") -> FercleanError:
    """The error for a module that is not installed, whoever met it first.

    >>> str(missing("streamlit.web", "the review screen"))
    "the review screen needs streamlit, which is not installed: pip install 'ferclean[review]'"
    """
    package = module.partition(".")[0]
    extra = next((name for name, modules in EXTRAS.items() if package in modules), None)
    how = (
        f"pip install 'ferclean[{extra}]'"
        if extra
        else "install ferclean again: pip install --force-reinstall ferclean"
    )
    return FercleanError(f"{needs} needs {package}, which is not installed: {how}")
