"""Which command computes a run again, with its own settings, and which runs need it since files of theirs were deleted.

It computes nothing, and names no command that would make another run than the one that is missed.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from ferclean.store.runs import Run


def commands(wanted: Iterable[Run]) -> dict[str, list[Run]]:
    """What computes these runs again, after `ferclean`, and which of them; recognizers trained here by one command.

    Settings that the command line can say are said, so that neither today's defaults nor a ferclean.toml change them;
    where it cannot say all of them, the run is named and its stored ones are taken.
    """
    trained: list[Run] = []
    found: dict[str, list[Run]] = {}
    for run in wanted:
        if run.kind == "score" and "method_config" in run.config:
            trained.append(run)
        else:
            found.setdefault(_command(run), []).append(run)
    return found | ({_trained(trained): trained} if trained else {})


def in_words(wanted: Sequence[Run]) -> str:
    """`commands`, each as it is written in a sentence."""
    return " and ".join(f"`ferclean {command}`" for command in commands(wanted))


def deleted_in_words(known: Sequence[Run]) -> list[str]:
    """What was deleted, a line per command that computes it again.

    What was computed anew since, also for other labels, is not missed.
    """
    last = {(run.kind, run.method, run.seed): place for place, run in enumerate(known) if run.state == "done"}
    missed = [
        run
        for place, run in enumerate(known)
        if run.lacking and last.get((run.kind, run.method, run.seed), -1) <= place
    ]
    return [
        f"{_files(own)} were deleted from runs/; `ferclean {command}` computes them again"
        for command, own in commands(missed).items()
    ]


def _files(gone: Sequence[Run]) -> str:
    names = ", ".join(run.run_id for run in gone)
    if any(run.state == "deleted" for run in gone):
        return f"the files of {names}"
    return f"files of {names} ({', '.join(dict.fromkeys(file for run in gone for file in run.lacking))})"


def _trained(members: Sequence[Run]) -> str:
    # of starting weights the run knows what they were, not where they lie
    weights = " --weights FILE" if any(run.config.get("weights") for run in members) else ""
    return f"score --again {','.join(run.run_id for run in members)}{weights}"


def _command(run: Run) -> str:
    if run.kind != "score":
        return {"pairs": "doctor", "triage": "triage --again"}.get(run.kind, run.kind)
    if "judge" in run.config:
        if not run.metrics.get("accepted"):
            return f"judge test {_word(run.method)}"  # which lets triage not hear it, as before
        contaminated = run.metrics.get("independence", {}).get("verdict") == "contaminated"
        return f"judge run {_word(run.method)}{' --insist' if contaminated else ''}"
    splits = f" --splits {_words(run.config['splits'])}" if "splits" in run.config else ""
    if "probe" in run.config:
        encoder = run.metrics.get("encoder", run.method.removeprefix("probe:"))
        return f"probe {_word(encoder)} --folds {run.config['folds']} --seed {run.seed}{splits}"
    if "file" not in run.config:
        return "score"
    file = run.config["file"]
    options = [
        f" --id-column {_word(file['id_column'])}" if file.get("id_column") else "",
        f" --classes {_words(file['classes'])}" if file.get("classes") else "",
        " --out-of-sample" if file.get("out_of_sample") else "",
        " --allow-missing" if run.config.get("samples", "all") != "all" else "",
    ]
    return (
        f"import-scores {_word(run.metrics.get('file', 'FILE'))} --name {_word(run.method)}{''.join(options)}{splits}"
    )


def _word(value: object) -> str:
    """A name as a shell takes it."""
    return shlex.quote(str(value))


def _words(values: Iterable[object]) -> str:
    return shlex.quote(",".join(map(str, values)))
