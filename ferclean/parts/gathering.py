"""The scores of a workspace's ensemble as arrays: all that a verdict rests on, gathered from several runs.

It judges nothing, and reads no vote, no decision and no image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from ferclean.errors import FercleanError
from ferclean.evidence import labels as label_names
from ferclean.evidence import splits as split_room
from ferclean.evidence.signals import label_signals as signal_room
from ferclean.evidence.signals.neighbours import surroundings
from ferclean.evidence.signals.offtopic import detector_knows, how_far, probability_faceless
from ferclean.evidence.verdict.belief import Faces
from ferclean.parts.copies import faces_seen, pair_rows
from ferclean.parts.ensemble import current_score_runs, heard
from ferclean.parts.surroundings import nearest_of, spaces_of
from ferclean.recognition import images as image_room
from ferclean.store import samples, scores, verdicts
from ferclean.store.runs import Run
from ferclean.store.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """Everything that a verdict rests on, one entry per scored sample in the order of `ids`.

    `given` (N,) int64; `pred_probs` (N, K), the members' mean; `recognizer_probs` (R, N, K), the mean over each one's
    seeds; `judge_probs` (J, N, K), what each of `judge_names` said: out-of-sample, rows sum to 1 over the classes that
    it knows, NaN for the others and for images that it was not asked about; `signals` (N,) each; `around` (N, N)
    sparse, the weights of each sample's neighbours, or None; `groups` (N,), copies share a number; `unusable` (N,): 1
    for blank images, else the chance of no face, by a detector and by the distance from all others. `everything`: all
    samples, quarantined ones too.
    """

    members: list[Run]
    ids: list[str]
    everything: pd.DataFrame
    given: np.ndarray
    pred_probs: np.ndarray
    recognizer_probs: np.ndarray
    signals: dict[str, np.ndarray]
    around: sparse.csr_matrix | None
    groups: np.ndarray
    unusable: np.ndarray
    notes: list[str]
    """What had no say, and why."""
    unheard: list[str]
    """Recognizers that belong to no member, though they were scored like the members."""
    judges: list[Run]
    judge_names: tuple[str, ...]
    judge_probs: np.ndarray

    def faces(self) -> Faces:
        """What `verdicts.judge` asks for, but for votes and the words of the reasons."""
        return Faces(
            labels=self.given, pred_probs=self.pred_probs, signals=self.signals, around=self.around,
            unusable=self.unusable, duplicates=self.groups, recognizer_probs=self.recognizer_probs,
            judge_probs=self.judge_probs,
        )  # fmt: skip


def gather(ws: Workspace, *, run_ids: Sequence[str] | None = None, outside: bool = True) -> Gathered:
    """Read the scores of the ensemble that was chosen, and what follows from them. Raises as `triage` does.

    With `run_ids` only those members are read; without `outside` no judge has a say. Who has a say is of one moment;
    what they said, samples and pairs are each read for themselves, so that a decision waits for one table, not for all.
    """
    known = heard(ws)
    members = [run for run in known.members if run_ids is None or run.run_id in run_ids]
    if not members:
        raise FercleanError(f"none of the runs {', '.join(run_ids or [])} is a member of this workspace's ensemble")
    dataset = samples.get_dataset(ws)
    predictions = [scores.get_predictions(ws, run.run_id) for run in members]
    everything = samples.get_samples(ws, include_quarantined=True)
    ids = list(predictions[0].sample_ids)
    judges = [run for run in known.judges if outside and (run_ids is None or run.run_id in run_ids)]
    judge_probs = _judge_probs(ws, judges, ids, dataset.classes)
    pairs = verdicts.get_pairs(ws)
    frame = everything.set_index("sample_id").loc[ids]
    given = label_names.encode(list(frame["given_label"]), dataset.classes)
    member_probs = np.stack([_aligned(p.sample_ids, p.pred_probs, ids) for p in predictions])
    pred_probs = member_probs.mean(0)
    pred_probs = pred_probs / pred_probs.sum(1, keepdims=True)
    groups = split_room.group_ids(len(ids), pair_rows(ids, pairs), list(frame["content_hash"]))
    # two models need not share their folds
    folds = [_aligned(p.sample_ids, p.fold, ids).astype(np.int64) for p in predictions]
    signals, around, far = _signals(ws, members, ids, given, pred_probs, member_probs, folds, groups)
    faces = faces_seen(ws, ids)
    faceless = probability_faceless(far, faces)
    return Gathered(
        members=members,
        ids=ids,
        everything=everything,
        given=given,
        pred_probs=pred_probs,
        recognizer_probs=_by_recognizer(members, member_probs),
        signals=signals,
        around=around,
        groups=groups,
        unusable=np.where([image_room.is_blank(value) for value in frame["contrast"]], 1.0, faceless),
        notes=[*known.passed_over, *_notes(faces), *(known.lost if outside else [])],
        unheard=known.unheard,
        judges=judges,
        judge_names=tuple(run.method for run in judges),
        judge_probs=judge_probs,
    )


def out_of_fold(ws: Workspace) -> tuple[list[str], np.ndarray]:
    """Ids of the scored samples, and the mean (N, K) of the members that were trained here without them.

    Raises FercleanError where there is none: models from elsewhere, whose word a file brought, vouch for nobody.
    """
    members = [run for run in current_score_runs(ws) if not run.config.get("file", {}).get("out_of_sample")]
    if not members:
        raise FercleanError("nothing here was scored out-of-fold, so nothing can vouch; run `ferclean score` first")
    predictions = [scores.get_predictions(ws, run.run_id) for run in members]
    ids = list(predictions[0].sample_ids)
    return ids, np.mean([_aligned(p.sample_ids, p.pred_probs, ids) for p in predictions], axis=0)


def _judge_probs(ws: Workspace, judges: Sequence[Run], ids: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """(J, N, K); NaN where a judge has no say."""
    found = np.full((len(judges), len(ids), len(classes)), np.nan)
    for own, run in zip(found, judges, strict=True):
        said = scores.get_predictions(ws, run.run_id)
        place = {sample_id: row for row, sample_id in enumerate(said.sample_ids)}
        rows = np.array([place.get(sample_id, -1) for sample_id in ids], dtype=np.int64)
        own[rows >= 0] = said.pred_probs[rows[rows >= 0]]
        own[:, [name not in run.config["known"] for name in classes]] = np.nan
    return found


def _notes(faces: np.ndarray) -> list[str]:
    if unseen := int(np.isnan(faces).sum()):
        return [f"nobody looked for a face in {unseen:,} images; `ferclean score` does"]
    if not detector_knows(faces):
        return ["the face detector does not know this kind of picture (it misses too many faces) and has no say"]
    return []


def _by_recognizer(members: Sequence[Run], member_probs: np.ndarray) -> np.ndarray:
    """(M, N, K) of runs -> (R, N, K): each recognizer's mean over its seeds, which is what it votes with."""
    names = np.array([run.method for run in members])
    return np.stack([member_probs[names == name].mean(0) for name in dict.fromkeys(names)])


