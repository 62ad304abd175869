"""Who answered what where several people answered: counted by pair of people and by pattern, with faces as examples.

It reads. What counts is each person's own last word about a face that is not undone, whatever an adjudication said
after it: to settle a disagreement does not make it one that never was. A skip is no word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ferclean.store.exchange import frame, rows
from ferclean.store.samples import read_dataset
from ferclean.store.workspace import Workspace

OTHER_ANSWERS = ("ambiguous", "exclude")
"""What people answer beside a class; their numbers come after those of the classes."""

# Faces about which two people or more have an own word, one row per face and person: answer is the number of the class
# in the card's order (K: ambiguous, K + 1: exclude); how: blind (the screen showed nothing of the model), shown (it
# did), elsewhere (a file or the command line: not known).
_SEVERAL = """
    about AS (
        SELECT sample_id FROM live_decision WHERE action <> 'skip' AND source <> 'adjudication'
        GROUP BY sample_id HAVING count(DISTINCT reviewer) > 1
    ), word AS (
        SELECT * FROM live_decision WHERE action <> 'skip' AND source <> 'adjudication'
        AND sample_id IN (SELECT sample_id FROM about)
        QUALIFY row_number() OVER (PARTITION BY sample_id, reviewer ORDER BY decision_id DESC) = 1
    ), answered AS (
        SELECT w.sample_id, w.reviewer, w.decision_id, s.position,
        CASE w.action WHEN 'ambiguous' THEN len($classes::VARCHAR[]) WHEN 'exclude' THEN len($classes::VARCHAR[]) + 1
        ELSE nullif(list_position($classes::VARCHAR[], coalesce(w.label, s.given_label)), 0) - 1 END::INTEGER AS answer,
        CASE WHEN w.shown IS NOT NULL THEN 'shown' WHEN w.source = 'review' THEN 'blind' ELSE 'elsewhere' END AS how
        FROM word w JOIN sample s USING (sample_id)
    ), several AS (
        SELECT * FROM answered WHERE answer IS NOT NULL QUALIFY count(*) OVER (PARTITION BY sample_id) > 1
    )
"""


@dataclass(frozen=True, kw_only=True)
class Agreeing:
    """What people answered where several did."""

    classes: tuple[str, ...]
    pairs: pd.DataFrame
    """One row per combination that occurs: one, other (people, in order of their names), how (blind or shown, where
    both answered so, else mixed), answer, other_answer (numbers), faces."""
    patterns: pd.DataFrame
    """One row per combination that occurs: which (all; blind or shown: of the answers that were given so), pattern (the
    sorted numbers of the answers to one face), faces."""

    def counted(self, which: str) -> tuple[np.ndarray, np.ndarray]:
        """(U, K + 2) how many people gave each answer, and (U,) faces with that pattern, of `which` answers."""
        chosen, answers = self.patterns[self.patterns["which"] == which], len(self.classes) + len(OTHER_ANSWERS)
        counts = [np.bincount(np.asarray(pattern, dtype=np.int64), minlength=answers) for pattern in chosen["pattern"]]
        return np.array(counts, dtype=np.int64).reshape(-1, answers), chosen["faces"].to_numpy(dtype=np.int64)


def agreeing(ws: Workspace) -> Agreeing:
    """Count the answers of several people. Joins a face's answers with each other, never faces: cost grows with the
    decisions, not with the set: .2 s at 12,000 of three people, 1.8 s at 300,000. Raises UsageError when nothing was
    ingested."""
    with ws.reading("counting answers") as con:
        classes = read_dataset(con, ws).classes
        own = {"classes": list(classes)}
        pairs = frame(
            con,
            f"WITH {_SEVERAL} SELECT a.reviewer AS one, b.reviewer AS other, "  # noqa: S608 - own text
            "CASE WHEN a.how = b.how AND a.how <> 'elsewhere' THEN a.how ELSE 'mixed' END AS how, "
            "a.answer, b.answer AS other_answer, count(*) AS faces "
            "FROM several a JOIN several b USING (sample_id) WHERE a.reviewer < b.reviewer GROUP BY ALL ORDER BY ALL",
            own,
        )
        patterns = frame(
            con,
            f"WITH {_SEVERAL}, of_face AS ("  # noqa: S608 - own text
            "SELECT 'all' AS which, list_sort(list(answer)) AS pattern FROM several GROUP BY sample_id UNION ALL "
            "SELECT how, list_sort(list(answer)) FROM several WHERE how <> 'elsewhere' GROUP BY how, sample_id "
            "HAVING count(*) > 1) SELECT which, pattern, count(*) AS faces FROM of_face GROUP BY ALL ORDER BY ALL",
            own,
        )
    return Agreeing(classes=classes, pairs=pairs, patterns=patterns)


def disputed(ws: Workspace, answers: Sequence[tuple[int, int]], *, each: int) -> pd.DataFrame:
    """Faces about which one person gave the one of these answers and another the other: `each` of a pair, newest first.

    Columns: low, high (the numbers of the answers), sample_id, source_key, given_label, reviewer, answer: a row per
    person who answered about it.
    """
    wanted = [{"low": min(pair), "high": max(pair)} for pair in answers]
    with ws.reading("reading disputed faces") as con:
        own: dict[str, Any] = {"classes": list(read_dataset(con, ws).classes), "wanted": wanted, "each": each}
        if not wanted:
            return pd.DataFrame(columns=["low", "high", "sample_id", "source_key", "given_label", "reviewer", "answer"])
        return frame(
            con,
            f"WITH {_SEVERAL}, wanted AS ("  # noqa: S608 - own text
            "SELECT unnest($wanted::STRUCT(low INTEGER, high INTEGER)[], recursive := true)), about_pair AS ("
            "SELECT w.low, w.high, a.sample_id, max(greatest(a.decision_id, b.decision_id)) AS newest FROM wanted w "
            "JOIN several a ON a.answer = w.low JOIN several b ON b.answer = w.high AND b.sample_id = a.sample_id "
            "GROUP BY w.low, w.high, a.sample_id "
            "QUALIFY row_number() OVER (PARTITION BY w.low, w.high ORDER BY newest DESC) <= $each) "
            "SELECT p.low, p.high, p.sample_id, s.source_key, s.given_label, a.reviewer, a.answer FROM about_pair p "
            "JOIN sample s USING (sample_id) JOIN several a USING (sample_id) "
            "ORDER BY p.low, p.high, p.newest DESC, a.decision_id",
            own,
        )


def people(ws: Workspace) -> dict[str, int]:
    """Person -> faces about which they have an own word, the most first."""
    with ws.reading("counting answers") as con:
        return dict(
            rows(
                con,
                "SELECT reviewer, count(DISTINCT sample_id) AS faces FROM live_decision "
                "WHERE action <> 'skip' AND source <> 'adjudication' GROUP BY reviewer ORDER BY faces DESC, reviewer",
            )
        )
