"""The verbs for people: review, browse, team, decide, audit, undo.

Each body opens the workspace, calls one function and prints what it returned.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ferclean.cli import completion
from ferclean.cli.options import names
from ferclean.cli.plumbing import Session, add_verbs, quoted, warn
from ferclean.errors import UsageError

Reviewer = Annotated[
    str | None, typer.Option(envvar="FERCLEAN_REVIEWER", help="Who decides; default the system's user name.")
]
Address = Annotated[str, typer.Option(help="Only the loopback address is served.")]
Reach = Annotated[
    str, typer.Option(help="Where it listens; beyond this machine only with --shared, and where people sign in.")
]
Shared = Annotated[
    bool,
    typer.Option(
        "--shared", help="Others are meant to reach it: they sign in, as .streamlit/secrets.toml [auth] says."
    ),
]
OpenBrowser = Annotated[bool, typer.Option("--open/--no-open", help="Open a browser window.")]
Action = Annotated[
    str | None,
    typer.Argument(
        help="keep, relabel, ambiguous, exclude or skip; --label alone means relabel.",
        autocompletion=completion.actions,
    ),
]


def add_to(app: typer.Typer) -> None:
    """Hang the verbs of this module on the command line."""
    add_verbs(
        app,
        {
            review: "`ferclean -w W review`",
            browse: "`ferclean -w W browse`",
            team: "`ferclean -w W team --reviewers ann,bo --overlap 0.1`, then `review`; `team` tells each part",
            decide: "`ferclean -w W decide train_00007 relabel --label fear`, or `decide --from-file answers.csv`; "
            "`decide --adjudicate` lists disagreements, `decide --adjudicate train_00007 --label fear` settles one",
            audit: "`ferclean -w W audit --n 200`, then `review`; again `audit` for the estimate",
            undo: "`ferclean -w W undo --reviewer ada`",
        },
    )


def review(
    context: typer.Context,
    port: Annotated[int, typer.Option(help="Port of the review screen.")] = 8501,
    address: Reach = "127.0.0.1",
    shared: Shared = False,
    reviewer: Reviewer = None,
    open_browser: OpenBrowser = True,
) -> None:
    """Open the review screen in the browser: one face at a time, decided with one key."""
    from ferclean.review.serve import serve

    session: Session = context.obj
    raise typer.Exit(
        serve(
            session.open(), port=port, address=address, reviewer=reviewer, open_browser=open_browser, shared=shared,
        )
    )  # fmt: skip


def browse(
    context: typer.Context,
    port: Annotated[int | None, typer.Option(help="Port of the FiftyOne App; default 5151, or any free one.")] = None,
    address: Address = "127.0.0.1",
    reviewer: Reviewer = None,
    open_browser: OpenBrowser = True,
    show: Annotated[bool, typer.Option("--show/--no-show", help="Serve the App, or only update its dataset.")] = True,
    brain: Annotated[
        bool,
        typer.Option("--brain", help="Compute FiftyOne's own scores, too: a minute for 12,000 faces."),
    ] = False,
) -> None:
    """Open the workspace in FiftyOne, with saved views; tags and corrected labels made there become decisions."""
    from ferclean.steps.browse import browse as step

    session: Session = context.obj
    with session.progress() as progress:
        result = step(
            session.open(), port=port, address=address, reviewer=reviewer, open_browser=open_browser, show=show,
            brain=brain, ready=lambda url: warn(f"FiftyOne shows the workspace at {url} (Ctrl-C ends it)"), told=warn,
            progress=progress,
        )  # fmt: skip
    session.emit("browse", result.as_dict())
    session.say(
        f"FiftyOne dataset {result.dataset}: {result.samples:,} samples, {result.decisions} decisions taken over"
    )
    for reason, count in result.left_out.items():
        session.say(f"{count:,} not shown: {reason}")
    for problem in result.problems:
        session.say(problem)
    session.next("status")


def team(
    context: typer.Context,
    reviewers: Annotated[
        str | None,
        typer.Option(help="Who shares the queue: ann,bo. Whoever joins later takes as few faces as possible."),
    ] = None,
    overlap: Annotated[
        float | None, typer.Option(help="Share of the faces that two answer, each without the other.")
    ] = None,
    repeats: Annotated[
        float | None, typer.Option(help="Faces asked about a second time, per face of the queue; measures only.")
    ] = None,
    honeypots: Annotated[
        float | None, typer.Option(help="Faces of which people are sure already, per face of the queue; measures only.")
    ] = None,
    by: Annotated[
        str | None, typer.Option(envvar="FERCLEAN_REVIEWER", help="Who plans; default the system's user name.")
    ] = None,
) -> None:
    """Share the queue among reviewers without overlap, or with some; without options: tell how far each one is."""
    from ferclean.steps.team import team as step

    session: Session = context.obj
    result = step(
        session.open(), reviewers=names(reviewers), overlap=overlap, repeats=repeats, honeypots=honeypots, made_by=by
    )
    session.emit("team", result.as_dict())
    if (plan := result.plan) is None:
        session.say("no plan: everybody sees every face")
    else:
        twice = f"{plan['overlap']:.0%} of the faces are answered by two" if plan["overlap"] else "each face by one"
        session.say(f"plan of {plan['made_at'][:16].replace('T', ' ')} UTC by {plan['made_by']}: {twice}")
    session.say(
        f"{result.answered:,} of {result.queue:,} faces of the queue answered"
        + (f", {result.both:,} of {result.twice:,} by two" if result.twice else "")
    )
    if plan and plan["honeypots"]:
        session.say(f"{result.sure:,} faces of which three or more votes or reviewers are sure serve as honeypots")
    kinds = [name for name in ("repeats", "honeypots") if any(one[name] for one in result.people)]
    heads = {"repeats": "same again", "honeypots": "as people are sure"}
    session.table(
        ["reviewer", "faces", "answered", "left", *(heads[name] for name in kinds)],
        [
            [one["reviewer"] if one["planned"] or plan is None else f"{one['reviewer']} (not in the plan)",
             one["faces"] if one["planned"] else "", one["answered"], one["left"] if one["planned"] else "",
             *(_right(one[name]) for name in kinds)]
            for one in result.people
        ],
    )  # fmt: skip
    session.next("review" if plan else "team --reviewers ann,bo")


def _right(found: dict[str, float] | None) -> str:
    if found is None:
        return "none yet"
    return f"{found['right']} of {found['rows']} ({found['low']:.0%} to {found['high']:.0%})"


def decide(
    context: typer.Context,
    sample: Annotated[str | None, typer.Argument(help="Sample id or source key.")] = None,
    action: Action = None,
    label: Annotated[
        str | None, typer.Option(help="The right label, with relabel.", autocompletion=completion.classes)
    ] = None,
    shares: Annotated[
        str | None, typer.Option(help="Of an ambiguous face: happiness=0.6,surprise=0.4; alone means ambiguous.")
    ] = None,
    reviewer: Reviewer = None,
    note: Annotated[str, typer.Option(help="Why, in a few words.")] = "",
    from_file: Annotated[
        Path | None,
        typer.Option(
            help="CSV: sample_id or source_key, action, label, reviewer[, inclusion_probability, note, shares]."
        ),
    ] = None,
    to_file: Annotated[
        Path | None,
        typer.Option(help="Write all decisions that stand, for --from-file of another workspace of these pictures."),
    ] = None,
    adjudicate: Annotated[
        bool,
        typer.Option(
            "--adjudicate",
            help="Settle what reviewers disagree about, for everybody, until one of them decides otherwise again; "
            "without a sample or a file: list it.",
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and show, store nothing.")] = False,
) -> None:
    """Record a decision, or a file of them. Decisions are only ever added; `undo` adds too."""
    from ferclean.steps import decide as steps

    session: Session = context.obj
    if to_file is not None:
        if sample is not None or from_file is not None or adjudicate:
            raise UsageError("--to-file writes what was decided: it goes with no sample, --from-file or --adjudicate")
        return _write_decisions(session, to_file)
    if from_file is not None:
        if sample is not None:
            raise UsageError("give either one sample and an action, or --from-file, not both")
        result = steps.decide_from_file(
            session.open(), from_file, reviewer=reviewer, adjudicate=adjudicate, dry_run=dry_run
        )
    elif sample is None and adjudicate:
        if label is not None:
            raise UsageError("which sample? `ferclean decide --adjudicate SAMPLE --label NAME`")
        return _list_disagreements(session)
    elif sample is None:
        raise UsageError("which sample and what? `ferclean decide SAMPLE ACTION [--label NAME]`, or --from-file FILE")
    else:
        result = steps.decide(
            session.open(), sample, action, label=label, shares=shares, reviewer=reviewer, note=note,
            adjudicate=adjudicate, dry_run=dry_run,
        )  # fmt: skip
    session.emit("decide", result.as_dict())
    session.say(
        f"{result.recorded} decision(s) {'would be ' if dry_run else ''}recorded, {result.already} there already"
    )
    if result.elsewhere:
        session.say(f"{result.elsewhere:,} are about pictures that this workspace does not hold")
    if result.disagreements:
        session.say(f"reviewers disagree about {result.disagreements:,} sample(s)")
    session.next("decide --adjudicate" if result.disagreements else "release NAME")


def _write_decisions(session: Session, path: Path) -> None:
    from ferclean.parts.carried import decisions_to_file

    result = decisions_to_file(session.open(), path)
    session.emit("decide", result.as_dict())
    session.say(f"{result.written:,} decision(s) written to {result.path}")
    if not session.as_json and not session.quiet:
        warn(f"next: ferclean -w NEW decide --from-file {quoted(result.path)}")


def _list_disagreements(session: Session) -> None:
    from ferclean.steps.decide import disagreements

    found = disagreements(session.open())
    session.emit("decide", {"disagreements": found})
    session.say(f"reviewers disagree about {len(found):,} sample(s)")
    rows = [
        [
            one["source_key"], one["sample_id"], one["given_label"], said["reviewer"],
            f"{said['action']}: {said['label']}" if said["label"] else said["action"], said["note"], said["decided_at"],
        ]
        for one in found
        for said in one["said"]
    ]  # fmt: skip
    session.table(["source key", "sample id", "given label", "reviewer", "says", "note", "when (UTC)"], rows)
    session.next("decide --adjudicate SAMPLE ACTION --reviewer NAME" if found else "release NAME")


def audit(
    context: typer.Context,
    n: Annotated[int, typer.Option("--n", help="Samples to draw.", min=1)] = 200,
    seed: Annotated[int, typer.Option(help="Of the draw.", min=0)] = 0,
    new: Annotated[bool, typer.Option("--new", help="Draw anew, though there is an audit.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="CSV of the samples still to be answered, for `decide --from-file` once filled in."),
    ] = None,
) -> None:
    """Draw a random sample for people, or say from their answers how many wrong labels are left."""
    from ferclean.steps.audit import audit as step

    session: Session = context.obj
    result = step(session.open(), n=n, seed=seed, new=new, out=out)
    session.emit("audit", result.as_dict())
    session.say(
        f"{result.answered} of {result.drawn} answered, drawn at random from {result.population:,} undecided: "
        f"{result.wrong} wrong, {result.right} right, {result.ambiguous} ambiguous, {result.unusable} unusable"
    )
    if result.unanswered or result.further:
        session.say(
            f"{result.unanswered} skipped, taken to be like the rest; {result.further} answered further on, "
            "counted once those before them are answered"
        )
    if result.answered:
        left = result.errors
        session.say(
            f"wrong labels left: about {left['count']:,.0f} ({left['low']:,.0f} to {left['high']:,.0f}, 95 %), "
            f"{left['rate']:.2%} of {left['rows']:,} undecided ({left['rate_low']:.2%} to {left['rate_high']:.2%}), "
            f"{left['whole_rate']:.2%} of the whole set ({left['whole_rate_low']:.2%} to {left['whole_rate_high']:.2%})"
        )
        session.table(
            ["given label", "undecided", "answered", "wrong", "wrong labels left", "95 %"],
            [
                [
                    one["label"], one["rows"], one["answered"], one["wrong"],
                    *(
                        ["too few answers" if one["rows"] else "all decided", ""] if one["rate"] is None
                        else [f"{one['rate']:.1%}", f"{one['rate_low']:.1%} to {one['rate_high']:.1%}"]
                    ),
                ]
                for one in result.classes
            ],
        )  # fmt: skip
    for line in (result.advice_text, *result.notes):
        session.say(line)
    if result.advice.startswith("stop"):
        session.next("release NAME")
    else:
        session.next(f"decide --from-file {quoted(out)}" if out is not None else "review")


def undo(
    context: typer.Context,
    reviewer: Reviewer = None,
    decision: Annotated[int | None, typer.Option(help="Undo this decision.")] = None,
    bulk: Annotated[str | None, typer.Option(help="Undo this whole bulk.")] = None,
) -> None:
    """Take back a decision: the reviewer's last one, a given one, or a whole bulk."""
    from ferclean.review.desk import default_reviewer
    from ferclean.store.decisions import undo as step

    session: Session = context.obj
    # the last decision means one's own; somebody else's needs their name
    who = reviewer or (default_reviewer() if decision is None and bulk is None else None)
    undone = step(session.open(), reviewer=who, decision_id=decision, bulk_id=bulk)
    session.emit("undo", {"undone": undone})
    session.say(f"{len(undone)} decision(s) undone" if undone else "there was nothing to undo")
    session.next("status")
