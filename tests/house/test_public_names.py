"""What `import ferclean` offers to scripts: these names, typed, each brought when it is first asked for."""

from __future__ import annotations

import ast
import inspect
from importlib import resources
from pathlib import Path

import pytest

import ferclean
import ferclean.evidence
from ferclean.steps.browse import browse
from ferclean.summary import Summary

ARRAYS = {"error_rate", "find_label_issues", "get_label_quality_scores"}
VERBS = {
    "ingest", "doctor", "encode", "score", "probe", "import_scores", "add_judge", "ask_judge", "triage", "status",
    "decide", "audit", "release", "diff", "revert", "export", "report", "retrain",
    "predict", "push", "apply", "merge", "split",
}  # fmt: skip


def test_the_public_names_are_these() -> None:
    assert {*ferclean.__all__} == ARRAYS | VERBS | {"Workspace", "__version__"}
    assert {*ferclean.__all__} <= {*dir(ferclean)}
    assert {*ferclean.evidence.__all__} <= {*dir(ferclean.evidence)}
    assert ferclean.find_label_issues is ferclean.evidence.find_label_issues
    for module in (ferclean, ferclean.evidence):
        with pytest.raises(AttributeError, match="no attribute 'magic'"):
            module.magic  # noqa: B018


def test_each_name_is_what_type_checkers_are_told() -> None:
    """The imports under TYPE_CHECKING and the lazy ones are the same objects; py.typed says that types count."""
    tree = ast.parse(Path(ferclean.__file__).read_text("utf-8"))
    told = {
        alias.asname or alias.name: (node.module, alias.name)
        for block in tree.body if isinstance(block, ast.If)
        for node in block.body if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }  # fmt: skip
    assert {*told} == {*ferclean.__all__} - {"__version__"}
    for name, (module, there) in told.items():
        found = getattr(ferclean, name)
        assert (found.__module__, found.__name__) == (module, there)
    assert resources.files("ferclean").joinpath("py.typed").is_file()


def test_what_a_verb_returns_is_a_summary() -> None:
    verbs = [browse, *(getattr(ferclean, name) for name in sorted(VERBS - {"add_judge"}))]  # which gives a card
    returned = [verb.__globals__[inspect.signature(verb).return_annotation] for verb in verbs]
    assert [kind for kind in returned if not issubclass(kind, Summary)] == []


@pytest.mark.parametrize("name", sorted(VERBS - {"add_judge", "predict", "push", "merge"}))
def test_a_verb_takes_the_workspace_first(name: str) -> None:
    assert next(iter(inspect.signature(getattr(ferclean, name)).parameters)) == "ws"
