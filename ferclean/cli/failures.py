"""How a verb fails: one line on stderr, with --json one object on stdout, and an exit code that says the kind.

It catches nothing itself and tells nothing twice.
"""

from __future__ import annotations

import errno
import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ferclean import extras
from ferclean.cli.plumbing import GLOBAL_OPTIONS, JSON_SCHEMA, print_json, warn
from ferclean.errors import FercleanError, UsageError, among

INTERRUPTED = 130

# what a verb keeps when it is stopped; what the others stored before is not touched
KEPT = {
    "score": "finished folds are kept",
    "demo": "finished steps and folds are kept",
    "ingest": "what was stored stays",
    "decide": "recorded decisions stay",
    "encode": "nothing that was stored is lost, and it begins again",
    "retrain": "finished trainings are kept",
    "push": "what has arrived stays there",
}
# with --force again, what this call has finished would be made once more
WITHOUT_FORCE = {"score", "demo", "retrain"}


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What went wrong, in the words and with the exit code of its kind."""

    kind: str
    """failure, usage, bad_data, busy, unexpected or interrupted."""
    message: str
    exit_code: int
    resume: str | None = None
    """The command that goes on, after an interruption."""


def failure_of(error: BaseException, argv: Sequence[str], verb: str | None) -> Failure:
    """What to say about an error that ended `verb` in the command line `argv`."""
    if isinstance(error, FercleanError):
        return Failure(kind=error.kind, message=str(error), exit_code=error.exit_code)
    if isinstance(error, KeyboardInterrupt):
        return _interrupted(argv, verb)
    if hasattr(error, "format_message"):  # Typer's own
        return Failure(kind="usage", message=_usage(error), exit_code=UsageError.exit_code)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's, on a GPU
        less = "a smaller --input-size, --batch-size or backbone, or fewer samples (ingest --limit)"
        return Failure(kind="failure", message=f"not enough memory ({_one_line(str(error))}); try {less}", exit_code=1)
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("ferclean"):
        lacking = extras.missing(error.name, f"`ferclean {verb}`" if verb else "ferclean")
        return Failure(kind=lacking.kind, message=str(lacking), exit_code=lacking.exit_code)
    if isinstance(error, OSError) and error.filename is not None:
        mend = "see that it is there, that it may be read and written, and that the disk has room"
        said = f"cannot use {error.filename}: {error.strerror}; {mend}"
        return Failure(kind="failure", message=said, exit_code=1)
    said = _one_line(str(error))
    name = type(error).__name__
    return Failure(
        kind="unexpected",
        message=f"{name}{f': {said}' if said else ''} (run again with --debug for the traceback)",
        exit_code=1,
    )


def tell(failure: Failure, *, verb: str | None, as_json: bool, error: BaseException | None = None) -> int:
    """Say it, with the traceback of `error` when one is given; returns the exit code."""
    if error is not None:
        for part in traceback.format_exception(error):
            for line in part.splitlines():
                warn(line)
    warn(f"ferclean: {failure.message}")
    if as_json:
        told: dict[str, Any] = {"kind": failure.kind, "message": failure.message, "exit_code": failure.exit_code}
        if failure.resume is not None:
            told["resume"] = failure.resume
        print_json({"schema": JSON_SCHEMA, "verb": verb, "error": told})
    return failure.exit_code


def lost_output(error: BaseException) -> OSError | None:
    """Why stdout took no more of what was printed, if that ended the verb; None when it ended of something else.

    Files that ferclean writes name themselves in their errors: one without a name is of stdout.
    """
    if isinstance(error, SystemExit):  # what Rich and Typer make of a pipe whose reader has gone
        return BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
    if not isinstance(error, OSError) or error.filename is not None:
        return None
    if error.errno not in (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF):
        return None
    # what is left of it must not make the interpreter complain at exit
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
    return error


def _interrupted(argv: Sequence[str], verb: str | None) -> Failure:
    words = [word for word in argv if word != "--force"] if verb in WITHOUT_FORCE else list(argv)
    if any("://" in word for word in words):
        from ferclean.parts.at_hand import without_secrets

        words = [without_secrets(word) for word in words]
    resume = shlex.join(["ferclean", *words])
    kept = KEPT.get(verb or "", "nothing that was stored is lost")
    return Failure(
        kind="interrupted", message=f"stopped; {kept}; go on with: {resume}", exit_code=INTERRUPTED, resume=resume
    )


def _usage(error: Any) -> str:
    """Typer's usage errors in one line, with the nearest of what is known and where the rest is told."""
    context = error.ctx
    command = context.command_path if context is not None else "ferclean"
    where = f"(see `{command} --help`)"
    if getattr(error, "option_name", None) and hasattr(error, "possibilities"):
        return f"no option {error.option_name} of `{command}`; {among(error.option_name, _options(context))} {where}"
    parameter = getattr(error, "param", None)
    source = context.get_parameter_source(parameter.name) if context is not None and parameter is not None else None
    place = "ferclean.toml: " if getattr(source, "name", "") == "DEFAULT_MAP" else ""
    choices = getattr(getattr(parameter, "type_descriptor", None), "choices", None)
    wrong: list[Any] = getattr(error.__cause__, "errors", list)()
    if parameter is not None and choices and wrong:
        hint = parameter.opts[0] if parameter.param_type_name == "option" else parameter.name.upper()
        said = wrong[0]["input"]
        return f"{place}{hint} cannot be {said!r}; {among(str(said), choices)} {where}"
    return f"{place}{_one_line(error.format_message()).rstrip('.')} {where}"


def _options(context: Any) -> list[str]:
    own = [option for parameter in context.command.params for option in (*parameter.opts, *parameter.secondary_opts)]
    return [*(option for option in own if option.startswith("--")), *GLOBAL_OPTIONS]


def _one_line(text: str) -> str:
    return " ".join(text.split())
