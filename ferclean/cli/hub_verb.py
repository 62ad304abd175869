"""The verb that sends an export to the Hugging Face Hub.

Its body calls one function and prints what it returned.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ferclean.cli.plumbing import Session, add_verbs
from ferclean.errors import few


def add_to(app: typer.Typer) -> None:
    """Hang the verb on the command line."""
    add_verbs(app, {push: "`ferclean push ./rafdb-v1 ada/rafdb-v1`"})


def push(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="What `ferclean export` wrote.")],
    repo: Annotated[str, typer.Argument(help="The data set's repository on the Hub, OWNER/NAME.")],
    public: Annotated[
        bool,
        typer.Option(
            "--public", help="Make it public: anyone may read and copy it. Without this only its owner's account may."
        ),
    ] = False,
    message: Annotated[str | None, typer.Option(help="The commit's message.")] = None,
) -> None:
    """Send an export to the Hugging Face Hub (token from HF_TOKEN); the same line again goes on where it broke off."""
    from ferclean.steps.push import push as step

    session: Session = context.obj
    with session.progress() as progress:
        result = step(folder, repo, public=public, message=message, progress=progress)
    session.emit("push", result.as_dict())
    seen = "public" if result.public else "private"
    session.say(f"{result.files} files, {result.bytes / 1e6:.1f} MB, are in {result.repo} ({seen}): {result.url}")
    for what, names_ in (("gone with this commit", result.removed), ("not of this export, left there", result.others)):
        if names_:
            session.say(f"{what}: {few(names_)}")
    session.next("status")
