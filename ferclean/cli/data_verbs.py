"""The verbs from images to a queue but for scoring: demo, ingest, doctor, triage, status, config.

Each body opens the workspace, calls one function and prints what it returned.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ferclean.cli import completion, recognising, score_verbs
from ferclean.cli.options import Device, Force, Overwrite, Seed, names, refuse_others
from ferclean.cli.plumbing import Session, add_verbs, quoted
from ferclean.errors import UsageError
from ferclean.files import PAGE, check_absent


def add_to(app: typer.Typer) -> None:
    """Hang the verbs of this module on the command line."""
    add_verbs(
        app,
        {
            demo: "`ferclean demo`",
            ingest: "`ferclean -w W ingest rafdb ~/RAF-DB/basic`",
            doctor: "`ferclean -w W doctor`",
        },
    )
    score_verbs.add_to(app)
    add_verbs(
        app,
        {
            triage: "`ferclean -w W triage`",
            status: "`ferclean -w W status --json`",
            config: "`ferclean -w W config`",
        },
    )


def demo(
    context: typer.Context,
    faces: Annotated[int, typer.Option(help="How many training faces to draw.", min=200)] = 1000,
    seed: Seed = 0,
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Draw faces with planted errors and go the whole way: ingest, score, triage, release, retrain, report."""
    from ferclean.cli.demo import run_demo

    run_demo(context.obj, faces=faces, seed=seed, device=device, force=force)


def ingest(
    context: typer.Context,
    card: Annotated[
        str,
        typer.Argument(
            help="auto (look, say what it is, and ask), rafdb, fer2013, image_folder, table or another card, or a card "
            "file.",
            autocompletion=completion.cards,
        ),
    ],
    path: Annotated[
        str,
        typer.Argument(
            help="The data set's folder or file; a zip or tar, or a path in one, is unpacked, an address "
            "(s3://bucket/faces, https://host/set.zip) fetched.",
        ),
    ],
    votes: Annotated[
        Path | None, typer.Option(help="A file of annotators' votes, such as FERPlus's fer2013new.csv.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Take at most this many samples, drawn with --seed.", min=1)] = None,
    seed: Seed = 0,
    classes: Annotated[
        str | None, typer.Option(help="Class names in order, for sets with their own vocabulary: a,b,c.")
    ] = None,
    image_column: Annotated[
        str | None, typer.Option(help="table, hf, label_studio: the column of paths or image bytes.")
    ] = None,
    label_column: Annotated[
        str | None,
        typer.Option(
            help="table, hf, label_studio, fiftyone, cvat: the column, field or attribute of label names or codes."
        ),
    ] = None,
    split_column: Annotated[str | None, typer.Option(help="table: the column of splits.")] = None,
    split: Annotated[
        str | None, typer.Option(help="The split of all rows, where the set does not say it: train, validation, test.")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            help="table, affectnet, coco, cvat, fiftyone, label_studio: the folder of the pictures, where they do not "
            "lie beside the file that names them."
        ),
    ] = None,
    key_column: Annotated[str | None, typer.Option(help="table: the column that names each row.")] = None,
    vote_prefix: Annotated[str | None, typer.Option(help="table: vote columns start with this.")] = None,
    split_map: Annotated[
        str | None, typer.Option(help="table: what the splits are called here: Training=train,PublicTest=test.")
    ] = None,
    layout: Annotated[str | None, typer.Option(help="Read the card's set in another layout, such as table.")] = None,
    configuration: Annotated[
        str | None, typer.Option(help="hf: which configuration is read, where the folder has several.")
    ] = None,
    max_entries: Annotated[
        int, typer.Option(help="Archives, addresses: refuse one of more files and folders.", min=1)
    ] = 2_000_000,
    max_gb: Annotated[
        float, typer.Option(help="Archives, addresses: refuse one out of which more comes.", min=0)
    ] = 200,
    max_file_gb: Annotated[float, typer.Option(help="Archives, addresses: refuse a larger file in one.", min=0)] = 50,
    max_ratio: Annotated[
        float, typer.Option(help="Archives: refuse one out of which so many times its own size comes.", min=1)
    ] = 200,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check everything, store nothing.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="auto: ingest what is recognised without asking; else exit 3 off a terminal.")
    ] = False,
) -> None:
    """Read a data set into the workspace. Broken images are kept as quarantined rows with the reason."""
    from ferclean.parts.at_hand import Caps
    from ferclean.parts.recognised import AUTO
    from ferclean.steps.ingest import ingest as step

    session: Session = context.obj
    options: dict[str, Any] = {
        "classes": names(classes), "image_column": image_column, "label_column": label_column,
        "split_column": split_column, "key_column": key_column, "vote_prefix": vote_prefix,
        "split_map": split_map, "layout": layout, "split": split, "images": images,
        "configuration": configuration,
    }  # fmt: skip
    options = {name: value for name, value in options.items() if value is not None}
    caps = Caps(entries=max_entries, gigabytes=max_gb, file_gigabytes=max_file_gb, ratio=max_ratio)
    with ExitStack() as stack:
        if card == AUTO:
            guess = stack.enter_context(recognising.chosen(session, path, yes=yes, caps=caps, keep=not dry_run))
            card, path, options = guess.card, str(guess.path), {**guess.options, **options}
            votes = votes or options.pop("votes", None)
        progress = stack.enter_context(session.progress())
        result = step(
            session.create(), card, path, votes=votes, limit=limit, seed=seed, dry_run=dry_run, caps=caps,
            progress=progress, **options,
        )  # fmt: skip
    session.emit("ingest", result.as_dict())
    kept = "would be stored (dry run)" if dry_run else "stored"
    session.say(f"{result.dataset}: {result.added:,} samples {kept}, {result.unchanged:,} were there already")
    for count, what in (
        (result.changed, "hold other bytes now: the old samples are set aside with their decisions, beside the new"),
        (result.vanished, "samples are no longer in the source: set aside, with their decisions"),
        (result.returned, "samples that had been set aside are there again"),
        (result.elsewhere, "samples come from other files of this set and stay as they are"),
    ):
        if count:
            session.say(f"{count:,} {what}")
    if result.added and (result.vanished or result.changed):
        session.say(
            "pictures under other names now: `decide --to-file F`, then `--from-file F`, takes decisions to them"
        )
    session.table(
        ["split", *_columns(result.by_class)],
        [[split, *counts.values()] for split, counts in result.by_class.items()],
    )
    for reason, count in result.quarantined.items():
        session.say(f"quarantined {count:,}: {reason}")
    if result.ignored:
        session.say(f"ignored {result.ignored:,} files and folders that are no data (hidden, or an operating system's)")
    for sentence in result.notes:
        session.note(sentence)
    session.next("doctor")


