"""What every verb shares: the global options, the progress bar, output as text or JSON, errors as one line.

Whatever it prints passes `printable`: names of files, people and classes are shown, never obeyed. It knows no verb.
"""

from __future__ import annotations

import contextlib
import math
import os
import shlex
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferclean.errors import FercleanError, UsageError
from ferclean.printable import json_line, printable

if TYPE_CHECKING:
    import typer

    from ferclean.progress import Progress
    from ferclean.store.workspace import Workspace

JSON_SCHEMA = 1
WITH_VALUE = {"--workspace", "-w"}
SWITCHES = {"--json", "--quiet", "--debug"}
GLOBAL_OPTIONS = ("--workspace", "--json", "--quiet", "--debug")
MAY_BE_EMPTY = {"--note"}


def add_verbs(app: typer.Typer, examples: Mapping[Callable[..., None], str]) -> None:
    """Hang verbs on the command line, each with the example that ends its help."""
    for verb, example in examples.items():
        app.command(epilog=f"Example: {example}")(verb)


@dataclass
class Session:
    """What the global options say, for one run of the command line."""

    workspace: Path
    workspace_origin: str
    as_json: bool = False
    quiet: bool = False
    debug: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    emitted: bool = False
    """Whether the verb's JSON object is out; a second one would be one too many."""

    def open(self) -> Workspace:
        """The workspace, which must exist."""
        from ferclean.store.workspace import Workspace

        return Workspace.open(_folder(self.workspace))

    def create(self) -> Workspace:
        """The workspace, made when it is not there yet."""
        from ferclean.store.workspace import Workspace

        return Workspace.create(_folder(self.workspace))

    def say(self, text: str = "", *, style: str | None = None) -> None:
        """A line for people on stdout; silent under --json and --quiet."""
        if not self.as_json and not self.quiet:
            from rich.text import Text

            _console().print(Text(printable(text), style=style or ""), soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str | None = None) -> None:
        """A table for people on stdout; numbers to the right. One without rows is not printed.

        One that is wider than the place for it, by its columns, is turned: a column becomes a line. Else what is long
        is folded, so that it leaves the others their place; nothing is cut off.
        """
        if self.as_json or self.quiet or not rows:
            return
        from rich.table import Table
        from rich.text import Text

        console = _console()
        if len(columns) > len(rows) + 1 and _width(_widths(columns, rows)) > console.width:
            rows = list(zip(columns, *rows, strict=True))
            columns, rows = [str(name) for name in rows[0]], rows[1:]
        widths = _widths(columns, rows)
        if not console.is_terminal:
            console.width = max(console.width, _width(widths))
        most = _most(widths, console.width)
        heading = None if title is None else Text(printable(title))
        table = Table(title=heading, title_justify="left", box=None, pad_edge=False, header_style="bold")
        numeric = [all(isinstance(row[i], int | float) for row in rows) for i in range(len(columns))]
        for name, width, is_number in zip(columns, widths, numeric, strict=True):
            table.add_column(
                Text(printable(name)), justify="right" if is_number else "left", overflow="fold", max_width=most,
                no_wrap=width <= most,
            )  # fmt: skip
        for row in rows:
            table.add_row(*(Text(printable(_cell(value))) for value in row))
        console.print(table)

    def note(self, text: str) -> None:
        """A remark on stderr, so that piped output stays data; silent under --json and --quiet."""
        if not self.as_json and not self.quiet:
            warn(f"note: {text}")

    def set_aside(self, reasons: Mapping[str, int]) -> None:
        """Reason -> images that a verb found to be no longer what was ingested, on stderr, with the way back."""
        for reason, count in reasons.items():
            if not self.quiet:
                warn(f"set aside {count:,}: {reason}")
        if reasons and not self.quiet:
            warn("`ferclean ingest` again takes changed images in as new samples, and back those that are as they were")

    def next(self, command: str) -> None:
        """What to run next, on stderr, so that piped output stays data."""
        if not self.as_json and not self.quiet:
            place = "" if self.workspace_origin in ("default", "environment") else f"-w {quoted(self.workspace)} "
            warn(f"next: ferclean {place}{command}")

    def emit(self, verb: str, result: Mapping[str, Any] | Sequence[Any]) -> None:
        """The result as JSON on stdout when --json is given: one object (a list where a verb lists)."""
        if not self.as_json:
            return
        whole: Any = {"schema": JSON_SCHEMA, "verb": verb, **result} if isinstance(result, Mapping) else result
        self.emitted = True
        print_json(whole)

    def tell(self, line: str) -> None:
        """One line on stderr about a finished piece of long work, where no bar can show it: stderr is no terminal."""
        if not self.quiet and not sys.stderr.isatty():
            warn(line)

    @contextlib.contextmanager
    def progress(self) -> Iterator[Progress]:
        """A progress bar on stderr; none when stderr is no terminal or under --quiet."""
        from ferclean.progress import silent

        if self.quiet or not sys.stderr.isatty():
            yield silent
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
            tasks: dict[str, Any] = {}

            def report(description: str, done: int, total: int) -> None:
                if description not in tasks:
                    for other in tasks.values():
                        bar.update(other, visible=False)
                    tasks[description] = bar.add_task(printable(description), total=total)
                bar.update(tasks[description], completed=done, total=total, visible=True)

            yield report


def warn(text: str) -> None:
    """A line for people on stderr."""
    print(printable(text), file=sys.stderr, flush=True)


def quoted(word: object) -> str:
    """A name or path as a shell takes it, for commands that people copy."""
    return shlex.quote(str(word))


