"""Every constant is read: another value changes a verdict, what a queue promises, or what people are asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np
from evidence_data import planted

from ferclean.evidence.constants import STANDARD, Constants
from ferclean.evidence.people.auditing import draw_audit
from ferclean.evidence.people.people import check_decisions, design_weights
from ferclean.evidence.people.votes import fit_strength
from ferclean.evidence.signals.label_signals import compute_signals
from ferclean.evidence.signals.neighbours import neighbourhood
from ferclean.evidence.verdict.belief import Faces
from ferclean.evidence.verdict.expectation import expected_at
from ferclean.evidence.verdict.independence import independence
from ferclean.evidence.verdict.label_accuracy import label_accuracy
from ferclean.evidence.verdict.lessons import lesson, pace
from ferclean.evidence.verdict.queueing import teaching_round
from ferclean.evidence.verdict.verdicts import judge

ROWS = 300
AVAILABLE, _ = planted(600)
LABELS, PROBS = AVAILABLE["labels"][:ROWS], AVAILABLE["pred_probs"][:ROWS]
TRUE = AVAILABLE["member_probs"].mean(0).argmax(1)[:ROWS]
FAR: dict[str, Any] = {
    "fewest_decisions": 1000, "witness_change": 1.0, "witness_agreement": 1.1,
    # so few faces leave the witnesses' interval as wide as it may be, unless they are surer than they can be
    "witness_margin": -0.1,
    "judge_left": 2.0, "judge_news": -1.0, "judge_gap_sure": 0.0,
}  # fmt: skip


def judged(by: Constants) -> Iterator[Any]:
    """Verdicts on faces with and without neighbours, votes, judges and decisions, and the queue of the first, one after
    another: who finds a difference need not ask for the rest."""
    signals = {name: values[:ROWS] for name, values in compute_signals(AVAILABLE).items()}
    around = neighbourhood(LABELS, AVAILABLE["embedding"][:ROWS], num_classes=5).weights
    known = Faces(labels=LABELS, pred_probs=PROBS, signals=signals, around=around)
    members = np.stack([PROBS, np.roll(PROBS, 1, axis=0)])
    votes = np.eye(5, dtype=int)[LABELS] * 6 + np.eye(5, dtype=int)[(LABELS + 1) % 5] * 5
    votes[100:] = 0
    judges = AVAILABLE["member_probs"][:, :ROWS]
    said = np.array([["keep", "relabel", "ambiguous", "exclude", ""][row % 5] for row in range(ROWS)])
    people = check_decisions(LABELS, said, TRUE, None, num_classes=5)
    # thirty of the most suspicious alone, one of them drawn with a tiny chance
    doubted = np.argsort(PROBS[np.arange(ROWS), LABELS])[:30]
    first = check_decisions(
        LABELS, np.where(np.isin(np.arange(ROWS), doubted), "relabel", ""), TRUE,
        np.where(np.arange(ROWS) == doubted[0], 1e6, 1.0), num_classes=5,
    )  # fmt: skip
    logits = np.random.default_rng(0).normal(size=(ROWS, 5)) + 1.3 * np.eye(5)[LABELS]
    weak = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)  # contradicts half of the labels
    spoilt = 0.4 * np.arange(ROWS) / ROWS
    cases = [  # the cheap ones first
        (replace(known, pred_probs=weak, around=None, signals={}, judge_probs=judges), None),
        (known, first),
        (replace(known, pred_probs=weak, around=None, signals={}), None),
        (replace(known, recognizer_probs=members, votes=votes), None),
        (replace(known, recognizer_probs=members, judge_probs=judges, unusable=spoilt), people),
    ]
    for faces, said_by in cases:
        found = judge(faces, people=said_by, constants=by)
        yield found
    yield expected_at(found.p_mislabelled, np.arange(ROWS), [30], rate=found.error_rate, by=by)


def asked(by: Constants) -> list[Any]:
    """What people are asked, what their answers stand for, what a look is worth, and whom to hear beside them."""
    p = np.linspace(0, 1, ROWS)
    nobody = check_decisions(LABELS, np.full(ROWS, ""), None, None, num_classes=5)
    chance = np.where(np.arange(ROWS) < 3, 0.1, np.nan)
    split = np.array([[4, 2, 0, 0, 0], [1, 5, 0, 0, 0]])
    # a judge that sees the faces as well as the recognizers, and is a little better on training images than on others
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 900)
    given = np.where(rng.random(900) < 0.2, rng.integers(0, 3, 900), truth)
    ours, theirs = (np.exp(2 * np.eye(3)[truth] + rng.normal(size=(900, 3))) for _ in range(2))
    ours, theirs = ours / ours.sum(1, keepdims=True), theirs / theirs.sum(1, keepdims=True)
    fewer = np.flatnonzero(theirs.argmax(1) == given)[:20]
    test = np.setdiff1d(np.arange(900), fewer)
    return [
        design_weights(chance, np.full(ROWS, "queue"), total=2000, by=by),
        teaching_round(150, by=by),
        fit_strength(np.zeros((2, 5), dtype=int), prior=np.full(5, 0.2), by=by),
        fit_strength(split, prior=np.full(5, 0.2), by=by),
        draw_audit(p, n=20, by=by),
        label_accuracy(p, p, np.zeros(ROWS, dtype=bool), learned=5.0, by=by),
        lesson(LABELS, p[::-1] / 2, p, p / 2, p, nobody, np.arange(ROWS), by=by),
        pace([5.0] * 3, by=by),
        pace([], by=by),
        independence(given, ours, theirs, test=(given[test], theirs[test]), by=by),
    ]


def test_every_constant_reaches_a_verdict_or_a_question() -> None:
    def in_full(found: Any) -> str:
        with np.printoptions(threshold=100_000, precision=17):
            return repr(found)

    questions, verdicts = in_full(asked(STANDARD)), [in_full(found) for found in judged(STANDARD)]
    assert [in_full(found) for found in judged(Constants())] == verdicts
    assert in_full(asked(Constants())) == questions
    for field in fields(Constants):
        value = getattr(STANDARD, field.name)
        other = FAR.get(field.name, 1 if isinstance(value, int) else 0.8 * np.asarray(value))
        by = replace(STANDARD, **{field.name: other})
        assert in_full(asked(by)) != questions or any(
            in_full(found) != before for found, before in zip(judged(by), verdicts, strict=True)
        ), field.name
