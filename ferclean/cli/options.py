"""Options that several verbs share, one spelling and one help text each."""

from __future__ import annotations

from typing import Annotated

import typer

from ferclean.cli import completion
from ferclean.errors import UsageError

Seed = Annotated[
    int,
    # as far as every library's generator goes, several seeds in a row included
    typer.Option(
        "--seed", envvar="FERCLEAN_SEED", help="Seed of folds, weights and augmentation.", min=0, max=2**31 - 1
    ),
]
Device = Annotated[
    str,
    typer.Option("--device", envvar="FERCLEAN_DEVICE", help="auto, cpu or cuda.", autocompletion=completion.devices),
]
ProfileName = Annotated[
    str,
    typer.Option(
        "--profile",
        envvar="FERCLEAN_PROFILE",
        help="quick (CPU minutes), standard or thorough (GPU).",
        autocompletion=completion.profiles,
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Do it again even when it is done for the same inputs.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the file that is there.")]


def names(text: str | None) -> list[str] | None:
    """`a,b` as a list; None stays None. Raises UsageError for a gap: what stands behind it would take its place."""
    if not text:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise UsageError(f"{text!r} has an empty name between its commas; write a,b,c")
    return parts


def refuse_others(context: typer.Context, what: str, meant: set[str], *, argument: str = "an argument") -> None:
    """Raise UsageError for what was said on the command line and `what` would ignore, all but the parameters `meant`; a
    workspace's own defaults are for all."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if getattr(source, "name", "") == "COMMANDLINE" and parameter.name not in meant:
            word = parameter.opts[0] if parameter.param_type_name == "option" else argument
            verb = what.split()[0]
            raise UsageError(f"{what} would ignore {word}: leave it out (see `ferclean {verb} --help`)")
