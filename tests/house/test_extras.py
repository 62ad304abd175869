"""What is installed with what: the core needs no extra, and a verb that does says in one line which."""

from __future__ import annotations

import ast
import json
import re
import sys
import tomllib
from pathlib import Path

import pytest
from small_workspace import shared

from ferclean.cli import run
from ferclean.extras import EXTRAS

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
OTHER_NAMES = {
    "cv2": "opencv-python-headless", "PIL": "pillow", "sklearn": "scikit-learn", "umap": "umap-learn", "yaml": "pyyaml",
}  # fmt: skip
BROUGHT = {"huggingface_hub": "timm", "fsspec": "torch"}
NEEDED_BY = {
    ("streamlit", "review"): ["review --no-open"],
    ("fiftyone", "browse"): ["browse --no-open"],
    ("datasets", "hf"): ["export --form hf --release v1 --out {out}", "ingest hf {source}"],
    ("matplotlib", "report"): ["report", "demo"],
    ("umap", "map"): ["map"],
}
"""A module and the extra that brings it -> command lines that need it."""


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=\[]", line)[0] for line in requirements}


def test_every_package_that_the_product_imports_is_asked_for() -> None:
    """By the core, or by an extra that `EXTRAS` names; pipelines and apps beside the package likewise."""
    core = names(PROJECT["dependencies"])
    extras = {extra: names(PROJECT["optional-dependencies"][extra]) for extra in EXTRAS}
    assert extras == {extra: {OTHER_NAMES.get(name, name) for name in modules} for extra, modules in EXTRAS.items()}
    found: dict[str, str] = {}
    for path in (ROOT / "ferclean").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found |= {module.partition(".")[0]: path.name for module in modules}
    foreign = {name: place for name, place in found.items() if name not in {*sys.stdlib_module_names, "ferclean"}}
    asked = core.union(*extras.values())
    missed = {n: p for n, p in foreign.items() if OTHER_NAMES.get(n, BROUGHT.get(n, n)) not in asked}
    assert not missed


def test_the_lowest_versions_of_ci_are_those_of_the_core() -> None:
    lines = [
        line for line in (ROOT / "tests" / "lowest.txt").read_text("utf-8").split("\n") if line[:1] not in ("", "#")
    ]
    lowest = dict(line.split("==") for line in lines)
    asked = dict(re.split("[>=]=", line) for line in PROJECT["dependencies"])
    assert {*asked} == {*lowest} | {"torch", "torchvision"}
    for name, version in lowest.items():
        assert f"{version}.".startswith(f"{asked[name]}."), (
            f"{name}: {version} in tests, {asked[name]} in pyproject.toml"
        )


@pytest.mark.parametrize(
    ("hidden", "extra", "words"), [(*needed, words) for needed, lines in NEEDED_BY.items() for words in lines]
)
def test_a_verb_whose_extra_is_missing_says_which(
    hidden: str,
    extra: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    small = shared(released=True)
    monkeypatch.setitem(sys.modules, hidden, None)
    place = small.ws.root if "ingest" not in words and "demo" not in words else tmp_path / "W"
    line = words.format(out=tmp_path / "out", source=small.source)
    assert run(["-w", str(place), *line.split(), "--json"]) == 1
    said = json.loads(capfd.readouterr().out)["error"]["message"]
    assert said.endswith(f"needs {hidden}, which is not installed: pip install 'ferclean[{extra}]'"), said
    assert not (tmp_path / "out").exists()


def test_a_module_that_is_missed_late_is_told_the_same_way(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.setattr("ferclean.steps.status.status", lambda ws: __import__("cv2"))
    assert run(["-w", str(shared().ws.root), "status"]) == 1
    assert capfd.readouterr().err.strip().splitlines() == [
        "ferclean: `ferclean status` needs cv2, which is not installed: "
        "install ferclean again: pip install --force-reinstall ferclean"
    ]
