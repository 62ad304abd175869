"""CONTRIBUTING's recipes, done as they stand there in a copy of the tree: few files, and the command passes."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECIPES = re.split(r"^### ", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), flags=re.M)[1:]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda text: text.splitlines()[0])
def test_a_recipe_works_as_it_stands_and_takes_three_files(recipe: str, tmp_path: Path) -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    tree = tmp_path / "tree"
    for name in listed.splitlines():
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, tree / name)
    new = re.findall(r"^`(\S+)`:\n\n```\w+\n(.*?)^```", recipe, re.S | re.M)
    changes = re.findall(r"^```diff\n(.*?)^```", recipe, re.S | re.M)
    assert len(new) + len(changes) <= 3
    for name, content in new:
        assert not (tree / name).exists()
        (tree / name).write_text(content, "utf-8")
    for change in changes:
        subprocess.run(["git", "apply"], cwd=tree, input=change, text=True, check=True)
    (command,) = re.findall(r"^```sh\npython (.+)\n```", recipe, re.M)
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    done = subprocess.run(
        [sys.executable, *shlex.split(command)],
        cwd=tree, env={**own, "PYTHONPATH": str(tree)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^[1-9]\d* passed", done.stdout, re.M), done.stdout
