"""The verbs about recognizers themselves: train an encoder, list the methods, retrain one and use it.

Like all verbs: parse, one call, print.
"""

from __future__ import annotations

from pathlib import Path
from statistics import mean
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
            retrain: "`ferclean -w W retrain --release v1`",
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


def retrain(
    context: typer.Context,
    release: Annotated[
        str | None,
        typer.Option(
            help="The release that gives the cleaned labels; default the newest.", autocompletion=completion.releases
        ),
    ] = None,
    dataset: Annotated[Path | None, typer.Option(help="An exported Hugging Face folder instead of a release.")] = None,
    profile: ProfileName = "quick",
    method: Annotated[
        str | None,
        typer.Option(help="The recognizer to train; default the profile's.", autocompletion=completion.method),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Paired seeds.", min=1)] = 3,
    seed: Seed = 0,
    test_split: Annotated[
        str | None, typer.Option(help="Default test, else validation.", autocompletion=completion.split)
    ] = None,
    arms: Annotated[
        str | None,
        typer.Option(
            help="What to train on beside the given labels, comma-separated: cleaned, soft, self_distillation, "
            "random_relabel, random_removal, decisions, oracle. Default soft where at least 100 decisions or an "
            "accepted judge stand behind the release, else cleaned."
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs per arm.", min=1)] = None,
    backbone: Annotated[str | None, typer.Option(help="Any timm model, or slim.")] = None,
    input_size: Annotated[int | None, typer.Option(help="Pixels a side.", min=24)] = None,
    weights: Annotated[Path | None, typer.Option(help="Local weights for the backbone.")] = None,
    keep: Annotated[
        Path | None,
        typer.Option(help="Write the recognizer of the first of --arms as a folder for `ferclean predict` and timm."),
    ] = None,
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Train on given and on cleaned labels, test both on the same untouched images, and say what it was worth."""
    from ferclean.steps.retrain import retrain as step

    session: Session = context.obj
    workspace = session.create() if dataset is not None else session.open()
    with session.progress() as progress:
        result = step(
            workspace, release=release, dataset=dataset, profile=profile, method=method, seeds=seeds, seed=seed,
            test_split=test_split, arms=names(arms), device=device, force=force, keep=keep,
            progress=progress, tell=session.tell, epochs=epochs, backbone=backbone, input_size=input_size,
            weights=weights,
        )  # fmt: skip
    session.emit("retrain", result.as_dict())
    session.set_aside(result.quarantined)
    if result.why:
        session.say(f"{result.arm}: {result.why}")
    rows = []
    for arm, measured in result.metrics.items():
        d = result.differences.get(arm)
        gained = "" if d is None else f"{100 * d['mean']:+.1f} ({100 * d['low']:+.1f} to {100 * d['high']:+.1f})"
        means = [mean(measured[name]) for name in ("accuracy", "macro_f1", "calibration_error")]
        rows.append([arm, result.train_images[arm], *means, gained])
    session.table(["arm", "training images", "accuracy", "macro-F1", "calibration error", "points over given"], rows)
    d = result.difference
    session.say(
        f"{result.arm} - given: {100 * d['mean']:+.1f} points, 95 % interval {100 * d['low']:+.1f} to "
        f"{100 * d['high']:+.1f} ({len(result.seeds)} seeds, {result.test_images} {result.test_split} images): "
        f"{result.gain}"
    )
    if d["low"] <= 0 <= d["high"] and d["mean"]:
        enough = d["seeds_to_tell"]
        session.say(
            f"a difference of this size could be told with about {enough} seeds" if enough
            else "no number of seeds could tell a difference of this size on so few test images"
            if len(result.seeds) > 1
            else "one seed says nothing about seeds: give --seeds 3 or more"
        )  # fmt: skip
    if result.share_of_oracle:
        share, low, high = result.share_of_oracle
        session.say(
            f"that is {100 * share:.0f} % of what the votes' labels would gain ({100 * low:.0f} to {100 * high:.0f})"
        )
    if result.slices:
        session.table(
            ["test images with", "images", "given", result.arm, "points over given"],
            [
                [
                    f"{row['attribute']} {row['value']}", row["images"], row["given"], row["arm"],
                    f"{100 * row['mean']:+.1f} ({100 * row['low']:+.1f} to {100 * row['high']:+.1f})",
                ]
                for row in result.slices
            ],
        )  # fmt: skip
    session.say(f"note: {result.warning}")
    if result.weights_report:
        session.note(result.weights_report)
    if result.kept:
        session.say(f"the recognizer trained on {result.arm}: {result.kept}")
    session.next(f"predict {quoted(result.kept)} IMAGE" if result.kept else "report")


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
