"""The verbs from decisions to proof: release, diff, revert, export, report.

Each body opens the workspace, calls one function and prints what it returned.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ferclean.cli import completion
from ferclean.cli.options import Overwrite
from ferclean.cli.plumbing import Session, add_verbs, quoted
from ferclean.errors import UsageError
from ferclean.files import PAGE, check_absent

if TYPE_CHECKING:
    from ferclean.steps.release import ReleaseSummary

CHANGE_COLUMNS = ("changes", "mended", "spoiled", "still_wrong", "no_true_label")
LISTED = 1000
"""Differences that are listed for people, which takes a second; `--json` has all."""
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the exact change, write nothing.")]


def add_to(app: typer.Typer) -> None:
    """Hang the verbs of this module on the command line."""
    add_verbs(
        app,
        {
            release: "`ferclean -w W release v1 --policy decisions`",
            diff: "`ferclean -w W diff original v1`",
            revert: "`ferclean -w W revert v1 v2 --flow 'neutral>sadness' --dry-run`",
            export: "`ferclean -w W export --form hf --release v1 --out ./rafdb-v1`",
            report: "`ferclean -w W report`",
        },
    )


def release(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="The release's name; frozen from then on. Default its version, such as 2.0.0.")
    ] = None,
    policy: Annotated[
        Literal["decisions", "auto"],
        typer.Option(envvar="FERCLEAN_POLICY", help="People's decisions alone, or automatic corrections too."),
    ] = "decisions",
    threshold: Annotated[
        float | None, typer.Option(help="auto: correct from this p_suggested on; default 0.5.", min=0, max=1)
    ] = None,
    ambiguous: Annotated[
        Literal["keep", "exclude"], typer.Option(help="Ambiguous samples: keep the given label, or leave them out.")
    ] = "keep",
    unmended: Annotated[
        Literal["soft", "keep", "drop"] | None,
        typer.Option(
            help="auto: labels in doubt that nothing mends: weigh less (soft, the default), weigh as the others, or "
            "are left out."
        ),
    ] = None,
    splits: Annotated[
        str | None,
        typer.Option(
            help="Divide the set as `ferclean split` did under this name; default as published.",
            autocompletion=completion.kept_splits,
        ),
    ] = None,
    budget: Annotated[int, typer.Option(help="Name this many faces that a person should still look at.", min=0)] = 0,
    ids_to: Annotated[Path | None, typer.Option(help="Write those faces to a CSV file.")] = None,
    on_conflict: Annotated[
        Literal["refuse", "latest"], typer.Option(help="While reviewers disagree: refuse, or take the latest decision.")
    ] = "refuse",
    dry_run: DryRun = False,
) -> None:
    """Freeze a curated split: given labels plus decisions, with every change recorded."""
    from ferclean.steps.release import release as step

    session: Session = context.obj
    result = step(
        session.open(), name, policy=policy, threshold=threshold, ambiguous=ambiguous, unmended=unmended,
        on_conflict=on_conflict, splits=splits, budget=budget, ids_to=ids_to, dry_run=dry_run,
    )  # fmt: skip
    session.emit("release", result.as_dict())
    session.say(
        f"release {result.name} ({result.policy}{', dry run' if dry_run else ''}): {len(result.changes)} changes"
    )
    if result.splits:
        new = "; its test split is not the published one" if result.splits["new_test"] else ""
        session.say(f"divided by the splits {result.splits['name']}{new}")
    _tell_version(session, result)
    session.table(
        ["split", *_classes(result.counts["after"])], [[s, *c.values()] for s, c in result.counts["after"].items()]
    )
    session.table(["why", "samples"], list(result.counts["reasons"].items()))
    _tell_accuracy(session, result.counts)
    if result.look_first:
        session.table(
            ["look first", "split", "given", "in the release", "gain"],
            [[r["source_key"], r["split"], r["given_label"], r["label"], r["gain"]] for r in result.look_first],
        )
        session.say(f"after these {len(result.look_first)} looks: {result.after_looking:.1%} of the labels right")
    session.next("review" if dry_run and result.look_first else f"export --release {quoted(result.name)} --out PATH")


def diff(
    context: typer.Context,
    a: Annotated[
        str, typer.Argument(help="A release, or `original`.", autocompletion=completion.releases_and_original)
    ],
    b: Annotated[str, typer.Argument(help="Another release.", autocompletion=completion.releases_and_original)],
    html: Annotated[Path | None, typer.Option(help="Write it with the changed faces to this page, too.")] = None,
    faces: Annotated[
        int | None, typer.Option(help="Changed faces on the page (200); 0 leaves all pixels out.", min=0, max=2000)
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """What differs between two releases, sample by sample: labels, splits, and how many soft labels moved by > .1."""
    from ferclean.steps.diff import FACES, LARGEST, SOFT_MOVED, write_page
    from ferclean.steps.diff import diff as step

    session: Session = context.obj
    if html is not None:
        check_absent(html, "--html", overwrite=overwrite, begins=PAGE)
    elif faces is not None:
        raise UsageError("--faces says how many are on the page: say where that goes, with --html")
    ws = session.open()
    result = step(ws, a, b)
    if html is not None:
        write_page(ws, result, html, faces=FACES if faces is None else faces, overwrite=overwrite)
    session.emit("diff", result.as_dict())
    rows = [[c["source_key"], c["split"], c["change"], c["from"], c["to"]] for c in result.changes[:LISTED]]
    session.table(["sample", "split", "change", "from", "to"], rows)
    if len(result.changes) > LISTED:
        session.say(f"and {len(result.changes) - LISTED:,} more, which --json lists all")
    session.say(f"{len(result.changes):,} label(s) or presences differ from {a} to {b}")
    if result.moved:
        session.say(f"{len(result.moved):,} face(s) in another split")
        session.table(["from", "to", "faces"], [[one["from"], one["to"], one["count"]] for one in result.moves()])
        listed = [[one["source_key"], one["from"], one["to"]] for one in result.moved[:LARGEST]]
        session.table(["sample", "from split", "to split"], listed)
        if len(result.moved) > LARGEST:
            session.say(f"and {len(result.moved) - LARGEST:,} more, which --json lists all")
    if result.soft_labels or result.weights:
        session.say(
            f"soft labels of {result.soft_labels:,} faces and weights of {result.weights:,} moved by more than "
            f"{SOFT_MOVED:g} (total variation distance)"
        )
    session.table(
        ["sample", "split", "soft label moved", "from", "to"],
        [
            [c["source_key"], c["split"], c["moved"], f"{c['from']} {c['from_p']:.2f}", f"{c['to']} {c['to_p']:.2f}"]
            for c in result.largest_soft
        ],
    )
    if html is not None:
        session.say(f"page: {html}")
    session.next(f"export --release {quoted(result.newest)} --out PATH" if result.newest else "release")


def revert(
    context: typer.Context,
    a: Annotated[
        str,
        typer.Argument(
            help="What to go back to: a release, or `original`.", autocompletion=completion.releases_and_original
        ),
    ],
    b: Annotated[
        str, typer.Argument(help="The release whose changes are taken back.", autocompletion=completion.releases)
    ],
    sample: Annotated[list[str] | None, typer.Option(help="Only this sample id or source key; may come again.")] = None,
    ids: Annotated[Path | None, typer.Option(help="Only the samples that this file names.")] = None,
    flow: Annotated[
        list[str] | None, typer.Option(help="Only this flow, as 'neutral>sadness' or 'fear>out'; may come again.")
    ] = None,
    verdict: Annotated[list[str] | None, typer.Option(help="Only faces with this verdict; may come again.")] = None,
    by: Annotated[list[str] | None, typer.Option(help="Only what this reviewer decided; may come again.")] = None,
    automatic: Annotated[bool, typer.Option("--automatic", help="Only what no person decided.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Every change from A to B.")] = False,
    reviewer: Annotated[
        str | None, typer.Option(envvar="FERCLEAN_REVIEWER", help="Who reverts; default the system's user name.")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Take back any part of what leads from release A to B, as decisions that one undo takes back."""
    from ferclean.review.desk import default_reviewer
    from ferclean.steps import revert as steps

    session: Session = context.obj
    workspace = session.open()
    part = steps.part_of(
        workspace, b, samples=sample or (), file=ids, flows=flow or (), verdicts=verdict or (), by=by or (),
        automatic=automatic,
    )  # fmt: skip
    if part.all_of_it() != everything:
        raise UsageError("say which changes: --sample, --ids, --flow, --verdict, --by or --automatic, or else --all")
    result = steps.revert(workspace, a, b, part, reviewer=reviewer or default_reviewer(), dry_run=dry_run)
    session.emit("revert", result.as_dict())
    session.table(
        ["sample", "split", f"in {b}", f"again, as in {a}", "decision"],
        [[c["source_key"], c["split"], c["from"], c["to"], c["action"]] for c in result.changes],
    )
    session.say(
        f"{result.reverted:,} change(s) {'would be ' if dry_run else ''}taken back"
        + (f" in the bulk {result.bulk_id}: the next release has them" if result.bulk_id else "")
    )
    for count, why in (
        (result.already, "are back already"),
        (len(result.newer), f"were decided otherwise since {b}, and stay"),
        (len(result.barred), "are quarantined, gone or left out by splits, which no decision changes"),
        (result.moved, "are in another split, which stays: `release --splits` chooses the splits"),
    ):
        if count:
            session.say(f"{count:,} {why}")
    session.next(f"undo --bulk {result.bulk_id}" if result.bulk_id else f"diff {quoted(a)} {quoted(b)}")


