"""Placeholder."""

from apps.review.sitting import Sitting


def draw(at: Sitting) -> None: ...
