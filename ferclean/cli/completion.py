"""What the shell offers after TAB: verbs, options, and the names that are known here or in the workspace.

It imports nothing heavy, writes nothing, and never disturbs a command line that is being typed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ferclean.bundled_files import known_cards
from ferclean.cli.plumbing import workspace_of

if TYPE_CHECKING:
    from ferclean.store.names import Names

VARIABLE = "_FERCLEAN_COMPLETE"
FORMS = ("hf", "rafdb", "image_folder", "coco", "cleanlab", "fiftyone", "table", "patch")
ACTIONS = ("keep", "relabel", "ambiguous", "exclude", "skip")


def wanted() -> bool:
    """Whether a shell asks, and no person."""
    return bool(os.environ.get(VARIABLE))


def answer(app: typer.Typer) -> int:
    """Print what fits. The global options, which `run` takes out of a real command line, stand beside each verb's."""
    group: Any = typer.main.get_command(app)
    for command in (group, *group.commands.values()):
        command.params = [*command.params, *_global_options()]
    try:
        group(args=[], prog_name="ferclean", standalone_mode=False)
    except Exception:  # a traceback in the middle of a line that is being typed helps nobody; TAB just offers nothing
        return 1
    return 0


def _global_options() -> list[Any]:
    app = typer.Typer(add_completion=False)

    @app.command()
    def every_verb(
        workspace: Annotated[Path | None, typer.Option("--workspace", "-w", help="The workspace's folder.")] = None,
        json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
        quiet: Annotated[bool, typer.Option("--quiet", help="Nothing for people.")] = False,
        debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    ) -> None: ...

    command: Any = typer.main.get_command(app)
    return [parameter for parameter in command.params if parameter.name != "help"]


def profiles() -> list[str]:
    """For --profile."""
    from ferclean.recognition.profiles import PROFILES

    return list(PROFILES)


def method() -> list[str]:
    """For one recognizer."""
    from ferclean.recognition.methods.catalogue import METHODS

    return list(METHODS)


def methods(incomplete: str) -> list[str]:
    """For recognizers, separated by commas."""
    return _after_commas(incomplete, method())


def devices() -> list[str]:
    """For --device."""
    return ["auto", "cpu", "cuda"]


def forms() -> tuple[str, ...]:
    """For export --form."""
    return FORMS


def actions() -> tuple[str, ...]:
    """For decide."""
    return ACTIONS


def cards() -> list[str]:
    """For ingest."""
    return ["auto", *known_cards()]


def releases(context: typer.Context) -> tuple[str, ...]:
    """For every name of a release."""
    return _names(context).releases


def releases_and_original(context: typer.Context) -> tuple[str, ...]:
    """For diff."""
    return ("original", *_names(context).releases)


def classes(context: typer.Context) -> tuple[str, ...]:
    """For decide --label."""
    return _names(context).classes


def split(context: typer.Context) -> tuple[str, ...]:
    """For one split."""
    return _names(context).splits


def splits(context: typer.Context, incomplete: str) -> list[str]:
    """For splits, separated by commas."""
    return _after_commas(incomplete, _names(context).splits)


def kept_splits(context: typer.Context) -> list[str]:
    """For release --splits."""
    return sorted(path.parent.name for path in (_workspace(context) / "splits").glob("*/splits.json"))


def encoders(context: typer.Context) -> list[str]:
    """For probe."""
    return sorted(path.stem for path in (_workspace(context) / "encoders").glob("*.safetensors"))


def judges() -> list[str]:
    """For judge."""
    from ferclean.recognition.judges import shelf

    return shelf.names()


def _names(context: typer.Context) -> Names:
    from ferclean.store.names import names_in

    return names_in(_workspace(context))


def _workspace(context: typer.Context) -> Path:
    parent = context.parent
    given = context.params.get("workspace") or (parent.params.get("workspace") if parent is not None else None)
    return workspace_of(given)[0]


def _after_commas(incomplete: str, known: Iterable[str]) -> list[str]:
    before, comma, _ = incomplete.rpartition(",")
    taken = before.split(",")
    return [f"{before}{comma}{name}" for name in known if name not in taken]