def _aligned(own: Sequence[str], values: np.ndarray, ids: Sequence[str]) -> np.ndarray:
    if list(own) == list(ids):
        return values.astype(np.float64)
    row = {sample_id: i for i, sample_id in enumerate(own)}
    return values[[row[sample_id] for sample_id in ids]].astype(np.float64)


def _signals(
    ws: Workspace,
    members: Sequence[Run],
    ids: Sequence[str],
    given: np.ndarray,
    pred_probs: np.ndarray,
    member_probs: np.ndarray,
    folds: Sequence[np.ndarray],
    groups: np.ndarray,
) -> tuple[dict[str, np.ndarray], sparse.csr_matrix | None, np.ndarray]:
    """Signals of the ensemble, the members' mean weights of each sample's neighbours (None without embeddings), and how
    far each image lies from all others (`offtopic.how_far`).
    """
    stored = [scores.get_signals(ws, run.run_id).loc[list(ids)] for run in members]
    signals: dict[str, np.ndarray] = {}
    for name in dict.fromkeys(name for frame in stored for name in frame.columns):
        columns = [frame[name].to_numpy(float) for frame in stored if name in frame]
        signals[name] = columns[0] if len(columns) == 1 else np.mean([_ranks(column) for column in columns], axis=0)
    signals |= signal_room.compute_signals(
        {"labels": given, "pred_probs": pred_probs, "member_probs": member_probs if len(members) > 1 else None}
    )
    seeing = [(run, spaces_of(run, fold)) for run, fold in zip(members, folds, strict=True) if _has_embeddings(run)]
    around, similarity = None, []
    for run, fold in seeing:
        weights, near = surroundings(nearest_of(ws, run.run_id, ids, fold=fold, groups=groups), k=signal_room.WIDE)
        similarity.append(near)
        around = weights if around is None else around + weights
    if around is not None:
        # a sample may have neighbours in the eyes of some members only
        total = np.asarray(around.sum(1)).ravel()
        around = sparse.diags(np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)) @ around
    if not similarity:
        return signals, around, np.zeros(len(ids))
    return signals, around, how_far(np.stack(similarity), np.stack([fold for _, fold in seeing]))


def _has_embeddings(run: Run) -> bool:
    # our own recognizers always make them; a file of probabilities says whether it had any
    return bool(run.config.get("file", {"embedding": True})["embedding"])


def _ranks(values: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata

    return rankdata(values) / len(values)
