"""`ferclean VERB`: parse, open the workspace, one call, print. The corridor is in `ferclean.steps`.

No verb does work of its own here, and nothing heavy is imported until a verb needs it.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

try:
    import typer
    from typer.core import TyperGroup

    from ferclean import __version__
    from ferclean.cli import (
        completion,
        data_verbs,
        hub_verb,
        judge_verb,
        patch_verbs,
        people_verbs,
        recognizer_verbs,
        release_verbs,
        score_verbs,
        split_verb,
    )
    from ferclean.cli.failures import INTERRUPTED, failure_of, lost_output, tell
    from ferclean.cli.plumbing import check_words, make_session, split_global_options
    from ferclean.cli.settings import check_settings
    from ferclean.errors import FercleanError, UsageError, among
    from ferclean.files import cannot_write
except KeyboardInterrupt:  # a second of imports, in which nothing has begun
    sys.exit(130)

if TYPE_CHECKING:
    from types import FrameType

GLOBAL_HELP = (
    "Options of every verb, anywhere on the line: **-w/--workspace DIR** (or FERCLEAN_WORKSPACE, default ./workspace), "
    "**--json** (one JSON object on stdout), **--quiet**, **--debug** (show tracebacks).\n\n"
    "Exit codes: 0 ok, 1 failure, 2 usage, 3 findings, 4 bad data, 5 workspace busy, 130 stopped."
)


class Verbs(TyperGroup):
    """The verbs; one that is not known is answered with the nearest."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if not ctx.resilient_parsing:
            args = score_verbs.as_today(args)
        if args and args[0] not in self.commands and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise UsageError(f"no verb {args[0]!r}; {among(args[0], self.commands)}")
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="ferclean",
    cls=Verbs,
    help="Find, review and fix wrong labels in facial-expression image sets, and measure what it was worth.",
    epilog=GLOBAL_HELP,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"ferclean {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    # a verb's defaults from ferclean.toml stand below flags and FERCLEAN_* variables
    context.default_map = check_settings(context.obj, context.command)


data_verbs.add_to(app)
recognizer_verbs.add_to(app)
judge_verb.add_to(app)
people_verbs.add_to(app)
split_verb.add_to(app)
release_verbs.add_to(app)
patch_verbs.add_to(app)
hub_verb.add_to(app)

VERBS = [command.callback.__name__.replace("_", "-") for command in app.registered_commands if command.callback]


def run(argv: Sequence[str]) -> int:
    """Run one command line; returns the exit code. Errors become one line on stderr, and one object with --json."""
    if completion.wanted():
        return completion.answer(app)
    options, rest = split_global_options(argv)
    as_json, debug = bool(options.get("json")), bool(options.get("debug"))
    session = None
    try:
        check_words(argv)
        session = make_session(options)
        if not rest and as_json:
            raise UsageError(f"no verb is given; {among('', VERBS)}")
        code = app(args=list(rest), prog_name="ferclean", obj=session, standalone_mode=False)
        sys.stdout.flush()
        if code == INTERRUPTED:  # what Typer makes of Ctrl-C
            raise KeyboardInterrupt
        return int(code) if isinstance(code, int) else 0
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        lost = lost_output(error)
        if lost is not None:
            if lost.errno == errno.EPIPE:  # the reader has gone (`| head`)
                return 0
            error = FercleanError(cannot_write("standard output", lost, elsewhere="send the output elsewhere"))
        if not rest and not as_json and hasattr(error, "show"):
            error.show()  # Typer's help for a bare `ferclean`
            return UsageError.exit_code
        # Typer's name for the end of an input that we never ask for
        cause = error.__cause__ if isinstance(error, typer.Abort) and error.__cause__ else error
        verb = next((word for word in rest if word in VERBS), None)
        return tell(
            failure_of(cause, argv, verb),
            verb=verb,
            as_json=as_json and not (session and session.emitted),
            error=cause if debug else None,
        )


def main() -> None:
    """The console script. Being told to end is a Ctrl-C: what runs is marked, and how to go on is said."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by the caller (`>&-`): or the next file opened would get its number
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - for as long as we run
    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # `nohup` stays as it is
            signal.signal(number, stop)
    sys.exit(run(sys.argv[1:]))