def split_global_options(argv: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Take the global options out of a command line, wherever they stand before a `--`.

    A value that is not there is None.

    >>> split_global_options(["status", "-w", "W", "--json"])
    ({'workspace': 'W', 'json': True}, ['status'])
    """
    found: dict[str, Any] = {}
    rest: list[str] = []
    words = list(argv)
    while words:
        word = words.pop(0)
        name, has_value, value = word.partition("=")
        if word == "--":
            rest += [word, *words]
            break
        elif word in WITH_VALUE:
            # None: `make_session` reports the missing folder, and a switch in its place is still a switch
            found["workspace"] = words.pop(0) if words and not words[0].startswith("-") else None
        elif has_value and name in WITH_VALUE:
            found["workspace"] = value
        elif word.startswith("-w") and name != "-w":
            found["workspace"] = word.removeprefix("-w")
        elif word in SWITCHES:
            found[word.removeprefix("--")] = True
        else:
            rest.append(word)
    return found, rest


def check_words(argv: Sequence[str]) -> None:
    """Raise UsageError for words that are no text, and for empty values: "" would mean the current folder, or nothing.

    >>> check_words(["decide", "a", "keep", "--note", ""])
    """
    before = ""
    for word in argv:
        if not _is_text(word):
            raise UsageError(
                f"{word!a} is not UTF-8, in which names are stored: rename the file, or set the terminal to UTF-8"
            )
        name, has_value, value = word.partition("=")
        if word == "" and before not in MAY_BE_EMPTY:
            raise UsageError(f"an empty value{f' after {before}' if before else ''}: give a name, a path or a number")
        if name.startswith("--") and has_value and value == "" and name not in MAY_BE_EMPTY:
            raise UsageError(f"an empty value after {name}=: give a name, a path or a number")
        if has_value and name in SWITCHES:
            raise UsageError(f"{name} takes no value: leave the {word.removeprefix(name)} away")
        before = word


def make_session(options: Mapping[str, Any]) -> Session:
    """The session for these global options."""
    if options.get("workspace", "") is None:
        raise UsageError("-w/--workspace needs a folder (./-NAME for one that starts with a dash)")
    root, origin = workspace_of(options.get("workspace"))
    return Session(
        workspace=root,
        workspace_origin=origin,
        as_json=bool(options.get("json")),
        quiet=bool(options.get("quiet")),
        debug=bool(options.get("debug")),
        settings=read_settings(root / "ferclean.toml"),
    )


def workspace_of(flag: str | Path | None) -> tuple[Path, str]:
    """The workspace's folder and what named it: the flag, before the environment, before the default `./workspace`."""
    variable = os.environ.get("FERCLEAN_WORKSPACE")
    folder, origin = (flag, "flag") if flag else (variable, "environment") if variable else ("workspace", "default")
    try:
        return Path(folder).expanduser(), origin
    except RuntimeError as error:  # ~somebody
        raise UsageError(f"the workspace {str(folder)!r} cannot be found: {error}") from None


def read_settings(file: Path) -> dict[str, Any]:
    """The workspace's own defaults: `[score]`, `[retrain]` ... tables with option names as keys; {} when absent."""
    try:
        if not file.exists():
            return {}
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise FercleanError(f"cannot read {file}: {error.strerror or error}; mend or move it") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FercleanError(f"{file} is not valid TOML ({error}); mend or delete it") from error


def print_json(value: Any) -> None:
    """One JSON object on stdout, readable in whatever encoding stdout has and whatever a file name is made of."""
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") in ("utf8", "utf8sig")
    print(json_line(_plain(value), ascii_only=not utf8))


def _is_text(word: str) -> bool:
    """False where bytes that are no UTF-8 were smuggled in (surrogates)."""
    return not any("\ud800" <= letter <= "\udfff" for letter in word)


def _folder(root: Path) -> Path:
    """The workspace's folder, which may still be missing; refuses anything else in its place."""
    try:
        wrong = root.resolve().exists() and not root.is_dir()
    except (OSError, RuntimeError) as error:  # RuntimeError: links that lead in a circle
        said = getattr(error, "strerror", None) or error
        raise FercleanError(f"cannot look into the workspace {root}: {said}; name another with --workspace") from error
    if wrong:
        raise UsageError(f"the workspace {root} is a file, not a folder: name a folder with --workspace")
    return root


def _console() -> Any:
    from rich.console import Console

    # outside a terminal a table must not be squeezed into 80 columns
    return Console() if sys.stdout.isatty() else Console(width=200)


_GAP = 2
"""Cells between two columns."""


def _widths(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[int]:
    """Cells of a terminal that each column needs to be shown whole, in lines that are not folded."""
    from rich.cells import cell_len

    shown = [[printable(_cell(value)) for value in line] for line in (columns, *rows)]
    return [max(map(cell_len, column)) for column in zip(*shown, strict=True)]


def _width(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _most(widths: Sequence[int], room: int) -> int:
    """The widest that a column may be, so that all have room and the short ones are whole.

    >>> _most([5, 300, 8], 80), _most([5, 20, 8], 80), _most([300, 200], 80)
    (63, 20, 39)
    """
    left = room - _GAP * (len(widths) - 1)
    for place, width in enumerate(sorted(widths)):
        if width * (len(widths) - place) > left:
            return max(left // (len(widths) - place), 1)
        left -= width
    return max(widths)


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3f}" if math.isfinite(value) else "–"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _plain(value: Any) -> Any:
    """JSON's own types: numpy scalars and paths become plain, NaN becomes null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)