def export(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="Folder to write (a file for the table form).")],
    form: Annotated[
        str | None,
        typer.Option(
            help="hf, rafdb, image_folder, coco, cleanlab, fiftyone, table or patch (no pictures); default hf, or "
            "patch where the licence forbids passing pictures on.",
            autocompletion=completion.forms,
        ),
    ] = None,
    release: Annotated[
        str | None,
        typer.Option(
            help="The release to export; the table form works without one.", autocompletion=completion.releases
        ),
    ] = None,
    configuration: Annotated[
        Literal["default", "decided_test", "both", "train", "validation", "test"],
        typer.Option(
            help="All splits, test as it was published; all as people decided, test too; both, which an hf folder "
            "holds beside one another; or one split alone."
        ),
    ] = "default",
    since: Annotated[
        str,
        typer.Option(help="patch: the release that it leads on from.", autocompletion=completion.releases_and_original),
    ] = "original",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier export at the same place.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Write a release as a Hugging Face data set, in RAF-DB's layout, for other tools, as a table or as a patch."""
    from ferclean.steps.export import export as step

    session: Session = context.obj
    with session.progress() as progress:
        result = step(
            session.open(),
            form=form,
            release=release,
            configuration=configuration,
            since=since,
            out=out,
            overwrite=overwrite,
            dry_run=dry_run,
            progress=progress,
        )
    session.emit("export", result.as_dict())
    session.set_aside(result.quarantined)
    if form is None and result.form == "patch":
        session.note(
            "the licence forbids passing pictures on, so this is a patch; --form hf writes them for your own use"
        )
    session.say(f"{result.form} export of {release or 'the workspace'}: {result.path}")
    session.table(["split", "samples"], list(result.counts.items()))
    for warning in result.warnings:
        session.say(f"note: {warning}")
    ways = {
        "hf": f"retrain --dataset {quoted(result.path)}",
        "patch": f"apply {quoted(result.path)} --to OTHER_WORKSPACE",
    }
    session.next(ways.get(result.form, "status"))


