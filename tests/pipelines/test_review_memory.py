"""What a tab takes is measured on both pages, in a browser that answers are kept in."""

from __future__ import annotations

from pathlib import Path

from ferclean.store.decisions import decision_history
from ferclean.store.workspace import Workspace
from pipelines import review_memory
from tests.prepare import find_browser
from tests.workspaces import copied


def test_a_tab_is_measured_while_faces_are_kept(reviewable: Workspace, tmp_path: Path) -> None:
    ws = copied(reviewable, tmp_path)
    result = review_memory.run(ws.root, faces=4, browser=find_browser(), calm=0.5)
    assert decision_history(ws)["action"].tolist() == ["keep"] * 4
    for measured in result["mb"].values():
        assert len(measured) == review_memory.LOOKS + 1
        assert all(0 < one["heap"] < 1000 and 0 < one["private"] < 1000 for one in measured)
    assert review_memory.table(result).count("\n") == 7
