"""`ferclean judge`: outside nets that never saw the set's labels.

Like all verbs: parse, one call, print.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ferclean.cli import completion
from ferclean.cli.options import Device, Force, names, refuse_others
from ferclean.cli.plumbing import Session, add_verbs, quoted
from ferclean.errors import UsageError

OF_ACTION: dict[str, set[str]] = {
    "add": {"what", "package", "hub", "name", "classes", "size", "mean", "std"},
    "list": set(),
    "test": {"what", "device", "force"},
    "run": {"what", "insist", "device", "force"},
    "remove": {"what"},
}
"""Which options mean something to which action."""


def add_to(app: typer.Typer) -> None:
    """Hang the verb on the command line."""
    add_verbs(
        app,
        {
            judge: "`ferclean judge add face-api && ferclean -w W judge run face-api`\n\n"
            "Your own: `ferclean judge add net.onnx --classes anger,fear,neutral --size 64 --mean 0.5 --std 0.5`; "
            "`--hub OWNER/MODEL` fetches a timm classifier. Weights lie in the user's cache (FERCLEAN_CACHE).",
        },
    )


def judge(
    context: typer.Context,
    action: Annotated[
        Literal["add", "list", "test", "run", "remove"],
        typer.Argument(help="add, list, remove: the shelf. test: has it seen these labels? run: let triage hear it."),
    ],
    what: Annotated[
        str | None,
        typer.Argument(
            help="A judge's name; add: face-api or an ONNX file.", autocompletion=completion.judges, show_default=False
        ),
    ] = None,
    package: Annotated[
        Path | None, typer.Option("--from", help="add: the npm package as a .tgz; default: the npm client fetches it.")
    ] = None,
    hub: Annotated[str | None, typer.Option(help="add: a timm classifier of the Hub, owner/model.")] = None,
    name: Annotated[str | None, typer.Option(help="add: what to call it.")] = None,
    classes: Annotated[str | None, typer.Option(help="add: its classes in the order of its outputs: a,b,c.")] = None,
    size: Annotated[int | None, typer.Option(help="add FILE.onnx: pixels a side.", min=8, max=1024)] = None,
    mean: Annotated[
        str | None,
        typer.Option(
            help="add FILE.onnx: what is taken off pixels in [0, 1], one number or one per colour; default 0."
        ),
    ] = None,
    std: Annotated[str | None, typer.Option(help="add FILE.onnx: what they are then divided by; default 1.")] = None,
    insist: Annotated[bool, typer.Option("--insist", help="run: take it although it is contaminated.")] = False,
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Outside judges: nets from elsewhere that look at every face and never saw this set's labels."""
    from ferclean.steps import judge as step

    session: Session = context.obj
    refuse_others(context, f"judge {action}", {"action", *OF_ACTION[action]}, argument="a judge's name")
    if action == "list":
        _list(session, step.list_judges())
    elif action == "add":
        card = step.add_judge(
            what, package=package, hub=hub, name=name, classes=names(classes), size=size, mean=_numbers(mean, "--mean"),
            std=_numbers(std, "--std"),
        )  # fmt: skip
        session.emit("judge", card)
        session.say(f"{card['name']}: {', '.join(card['classes'])}; {card['size']} x {card['size']} pixels")
        session.say(f"from {card['source']}, licence {card['licence']}")
        session.next(f"judge test {quoted(card['name'])}")
    elif what is None:
        raise UsageError(f"judge {action} needs a judge's name; `ferclean judge list` shows them")
    elif action == "remove":
        step.remove_judge(what)
        session.emit("judge", {"removed": what})
        session.say(f"{what} is off the shelf; what it said in workspaces stays")
    else:
        with session.progress() as progress:
            result = step.ask_judge(
                session.open(), what, accept=action == "run", insist=insist, force=force, device=device,
                progress=progress, tell=session.tell,
            )  # fmt: skip
        session.emit("judge", result.as_dict())
        _told(session, result)
        session.next("triage" if result.accepted else f"judge run {quoted(what)}")


def _list(session: Session, cards: list[dict[str, Any]]) -> None:
    session.emit("judge", cards)
    session.table(
        ["judge", "classes", "pixels", "licence", "from"],
        [[c["name"], len(c["classes"]), c["size"], c["licence"], c["source"]] for c in cards],
    )
    if not cards:
        session.say("no judge yet; `ferclean judge add face-api` brings one through your npm client")


def _told(session: Session, result: Any) -> None:
    found = result.independence
    session.set_aside(result.quarantined)
    session.say(f"{result.judge} has looked at {result.samples:,} images; it names {_share(found['agreement'])}")
    session.table(
        ["measured", "%", "95 %", "rows"],
        [
            [told, f"{100 * found[key]['estimate']:.0f}", _interval(found[key]), found[key]["rows"]]
            for key, told in (
                ("agreement", "names the given label, scored images"),
                ("agreement_on_test", "names the given label, images of other splits"),
                ("gap", "the difference"),
                ("disputed_given", "names the given label where recognizers doubt it most"),
                ("disputed_recognizers", "names theirs there"),
                ("left", "weight that the recognizers keep beside it"),
            )
            if found[key]["estimate"] == found[key]["estimate"]  # not NaN
        ],
    )
    session.say(f"{found['verdict']}: {found['sentence']}")
    if result.lapsed:
        session.note(
            f"{result.judge} was accepted before the images, their labels or its file changed; triage no longer hears "
            f"it until `ferclean judge run {quoted(result.judge)}`"
        )
    if result.unknown:
        session.note(f"it does not know {', '.join(result.unknown)} and says nothing of these classes")
    if result.elsewhere:
        session.note(f"of its classes this set has no {', '.join(result.elsewhere)}")


def _share(share: dict[str, float]) -> str:
    return f"the given label of {100 * share['estimate']:.0f} % of those scored"


def _interval(share: dict[str, float]) -> str:
    return f"{100 * share['low']:.0f} to {100 * share['high']:.0f}"


def _numbers(text: str | None, option: str) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{option} is a number, or one per colour with commas between, not {text!r}") from None
