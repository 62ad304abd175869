"""`ferclean score --from-file` and `--probe`: which options go with them, one call each, and what is printed.

It reads no file itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ferclean.cli.plumbing import Session
from ferclean.errors import UsageError

TRAINING = (
    "profile", "methods", "seeds", "seed", "folds", "epochs", "backbone", "input_size", "batch_size", "weights",
    "device",
)  # fmt: skip
OF_A_FILE = ("name", "id_column", "classes", "out_of_sample", "allow_missing")


def check_score_options(context: Any) -> None:
    """Raise UsageError for flags of training beside --from-file, and for flags of a file without it.

    Only what stands on the line counts: defaults in the environment or ferclean.toml are for the other way of scoring.
    """
    given = [
        name for name in context.params if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"
    ]
    probing = context.params["probe"] is not None
    if probing and context.params["from_file"] is not None:
        raise UsageError("--probe and --from-file are two ways of scoring: name one")
    if probing:
        kept = ("seed", "folds", "device")
        wrong = [
            f"--{name.replace('_', '-')}" for name in given if name in (*TRAINING, *OF_A_FILE) and name not in kept
        ]
        if wrong:
            raise UsageError(f"{', '.join(wrong)} cannot go with --probe: the encoder is trained already")
        return
    with_file = context.params["from_file"] is not None
    wrong = [f"--{name.replace('_', '-')}" for name in given if name in (TRAINING if with_file else OF_A_FILE)]
    if wrong and with_file:
        raise UsageError(f"{', '.join(wrong)} cannot go with --from-file: nothing is trained")
    if wrong:
        raise UsageError(f"{', '.join(wrong)} needs --from-file FILE")


def score_from_file(session: Session, path: Path, **options: Any) -> None:
    """Score from a file and say what was taken, what was left aside, and what cannot be known."""
    from ferclean.steps.import_scores import score_file as step

    with session.progress() as progress:
        result = step(session.open(), path, progress=progress, **options)
    session.emit("score", result.as_dict())
    how = f"out-of-fold in {result.folds} folds" if result.folds else "stated to be out-of-sample"
    with_embedding = f", with embeddings of {result.embedding} numbers" if result.embedding else ", no embeddings"
    session.say(f"{result.samples:,} samples scored by {result.file}, {how}{with_embedding}")
    if result.missing:
        session.say(f"{result.missing:,} samples have no row and stay without a verdict")
    if result.elsewhere:
        session.say(f"{result.elsewhere:,} rows are of samples that are not scored (other splits, quarantined)")
    if result.copies_across_folds:
        session.say(f"{result.copies_across_folds:,} groups of copies lie across folds: the model knew their twins")
    session.say(result.evidence["sentence"])
    if result.reused:
        session.say("the same file was taken before and is reused")
    session.next("triage")


def score_with_probe(session: Session, encoder: str, **options: Any) -> None:
    """Score with linear probes on an encoder, and say what it has seen."""
    from ferclean.steps.probe import score_probe as step

    with session.progress() as progress:
        result = step(session.open(), encoder, progress=progress, **options)
    session.emit("score", result.as_dict())
    session.set_aside(result.quarantined)
    session.say(
        f"{result.samples:,} samples scored out-of-fold by linear probes on {result.encoder} "
        f"({result.embedding} numbers each, {result.folds} folds)"
    )
    if not result.training_known:
        session.say(
            "what this encoder was trained on is not written down: if these labels were part of it, do not trust it"
        )
    elif result.seen:
        session.say(f"the encoder has seen {result.seen:,} of these images, without their labels")
    if result.near:
        session.say(f"{result.near:,} are near copies of images whose labels it learned: do not trust it about those")
    if result.reused:
        session.say("the same probe was made before and is reused")
    session.next("triage")
