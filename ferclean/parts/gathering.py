"""The scores of a workspace's ensemble as arrays: all that a verdict rests on, gathered from several runs.

It judges nothing, and reads no vote, no decision and no image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from ferclean.errors import FercleanError, UsageError, among
from ferclean.evidence import labels as label_names
from ferclean.evidence import splits as split_room
from ferclean.evidence.signals import label_signals as signal_room
from ferclean.evidence.signals.neighbours import surroundings
from ferclean.evidence.signals.offtopic import detector_knows, how_far, probability_faceless
from ferclean.evidence.verdict.belief import Faces
from ferclean.parts.copies import faces_seen, pair_rows
from ferclean.parts.specification import shared_settings
from ferclean.parts.surroundings import nearest_of, spaces_of
from ferclean.recognition import images as image_room
from ferclean.store import ensembles, run_files, runs, samples, scores, verdicts
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

    With `run_ids` only those members are read; without `outside` no judge has a say.
    """
    with ws.reading("reading the scores"):  # of one moment, and opened once
        members = [run for run in current_score_runs(ws) if run_ids is None or run.run_id in run_ids]
        if not members:
            raise FercleanError(f"none of the runs {', '.join(run_ids or [])} is a member of this workspace's ensemble")
        dataset = samples.get_dataset(ws)
        predictions = [scores.get_predictions(ws, run.run_id) for run in members]
        everything = samples.get_samples(ws, include_quarantined=True)
        ids = list(predictions[0].sample_ids)
        judges = [run for run in accepted_judges(ws) if outside and (run_ids is None or run.run_id in run_ids)]
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
        notes=[*_passed_over(ws, members), *_notes(faces), *(_lost(ws) if outside else [])],
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


def accepted_judges(ws: Workspace) -> list[Run]:
    """The newest run of each outside judge, where its word was accepted; by name.

    What a judge says rests on pictures alone, so it holds whatever became of the labels since.
    """
    return [run for run in _ever_accepted(ws) if run.state == "done"]


def _ever_accepted(ws: Workspace) -> list[Run]:
    """`accepted_judges`, those too whose answers were deleted since, or are being asked for again."""
    newest: dict[str, Run] = {}
    for run in sorted(runs.list_runs(ws), key=lambda run: run.finished_at or run.started_at):
        # a judge that is only being asked has said nothing yet, unless it was accepted before
        said = run.state in ("done", "deleted") or run.metrics.get("accepted")
        if run.kind == "score" and "judge" in run.config and said:
            newest[run.method] = run
    return [newest[name] for name in sorted(newest) if newest[name].metrics.get("accepted")]


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


def _lost(ws: Workspace) -> list[str]:
    return [
        f"the judge {run.method} has no say: its answers were deleted"
        f"{'' if run.state == 'deleted' else f', and asking again is not finished ({run.state})'}; "
        f"`ferclean judge run {run.method}` asks it again"
        for run in _ever_accepted(ws)
        if run.state != "done"
    ]


def _by_recognizer(members: Sequence[Run], member_probs: np.ndarray) -> np.ndarray:
    """(M, N, K) of runs -> (R, N, K): each recognizer's mean over its seeds, which is what it votes with."""
    names = np.array([run.method for run in members])
    return np.stack([member_probs[names == name].mean(0) for name in dict.fromkeys(names)])


def current_score_runs(ws: Workspace) -> list[Run]:
    """The members of the ensemble that was chosen last (`ensembles.choose_ensemble`), of those whose members were all
    scored for the labels as they are now, by method and seed. `gather` tells of a newer one that was not.

    In a workspace of an earlier version, which names none, the newest finished run per method and seed of the newest
    settings. Raises FercleanError where nothing was scored for these labels, where the scoring of the one ensemble for
    them was broken off, or a member's scores are not there (they were deleted, or are being made anew).
    """
    with ws.reading("reading the ensemble"):
        _fresh_score_runs(ws)
        fitting = {run.run_id: run for run in _fitting(ws)}
        chosen = _chosen(ws)
    usable = next((one for one in chosen if not _unscored(ws, one, fitting)), None)
    if usable is not None:
        members = _in_order([fitting[run_id] for run_id in usable])
        missing = [_told(run.run_id, run) for run in members if run.state != "done"]
    elif begun := next((one for one in chosen if fitting.keys() & set(one)), None):
        members, missing = [], _unscored(ws, begun, fitting)
    else:
        members = _alike([run for run in fitting.values() if run.state in ("done", "deleted")])
        missing = [_told(run.run_id, run) for run in members if run.state != "done"]
    if missing:
        raise FercleanError(
            f"the ensemble that was chosen lacks the scores of {'; '.join(missing)}; run `ferclean score` "
            "again, or choose others with `ferclean triage --members`"
        )
    return members


