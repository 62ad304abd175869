"""What holds for every signal in the dict, found without naming one."""

from __future__ import annotations

import numpy as np
import pytest
from evidence_data import planted

from ferclean.errors import BadDataError
from ferclean.evidence.measures import auroc
from ferclean.evidence.signals.label_signals import SIGNALS, compute_signals

AVAILABLE, ERROR = planted()
FOUND = compute_signals(AVAILABLE)
BY_EPOCH = ("given_prob", "margin")
BY_MEMBER = ("member_probs",)


def rearranged(order: np.ndarray) -> dict[str, np.ndarray]:
    """All arguments with their samples in another order."""
    return {
        name: value[:, order] if name in BY_EPOCH + BY_MEMBER else value[order] for name, value in AVAILABLE.items()
    }


def half_unsure(n: int = 200) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Evidence about two classes in which every second sample lies between them, and the mask of those."""
    rng = np.random.default_rng(0)
    unsure = np.arange(n) % 2 == 1
    labels = np.arange(n) // 2 % 2
    side = np.where(unsure, 0.0, 2.0 * labels - 1)
    logit = 4 * side + rng.normal(size=(3, n))
    member = 1 / (1 + np.exp(-logit))
    margin = np.where(unsure, 0.0, 4.0) + rng.normal(size=(12, n))
    return {
        "labels": labels,
        "pred_probs": np.stack([1 - member, member], axis=2).mean(0),
        "member_probs": np.stack([1 - member, member], axis=2),
        "embedding": np.stack([side, np.full(n, 0.3)], axis=1) + 0.05 * rng.normal(size=(n, 2)),
        "given_prob": 1 / (1 + np.exp(-margin)),
        "margin": margin,
    }, unsure


def test_every_signal_is_computed_when_everything_is_at_hand() -> None:
    assert set(FOUND) == set(SIGNALS)


@pytest.mark.parametrize("name", SIGNALS)
def test_one_finite_number_per_sample(name: str) -> None:
    assert FOUND[name].shape == ERROR.shape
    assert FOUND[name].dtype == np.float64
    assert np.isfinite(FOUND[name]).all()


@pytest.mark.parametrize("name", [name for name, signal in SIGNALS.items() if signal.label_aware])
def test_planted_errors_rank_lower(name: str) -> None:
    least = 0.75 if name == "confident_joint_membership" else 0.9
    assert auroc(FOUND[name], ERROR) > least


@pytest.mark.parametrize("name", [name for name, signal in SIGNALS.items() if not signal.label_aware])
def test_a_label_blind_signal_is_high_for_the_unsure(name: str) -> None:
    available, unsure = half_unsure()
    assert auroc(-compute_signals(available)[name], unsure) > 0.8


@pytest.mark.parametrize("name", ["entropy", "mutual_information"])
def test_a_signal_of_probabilities_alone_is_no_error_score(name: str) -> None:
    available, error = planted(4000)
    assert abs(auroc(-compute_signals(available)[name], error) - 0.5) < 0.05


@pytest.mark.parametrize("name", SIGNALS)
def test_permuting_rows_permutes_the_signal(name: str) -> None:
    order = np.random.default_rng(1).permutation(len(ERROR))
    np.testing.assert_allclose(compute_signals(rearranged(order))[name], FOUND[name][order], atol=1e-6)


@pytest.mark.parametrize("name", SIGNALS)
def test_renaming_classes_changes_nothing(name: str) -> None:
    order = np.array([3, 0, 4, 1, 2])  # new column j is old column order[j]
    renamed = AVAILABLE | {
        "labels": np.argsort(order)[AVAILABLE["labels"]],
        "pred_probs": AVAILABLE["pred_probs"][:, order],
        "member_probs": AVAILABLE["member_probs"][:, :, order],
    }
    np.testing.assert_allclose(compute_signals(renamed)[name], FOUND[name], atol=1e-6)


@pytest.mark.parametrize("name", SIGNALS)
def test_one_sample_and_one_class_are_no_error(name: str) -> None:
    available = {
        "labels": np.array([0]),
        "pred_probs": np.ones((1, 1)),
        "embedding": np.ones((1, 3)),
        "given_prob": np.ones((2, 1)),
        "margin": np.ones((2, 1)),
        "member_probs": np.ones((2, 1, 1)),
    }
    assert compute_signals(available)[name].shape == (1,)


def test_a_signal_is_left_out_when_something_it_needs_is_missing() -> None:
    assert set(compute_signals({"margin": AVAILABLE["margin"], "pred_probs": None})) == {
        "aum", "learned_share", "forgetting_events",
    }  # fmt: skip


@pytest.mark.parametrize("name", [name for name, signal in SIGNALS.items() if "pred_probs" in signal.needs])
def test_nan_probabilities_are_refused(name: str) -> None:
    probs = np.full_like(AVAILABLE["pred_probs"], np.nan)
    arguments = {key: AVAILABLE[key] for key in SIGNALS[name].needs} | {"pred_probs": probs}
    with pytest.raises(BadDataError, match="NaN in rows 0, 1"):
        SIGNALS[name].function(**arguments)


@pytest.mark.parametrize("name", SIGNALS)
def test_every_signal_says_what_it_is(name: str) -> None:
    signal = SIGNALS[name]
    assert signal.summary
    doc = signal.function.__doc__ or ""
    assert ">>>" in doc
    assert "low = " in doc or "high = " in doc
