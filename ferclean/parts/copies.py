"""The first look at all images of a set, once: which are copies of which, and which show a face. And folds that keep
copies together.

It reads images and stores pairs and a signal; it judges nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ferclean.errors import BadDataError
from ferclean.evidence import splits as split_room
from ferclean.leases import Work, share
from ferclean.parts.pixels import LOOK, blocks_of
from ferclean.progress import Progress, Tell, silent, unheard
from ferclean.recognition import images as image_room
from ferclean.recognition.faces import DETECTOR, face_log_odds
from ferclean.store import run_files, runs, samples, scores, verdicts
from ferclean.store.workspace import Workspace

MIRRORED = "mirrored"
FACE = "face_log_odds"
"""The signal of the first look: `recognition.faces.face_log_odds` of each image, low = no face."""


def folds_of(
    ws: Workspace,
    frame: pd.DataFrame,
    given: np.ndarray,
    *,
    folds: int,
    seed: int = 0,
    force: bool = False,
    progress: Progress = silent,
    tell: Tell = unheard,
) -> tuple[np.ndarray, np.ndarray, int]:
    """For the samples of `frame` with labels `given` (N,): fold (N,), group of copies (N,), and the number of pairs.

    Folds are stratified by label and keep copies together; there are at most as many as groups. Raises BadDataError
    when all images are copies of one another.
    """
    found = find_duplicates(ws, force=force, progress=progress, tell=tell)
    # Mirrored ones are told and left out of retraining; folds stay those of the runs before they were looked for.
    pairs = found[found["kind"] != MIRRORED]
    ids = list(frame["sample_id"])
    groups = split_room.group_ids(len(ids), pair_rows(ids, pairs), list(frame["content_hash"]))
    if len(np.unique(groups)) < 2:
        raise BadDataError(
            "all images are copies of one another: out-of-fold scoring needs at least two different images"
        )
    fold = split_room.grouped_folds(given, groups, folds=min(folds, len(np.unique(groups))), seed=seed)
    return fold, groups, len(pairs)


def pair_rows(ids: Sequence[str], pairs: pd.DataFrame) -> np.ndarray:
    """Row numbers (M, 2) int64 in `ids` of those `pairs` (columns sample_a, sample_b) that lie wholly among them."""
    row = {sample_id: i for i, sample_id in enumerate(ids)}
    inside = pairs[pairs["sample_a"].isin(row) & pairs["sample_b"].isin(row)]
    return np.stack([inside["sample_a"].map(row), inside["sample_b"].map(row)], axis=1).astype(np.int64)


def find_duplicates(
    ws: Workspace,
    *,
    threshold: float = split_room.NEAR_DUPLICATE,
    force: bool = False,
    progress: Progress = silent,
    tell: Tell = unheard,
) -> pd.DataFrame:
    """All exact and near-duplicate pairs over every split, found once per set of images and stored.

    Columns sample_a, sample_b, kind ('exact' | 'near' | 'mirrored': alike once one is flipped), similarity in [-1, 1]
    (cosine of 16x16 grey thumbnails, which a recompression hardly changes). The same look stores for each image whether
    it shows a face (`faces_seen`). One process looks, and others wait for it; `tell` hears for whom, and of a damaged
    file that makes it look again. What it costs: `splits.near_duplicate_pairs`, twice. Raises LostPictureError where a
    picture has to be decoded and is no longer there.
    """
    frame = samples.get_samples(ws)
    config = {"threshold": threshold, "thumbnail": "16x16 grey", "detector": DETECTOR, "mirrored": True}
    fingerprint = samples.fingerprint(ws)
    run_id = runs.run_id("pairs", "thumbnails", config, 0, fingerprint)

    def known() -> pd.DataFrame | None:
        run = runs.get_run(ws, run_id)
        # faces lie in a file of their own, which may have been deleted
        if run is None or run.state != "done" or force or FACE not in run_files.signal_names(ws, run_id):
            return None
        return verdicts.get_pairs(ws, run_id, mirrored=True)

    def look(progress: Progress) -> pd.DataFrame:
        with runs.running(
            ws, kind="pairs", method="thumbnails", config=config, seed=0, fingerprint=fingerprint, stays_done=True
        ):
            looks, seen = [], 0
            for pixels in blocks_of(ws, frame, size=LOOK[0], channels=LOOK[1], progress=progress, tell=tell):
                progress("looking at images", seen, len(frame))
                looks.append((image_room.thumbnails(pixels), face_log_odds(pixels)))
                seen += len(pixels)
            small, faces = (np.concatenate(found) for found in zip(*looks, strict=True))
            looks.clear()  # at 300,000 images 300 MB that the searches need
            progress("looking at images", seen, len(frame))
            progress("looking for duplicates", 1, 3)
            straight = split_room.near_duplicate_pairs(small, threshold=threshold)
            mirrored = split_room.near_duplicate_pairs(small, threshold=threshold, mirrored=image_room.mirrored(small))
            progress("looking for duplicates", 2, 3)
            ids, contents = frame["sample_id"].to_numpy(), frame["content_hash"].to_numpy()
            pairs = _kinds(ids, contents, straight, mirrored)
            verdicts.put_pairs(ws, run_id, pairs)
            scores.put_signals(ws, run_id, list(ids), {FACE: faces})
            runs.finish_run(ws, run_id, {"pairs": len(pairs), "exact": int((pairs["kind"] == "exact").sum())})
        progress("looking for duplicates", 3, 3)
        return pairs

    work = Work(title="the search for copies", lease=ws.runs / f"{run_id}.lease", read=known, make=look)
    (done,) = share([work], progress=progress, tell=tell)
    if done.reused:
        runs.renew_run(ws, run_id)  # others read the newest look
    return done.value


def _kinds(
    ids: np.ndarray,
    contents: np.ndarray,
    straight: tuple[np.ndarray, np.ndarray],
    mirrored: tuple[np.ndarray, np.ndarray],
) -> pd.DataFrame:
    """The pairs of `find_duplicates`; who is alike as it is needs no mirror."""
    both = np.concatenate([straight[0], mirrored[0]])
    table = pd.DataFrame(
        {
            "sample_a": ids[both[:, 0]],
            "sample_b": ids[both[:, 1]],
            "kind": np.where(contents[both[:, 0]] == contents[both[:, 1]], "exact", "near"),
            "similarity": np.concatenate([straight[1], mirrored[1]]).astype(np.float64),
        }
    )
    table.loc[len(straight[0]) :, "kind"] = MIRRORED
    return table.drop_duplicates(["sample_a", "sample_b"], ignore_index=True)


def faces_seen(ws: Workspace, ids: Sequence[str]) -> np.ndarray:
    """What the first look said of each image, log-odds of a face: (N,), low = no face, NaN where it never looked."""
    look = runs.latest_run(ws, "pairs")
    signals = scores.get_signals(ws, look.run_id) if look is not None else pd.DataFrame()
    if FACE not in signals:  # images whose scores came in a file alone, or looked at by an older ferclean
        return np.full(len(ids), np.nan)
    return signals[FACE].reindex(list(ids)).to_numpy(np.float64)
