"""`ferclean config`: every setting of every verb, its value here, and which source gave it.

Precedence: flag, then FERCLEAN_* variable, then the workspace's ferclean.toml, then the default.
"""

from __future__ import annotations

import os
from typing import Any

from ferclean.cli.plumbing import Session
from ferclean.errors import UsageError, among


def check_settings(session: Session, root: Any) -> dict[str, dict[str, Any]]:
    """Each verb's defaults from ferclean.toml, as its options take them: a list becomes a,b.

    Raises UsageError for a table or key that is no verb or no option of it, and for a truth where a number or a name
    is asked for: a typo must not pass.
    """
    defaults: dict[str, dict[str, Any]] = {}
    for verb, options in session.settings.items():
        if not isinstance(options, dict):
            raise UsageError(f"ferclean.toml: {verb} stands outside of a verb's table, such as [score]; move it there")
        if verb not in root.commands:
            raise UsageError(f"ferclean.toml has [{verb}], which is no verb; {among(verb, sorted(root.commands))}")
        known = {p.name: p for p in root.commands[verb].params if p.param_type_name == "option"}
        if unknown := sorted(set(options) - set(known)):
            raise UsageError(f"ferclean.toml: [{verb}] has no {', '.join(unknown)}; {among(unknown, sorted(known))}")
        for name, value in options.items():
            if isinstance(value, bool) and not known[name].is_flag:
                raise UsageError(f"ferclean.toml: [{verb}] {name} is no yes or no: {value} means nothing there")
        defaults[verb] = {
            name: ",".join(map(str, value)) if isinstance(value, list) else value for name, value in options.items()
        }
    return defaults


def effective_settings(root: Any, session: Session) -> list[dict[str, Any]]:
    """One row per setting: name (`verb.option`), value, origin ('flag', 'environment', 'ferclean.toml', 'default').

    `root` is the command line's own command group, so a new option needs no second list.
    """
    rows: list[dict[str, Any]] = [
        {"name": "workspace", "value": str(session.workspace), "origin": session.workspace_origin}
    ]
    for verb, command in sorted(root.commands.items()):
        configured = session.settings.get(verb, {})
        for parameter in command.params:
            if parameter.param_type_name != "option" or parameter.name == "help":
                continue
            rows.append({"name": f"{verb}.{parameter.name}", **_value(parameter, configured)})
    return rows


def _value(parameter: Any, configured: dict[str, Any]) -> dict[str, Any]:
    for variable in [parameter.envvar] if isinstance(parameter.envvar, str) else parameter.envvar or []:
        if os.environ.get(variable):
            return {"value": os.environ[variable], "origin": f"environment {variable}"}
    if parameter.name in configured:
        return {"value": configured[parameter.name], "origin": "ferclean.toml"}
    return {"value": parameter.default, "origin": "default"}
