"""ferclean finds, reviews and fixes wrong labels in facial-expression image sets.

`Workspace` and the verbs are the command line's own, one function each; `find_label_issues`, `get_label_quality_scores`
and `error_rate` need arrays alone. What opens a screen (`review`, `browse`) is a command. Importing the package loads
none of torch, duckdb, streamlit, fiftyone or datasets, and no numpy either.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ferclean.evidence.compat.issues import error_rate, find_label_issues, get_label_quality_scores
    from ferclean.steps.apply import apply
    from ferclean.steps.audit import audit
    from ferclean.steps.decide import decide
    from ferclean.steps.diff import diff
    from ferclean.steps.doctor import doctor
    from ferclean.steps.encode import encode
    from ferclean.steps.export import export
    from ferclean.steps.import_scores import score_file as import_scores
    from ferclean.steps.ingest import ingest
    from ferclean.steps.judge import add_judge, ask_judge
    from ferclean.steps.merge import merge
    from ferclean.steps.predict import predict
    from ferclean.steps.probe import score_probe as probe
    from ferclean.steps.push import push
    from ferclean.steps.release import release
    from ferclean.steps.report import report
    from ferclean.steps.retrain import retrain
    from ferclean.steps.revert import revert
    from ferclean.steps.score import score
    from ferclean.steps.split import split
    from ferclean.steps.status import status
    from ferclean.steps.triage import triage
    from ferclean.store.workspace import Workspace

__version__ = "0.1.0"
__all__ = [
    "Workspace",
    "__version__",
    "add_judge",
    "apply",
    "ask_judge",
    "audit",
    "decide",
    "diff",
    "doctor",
    "encode",
    "error_rate",
    "export",
    "find_label_issues",
    "get_label_quality_scores",
    "import_scores",
    "ingest",
    "merge",
    "predict",
    "probe",
    "push",
    "release",
    "report",
    "retrain",
    "revert",
    "score",
    "split",
    "status",
    "triage",
]

_ISSUES = "ferclean.evidence.compat.issues"
# name -> module and its name there, where it is not steps/NAME.py's function NAME
_ELSEWHERE = {
    "Workspace": ("ferclean.store.workspace", "Workspace"),
    "error_rate": (_ISSUES, "error_rate"),
    "find_label_issues": (_ISSUES, "find_label_issues"),
    "get_label_quality_scores": (_ISSUES, "get_label_quality_scores"),
    "add_judge": ("ferclean.steps.judge", "add_judge"),
    "ask_judge": ("ferclean.steps.judge", "ask_judge"),
    "import_scores": ("ferclean.steps.import_scores", "score_file"),
    "probe": ("ferclean.steps.probe", "score_probe"),
}


def __getattr__(name: str) -> Any:
    # each brings numpy along, or much more, so it comes when first asked for
    if name in __all__:
        module, there = _ELSEWHERE.get(name, (f"ferclean.steps.{name}", name))
        return getattr(import_module(module), there)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
