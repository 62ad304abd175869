"""What likeness groups are worth: right decisions per minute of a simulated reviewer, against one by one.

The reviewer answers what FERPlus's votes say about the scored faces of a workspace of `fer2013_ferplus`, which is only
read:

    python pipelines/likeness_groups.py --data DIR --workspace W [--judge FILE] --json FILE
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ferclean.errors import BadDataError
from ferclean.evidence.verdict import queueing
from ferclean.evidence.verdict.verdicts import Verdicts
from ferclean.parts.gathering import Gathered, gather
from ferclean.parts.surroundings import nearest_for_screens
from ferclean.review.likeness import SIZE, SURE, Group, likeness_groups, near_rows
from ferclean.store.samples import get_dataset
from ferclean.store.table import Ranked
from ferclean.store.verdicts import KINDS
from ferclean.store.workspace import Workspace
from pipelines.ferplus_measures import read_truth
from pipelines.heading import heading, write_figures
from pipelines.simulated_reviewer import judged_after, reviewed

GLANCE, TILE, CORRECTION, MISSED = 1.0, 0.2, 0.5, 0.1
"""Seconds of a look (at one face or at a group), of each tile of a group and of an answer that is not the offer, and
how often a tile of a group whose right answer is not the offer is overlooked."""
MAY_ERR = 0.01
"""The share of the decisions that may be wrong more than one by one."""
MINUTES = (2, 5, 10, 20)
TAUGHT = (0, 300)
TRIED = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9)


@dataclass(frozen=True, kw_only=True)
class Looks:
    """A reviewer's looks in their order, (L,) each: seconds, decisions, right ones, and wrong labels made right."""

    seconds: np.ndarray
    decisions: np.ndarray
    right: np.ndarray
    mended: np.ndarray

    def after(self, minutes: float | None) -> dict[str, float]:
        """What was reached by the looks that ended within `minutes`; by all of them where that is None."""
        clock = np.cumsum(self.seconds)
        done = len(clock) if minutes is None else int(np.searchsorted(clock, minutes * 60, side="right"))
        spent = float(clock[done - 1]) / 60 if done else np.nan
        decisions, right, mended = (float(of[:done].sum()) for of in (self.decisions, self.right, self.mended))
        return {
            "minutes": spent, "decisions": decisions, "right_per_minute": right / spent,
            "mended_per_minute": mended / spent, "error_rate": 1 - right / decisions if decisions else np.nan,
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What the reviewer says of the rows of a queue, (N,) bool each: just what the verdict offers, and another label
    than the given one."""

    as_offered: np.ndarray
    mends: np.ndarray


def queue_of(found: Gathered, classes: Sequence[str], judged: Verdicts, decided: np.ndarray, *, seed: int) -> Ranked:
    """The queue that triage would make of these verdicts, one face in five at random; copies are called as judged."""
    rank, drawn, _ = queueing.mixed_order(np.argsort(judged.rank), seed=seed, eligible=~decided)
    at = np.argsort(rank)
    return Ranked(
        run_id=None, classes=tuple(classes), ids=[found.ids[row] for row in at],
        given=found.given[at], suggested=judged.suggested_label[at],
        verdict=np.array([KINDS.index(kind) for kind in judged.kind[at]]), p_mislabelled=judged.p_mislabelled[at],
        p_ambiguous=judged.p_ambiguous[at], p_unusable=judged.p_unusable[at], p_suggested=judged.p_suggested[at],
        drawn=drawn[at],
    )  # fmt: skip


def answers(queue: Ranked, said: np.ndarray, said_label: np.ndarray) -> Answers:
    """`said` (N,) and `said_label` (N,) as in `Reviewed`, in the order of the queue."""
    offered = {"mislabelled": "relabel", "clean": "keep", "ambiguous": "ambiguous"}
    action = np.array([offered.get(kind, "exclude") for kind in KINDS])[queue.verdict]
    alike = (action == said) & ((said != "relabel") | (said_label == queue.suggested))
    return Answers(as_offered=alike, mends=said == "relabel")


def one_by_one(rows: np.ndarray, said: Answers) -> Looks:
    """The faces `rows` (n,) of the queue, each looked at by itself."""
    return Looks(
        seconds=GLANCE + CORRECTION * ~said.as_offered[rows], decisions=np.ones(len(rows)), right=np.ones(len(rows)),
        mended=said.mends[rows].astype(float),
    )  # fmt: skip


def groups_first(rows: np.ndarray, groups: Sequence[np.ndarray], said: Answers, *, seed: int) -> Looks:
    """The `groups` (rows of the queue) in their order, then the other faces of `rows` (n,) one by one."""
    rng = np.random.default_rng(seed)
    looks = []
    for group in groups:
        exceptions = ~said.as_offered[group]
        missed = exceptions & (rng.random(len(group)) < MISSED)
        seconds = GLANCE + TILE * len(group) + CORRECTION * (exceptions & ~missed).sum()
        looks.append((seconds, len(group), len(group) - missed.sum(), (said.mends[group] & ~missed).sum()))
    together = np.array(looks, dtype=float).reshape(-1, 4)
    grouped = np.concatenate([np.empty(0, dtype=np.int64), *groups])
    rest = one_by_one(rows[~np.isin(rows, grouped)], said)
    columns = np.stack([rest.seconds, rest.decisions, rest.right, rest.mended], axis=1)
    seconds, decisions, right, mended = np.concatenate([together, columns]).T
    return Looks(seconds=seconds, decisions=decisions, right=right, mended=mended)


def measured(
    queue: Ranked, near: np.ndarray, rows: np.ndarray, said: Answers, *, sure: float, seed: int
) -> dict[str, dict[str, float]]:
    """In likeness groups and in groups by probability alone, each against one by one, about the faces `rows` (n,).

    Compared are equal minutes, everything until the end, and what the groups hold in groups and one by one.
    """
    free = rows[~queue.drawn[rows]]
    place = {sample_id: row for row, sample_id in enumerate(queue.ids)}
    single = one_by_one(rows, said)
    told: dict[str, dict[str, float]] = {}
    for name, beside in (("alike", near), ("by probability", None)):
        made = likeness_groups(queue, free, beside, sure=sure)
        groups = [np.array([place[one] for one in group.sample_ids]) for group in made]
        looks = groups_first(rows, groups, said, seed=seed)
        pairs = {f"{m} minutes": (looks.after(m), single.after(m)) for m in MINUTES}
        pairs["the end"] = looks.after(None), single.after(None)
        if groups:
            same = np.concatenate(groups)
            alone = groups_first(same, groups, said, seed=seed), one_by_one(same, said)
            pairs["the grouped faces"] = alone[0].after(None), alone[1].after(None)
        told[name] = {"faces": len(rows), "limit": limit(rows, free, said), "offer_right": said.as_offered[rows].mean()}
        told[name] |= _made(groups, made, said, near)
        for span, (ours, theirs) in pairs.items():
            told[name] |= {f"{what}: {span}": value for what, value in ours.items()}
            told[name] |= {f"{what}: {span}, one by one": value for what, value in theirs.items()}
            told[name][f"times: {span}"] = ours["right_per_minute"] / theirs["right_per_minute"]
            if theirs["mended_per_minute"]:
                told[name][f"times mended: {span}"] = ours["mended_per_minute"] / theirs["mended_per_minute"]
    return told


def limit(rows: np.ndarray, free: np.ndarray, said: Answers) -> float:
    """How many times as fast any groups could be until all of `rows` (n,) are decided, with MAY_ERR of them wrong.

    Of the rows that may be grouped, `free` (m,), all whose offer is right are in full groups, and as many others as
    may be: what is looked at by itself costs most.
    """
    single = one_by_one(rows, said).seconds.sum()
    right = int(said.as_offered[free].sum())
    others = min(len(free) - right, MAY_ERR / MISSED * len(rows))
    together = (right + others) * (GLANCE / SIZE + TILE) + others * (1 - MISSED) * CORRECTION
    rest = single - right * GLANCE - others * (GLANCE + CORRECTION)
    return float(single / (together + rest) * (1 - others * MISSED / len(rows)))


def _made(groups: Sequence[np.ndarray], made: Sequence[Group], said: Answers, near: np.ndarray) -> dict[str, float]:
    """How many groups there are, of how many faces, how pure they are, and how alike."""
    if not groups:
        return {"groups": 0, "grouped": 0}
    page = np.full(len(near), -1)
    for number, group in enumerate(groups):
        page[group] = number
    rows = np.concatenate(groups)
    with_one = ((near[rows] >= 0) & (page[near[rows]] == page[rows][:, None])).any(1)
    return {
        "groups": len(groups), "grouped": len(rows), "as_offered": float(said.as_offered[rows].mean()),
        "stated": sum(group.p_offer * len(group.sample_ids) for group in made) / len(rows),
        "beside_one_of_its_nearest": float(with_one.mean()),
    }  # fmt: skip


def run(data: Path, root: Path, *, judge: Path | None = None, draws: int = 20) -> dict[str, Any]:
    """Over `draws` of the decisions before, of the random checks and of what is overlooked: means and sd.

    `data`: folder with votes.parquet. `judge`: a .npz of `source_key` (N,) and `pred_probs` (N, K), what a net from
    elsewhere says. Groups of the surest faces at each of TRIED on the even duplicate groups, at SURE on the odd ones.
    Raises BadDataError where the judge does not name every scored face.
    """
    ws = Workspace.open(root)
    found, classes = gather(ws, outside=False), get_dataset(ws).classes
    people = reviewed(found, classes, read_truth(data / "votes.parquet"))
    ids, nearest = nearest_for_screens(ws, found.members[0].run_id)
    result: dict[str, Any] = heading("likeness_groups") | {"draws": draws, "size": SIZE, "sure": SURE}
    for heard, judges in {"own": None, **({} if judge is None else {"judge": _judge(judge, found)})}.items():
        for count in TAUGHT:
            tables: dict[tuple[str, ...], list[dict[str, float]]] = {}
            for draw in range(draws):
                decided = np.zeros(len(found.ids), dtype=bool)
                chosen = np.random.default_rng(draw).choice(len(decided), min(count, len(decided)), replace=False)
                decided[chosen] = True
                judged = judged_after(found, people, decided, np.ones(len(decided)), judges=judges)
                queue = queue_of(found, classes, judged, decided, seed=draw)
                place = {sample_id: row for row, sample_id in enumerate(queue.ids)}
                at = np.argsort([place[one] for one in found.ids])
                said = answers(queue, people.said[at], people.said_label[at])
                near = near_rows(place, ids, nearest)
                for name, rows in _queues(queue, decided[at]).items():
                    for half, sures in (("even", TRIED), ("odd", (SURE,))):
                        mine = rows[people.odd[at][rows] == (half == "odd")]
                        for sure in sures if len(mine) else ():
                            told = measured(queue, near, mine, said, sure=sure, seed=draw)
                            for way, figures in told.items():
                                tables.setdefault((name, half, f"{sure}", way), []).append(figures)
            result[f"{heard}, {count} decisions"] = {", ".join(key): _summed(of) for key, of in tables.items()}
    return result


def _queues(queue: Ranked, decided: np.ndarray) -> dict[str, np.ndarray]:
    """Undecided rows as the screen selects them: by default, and with every verdict."""
    clean_or_torn = np.isin(queue.verdict, [KINDS.index("clean"), KINDS.index("ambiguous")])
    return {
        "default": np.flatnonzero(~decided & (queue.drawn | ~clean_or_torn)),
        "every verdict": np.flatnonzero(~decided),
    }


def _judge(path: Path, found: Gathered) -> np.ndarray:
    """(1, N, K) in the order of the scored faces."""
    with np.load(path, allow_pickle=False) as stored:
        said = pd.Series(range(len(stored["source_key"])), index=stored["source_key"].astype(str))
        probs = stored["pred_probs"].astype(float)
    keys = found.everything.set_index("sample_id").loc[found.ids, "source_key"]
    if missing := set(keys) - set(said.index):
        raise BadDataError(f"{path} does not name {len(missing)} of the scored faces, such as {min(missing)!r}")
    return probs[said.loc[keys].to_numpy()][None]


def _summed(rows: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    table = pd.DataFrame(rows).dropna(axis=1)  # what some draws cannot tell: they made no group, or mended nothing
    return {
        str(name): {"mean": round(float(of.mean()), 4), "sd": round(float(of.std(ddof=0)), 4)}
        for name, of in table.items()
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Likeness groups against one by one, on FER2013 with FERPlus's votes.")
    parser.add_argument("--data", type=Path, required=True, help="folder with votes.parquet")
    parser.add_argument("--workspace", type=Path, required=True, help="what fer2013_ferplus scored; it is only read")
    parser.add_argument("--judge", type=Path, help=".npz with source_key and pred_probs of a net from elsewhere")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--json", type=Path, required=True, help="where the figures go")
    options = parser.parse_args()
    result = run(options.data, options.workspace, judge=options.judge, draws=options.draws)
    write_figures(options.json, result)
    for before, ways in result.items():
        for way, row in ways.items() if isinstance(ways, dict) else ():
            spans = [name.removeprefix("times: ") for name in row if name.startswith("times: ")]
            told = [
                f"{span} {row[f'times: {span}']['mean']:.2f} ({row[f'error_rate: {span}']['mean']:.4f})"
                for span in spans
            ]
            print(f"{before}; {way}: {row['grouped']['mean']:.0f} grouped; times (errors): {'; '.join(told)}")


if __name__ == "__main__":
    main()
