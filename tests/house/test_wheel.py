"""A wheel in an empty environment, away from the checkout, does the main job: demo and review."""

from __future__ import annotations

import json
import os
import re
import site
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.browser import answering, free_port

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", str(out), str(ROOT)],
        check=True,
        capture_output=True,
    )
    return next(out.glob("ferclean-*.whl"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment that holds the wheel and can see third-party packages, but not the checkout."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    packages = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    # a path line is not followed further, so the editable install of the checkout stays out
    Path(packages, "third_party.pth").write_text("\n".join(site.getsitepackages()))
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", "--no-index", str(wheel)],
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(scope="module")
def demo(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object], str]:
    """The demo, run once with few faces in an empty folder: where, what it printed as JSON, and its stderr."""
    folder = tmp_path_factory.mktemp("away")
    done = subprocess.run(
        [environment / "bin" / "ferclean", "demo", "--faces", "200", "--json"],
        cwd=folder, env=clean_environment(), capture_output=True, text=True, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout), done.stderr


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "FERCLEAN"))}


def test_the_wheel_carries_the_rooms_beside_the_package(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "ferclean/bundled/apps/review/main.py",
        "ferclean/bundled/apps/fiftyone_view/main.py",
        "ferclean/bundled/pipelines/demo.py",
        "ferclean/bundled/data_cards/rafdb.md",
        "ferclean/py.typed",
        "ferclean/store/schema.sql",
        "ferclean/steps/report.html.j2",
    } <= names
    assert not any(name.startswith(("tests/", "apps/", "pipelines/")) for name in names)


def test_the_wheel_is_what_is_imported(environment: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [environment / "bin" / "python", "-c", "import ferclean; print(ferclean.__file__)"],
        cwd=tmp_path, env=clean_environment(), check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert Path(done.stdout.strip()).is_relative_to(environment)


def test_demo_prints_one_object_and_no_noise(demo: tuple[Path, dict, str]) -> None:
    folder, result, stderr = demo
    lines = stderr.splitlines()
    assert len(lines) == 11  # one per fold and training, as nobody watches a bar
    assert all(re.search(r"\(\d/8\): \d+ images, |fold \d/3: \d+ images in ", line) for line in lines)
    assert {"schema", "seconds", "peak_rss_mb", "found", "release", "report", "workspace"} <= set(result)
    assert set(result["found"]) >= {"mislabelled", "ambiguous", "duplicate", "broken", "blank"}
    for row in result["found"].values():
        assert {"planted", "flagged", "precision", "recall"} <= set(row)
    assert (folder / str(result["report"])).is_file()
    assert set(result["labels"]) == {"faces", "wrong", "mended", "spoiled"}
    assert re.fullmatch(r"Of [\d,]+ labels \d+ were wrong; .+ measurable (gain|loss)\.", str(result["in_short"]))


def test_demo_stays_small_and_plants_every_kind(demo: tuple[Path, dict, str]) -> None:
    result = demo[1]
    assert result["peak_rss_mb"] < 3000
    assert all(row["planted"] > 0 for row in result["found"].values())


def test_demo_finds_what_is_certain(demo: tuple[Path, dict, str]) -> None:
    found = demo[1]["found"]
    assert found["broken"]["precision"] == found["broken"]["recall"] == 1.0
    assert found["blank"]["recall"] == 1.0


def test_review_serves_from_the_wheel_on_loopback(environment: Path, demo: tuple[Path, dict, str]) -> None:
    folder, result, _ = demo
    port = free_port()
    server = subprocess.Popen(
        [environment / "bin" / "ferclean", "-w", str(result["workspace"]), "review", "--port", str(port), "--no-open"],
        cwd=folder, env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with answering(server, port):
        pass
