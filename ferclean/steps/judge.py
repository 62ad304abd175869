"""Outside judges: lay one on the user's shelf, ask it about every face, and hear whether it has seen these labels.

It never trains and changes no verdict: `triage` reads the judges whose word was accepted here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ferclean.errors import BadDataError, UsageError, among
from ferclean.evidence import labels as label_names
from ferclean.evidence.verdict.independence import Independence, independence
from ferclean.parts.ensemble import accepted_judges
from ferclean.parts.gathering import out_of_fold
from ferclean.parts.pixels import blocks_of
from ferclean.progress import Progress, Tell, silent, unheard
from ferclean.store import pictures, runs, samples, scores
from ferclean.store.workspace import Workspace
from ferclean.summary import Summary

PIECE = 2048
"""Images in memory at once: 75 MB of them at 112 pixels, however many the set has. A face takes a judge of face-api's
size 6 to 20 ms a core: two minutes for 12,000, an hour and a half for 300,000."""


@dataclass(frozen=True, kw_only=True)
class JudgeSummary(Summary):
    """What a judge said about a workspace's images, and whether it may have seen their labels.

    `known`: the classes of the set that it knows; `unknown`: those that it does not, of which it says nothing;
    `elsewhere`: its own classes that the set does not have. `accepted`: triage reads it.
    """

    judge: str
    run_id: str
    samples: int
    known: list[str]
    unknown: list[str]
    elsewhere: list[str]
    accuracy_on_given: float
    independence: dict[str, Any]
    accepted: bool
    lapsed: bool
    """It was accepted before, about other images or labels or as another file, and triage hears it no longer."""
    quarantined: dict[str, int]
    """Reason -> images that this call has set aside, since they are no longer what was ingested."""
    reused: bool


def add_judge(
    what: str | None = None,
    *,
    package: Path | None = None,
    hub: str | None = None,
    name: str | None = None,
    classes: Sequence[str] | None = None,
    size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Lay a judge on the shelf in the user's cache, and give its card.

    `what` is the name of a known net (`face-api`; through the user's npm client, or out of `package`, a .tgz) or an
    ONNX file, of which `classes` in the order of its outputs, `size`, `mean` (0) and `std` (1) say how it was trained.
    `hub` is a timm classifier on the Hugging Face Hub, fetched only because it is named here.

    Raises UsageError for a judge that is neither, and for options that say nothing about its kind; BadDataError for
    files that are not what they are taken for.
    """
    from ferclean.recognition.judges import predicting

    if (what is None) == (hub is None):
        raise UsageError("name one judge: face-api, a FILE.onnx, or --hub NAME")
    options = {"--from": package, "--classes": classes, "--size": size, "--mean": mean, "--std": std}
    given = {option for option, value in options.items() if value is not None}
    if hub is not None:
        _refuse_others(given - {"--classes"}, "a Hub model, which brings its own preprocessing")
        return predicting.add_hub(hub, classes=classes, name=name).as_dict()
    if what in predicting.NETS:
        _refuse_others(given - {"--from"}, f"{what}, whose classes and preprocessing are known")
        return predicting.add_face_api(package, name=name or predicting.FACE_API).as_dict()
    if package is not None:
        raise UsageError(f"--from gives the package of a known net; {among(str(what), predicting.NETS)}")
    path = Path(str(what))
    if path.suffix.lower() != ".onnx":
        raise UsageError(f"no judge {what!r} is known, and it is no .onnx file; {among(str(what), predicting.NETS)}")
    if not classes:
        raise UsageError(f"say with --classes which classes {path.name} tells apart, in the order of its outputs")
    return predicting.add_onnx(
        path, classes=classes, size=size, mean=mean or (0.0,), std=std or (1.0,), name=name
    ).as_dict()


def _refuse_others(options: set[str], kind: str) -> None:
    if options:
        raise UsageError(f"{', '.join(sorted(options))} would be ignored: the judge is {kind}; leave it out")


def list_judges() -> list[dict[str, Any]]:
    """The cards of all judges on the shelf."""
    from ferclean.recognition.judges import shelf

    return [shelf.get(name).as_dict() for name in shelf.names()]


def remove_judge(name: str) -> None:
    """Take a judge off the shelf; what it said in a workspace stays there."""
    from ferclean.recognition.judges import shelf

    shelf.remove(name)


