"""cleanlab's names, flags and scores, and ferclean's own under the same calls."""
