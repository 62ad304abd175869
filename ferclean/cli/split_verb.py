"""The verb that divides a set anew: parse, one call, print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ferclean.cli.options import names
from ferclean.cli.plumbing import Session, add_verbs, quoted

if TYPE_CHECKING:
    from ferclean.steps.split import SplitSummary


def add_to(app: typer.Typer) -> None:
    """Hang the verb on the command line."""
    add_verbs(app, {split: "`ferclean -w W split --train .8 --validation .1 --test .1 --balance gender,age`"})


def split(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(help="What the splits are kept as, for release --splits. Default split-1, split-2 ..."),
    ] = None,
    train: Annotated[float | None, typer.Option(help="Share to train on; default 0.8.", min=0, max=1)] = None,
    validation: Annotated[float | None, typer.Option(help="Share to choose by; default 0.1.", min=0, max=1)] = None,
    test: Annotated[float | None, typer.Option(help="Share to measure on; default 0.1.", min=0, max=1)] = None,
    by: Annotated[
        str | None,
        typer.Option(
            help="The attribute that tells people, who are never parted; default the one called person, subject, "
            "identity, actor or speaker (or person_id ...); `copies` keeps together nothing but copies."
        ),
    ] = None,
    balance: Annotated[
        str | None, typer.Option(help="Attributes to spread alike, beside the classes, comma-separated.")
    ] = None,
    keep_test: Annotated[
        bool,
        typer.Option(
            "--keep-test/--no-keep-test",
            help="A published test split stays, and the rest is divided; or all is, which no published result fits.",
        ),
    ] = True,
    seed: Annotated[int, typer.Option("--seed", help="Seed of every choice.", min=0, max=2**31 - 1)] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the splits, keep nothing.")] = False,
) -> None:
    """Divide the set anew: no person and no group of copies in two splits, classes and attributes spread alike."""
    from ferclean.steps.split import split as step

    session: Session = context.obj
    with session.progress() as progress:
        result = step(
            session.open(), name, train=train, validation=validation, test=test, by=by, balance=names(balance) or (),
            keep_test=keep_test, seed=seed, dry_run=dry_run, progress=progress, tell=session.tell,
        )  # fmt: skip
    session.emit("split", result.as_dict())
    _show(session, result)
    session.next("split NAME" if dry_run else f"release --splits {quoted(result.name)}")


def _show(session: Session, result: SplitSummary) -> None:
    how = "dry run" if result.dry_run else "kept before" if result.kept_before else f"kept in {result.path}"
    held = f"of one {result.by} and copies" if result.by else "of copies"
    session.say(f"splits {result.name} ({how}): {result.groups:,} groups {held} divided, seed {result.seed}")
    people = [] if result.by is None else [result.by]
    session.table(
        ["split", "n", "share", *people],
        [[row["split"], row["n"], row["share"], *([row["identities"]] if people else [])] for row in result.splits],
    )
    for trait in result.differences:
        values = list(result.splits[0]["values"][trait])
        parts = [row["split"] for row in result.splits]
        session.table(
            [trait, *parts], [[value, *(row["values"][trait][value] for row in result.splits)] for value in values]
        )
    session.table(
        ["largest difference of a share", "here", "random splits of the groups"],
        [[trait, told["balanced"], told["random"]] for trait, told in result.differences.items()],
    )
    for why, count in result.left_out.items():
        session.say(f"left out {count:,}: {why}")
    for warning in result.warnings:
        session.say(f"note: {warning}")
