"""The verbs of patches: apply, merge. `ferclean export --form patch` makes them.

Each body calls one function and prints what it returned.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ferclean.cli import completion
from ferclean.cli.plumbing import Session, add_verbs, quoted

SHOWN = 20

Patches = Annotated[list[Path], typer.Argument(help="Patches: the .jsonl files, or the folders that hold them.")]
Prefer = Annotated[
    str | None,
    typer.Option(
        help="Where patches contradict each other, or decisions here: the patch that is right, or `people` (of "
        "patches, decisions go first)."
    ),
]


def add_to(app: typer.Typer) -> None:
    """Hang the verbs of this module on the command line."""
    add_verbs(
        app,
        {
            apply: "`ferclean apply ./patch-v1 --to W`",
            merge: "`ferclean merge ./patch-ann ./patch-bo --out ./patch-both`",
        },
    )


def apply(
    context: typer.Context,
    patches: Patches,
    to: Annotated[
        Path | None, typer.Option(help="The workspace of your own copy of the set; default the one of -w.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The new release's name; default the patch's, or its version.")
    ] = None,
    onto: Annotated[
        str | None,
        typer.Option(
            help="The release to lay it upon; default what it leads on from.",
            autocompletion=completion.releases_and_original,
        ),
    ] = None,
    prefer: Prefer = None,
    undone_to: Annotated[Path | None, typer.Option(help="Write the lines that were not done to a CSV file.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the exact change, write nothing.")] = False,
) -> None:
    """Lay a patch upon your own copy of its set, renamed, recompressed or resized as it may be: a new release."""
    from ferclean.steps.apply import apply as step

    session: Session = context.obj
    if to is not None:
        session.workspace, session.workspace_origin = to, "option"
    with session.progress() as progress:
        result = step(
            session.open(), patches, name=name, onto=onto, prefer=prefer, undone_to=undone_to, dry_run=dry_run,
            progress=progress, tell=session.tell,
        )  # fmt: skip
    session.emit("apply", result.as_dict())
    way = ", ".join(f"{count:,} by {how}" for how, count in result.matched.items() if count)
    session.say(f"{sum(result.matched.values()):,} of {result.lines:,} lines matched ({way or 'none'})")
    session.table(
        ["not done", "sample there", "label", "why", "here"],
        [[r["what"], r["source_key"], r["label"], r["why"], ", ".join(r["here"])] for r in result.undone[:SHOWN]],
    )
    if len(result.undone) > SHOWN:
        session.say(f"and {len(result.undone) - SHOWN:,} more; --undone-to FILE lists all of them")
    counts = ((result.missed, "missed"), (result.doubtful, "doubtful"), (result.barred, "barred by a quarantine"))
    if result.undone:
        session.say("nothing was done with " + ", ".join(f"{count:,} {what}" for count, what in counts if count))
    session.say(
        f"release {result.name}{' (dry run)' if dry_run else ''}, upon {result.onto}: {len(result.changes):,} labels "
        "differ from the given ones" + ("; sample for sample the patch's release" if result.same else "")
    )
    if result.differs:
        session.say(f"every line was done; it is not sample for sample the patch's release, since {result.differs}")
    session.next(f"diff {quoted(result.onto)} {quoted(result.name)}")


def merge(
    context: typer.Context,
    patches: Patches,
    out: Annotated[Path, typer.Option(help="Folder to write the merged patch to.")],
    prefer: Prefer = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier patch at the same place.")] = False,
) -> None:
    """Make one patch of several on the same set; where they contradict each other, the samples are named."""
    from ferclean.steps.merge import merge as step

    session: Session = context.obj
    result = step(patches, out, prefer=prefer, overwrite=overwrite)
    session.emit("merge", result.as_dict())
    session.say(
        f"{result.patches} patches are one of {result.lines:,} lines; {result.shared:,} samples were in more than one: "
        f"{result.path}"
    )
    session.next(f"apply {quoted(result.path)}")
