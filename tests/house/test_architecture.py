"""The floors and owners of the house, read from the code's own imports; and the speed of `--help`."""

from __future__ import annotations

import ast
import re
import socket
import subprocess
from pathlib import Path

import pytest

from tests.loaded import loaded

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "ferclean"

# room -> rooms of the package it may import from (its own is always allowed)
GROUND = {
    "derived",
    "errors",
    "extras",
    "files",
    "progress",
    "printable",
    "bundled_files",
    "hashes",
    "leases",
    "missing",
    "processes",
    "summary",
    "__version__",
}
FLOORS = {
    "evidence": GROUND,
    "store": GROUND,
    "images": GROUND,
    "recognition": GROUND | {"evidence", "images"},
    "sources": GROUND | {"evidence", "images"},
    "exports": GROUND | {"evidence", "images", "recognition", "sources", "store"},
    "parts": GROUND | {"evidence", "images", "recognition", "sources", "store", "exports"},
    "review": GROUND | {"evidence", "images", "store", "parts"},
    "health": GROUND | {"evidence", "images", "recognition", "sources", "store", "parts"},
    "steps": GROUND | {"evidence", "images", "recognition", "sources", "store", "exports", "parts", "review", "health"},
    "cli": GROUND | {"steps", "store", "recognition", "parts", "review"},
}
OWNERS = {
    "duckdb": ("store",),
    "torch": ("recognition",),
    "timm": ("recognition",),
    "torchvision": ("recognition",),
    "cv2": ("recognition",),
    "datasets": ("exports", "sources/hf.py", "sources/hf_folder.py"),
    "huggingface_hub": ("exports", "sources/hub.py", "sources/hf_folder.py"),
    "fsspec": ("sources/addresses.py",),
    "typer": ("cli",),
    "streamlit": (),
    "fiftyone": (),
}


def imports(path: Path) -> set[str]:
    """Every module a file names in an import, at any depth of the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def room_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    if relative.parts[0] == "recognition" and relative.name == "images.py":
        return "images"
    return relative.parts[0].removesuffix(".py")


def room_of_module(module: str) -> str:
    parts = module.split(".")
    if parts[1:3] == ["recognition", "images"]:
        return "images"
    return parts[1] if len(parts) > 1 else "__version__"


def package_files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", package_files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_room_reaches_up(path: Path) -> None:
    room = room_of(path)
    for module in imports(path):
        if module.split(".")[0] == "ferclean" and room in FLOORS:
            other = room_of_module(module)
            # `from ferclean.recognition import images` names the room and then the ground floor inside it
            if module == "ferclean.recognition" and room in ("steps", "parts", "sources", "exports"):
                continue
            assert other == room or other in FLOORS[room], f"{path.name} ({room}) imports {module} ({other})"


@pytest.mark.parametrize("path", package_files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_heavy_imports_stay_with_their_owner(path: Path) -> None:
    relative = path.relative_to(PACKAGE).as_posix()
    for module in imports(path):
        owners = OWNERS.get(module.split(".")[0])
        if owners is not None:
            assert any(relative.startswith(owner) for owner in owners), f"{relative} imports {module}"


def test_one_mechanism_puts_files_in_place() -> None:
    for path in package_files():
        if path.name != "files.py":
            found = re.search(r"mkdtemp|mkstemp|os\.(replace|rename)\(|\.part\b", path.read_text("utf-8"))
            assert found is None, f"{path.name} has its own way ({found[0]}): use whole_file or whole_folder"


def test_verbs_do_not_import_each_other() -> None:
    for path in (PACKAGE / "steps").glob("*.py"):
        found = [module for module in imports(path) if module.startswith("ferclean.steps.")]
        assert not found, f"steps/{path.name} imports {found}"


def test_only_the_plumbing_of_the_command_line_prints() -> None:
    """Whatever people named passes one function on its way to a terminal."""
    prints = {}
    for path in (PACKAGE / "cli").rglob("*.py"):
        if path.name != "plumbing.py":
            found = [
                node
                for node in ast.walk(ast.parse(path.read_text("utf-8")))
                if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "typer.echo", "sys.stdout.write")
            ]
            prints[path.name] = [ast.unparse(node) for node in found if node.args]
    assert {name: found for name, found in prints.items() if found} == {
        "__init__.py": ["print(f'ferclean {__version__}')"]
    }


def test_apps_only_draw() -> None:
    for path in (ROOT / "apps" / "review").rglob("*.py"):
        names = {module.split(".")[0] for module in imports(path)}
        assert not names & {"duckdb", "numpy", "torch", "sklearn"}, path.name


def test_the_top_level_holds_only_the_agreed_rooms() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    names = {line.split("/")[0] for line in listed.splitlines() if not line.startswith(".")}
    rooms = {"pyproject.toml", "README.md", "ferclean", "apps", "pipelines", "tests", "data_cards"}
    assert names <= rooms | {"LICENSE", "CHANGELOG.md", "CONTRIBUTING.md"}


def test_importing_the_package_and_the_command_line_loads_nothing_heavy() -> None:
    heavy = ("torch", "timm", "duckdb", "streamlit", "fiftyone", "datasets", "pandas", "numpy", "sklearn", "PIL")
    assert loaded("import ferclean, ferclean.cli", of=heavy) == []


def test_no_test_reaches_a_network_from_its_own_process() -> None:
    with socket.socket() as probe, pytest.raises(AssertionError, match=r"tried to reach \('192.0.2.1', 9\)"):
        probe.connect(("192.0.2.1", 9))


def test_no_module_imports_itself_in_a_circle() -> None:
    """What a module imports at its top, and what those import, never comes back to it."""
    modules = {
        ".".join(("ferclean", *path.relative_to(PACKAGE).with_suffix("").parts)): path for path in package_files()
    }
    modules = {name.removesuffix(".__init__"): path for name, path in modules.items()}

    def at_the_top(nodes: list[ast.stmt]) -> set[str]:
        found: set[str] = set()
        for node in nodes:
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                found.update(name if name in modules else node.module for name in names)
            elif isinstance(node, ast.Try) or (
                isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test)
            ):
                found |= at_the_top(node.body)
        return found & set(modules)

    needs = {name: at_the_top(ast.parse(path.read_text("utf-8")).body) - {name} for name, path in modules.items()}
    while ready := {name for name, needed in needs.items() if not needed}:
        needs = {name: needed - ready for name, needed in needs.items() if name not in ready}
    assert not needs


def test_no_file_is_too_long_to_be_read_at_once() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for room in ("ferclean", "apps", "pipelines", "tests")
        for path in (ROOT / room).rglob("*.py")
        if (lines := len(path.read_text("utf-8").splitlines())) > 400
    }
    assert not long


def test_no_two_test_files_have_one_name_and_one_conftest_serves_all() -> None:
    """Pytest imports each by its bare name: a second one would take the place of the first, in a whole run alone."""
    names = [path.name for path in (ROOT / "tests").rglob("*.py") if path.name != "__init__.py"]
    assert sorted(names) == sorted(set(names))
