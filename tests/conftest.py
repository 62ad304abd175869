"""What several test modules share: one drawn set, and one workspace that was scored and judged for real."""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import torchvision_mend

if TYPE_CHECKING:
    from ferclean.store.workspace import Workspace

torchvision_mend.install()

# no test fails because a machine is busy
hypothesis.settings.register_profile("house", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("house")

# two workers of a math library on two cores only get in each other's way in tiny tests
os.environ.setdefault("OMP_NUM_THREADS", "1")

TINY = {"epochs": 3, "folds": 2, "input_size": 32, "batch_size": 32}

_LONG = ("test_wheel", "test_train", "test_names_are_names", "test_pretraining", "test_triage", "test_fiftyone_view")
"""Files that take longest: two workers finish together when these are begun first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _LONG.index(item.path.stem) if item.path.stem in _LONG else len(_LONG))


@pytest.fixture(scope="session", autouse=True)
def only_loopback() -> Iterator[None]:
    """No test reaches a network from its own process: a connection to another machine is an error that names it.

    What a test starts (processes, a browser, a database server) it cannot watch: CI runs the suite without a network.
    """
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] != "localhost":
            assert ipaddress.ip_address(address[0]).is_loopback, f"a test tried to reach {address}"
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        yield


@pytest.fixture(scope="session")
def drawn_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """150 training and 60 test faces with planted errors, copies, broken files and blanks; do not write into it."""
    from ferclean.sources.drawn_faces import drawing as drawn_faces

    folder = tmp_path_factory.mktemp("drawn") / "set"
    drawn_faces.draw_set(folder, train=150, test=60, seed=1, duplicates=0.06, broken=0.02, blank=0.02)
    return folder


@pytest.fixture(scope="session")
def faces(drawn_set: Path) -> list[bytes]:
    """Some drawn faces as they lie in a file."""
    files = sorted((drawn_set / "Image/aligned").glob("test_*.jpg"))[:24]
    return [file.read_bytes() for file in files]


@pytest.fixture(scope="session")
def judged_folder(drawn_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of the drawn set after ingest, score and triage; copy it before writing."""
    from ferclean.steps.ingest import ingest
    from ferclean.steps.score import score
    from ferclean.steps.triage import triage
    from ferclean.store.workspace import Workspace

    root = tmp_path_factory.mktemp("judged") / "W"
    ws = Workspace.create(root)
    ingest(ws, "drawn_faces", drawn_set)
    score(ws, profile="quick", **TINY)
    triage(ws)
    return root


@pytest.fixture(scope="session")
def reviewable(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace of crude faces with made-up verdicts, for the screens; copy it before writing."""
    from tests.workspaces import make_workspace

    return make_workspace(tmp_path_factory.mktemp("reviewable"))


@pytest.fixture(scope="session")
def exported() -> Path:
    """The hf form of the small workspace's release; do not change it."""
    from small_workspace import shared_hf

    return shared_hf()


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Path]:
    """Copies a workspace to W in a current folder of its own, which is returned."""

    def copied(root: Path) -> Path:
        shutil.copytree(root, tmp_path / "W")
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("FERCLEAN_WORKSPACE", raising=False)
        return tmp_path

    return copied


@pytest.fixture
def judged_copy(judged_folder: Path, tmp_path: Path) -> Path:
    """A copy of the judged workspace that a test may change."""
    target = tmp_path / "W"
    shutil.copytree(judged_folder, target)
    return target


@pytest.fixture(scope="session")
def opened_in_fiftyone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """One workspace, one mongod and the modules of the room, which need FiftyOne's environment before the import."""
    from fiftyone_workspace import make_workspace

    from ferclean.steps import browse as step
    from ferclean.store.table import sample_table

    ws = make_workspace(tmp_path_factory.mktemp("fiftyone"))
    before = dict(os.environ)
    os.environ.update(step.environment(ws.root))
    from apps.fiftyone_view import asked, brain, database, decide, looking, mirror, session, workspace_dataset

    try:
        update, sizes, _ = session.bring_up_to_date(ws)
        needed = {name: value for name, value in os.environ.items() if before.get(name) != value}
        _restore(before)
        yield SimpleNamespace(
            ws=ws,
            dataset=update.dataset,
            update=update,
            sizes=sizes,
            frame=sample_table(ws).set_index("source_key"),
            environment=needed,
            database=database,
            decide=decide,
            mirror=mirror,
            asked=asked,
            brain=brain,
            looking=looking,
            session=session,
            workspace_dataset=workspace_dataset,
        )
    finally:
        database.disconnect()
        _restore(before)


@pytest.fixture
def view(opened_in_fiftyone: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """That workspace, in the environment that FiftyOne's server would have."""
    for name, value in opened_in_fiftyone.environment.items():
        monkeypatch.setenv(name, value)
    return opened_in_fiftyone


def _restore(environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Opens the screen of a workspace with query parameters (`tests.pages`)."""
    from tests.pages import opener

    return opener(monkeypatch)