def ask_judge(
    ws: Workspace,
    name: str,
    *,
    accept: bool = False,
    insist: bool = False,
    force: bool = False,
    device: str = "auto",
    progress: Progress = silent,
    tell: Tell = unheard,
) -> JudgeSummary:
    """Ask a judge about every readable image, and weigh whether it has seen the given labels.

    Its probabilities are stored as a run of their own, once. They are over the classes that both know, renormalised;
    the set's other classes get no say. With `accept` triage counts it among the members from here on, unless it is
    contaminated: then `insist` is needed. `tell` hears of damaged pictures.

    Raises FercleanError before anything was scored out-of-fold (nothing could tell then), UsageError when fewer than
    two classes are known to both, BadDataError for a contaminated judge that is not insisted on.
    """
    from ferclean.recognition.judges import predicting, shelf

    card = shelf.get(name)
    classes = samples.get_dataset(ws).classes
    known = [label_names.find_class(word, classes) for word in card.classes]
    columns: dict[str, int] = {one: place for place, one in enumerate(known) if one is not None}
    both = [one for one in classes if one in columns]
    if len(columns) < 2 or len(columns) < sum(one is not None for one in known):
        raise UsageError(
            f"judge {name} tells apart {', '.join(card.classes)}, this set {', '.join(classes)}: a judge needs two "
            "classes of the set, each under one name; give others with `judge add FILE --classes`"
        )
    ids, pred_probs = out_of_fold(ws)  # tells first when there is nothing to compare with
    lost = pictures.set_aside_lost(ws, progress=progress)
    frame = samples.get_samples(ws)
    config: dict[str, Any] = {
        "splits": sorted(set(frame["split"])),
        "out_of_sample": True,
        "judge": {"name": name, "digest": card.digest(), "source": card.source, "classes": list(card.classes)},
        "known": both,
    }
    fingerprint = samples.fingerprint(ws)
    run_id = runs.run_id("score", name, config, 0, fingerprint)
    before = runs.get_run(ws, run_id)
    heard = name in {run.method for run in accepted_judges(ws)}
    held = {"accepted": before is not None and bool(before.metrics.get("accepted"))}
    reused = before is not None and before.state == "done" and not force
    if not reused:
        with runs.running(
            ws, kind="score", method=name, config=config, seed=0, fingerprint=fingerprint, metrics=held, stays_done=True
        ):
            ask = predicting.ready(card, device=device)
            said = np.empty((len(frame), len(card.classes)), dtype=np.float32)
            heard_of = 0
            for pixels in blocks_of(
                ws, frame, size=card.size, channels=card.channels, most=PIECE, progress=progress, tell=tell
            ):
                said[heard_of : heard_of + len(pixels)] = ask(pixels)
                heard_of += len(pixels)
                progress(f"asking {name}", heard_of, len(frame))
            whole = _over_known(said, columns, classes)
            scores.put_predictions(ws, run_id, list(frame["sample_id"]), np.zeros(len(frame), dtype=np.int64), whole)
            runs.finish_run(ws, run_id, held)
    found = scores.get_predictions(ws, run_id)
    weighed = _weigh(ws, ids, pred_probs, found, both)
    accepted = accept and (insist or weighed.verdict != "contaminated")
    given = label_names.encode(list(frame["given_label"]), classes)
    right = given >= 0
    metrics: dict[str, Any] = {
        "accuracy_on_given": float((found.pred_probs.argmax(1) == given)[right].mean()),
        "independence": weighed.as_dict(),
        # a test, also one that asks again, takes nothing back
        "accepted": accepted or (not accept and held["accepted"]),
    }
    # the newest request is what triage reads, also when everything was there
    runs.renew_run(ws, run_id, metrics)
    if accept and not accepted:
        raise BadDataError(
            f"judge {name} is contaminated: {weighed.sentence}; `--insist` takes it all the same, and its word then "
            "counts where it only repeats a wrong label"
        )
    return JudgeSummary(
        judge=name, run_id=run_id, samples=len(frame), known=both,
        unknown=[one for one in classes if one not in columns],
        elsewhere=[word for word, one in zip(card.classes, known, strict=True) if one is None],
        accuracy_on_given=metrics["accuracy_on_given"], independence=weighed.as_dict(), accepted=metrics["accepted"],
        lapsed=heard and not metrics["accepted"],
        quarantined=dict(Counter(lost.values())), reused=reused,
    )  # fmt: skip


def _over_known(said: np.ndarray, columns: Mapping[str, int], classes: Sequence[str]) -> np.ndarray:
    """(N, K of the judge) -> (N, K of the set): P(class | one of those that both know), 0 for the others."""
    known = [k for k, one in enumerate(classes) if one in columns]
    # a face that it takes for something that the set has no name for: then every known class is as likely
    own = said[:, [columns[classes[k]] for k in known]] + 1e-6
    whole = np.zeros((len(said), len(classes)), dtype=np.float32)
    whole[:, known] = own / own.sum(1, keepdims=True)
    return whole


def _weigh(
    ws: Workspace, ids: Sequence[str], pred_probs: np.ndarray, found: scores.Predictions, known: Sequence[str]
) -> Independence:
    """The judge against the out-of-fold recognizers, over the `known` classes and the rows that carry one of them."""
    dataset = samples.get_dataset(ws)
    mask = np.isin(dataset.classes, known)
    said = pd.DataFrame(found.pred_probs[:, mask], index=found.sample_ids)
    ours = pd.DataFrame(pred_probs[:, mask], index=list(ids))
    frame = samples.get_samples(ws).set_index("sample_id").loc[found.sample_ids]
    given = pd.Series(
        label_names.encode(list(frame["given_label"]), [c for c in dataset.classes if c in known]), frame.index
    )
    rows = [sample_id for sample_id in ids if given.get(sample_id, -1) >= 0]
    # images of other splits than the scored ones: no recognizer was trained on them
    scored = set(frame.loc[rows, "split"])
    test = frame.index[~frame["split"].isin(scored) & (given >= 0)]
    own = ours.loc[rows].to_numpy()
    return independence(
        given[rows].to_numpy(),
        own / np.maximum(own.sum(1, keepdims=True), 1e-12),
        said.loc[rows].to_numpy(),
        test=(given[test].to_numpy(), said.loc[test].to_numpy()),
    )
