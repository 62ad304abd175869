"""Releases: a name is frozen with its content."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ferclean.errors import BadDataError, UsageError
from ferclean.store.releases import Release, get_release, get_release_items, list_releases, put_release
from tests.bare_workspace import bare


def release(name: str = "v1", **changes: Any) -> Release:
    fields: dict[str, Any] = {
        "name": name, "policy": "auto", "threshold": 0.9, "created_at": "2026-01-01T00:00:00Z", "fingerprint": "f",
        "config": {"ambiguous": "keep"}, "counts": {"train": {"fear": 3}},
    }  # fmt: skip
    return Release(**fields | changes)


def items(ids: list[str], **changes: Any) -> pd.DataFrame:
    columns: dict[str, Any] = {
        "sample_id": ids, "split": "train", "given_label": "fear", "label": "anger", "included": True,
        "reason": "relabelled", "soft_label": [[0.0, 0.5, 0.5]] * len(ids),
    }  # fmt: skip
    return pd.DataFrame(columns | changes)


def test_a_release_comes_back_as_it_was_put_in_order_of_arrival(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    put_release(ws, release(), items(ids[::-1]))
    put_release(ws, release("v2", threshold=None, created_at="2026-01-02T00:00:00Z"), items(ids[:1], soft_label=None))
    assert get_release(ws, "v1") == release()
    assert get_release(ws, "v2").threshold is None
    found = get_release_items(ws, "v1")
    assert list(found["sample_id"]) == ids
    assert found["included"].dtype == bool
    assert found["soft_label"][0] == [0.0, 0.5, 0.5]
    assert get_release_items(ws, "v2")["soft_label"][0] is None
    assert [one.name for one in list_releases(ws)] == ["v1", "v2"]


def test_a_release_without_weights_counts_each_label_fully(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    put_release(ws, release(), items(ids))
    assert (get_release_items(ws, "v1")["weight"] == 1).all()
    put_release(ws, release("v2"), items(ids, weight=0.25))
    assert (get_release_items(ws, "v2")["weight"] == 0.25).all()
    with pytest.raises(BadDataError, match="weight"):
        put_release(ws, release("v3"), items(ids, weight=1.5))


def test_the_same_content_again_is_a_no_op_whatever_the_time_and_the_order(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    put_release(ws, release(), items(ids))
    put_release(ws, replace(release(), created_at="2027-01-01T00:00:00Z"), items(ids[::-1]))
    assert get_release(ws, "v1").created_at == "2026-01-01T00:00:00Z"
    assert len(get_release_items(ws, "v1")) == len(ids)


@pytest.mark.parametrize("change", ["label", "row", "policy"])
def test_another_content_under_a_taken_name_is_refused(tmp_path: Path, change: str) -> None:
    ws, ids = bare(tmp_path)
    put_release(ws, release(), items(ids))
    other = items(ids[:-1]) if change == "row" else items(ids, label="surprise" if change == "label" else "anger")
    with pytest.raises(UsageError, match="'v1' of 2026-01-01T00:00:00Z is frozen and has another content"):
        put_release(ws, release(policy="decisions" if change == "policy" else "auto"), other)
    assert set(get_release_items(ws, "v1")["label"]) == {"anger"}


def test_an_unknown_release_lists_the_known_ones(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    with pytest.raises(UsageError, match="there is no release 'v9' yet"):
        get_release_items(ws, "v9")
    put_release(ws, release(), items(ids))
    with pytest.raises(UsageError, match="unknown release 'v9'; known: v1"):
        get_release(ws, "v9")


@pytest.mark.parametrize(
    ("changes", "problem"), [({"label": "joy"}, "label 'joy'"), ({"label": None}, "label None")]
)  # fmt: skip
def test_an_included_sample_needs_a_label_of_the_data_set(
    tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    ws, ids = bare(tmp_path)
    with pytest.raises(BadDataError, match=problem):
        put_release(ws, release(), items(ids, **changes))
    put_release(ws, release(), items(ids, label=None, included=False))


def test_items_of_strangers_or_without_a_column_are_refused(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    with pytest.raises(BadDataError, match="not in the workspace"):
        put_release(ws, release(), items([*ids, "nobody"]))
    with pytest.raises(BadDataError, match="lack the columns reason"):
        put_release(ws, release(), items(ids).drop(columns="reason"))
    assert list_releases(ws) == []
