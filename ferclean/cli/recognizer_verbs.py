"""The verbs about recognizers themselves: train or import an encoder, list the methods, use a retrained model.

Like all verbs: parse, one call, print.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ferclean.cli import completion
from ferclean.cli.options import Device, Force, Overwrite, ProfileName, Seed, names
from ferclean.cli.plumbing import Session, add_verbs, quoted
from ferclean.errors import BadDataError, UsageError
from ferclean.files import check_absent


def add_to(app: typer.Typer) -> None:
    """Hang the verbs of this module on the command line."""
    add_verbs(
        app,
        {
            encode: "`ferclean -w W encode && ferclean -w W probe distilled`",
            methods: "`ferclean methods --measure`",
            predict: "`ferclean predict MODEL face.jpg folder/ --json`",
        },
    )


def encode(
    context: typer.Context,
    name: Annotated[str | None, typer.Option(help="What to call it; default the method's name.")] = None,
    method: Annotated[
        str,
        typer.Option(
            help="distilled sees no label, so it may be probed on any set, its own included.",
            autocompletion=completion.method,
        ),
    ] = "distilled",
    profile: ProfileName = "quick",
    seed: Seed = 0,
    splits: Annotated[
        str | None, typer.Option(help="Splits to train on; default train.", autocompletion=completion.splits)
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs.", min=1)] = None,
    backbone: Annotated[str | None, typer.Option(help="Any timm model, or slim.")] = None,
    input_size: Annotated[int | None, typer.Option(help="Pixels a side.", min=24)] = None,
    import_file: Annotated[
        Path | None,
        typer.Option("--import", help="Take a backbone's weights: .safetensors or weights-only .pth."),
    ] = None,
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Train an encoder on the whole set, or import one; `probe NAME` then scores in seconds."""
    from ferclean.steps.encode import encode as step

    session: Session = context.obj
    overrides: dict[str, Any] = {"epochs": epochs, "backbone": backbone, "input_size": input_size}
    with session.progress() as progress:
        result = step(
            session.open(), name=name, method=method, profile=profile, splits=names(splits), import_file=import_file,
            seed=seed, device=device, force=force, progress=progress, tell=session.tell, **overrides,
        )  # fmt: skip
    session.emit("encode", result.as_dict())
    session.set_aside(result.quarantined)
    if result.method == "imported":
        session.say(result.weights_report or "")
        session.say("what it was trained on is unknown: its probes cannot be checked for labels that it has seen")
    else:
        seen = "and their labels" if result.saw_labels else "no label seen"
        session.say(f"{result.name}: {result.dimensions} numbers per face, from {result.images:,} images, {seen}")
    session.next(f"probe {quoted(result.name)}")


def methods(
    context: typer.Context,
    measure: Annotated[
        bool, typer.Option("--measure", help="Train each for a few steps and say how many images a second it takes.")
    ] = False,
    profile: ProfileName = "quick",
    device: Device = "auto",
) -> None:
    """The recognizers: what each is, where it was published, what it needs, and what it costs on this machine."""
    from ferclean.recognition.methods.catalogue import catalogue

    session: Session = context.obj
    known: list[dict[str, Any]] = [method.as_dict() for method in catalogue()]
    if measure:
        from ferclean.recognition.speed import images_per_second

        for row in known:
            row["images_per_second"] = images_per_second(row["name"], profile=profile, device=device)
    session.emit("methods", known)
    session.table(
        ["name", "year", "published", "needs", *(["images/s"] if measure else [])],
        [
            [
                m["name"],
                str(m["year"]),
                m["published"],
                m["needs"],
                *([f"{m['images_per_second']:,.0f}"] if measure else []),
            ]
            for m in known
        ],
    )
    for row in known:
        session.say(f"{row['name']}: {row['summary']} ({row['paper']}, {row['year']})")
    if not measure:
        session.say("`ferclean methods --measure` trains each for a few seconds and adds its speed here")


def predict(
    context: typer.Context,
    model: Annotated[Path, typer.Argument(help="The folder that `retrain --keep` wrote.")],
    paths: Annotated[list[Path] | None, typer.Argument(help="Images, and folders of images.")] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Write a table too: a row per file, a column per class.", metavar="FILE")
    ] = None,
    onnx: Annotated[
        Path | None,
        typer.Option(
            help="Write the model as one ONNX file, checked against torch (needs ferclean[onnx]).", metavar="FILE"
        ),
    ] = None,
    overwrite: Overwrite = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 4 when a file is no readable image.")] = False,
    device: Device = "auto",
) -> None:
    """Which expression a retrained model sees in images. Broken files are listed with the reason."""
    from ferclean.steps.predict import predict as step
    from ferclean.steps.predict import save_onnx, write_predictions

    session: Session = context.obj
    if not paths and onnx is None:
        raise UsageError("name an image or a folder of images, or --onnx FILE")
    if csv is not None and not paths:
        raise UsageError("--csv is a table of predictions: name the images, or a folder of images")
    for option, file in (("--csv", csv), ("--onnx", onnx)):
        if file is not None:
            check_absent(file, option, overwrite=overwrite)
    if csv is not None and onnx is not None and csv.absolute() == onnx.absolute():
        raise UsageError(f"--csv and --onnx are both {csv}: name two files")
    result: dict[str, Any] = {"model": str(model), "predictions": [], "broken": []}
    if onnx is not None:
        result["onnx"] = save_onnx(model, onnx)
        session.say(f"{onnx}: differs from torch by at most {result['onnx']['difference']:.0e}")
    if paths:
        with session.progress() as progress:
            found = step(model, paths, device=device, progress=progress)
        result |= found.as_dict()
        if csv is not None:
            write_predictions(found, csv)
        session.table(
            ["image", "expression", "probability"],
            [[row["path"], row["label"], f"{row['probability']:.3f}"] for row in found.predictions],
        )
        session.table(["not read", "why"], [[row["path"], row["reason"]] for row in found.broken])
    session.emit("predict", result)
    if result["broken"]:
        session.note(f"{len(result['broken']):,} file(s) are no readable images")
        if strict:
            raise typer.Exit(BadDataError.exit_code)