def doctor(
    context: typer.Context,
    card: Annotated[
        str | None,
        typer.Argument(
            help="With PATH: look at a set that is not ingested, in a workspace that is thrown away. `auto` looks "
            "which it is.",
            autocompletion=completion.cards,
        ),
    ] = None,
    path: Annotated[str | None, typer.Argument(help="Where the set lies, as ingest takes it.")] = None,
    fail_on: Annotated[
        Literal["error", "warning", "never"], typer.Option(help="From which severity on the gate is crossed (exit 3).")
    ] = "error",
    fix: Annotated[
        bool,
        typer.Option(
            "--fix",
            help="Exclude, as decisions, training copies of evaluation pictures, spare copies under one label and "
            "blank pictures. No file is touched.",
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --fix: show what it would exclude.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --fix: do not ask.")] = False,
    reviewer: Annotated[
        str | None, typer.Option(envvar="FERCLEAN_REVIEWER", help="With --fix: who decides; default the user's name.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write the findings with their pictures to this page, too.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Check the set against its card: counts, copies, labels, leaks, faces. Exit 3 when a gate is crossed."""
    from ferclean.cli import mending
    from ferclean.cli.first_look import looked_at
    from ferclean.parts.at_hand import without_secrets
    from ferclean.steps.doctor import write_page

    session: Session = context.obj
    if html is not None:
        check_absent(html, "--html", overwrite=overwrite, begins=PAGE)
    if not fix:
        mending.refuse_without_fix(context)
    elif card is not None:
        raise UsageError("--fix decides about the samples of a workspace: ingest the set first")
    with looked_at(session, card, path, fail_on) as (ws, result):
        if html is not None and ws is not None:
            write_page(ws, result, html, overwrite=overwrite)
    if not result.findings:
        session.say("nothing to report: the set is what its card says")
    for finding in result.findings:
        session.say(f"{finding.severity:8} {finding.kind}: {finding.message}")
    if html is not None:
        session.say(f"page: {html}" if ws is not None else "no page: there is no picture of a set that cannot be read")
    mended = mending.mended(session, result, reviewer, dry_run=dry_run, yes=yes) if fix else None
    session.emit("doctor", result.as_dict() | ({} if mended is None else {"fix": mended.as_dict()}))
    if card is None:
        session.next("score" if mended is None else mending.after(mended))
    elif not result.gate_crossed:
        session.next(f"ingest {card} {quoted(without_secrets(str(path)))}")
    if result.gate_crossed:
        raise typer.Exit(3)


def triage(
    context: typer.Context,
    mislabelled_at: Annotated[
        float | None, typer.Option(help="Flag as mislabelled from this probability on.", min=0, max=1)
    ] = None,
    ambiguous_at: Annotated[
        float | None, typer.Option(help="Flag as ambiguous from this probability on.", min=0, max=1)
    ] = None,
    random_share: Annotated[
        float, typer.Option(help="Share of the queue that is drawn at random, whatever its score.", min=0, max=1)
    ] = 0.2,
    teaching_round: Annotated[
        int,
        typer.Option(
            help="Random faces that come first, until people have decided about so many; at most a fifth of the set, "
            "0 = none.",
            min=0,
        ),
    ] = 100,
    without_judges: Annotated[
        bool, typer.Option("--without-judges", help="As if no outside judge had been asked.")
    ] = False,
    members: Annotated[
        str | None,
        typer.Option(
            help="Recognizers that are read together, comma-separated; default what was scored last.",
            autocompletion=completion.methods,
        ),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="With the options of the last one.")] = False,
) -> None:
    """Turn signals into verdicts and a ranked queue. Thresholds can be changed without scoring again."""
    from ferclean.parts.teaching import told
    from ferclean.steps.triage import triage as step
    from ferclean.steps.triage import triage_again

    session: Session = context.obj
    if again:
        refuse_others(context, "triage --again", {"again"})
    with session.progress() as progress:
        result = triage_again(session.open(), progress=progress) if again else step(
            session.open(), mislabelled_at=mislabelled_at, ambiguous_at=ambiguous_at, random_share=random_share,
            teaching_round=teaching_round, outside=not without_judges, members=names(members), progress=progress,
        )  # fmt: skip
    session.emit("triage", result.as_dict())
    session.table(["verdict", "samples"], list(result.verdicts.items()))
    if result.judges:
        session.say(f"heard beside the recognizers, out-of-sample: the outside judge {', '.join(result.judges)}")
    low, high = result.error_rate_interval
    session.say(
        f"about {100 * result.estimated_error_rate:.0f} % of the given labels are estimated to be wrong "
        f"({100 * low:.0f} to {100 * high:.0f} %), faces on which nobody would agree included"
    )
    if result.decisions:
        session.say(_taught(result.decisions, result.taught))
    for line in told(session.open()):
        session.say(line)
    session.table(
        ["given", "suggested", "samples"],
        [list(flow.values()) for flow in result.flows],
        title="most frequent corrections",
    )
    session.table(
        ["true class", "was given", "share of it", "two estimates"],
        [
            [
                flow["true"],
                flow["given"],
                f"{100 * flow['share']:.0f} %",
                f"{100 * flow['low']:.0f} to {100 * flow['high']:.0f} %",
            ]
            for flow in result.noise
        ],
        title="how labels go wrong in this set",
    )
    session.table(
        ["first", "mislabelled in it", "precision", "recall", "95 %"],
        [
            [
                f"{row['depth']:,}",
                f"{row['found']:.0f}",
                f"{100 * row['precision']:.0f} %",
                f"{100 * row['recall']:.0f} %",
                f"{100 * row['recall_low']:.0f} to {100 * row['recall_high']:.0f} %",
            ]
            for row in result.expected
        ],
        title="what the undecided queue is expected to hold after the teaching round, where people would agree on "
        "another label",
    )
    for note in result.notes:
        session.note(note)
    session.next("review")


def _taught(decisions: int, gain: float) -> str:
    """What people's decisions did, in words."""
    if gain == 0:
        return f"{decisions:,} decisions so far: too few, or too much alike, to learn from"
    if gain < 0:
        return f"{decisions:,} decisions did not help to foresee those left out ({-100 * gain:.0f} % more log loss)"
    return f"{decisions:,} decisions taught it: {100 * gain:.0f} % less log loss on those left out"


def status(context: typer.Context) -> None:
    """What this workspace holds and what to do next."""
    from ferclean.steps.status import status as step

    session: Session = context.obj
    result = step(session.open())
    session.emit("status", result.as_dict())
    session.say(f"{result.dataset}: {result.samples:,} samples, {result.quarantined:,} quarantined")
    session.say(f"classes: {', '.join(result.classes)}")
    session.table(["split", "samples"], list(result.splits.items()))
    session.table(["run", "kind", "method", "seed", "state"], [list(run.values()) for run in result.runs])
    session.table(["verdict", "samples"], list(result.verdicts.items()))
    session.table(["decision", "samples"], list(result.decisions.items()))
    for line in [result.examined_in_words, *result.told, *result.deleted]:
        session.say(line)
    if result.conflicts:
        session.say(
            f"reviewers disagree about {result.conflicts:,} sample(s): `ferclean decide --adjudicate` lists and settles"
        )
    for release in result.releases:
        session.say(f"release {release['name']} ({release['policy']})")
    session.next(result.next)


def config(context: typer.Context) -> None:
    """Each setting, its value and where it comes from: flag, FERCLEAN_* variable, ferclean.toml or default."""
    from ferclean.cli.settings import effective_settings

    session: Session = context.obj
    found = effective_settings(context.find_root().command, session)
    session.emit("config", {"settings": found})
    session.table(["setting", "value", "from"], [[row["name"], str(row["value"]), row["origin"]] for row in found])


def _columns(by_class: dict[str, dict[str, int]]) -> list[str]:
    return list(next(iter(by_class.values()), {}))
