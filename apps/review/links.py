"""Addresses of the screen's own pages, and small faces that lead to them.

Whatever the address held stays in it: who reviews, and what is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

import streamlit as st

from apps.review.parts import escape
from ferclean.review.beside import Picture


def to(page: str, sample_id: str) -> str:
    """The address of a page about a face, ready for an attribute."""
    return escape(f"?{urlencode({**st.query_params.to_dict(), 'page': page, 'sample': sample_id})}")


def face(picture: Picture, sample_id: str, source_key: str, lines: Sequence[str]) -> str:
    """A small face with lines below it, which leads to what people say about it."""
    title = escape(" · ".join([source_key, *lines]))
    image = f'<img src="{escape(picture.uri)}" alt="{title}">' if picture.uri else '<div class="gone">no picture</div>'
    return (
        f'<a href="{to("conflicts", sample_id)}" target="_self" title="{title}">{image}'
        f"{''.join(f'<span>{escape(line)}</span>' for line in lines)}</a>"
    )
