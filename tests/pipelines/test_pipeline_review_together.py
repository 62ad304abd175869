"""The journey of a team counts right what became of its answers, and its reviewers answer over the real routes."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from ferclean.store.decisions import decision_history
from ferclean.store.history import conflicts
from ferclean.store.samples import get_samples
from ferclean.store.workspace import Workspace
from pipelines import review_together
from tests.browser import review_server
from tests.workspaces import copied

SAID: list[review_together.Said] = [
    ("ann", "f1", "keep", None),
    ("bob", "f1", "relabel", "fear"),
    ("ann", "f2", "exclude", None),
]
WHOLE = {"lost": 0, "astray": 0, "twice": 0, "conflicts_right": True}


def log_of(said: list[review_together.Said]) -> pd.DataFrame:
    return pd.DataFrame(said, columns=["reviewer", "sample_id", "action", "label"])


def test_all_that_was_said_is_flawless() -> None:
    told = review_together.account(SAID, log_of(SAID), {"f1": "joy"}, ["f1"])
    assert WHOLE.items() <= told.items()
    assert (told["faces"], told["faces_of_two"], told["conflicts"]) == (2, 1, 1)
    rest = {"open_before": 1, "open_after": 0, "settled": True, "released": True}
    assert review_together.flawless(told | rest)
    assert not review_together.flawless(told | rest | {"open_after": 1})
    same = review_together.account(SAID, log_of(SAID), {"f1": "fear"}, [])
    assert same["conflicts_right"], "to keep a label and to set it is to say the same"


@pytest.mark.parametrize(
    ("stored", "what"),
    [
        (SAID[1:], {"lost": 1}),
        ([*SAID, SAID[0]], {"astray": 1, "twice": 1}),
        ([*SAID[:2], ("ann", "f3", "keep", None)], {"lost": 1, "astray": 1}),
    ],
)
def test_what_is_lost_astray_or_twice_is_counted(stored: list[review_together.Said], what: dict[str, int]) -> None:
    told = review_together.account(SAID, log_of(stored), {"f1": "joy"}, ["f1"])
    assert {name: told[name] for name in ("lost", "astray", "twice")} == {"lost": 0, "astray": 0, "twice": 0} | what


def test_reviewers_answer_over_the_screens_own_routes_and_a_request_sent_twice_is_recorded_once(
    reviewable: Workspace, tmp_path: Path
) -> None:
    ws = copied(reviewable, tmp_path)
    with review_server(ws.root) as url:
        told = [review_together.answer_as(str(ws.root), url, name, 6, seed) for seed, name in enumerate(("ann", "bob"))]
    samples = get_samples(ws)
    given = dict(zip(samples["sample_id"], samples["given_label"], strict=True))
    said = [row for one in told for row in one["said"]]
    found = review_together.account(said, decision_history(ws), given, conflicts(ws))
    assert WHOLE.items() <= found.items()
    assert (found["decisions"], found["faces"]) == (12, 6)
    assert sum(one["again"] for one in told) > 0
    assert found["conflicts"] > 0
