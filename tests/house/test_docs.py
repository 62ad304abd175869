"""The README and the docstrings say what is so."""

from __future__ import annotations

import doctest
import importlib
import re
import shlex
from pathlib import Path

import pytest

from ferclean.cli import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for folder in ("ferclean", "pipelines")
    for path in (ROOT / folder).rglob("*.py")
)


@pytest.mark.parametrize("name", MODULES)
def test_each_docstring_example_holds(name: str) -> None:
    # every example runs and asserts; modules without one pass with zero attempts
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE).failed == 0


def test_every_verb_in_the_readme_exists() -> None:
    known = {command.callback.__name__ for command in app.registered_commands if command.callback}
    used = {shlex.split(line, comments=True)[3] for line in re.findall(r"^ferclean -w W .*$", README, re.M)}
    assert used
    assert used <= known


def test_the_readme_lists_each_room_and_recognizer() -> None:
    from ferclean.recognition.methods.catalogue import catalogue

    for room in ("cli", "steps", "sources", "exports", "evidence", "recognition", "store"):
        assert f"ferclean/{room}/" in README
    for method in catalogue():
        assert f"`{method.name}`" in README


def test_both_first_commands_are_marked_for_the_tools_that_run_them() -> None:
    for name in ("demo command", "test command"):
        assert re.search(rf"<!-- {name} -->\s*```sh\n.+?```", README, re.S)


def test_nothing_names_a_private_place() -> None:
    words = re.compile(r"/root/|/work/|/opt/pypi|localhost:\d{4,5}/simple")
    for path in [
        *ROOT.glob("*.md"),
        *ROOT.glob("*.toml"),
        *(ROOT / "ferclean").rglob("*"),
        *(ROOT / "apps").rglob("*"),
    ]:
        if path.is_file() and path.suffix in {".py", ".md", ".toml", ".sql", ".j2", ".yml"}:
            assert not words.search(path.read_text("utf-8")), path
