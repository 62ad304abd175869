"""Faults of a drawn RAF-DB copy: each is told by its own name, and the good copy has none."""

from __future__ import annotations

from pathlib import Path

import pytest

from ferclean.sources.cards import load_card
from pipelines import doctor_faults
from pipelines.doctor_faults import FAULTS, LEAST, numbers


def test_each_fault_has_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = ("none", "3 % of train copied from test, mirrored, recompressed", "two classes swapped", "the compound list")
    monkeypatch.setattr(doctor_faults, "FAULTS", {name: FAULTS[name] for name in some})
    result = doctor_faults.run(tmp_path, faces=200)
    assert [told["right"] for told in result["faults"].values()] == [True] * len(some)
    assert [told["exit"] for told in result["faults"].values()][:3] == [0, 3, 3]
    assert result["faults"]["none"]["findings"] == []
    assert "| none | none | 0 |" in doctor_faults.table(result)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drawn", "rafdb.md"]


def test_a_small_set_has_the_cards_shares_and_no_two_classes_of_one_size() -> None:
    assert numbers(15_339) == load_card("rafdb").expected
    for split, found in numbers(700).items():
        assert len(set(found.values())) == len(found)
        assert list(found) == list(numbers(15_339)[split])
        assert max(found, key=lambda name: found[name]) == "happiness"
    assert min(numbers(700)["train"].values()) >= LEAST
