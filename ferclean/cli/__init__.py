"""`ferclean VERB`: parse, open the workspace, one call, print. The corridor is in `ferclean.steps`.

No verb does work of its own here, and nothing heavy is imported until a verb needs it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from ferclean import __version__
from ferclean.cli import data_verbs, people_verbs, recognizer_verbs, release_verbs
from ferclean.cli.plumbing import make_session, split_global_options
from ferclean.cli.settings import check_settings
from ferclean.errors import FercleanError

GLOBAL_HELP = (
    "Options of every verb, anywhere on the line: **-w/--workspace DIR** (or FERCLEAN_WORKSPACE, default ./workspace), "
    "**--json** (one JSON object on stdout), **--quiet**, **--debug** (show tracebacks).\n\n"
    "Exit codes: 0 ok, 1 failure, 2 usage, 3 findings, 4 bad data, 5 workspace busy."
)

app = typer.Typer(
    name="ferclean",
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
    check_settings(context.obj, context.command)
    # a verb's defaults from ferclean.toml stand below flags and FERCLEAN_* variables
    context.default_map = {verb: options for verb, options in context.obj.settings.items() if isinstance(options, dict)}


data_verbs.add_to(app)
recognizer_verbs.add_to(app)
people_verbs.add_to(app)
release_verbs.add_to(app)


def run(argv: Sequence[str]) -> int:
    """Run one command line; returns the exit code. Errors become one line on stderr."""
    options, rest = split_global_options(argv)
    debug = bool(options.get("debug"))
    try:
        session = make_session(options)
        code = app(args=list(rest), prog_name="ferclean", obj=session, standalone_mode=False)
        sys.stdout.flush()
        return int(code) if isinstance(code, int) else 0
    except FercleanError as error:
        if debug:
            raise
        print(f"ferclean: {error}", file=sys.stderr)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        print("\nstopped; nothing is lost: run the same command again to go on where it was", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # the reader has gone (`| head`): keep the interpreter from complaining at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug or not hasattr(error, "format_message"):
            if debug:
                raise
            print(
                f"ferclean: {type(error).__name__}: {error} (run again with --debug for the traceback)",
                file=sys.stderr,
            )
            return 1
        return _usage(error)


def _usage(error: Exception) -> int:
    # Typer's own usage errors know how to show themselves and which exit code is theirs
    show = getattr(error, "show", None)
    if show is None:
        print(f"ferclean: {error}", file=sys.stderr)
    else:
        show()
    return int(getattr(error, "exit_code", 2))


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))
