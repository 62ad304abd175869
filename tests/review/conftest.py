"""What several files of this room share."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from fiftyone_workspace import make_workspace

from ferclean.steps import browse as step
from ferclean.store.table import sample_table


@pytest.fixture(scope="session")
def opened_in_fiftyone(tmp_path_factory):
    """One workspace, one mongod and the modules of the room, which need FiftyOne's environment before the import."""
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
def view(opened_in_fiftyone, monkeypatch):
    """That workspace, in the environment that FiftyOne's server would have."""
    for name, value in opened_in_fiftyone.environment.items():
        monkeypatch.setenv(name, value)
    return opened_in_fiftyone


def _restore(environment):
    os.environ.clear()
    os.environ.update(environment)
