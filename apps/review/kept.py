"""What a page counted, kept for a browser tab as long as nobody writes into the workspace.

It keeps nothing beyond the tab, and never what a later writing could have changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import streamlit as st

from ferclean.store.workspace import Workspace

T = TypeVar("T")


def kept(ws: Workspace, count: Callable[[Workspace], T]) -> T:
    """What `count` says of the workspace as it is written now."""
    key, stamp = f"kept_{count.__module__}.{count.__qualname__}", (ws.root, ws.written)
    known = st.session_state.get(key)
    if known is None or known[0] != stamp:
        known = st.session_state[key] = (stamp, count(ws))
    found: T = known[1]
    return found