def _chosen(ws: Workspace) -> list[tuple[str, ...]]:
    """The members of each ensemble, the newest first."""
    return [one.members for one in reversed(ensembles.list_ensembles(ws))]


def _passed_over(ws: Workspace, members: Sequence[Run]) -> list[str]:
    """That the ensemble chosen last is not the one that is read, and why."""
    last = next(iter(_chosen(ws)), ())
    if set(last) == {run.run_id for run in members}:
        return []
    lacking = _unscored(ws, last, {run.run_id: run for run in _fitting(ws)})
    if not lacking:
        return []
    return [
        f"the ensemble that was chosen last has no say: it lacks the scores of {'; '.join(lacking)}; `ferclean score` "
        "makes them, `ferclean triage --members` chooses others"
    ]


def _unscored(ws: Workspace, members: Sequence[str], fitting: Mapping[str, Run]) -> list[str]:
    """Which of these runs were never finished for the labels as they are now, in words. One that is being made anew
    was: what it said before lies there."""
    return [
        _told(run_id, fitting.get(run_id) or runs.get_run(ws, run_id), here=run_id in fitting)
        for run_id in members
        if run_id not in fitting
        or not (fitting[run_id].state in ("done", "deleted") or run_files.complete(ws, run_id, "score"))
    ]


def _told(run_id: str, run: Run | None, *, here: bool = True) -> str:
    if run is None:
        return f"{run_id} (not begun)"
    return f"{run.method}, seed {run.seed} ({run.state if here else 'for other labels'})"


def choose_members(ws: Workspace, names: Sequence[str]) -> None:
    """Make the newest runs of these recognizers (all seeds) the ensemble that is read from now on.

    Raises UsageError for a name without a finished run for these labels, and for runs with other settings than the
    others': they are another experiment.
    """
    fresh = _fresh_score_runs(ws)
    known = sorted({run.method for run in fresh})
    if unknown := [name for name in names if name not in known]:
        raise UsageError(f"{unknown[0]!r} was not scored for these labels; {among(unknown[0], known)}")
    chosen = {name: _alike([run for run in fresh if run.method == name]) for name in dict.fromkeys(names)}
    for name, own in chosen.items():
        if shared_settings(own[0].config) != shared_settings(chosen[names[0]][0].config):
            raise UsageError(
                f"{name} was scored with other settings than {names[0]}, so they make no ensemble; score them together "
                f"with `ferclean score --methods {','.join(chosen)}`"
            )
    ensembles.choose_ensemble(ws, [run.run_id for own in chosen.values() for run in own])


def without_a_say(ws: Workspace, members: Sequence[Run]) -> list[str]:
    """Recognizers that were scored like the members, for the same labels, but belong to no member, by name."""
    wanted = shared_settings(members[0].config)
    alike = {run.method for run in _fresh_score_runs(ws) if shared_settings(run.config) == wanted}
    return sorted(alike - {run.method for run in members})


def _scorings(ws: Workspace) -> list[Run]:
    return [run for run in runs.list_runs(ws) if run.kind == "score" and "judge" not in run.config]


def _fitting(ws: Workspace) -> list[Run]:
    """Scorings of the labels as they are now, in whatever state."""
    known = _scorings(ws)
    now = {splits: samples.fingerprint(ws, splits=splits) for splits in {tuple(run.config["splits"]) for run in known}}
    return [run for run in known if run.fingerprint == now[tuple(run.config["splits"])]]


def _fresh_score_runs(ws: Workspace) -> list[Run]:
    """Those of them that are done. Raises FercleanError where there is none."""
    if not (fresh := [run for run in _fitting(ws) if run.state == "done"]):
        since = any(run.state == "done" for run in _scorings(ws))
        raise FercleanError(
            f"nothing to judge: no finished scoring for these labels"
            f"{' (samples were added or set aside since)' if since else ''}; run `ferclean score` first"
        )
    return fresh


def _alike(fresh: Sequence[Run]) -> list[Run]:
    """The newest of `fresh` and those with its settings, the newest of each method and seed."""
    by_time = sorted(fresh, key=lambda run: run.finished_at or run.started_at)
    wanted = shared_settings(by_time[-1].config)
    chosen = {(run.method, run.seed): run for run in by_time if shared_settings(run.config) == wanted}
    return _in_order(list(chosen.values()))


def _in_order(members: Sequence[Run]) -> list[Run]:
    return sorted(members, key=lambda run: (run.method, run.seed))


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
