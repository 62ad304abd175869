"""The three ways to a score: score trains recognizers, probe asks an encoder, import-scores takes a file; and the map.

Each body opens the workspace, calls one function and prints what it returned. What used to be options of score alone is
read as the verb that it became.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ferclean.cli import completion
from ferclean.cli.options import Device, Force, ProfileName, Seed, names, refuse_others
from ferclean.cli.plumbing import Session, add_verbs, warn
from ferclean.errors import UsageError

Splits = Annotated[str | None, typer.Option(help="Splits to score; default train.", autocompletion=completion.splits)]
KeepWeights = Annotated[
    bool, typer.Option("--keep-weights", help="Keep each fold's recognizer in the run's folder, as .safetensors.")
]
BECAME = {"--from-file": "import-scores", "--probe": "probe"}
"""Options of score that are verbs now; their value is the verb's first word."""


def add_to(app: typer.Typer) -> None:
    """Hang the verbs of this module on the command line."""
    add_verbs(
        app,
        {
            score: "`ferclean -w W score --profile quick`",
            probe: "`ferclean -w W encode && ferclean -w W probe distilled`",
            import_scores: "`ferclean -w W import-scores preds.parquet`, with the columns sample_id (or source_key), "
            "fold and one per class; without folds, `--out-of-sample` states that the model never saw these samples.",
            map: "`ferclean -w W map`, then the review screen's page Map",
        },
    )


def as_today(words: Sequence[str]) -> list[str]:
    """A command line without its global options, `score --probe E` as `probe E` and `score --from-file F` as
    `import-scores F`, with a line on stderr. Raises UsageError where both are asked for.

    >>> as_today(["score", "--folds", "3"])
    ['score', '--folds', '3']
    """
    rest = list(words)
    asked = [word for word in rest if word.partition("=")[0] in BECAME] if rest[:1] == ["score"] else []
    if not asked:
        return rest
    option, joined, value = asked[-1].partition("=")
    if {word.partition("=")[0] for word in asked} != {option}:
        raise UsageError("--probe and --from-file are two ways of scoring: name one (`probe` or `import-scores`)")
    place = rest.index(asked[-1])
    if not joined:
        if place + 1 == len(rest):
            raise UsageError(f"score {option} needs a value; today it is `ferclean {BECAME[option]}`")
        value = rest.pop(place + 1)
    rest.pop(place)
    warn(f"score {option} is now a verb of its own: ferclean {BECAME[option]}")
    return [BECAME[option], value, *rest[1:]]


def score(
    context: typer.Context,
    profile: ProfileName = "quick",
    methods: Annotated[
        str | None,
        typer.Option(
            envvar="FERCLEAN_METHODS",
            help="Recognizers, comma-separated; `ferclean methods` lists them.",
            autocompletion=completion.methods,
        ),
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="How many seeds of each.", min=1)] = None,
    seed: Seed = 0,
    splits: Splits = None,
    folds: Annotated[int | None, typer.Option(help="Cross-validation folds.", min=2)] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs per fold.", min=1)] = None,
    backbone: Annotated[str | None, typer.Option(help="Any timm model, or slim.")] = None,
    input_size: Annotated[int | None, typer.Option(help="Pixels a side.", min=24)] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per step.", min=2)] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Local weights for the backbone: .safetensors or weights-only .pth.")
    ] = None,
    device: Device = "auto",
    keep_weights: KeepWeights = False,
    again: Annotated[
        str | None,
        typer.Option(
            help="Make what is missing of these runs, comma-separated, with their own settings.", metavar="RUN"
        ),
    ] = None,
    force: Force = False,
) -> None:
    """Train recognizers on K-1 folds and let each judge the fold it never saw. Resumes where it was stopped."""
    from ferclean.steps.score import score as step
    from ferclean.steps.score import score_again

    session: Session = context.obj
    run_ids = names(again)
    if run_ids:
        refuse_others(context, "score --again", {"again", "weights"})
    overrides: dict[str, Any] = {
        "folds": folds, "epochs": epochs, "backbone": backbone,
        "input_size": input_size, "batch_size": batch_size, "weights": weights,
    }  # fmt: skip
    with session.progress() as progress:
        result = score_again(
            session.open(), run_ids, weights=weights, progress=progress, tell=session.tell
        ) if run_ids else step(
            session.open(), profile=profile, methods=names(methods), seeds=seeds, seed=seed, splits=names(splits),
            device=device, force=force, keep_weights=keep_weights, progress=progress, tell=session.tell, **overrides,
        )  # fmt: skip
    session.emit("score", result.as_dict())
    session.set_aside(result.quarantined)
    used = ", ".join(sorted({run["method"] for run in result.runs}))
    session.say(f"{result.samples:,} samples scored out-of-fold in {result.folds} folds by {used}")
    for count, what, when in (
        (result.reused, f"of {len(result.runs)} runs", "before"),
        (result.folds_reused, "folds", "before, or by another process,"),
    ):
        if count:
            session.say(f"{count} {what} were done {when} and are reused")
    for brought in result.weights:
        session.note(brought)
    session.next("triage")


def probe(
    context: typer.Context,
    encoder: Annotated[
        str,
        typer.Argument(
            help="An encoder (`ferclean encode`): its name here, or a file.", autocompletion=completion.encoders
        ),
    ],
    folds: Annotated[int, typer.Option(help="Cross-validation folds.", min=2)] = 5,
    seed: Seed = 0,
    splits: Splits = None,
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Score in seconds by linear probes on an encoder; trains no network. One that learned these labels is refused."""
    from ferclean.steps.probe import score_probe as step

    session: Session = context.obj
    with session.progress() as progress:
        result = step(
            session.open(), encoder, folds=folds, seed=seed, splits=names(splits), device=device, force=force,
            progress=progress, tell=session.tell,
        )  # fmt: skip
    session.emit("probe", result.as_dict())
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


def import_scores(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Probabilities of any model: .parquet, .csv or .npz.")],
    name: Annotated[str, typer.Option(help="What to call that model.")] = "file",
    id_column: Annotated[
        str | None, typer.Option(help="The column of sample ids or source keys; default as named so.")
    ] = None,
    classes: Annotated[str | None, typer.Option(help="The order of a pred_probs list column or array: a,b,c.")] = None,
    out_of_sample: Annotated[
        bool, typer.Option("--out-of-sample", help="The model was trained on none of these samples.")
    ] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Samples without a row stay without a verdict.")
    ] = False,
    splits: Splits = None,
    force: Force = False,
) -> None:
    """Take the probabilities of any model from a file. What is no probability, or evidently in-sample, is refused."""
    from ferclean.steps.import_scores import score_file as step

    session: Session = context.obj
    with session.progress() as progress:
        result = step(
            session.open(), file, name=name, id_column=id_column, classes=names(classes), out_of_sample=out_of_sample,
            splits=names(splits), allow_missing=allow_missing, force=force, progress=progress, tell=session.tell,
        )  # fmt: skip
    session.emit("import-scores", result.as_dict())
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


def map(context: typer.Context, force: Force = False) -> None:
    """Project the faces onto the review screen's map, where scoring made none: it does from 500 faces on."""
    from ferclean.steps.map import map_faces as step

    session: Session = context.obj
    with session.progress() as progress:
        result = step(session.open(), force=force, progress=progress)
    session.emit("map", result.as_dict())
    for run_id, faces in result.maps.items():
        session.say(f"{faces:,} faces are on the map of {run_id}")
    session.next("review")
