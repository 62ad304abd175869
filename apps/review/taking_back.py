"""Taking back what a release changed: all that is shown, or single faces; the exact count first, and one undo after.

It records nothing by itself: `ferclean revert` does, as the reviewer of this tab.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import streamlit as st

from apps.review import sitting
from apps.review.parts import escape
from apps.review.sitting import Sitting
from ferclean.errors import FercleanError
from ferclean.printable import printable
from ferclean.steps.revert import Part, RevertSummary, revert
from ferclean.store.decisions import undo

_ASKED, _PICKED, _DONE, _SAID = "revert_asked", "revert_picked", "revert_done", "revert_said"


def picks(shown: Sequence[dict[str, Any]], *, first: int) -> None:
    """Numbers of the faces that are shown, `first` the first of them, to pick single ones by."""
    picked = st.session_state.setdefault(_PICKED, {})
    ids = {str(first + place): one["sample_id"] for place, one in enumerate(shown)}

    def take() -> None:
        chosen = set(st.session_state[key])
        for number, sample_id in ids.items():
            picked.pop(sample_id, None)
            if number in chosen:
                picked[sample_id] = number

    key = f"revert_pick_{first}"
    st.session_state[key] = [number for number, sample_id in ids.items() if sample_id in picked]
    st.pills("Pick single faces to take back", list(ids), selection_mode="multi", key=key, on_change=take)


def draw(at: Sitting, chosen: Sequence[dict[str, Any]], *, before: str, after: str, named: str) -> None:
    """The buttons, the question with its count, and what was done; `chosen`: the changes that are shown, as `named`."""
    about = before, after, named
    if st.session_state.get("revert_about") != about:
        st.session_state["revert_about"] = about
        _forget()
    picked = st.session_state.get(_PICKED, {})
    ids = [one["sample_id"] for one in chosen]
    _tell_done(at)
    with st.container(horizontal=True, gap="small"):
        st.button(
            f"Take back {named}: {len(ids):,}", key="revert_all", on_click=_ask, args=(at, before, after, ids)
        )  # fmt: skip
        st.button(
            f"Take back the picked: {len(picked):,}", key="revert_some", disabled=not picked, on_click=_ask,
            args=(at, before, after, list(picked)),
        )  # fmt: skip
    asked: RevertSummary | None = st.session_state.get(_ASKED)
    if asked is not None:
        _question(at, asked)


def _forget() -> None:
    for key in (_ASKED, _PICKED):
        st.session_state.pop(key, None)


@contextmanager
def _saying(failed: str) -> Iterator[None]:
    """What goes wrong inside is said on the page, behind `failed`; what was said before is not any longer."""
    st.session_state.pop(_SAID, None)
    try:
        yield
    except FercleanError as error:
        st.session_state[_SAID] = f"{failed}: {error}"


def _ask(at: Sitting, before: str, after: str, ids: list[str]) -> None:
    st.session_state.pop(_ASKED, None)
    with _saying("It cannot be told what would be taken back"):
        st.session_state[_ASKED] = revert(
            at.desk.ws, before, after, Part(sample_ids=frozenset(ids)), reviewer=at.desk.reviewer, dry_run=True
        )  # fmt: skip


def _question(at: Sitting, asked: RevertSummary) -> None:
    kinds = Counter(one["action"] for one in asked.changes)
    told = [f"{count:,} {action}" for action, count in kinds.most_common()]
    lines = [
        f"{len(asked.changes):,} faces get a decision by {at.desk.reviewer}, which holds for all ({', '.join(told)})"
        if asked.changes
        else "There is nothing to take back"
    ]
    lines += [f"{asked.already:,} are back already"] if asked.already else []
    lines += [f"{len(asked.newer):,} were decided since, and stay"] if asked.newer else []
    lines += [f"{len(asked.barred):,} are quarantined or gone, and stay"] if asked.barred else []
    st.html(f'<p class="fc fc-wide" role="status">{escape("; ".join(lines))}.</p>')
    with st.container(horizontal=True, gap="small"):
        if asked.changes:
            st.button(
                f"Take {len(asked.changes):,} back", key="revert_go", type="primary", on_click=_go, args=(at, asked)
            )  # fmt: skip
        st.button("Cancel" if asked.changes else "Close", key="revert_no", on_click=_forget)


def _go(at: Sitting, asked: RevertSummary) -> None:
    ids = frozenset(one["sample_id"] for one in asked.changes)
    with _saying("Nothing was taken back"):
        done = revert(
            at.desk.ws, asked.before, asked.after, Part(sample_ids=ids), reviewer=at.desk.reviewer, asked=asked
        )  # fmt: skip
        if done.bulk_id is None:
            st.session_state[_ASKED] = done
            st.session_state[_SAID] = "Nothing was taken back: it is not what was asked any longer; look again."
            return
        _forget()
        st.session_state[_DONE] = (done.bulk_id, len(done.changes), asked.after)
        sitting.forget()


def _tell_done(at: Sitting) -> None:
    if said := st.session_state.get(_SAID):
        st.html(f'<p class="fc fc-wide" role="status">{escape(said)}</p>')
    done = st.session_state.get(_DONE)
    if done is None:
        return
    bulk, count, after = done
    words = f"{count:,} changes of {printable(after)} are taken back: the next release is made without them."
    st.html(f'<p class="fc fc-wide" role="status">{escape(words)}</p>')
    st.button(f"Undo: bring {count:,} back", key="revert_undo", on_click=_undo, args=(at, bulk))


def _undo(at: Sitting, bulk: str) -> None:
    with _saying("Not undone"):
        undone = undo(at.desk.ws, reviewer=at.desk.reviewer, bulk_id=bulk)
        st.session_state.pop(_DONE)
        st.session_state[_SAID] = f"Undone: {len(undone):,} decisions are taken back again."
        sitting.forget()
