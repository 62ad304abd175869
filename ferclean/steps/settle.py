"""An adjudicator's answer on the screen about a face that people disagree about: it holds for everybody from then on.

It never settles what nobody disagrees about, nor a person's own disagreement unless they say that they mean it.
"""

from __future__ import annotations

from ferclean.errors import UsageError
from ferclean.review.desk import Desk, Standing, refresh, stands
from ferclean.store.decisions import Decision, NewerDecisionError, append_decisions
from ferclean.store.history import History, history


def parties(story: History) -> tuple[str, ...]:
    """The people whose answers about the face stand, in the order in which they gave them."""
    return tuple(dict.fromkeys(entry.reviewer for entry in story.entries if entry.stands))


def settle(
    desk: Desk,
    sample_id: str,
    action: str,
    *,
    label: str | None = None,
    note: str = "",
    seen: int,
    own_too: bool = False,
) -> Standing:
    """Record the reviewer's adjudication; it is on the disk when this returns, and undo takes it back.

    `seen` is the last row of the face's history that the screen showed: whoever else settled it since was quicker
    (NewerDecisionError). `own_too`: the reviewer is one of those who disagree, and settles it all the same; raises
    UsageError without it, for a skip, and where nobody disagrees.
    """
    if action == "skip":
        raise UsageError("skip settles nothing; answer with a label, keep, ambiguous or exclude, or go on")
    story = history(desk.ws, sample_id)
    if desk.reviewer in parties(story) and not own_too:
        raise UsageError("you are one of those who disagree about this face; say that you settle it all the same")
    given = story.given_label
    if action == "relabel" and label is not None and label == given:
        action, label = "keep", None
    shown = desk.items[sample_id].shown() if sample_id in desk.items else None
    decision = Decision(
        sample_id=sample_id, action=action, label=label if action == "relabel" else None, reviewer=desk.reviewer,
        note=note, source="adjudication", shown=shown, seen=seen,
    )  # fmt: skip
    try:
        [decision_id] = append_decisions(desk.ws, [decision])
    except NewerDecisionError:
        refresh(desk)
        raise
    settled = stands(decision_id, action, decision.label, desk.reviewer, given=given)
    desk.standing[sample_id] = settled
    return settled