def report(
    context: typer.Context,
    out: Annotated[Path | None, typer.Option(help="Where to write the page.")] = None,
    overwrite: Overwrite = False,
    faces: Annotated[int, typer.Option(help="Example faces per gallery; 0 leaves all pixels out.", min=0)] = 24,
) -> None:
    """Write one self-contained HTML page: found, decided, released, gained."""
    from ferclean.steps.report import report as step

    session: Session = context.obj
    with session.progress() as progress:
        result = step(session.open(), out=out, overwrite=overwrite, faces=faces, progress=progress)
    session.emit("report", result.as_dict())
    session.say(f"report: {result.path}")
    session.next("status")


def _tell_version(session: Session, result: ReleaseSummary) -> None:
    """Its version, and what it changed since the release before."""
    if result.changelog is None:
        return
    from ferclean.parts.changelog import in_words

    why = "; ".join(result.changelog["why"]) or "nothing changed"
    session.say(f"version {result.version}, since {result.changelog['since']}: {why}")
    for line in in_words(result.changelog):
        session.say(f"  {line}")


def _tell_accuracy(session: Session, counts: dict[str, Any]) -> None:
    """What the release expects of its own labels, where there are verdicts."""
    told = counts["label_accuracy"]
    if told is None:
        return
    before, after = (
        f"{one['estimate']:.1%} ({one['low']:.1%} to {one['high']:.1%})" for one in (told["before"], told["after"])
    )
    session.say(f"expected right of the labels of faces with a true one: given {before}, in this release {after}")
    rows = [
        [f"{c['from_p']} to {c['to_p']}", *(c[name] for name in CHANGE_COLUMNS)] for c in counts["automatic_changes"]
    ]
    if rows:
        session.table(["sure", *(name.replace("_", " ") for name in CHANGE_COLUMNS)], rows)


def _classes(counts: dict[str, dict[str, int]]) -> list[str]:
    return list(next(iter(counts.values()), {}))
