"""Faces of nobody, drawn with a truth that is known: the layout is read here, `drawing` makes such a set."""

from ferclean.sources.drawn_faces.drawing import read

__all__ = ["read"]
