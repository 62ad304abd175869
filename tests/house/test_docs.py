"""The documents and the docstrings say what is so."""

from __future__ import annotations

import doctest
import importlib
import itertools
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from ferclean.bundled_files import known_cards
from ferclean.cli import app

ROOT = Path(__file__).parents[2]
ROOMS = ("apps", "data_cards", "ferclean", "pipelines", "tests")
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


def words(text: str) -> set[str]:
    """What stands in backticks."""
    return set(re.findall(r"`([\w/.-]+)`", text))


def table_after(heading: str, text: str) -> list[str]:
    """The lines of the first table below a heading, without its header."""
    below = text[text.index(heading) :].splitlines()
    start = next(number for number, line in enumerate(below) if line.startswith("|---"))
    return [line for line in itertools.takewhile(lambda line: line.startswith("|"), below[start + 1 :])]


def test_every_verb_in_the_readme_and_the_guide_exists_and_the_corridor_lists_each() -> None:
    known = {command.callback.__name__ for command in app.registered_commands if command.callback}
    for page in ("README.md", "data_cards/GUIDE.md"):
        text = (ROOT / page).read_text("utf-8")
        used = {shlex.split(line, comments=True)[3] for line in re.findall(r"^ferclean -w W .*$", text, re.M)}
        assert len(used) >= 6, page
        assert used <= known
    assert known <= words((ROOT / "ferclean/steps/README.md").read_text("utf-8"))


def test_each_room_recognizer_layout_form_and_pipeline_is_in_its_list() -> None:
    from ferclean.exports import EXPORTS
    from ferclean.recognition.methods.catalogue import METHODS
    from ferclean.sources.cards import layouts

    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    parts = [line.split("/") for line in listed.splitlines() if not line.startswith(".")]
    rooms = {f"{names[0]}/{names[1]}/" for names in parts if names[0] == "ferclean" and len(names) > 2}
    folders = rooms | {f"{names[0]}/" for names in parts if len(names) > 1} - {"ferclean/"}
    assert folders <= words(README)
    for page, names in {
        "ferclean/recognition/methods/README.md": list(METHODS),
        "ferclean/sources/README.md": layouts(),
        "ferclean/exports/README.md": list(EXPORTS),
        "data_cards/README.md": list(known_cards()),
        "pipelines/README.md": [path.stem for path in (ROOT / "pipelines").glob("*.py")],
    }.items():
        assert set(names) <= words((ROOT / page).read_text("utf-8")), page


def test_each_room_says_in_a_few_lines_what_is_in_it_and_how_to_add_one_more() -> None:
    rooms = [ROOT / name for name in ROOMS]
    rooms += [path.parent for path in (ROOT / "ferclean").glob("*/__init__.py")]
    for room in rooms:
        text = (room / "README.md").read_text("utf-8")
        assert 10 <= len(text.splitlines()) <= 25, room
        assert "\n## One more\n" in text, room


def test_the_readme_is_short_and_shows_one_small_picture() -> None:
    assert len(README.splitlines()) < 120
    (picture,) = re.findall(r"!\[.+?\]\((.+?)\)", README)
    content = (ROOT / picture).read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) < 150_000


def test_the_readmes_table_holds_only_figures_of_the_results() -> None:
    results = re.sub(r"\s+", " ", (ROOT / "pipelines/RESULTS.md").read_text("utf-8"))
    cells = [cell.strip() for row in table_after("## Results", README) for cell in row.strip("|").split("|")[1:]]
    figures = {cell.removesuffix(" %") for cell in cells if cell}
    assert len(figures) > 10
    assert {figure for figure in figures if not re.search(rf"(?<![\d.]){re.escape(figure)}(?!\d)", results)} == set()


def test_every_link_of_a_document_leads_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *(p for room in ROOMS for p in (ROOT / room).rglob("*.md"))]:
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
            if not re.match(r"https?://|#", link):
                assert (page.parent / link.partition("#")[0]).exists(), f"{page}: {link}"


def test_both_first_commands_are_marked_for_the_tools_that_run_them() -> None:
    for name in ("demo command", "test command"):
        assert re.search(rf"<!-- {name} -->\s*```sh\n.+?```", README, re.S)


def test_nothing_names_a_private_place() -> None:
    words = re.compile(r"/root/|/work/|/opt/pypi|localhost:\d{4,5}/simple")
    for path in [
        *ROOT.glob("*.md"),
        *ROOT.glob("*.toml"),
        *(path for room in ROOMS for path in (ROOT / room).rglob("*.md")),
        *(ROOT / "ferclean").rglob("*"),
        *(ROOT / "apps").rglob("*"),
    ]:
        if path.is_file() and path.suffix in {".py", ".md", ".toml", ".sql", ".j2", ".yml"}:
            assert not words.search(path.read_text("utf-8")), path
