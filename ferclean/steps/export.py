"""A release (or the whole workspace) out into files: picks the form and sees that it lands whole.

It never writes over anything that ferclean did not write.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from ferclean.errors import UsageError, among
from ferclean.exports import EXPORTS
from ferclean.exports.card import licence_warning
from ferclean.exports.content import BOTH, DECIDED_TEST, DEFAULT, ORIGINAL, read_content
from ferclean.exports.patch import changed_items
from ferclean.exports.table import is_ours
from ferclean.exports.target import check_target, write_file, write_folder
from ferclean.progress import Progress, silent
from ferclean.store.pictures import lost_pictures, set_aside_lost
from ferclean.store.samples import get_dataset
from ferclean.store.workspace import Workspace
from ferclean.summary import Summary


@dataclass(frozen=True, kw_only=True)
class ExportSummary(Summary):
    """What an export wrote, or would write."""

    form: str
    """Key of EXPORTS."""
    path: str
    """The folder or file."""
    release: str | None
    """The release's name; None for the whole workspace."""
    configuration: str
    """One of `content.CONFIGURATIONS`."""
    rows: int
    """Samples written; those of the test split as people decided, too, where it stands beside the published one."""
    counts: dict[str, int]
    """Split -> images of the exported split; `decided_test` of the test split as people decided, where it stands
    beside the published one."""
    by_class: dict[str, dict[str, int]] = field(repr=False)
    """The same per class."""
    files: int
    """Files written; 0 in a dry run."""
    bytes: int
    """Their total size; 0 in a dry run."""
    quarantined: dict[str, int]
    """Reason -> images of the release that were left out, since they are no longer what was ingested."""
    warnings: tuple[str, ...]
    """What the user has to know, first of all a licence that forbids publication."""
    dry_run: bool = False
    """True when nothing was written."""


def export(
    ws: Workspace,
    *,
    form: str | None = None,
    out: str | Path,
    release: str | None = None,
    configuration: str = DEFAULT,
    since: str = ORIGINAL,
    overwrite: bool = False,
    dry_run: bool = False,
    progress: Progress = silent,
) -> ExportSummary:
    """Write a release in one of the forms of EXPORTS: hf, rafdb, image_folder, coco, cleanlab, fiftyone, table, patch.

    Without a `form`, hf where the licence lets the pictures be passed on, else patch, which holds none. A patch leads
    on from the release `since` ("original": the labels as given), which no other form has a use for.
    `release` "original" stands for the labels as given; the table form also works without any. The test split stays
    as it was published, unless the `configuration` "decided_test" is asked for; "train", "validation" and "test"
    write that split alone, and "both", of the hf form, writes both configurations beside one another. With
    `overwrite` an earlier export at `out` is replaced, and files that others put there stay.
    Images that are no longer what was ingested are quarantined and left out.

    Raises UsageError for an unknown form or release, or a target that holds anything else; BadDataError when the
    form cannot hold the data.
    """
    form = form or ("hf" if get_dataset(ws).redistributable else "patch")
    if form not in EXPORTS:
        raise UsageError(f"unknown export form {form!r}; {among(form, EXPORTS)}")
    if since != ORIGINAL and form != "patch":
        raise UsageError(f"--since is what a patch leads on from: the form {form} holds a whole release; leave it out")
    if form == "patch" and configuration == DEFAULT:
        configuration = DECIDED_TEST  # what is applied is the release as it is
    if configuration == BOTH and form != "hf":
        raise UsageError(
            f"the form {form} holds one test split, and hf alone holds both: export {DEFAULT} and {DECIDED_TEST} apart"
        )
    module, target = EXPORTS[form], Path(out)
    check_target(target, single_file=module.SINGLE_FILE, overwrite=overwrite, ours=is_ours)
    content = read_content(ws, release, configuration, since=since)
    lost: dict[str, str] = {}
    if module.HOLDS_PIXELS:
        wanted = list(content.rows["sample_id"])
        if content.decided is not None:
            wanted = list(dict.fromkeys([*wanted, *content.decided.rows["sample_id"]]))
        if dry_run:
            lost = {key: error.reason for key, error in lost_pictures(ws, wanted, progress=progress).items()}
        else:
            lost = set_aside_lost(ws, wanted, progress=progress)
        content.leave_out(lost)
    both, none_left = content, []
    if content.decided is not None and content.decided.rows.empty:
        content = replace(content, decided=None)
        none_left = [f"the test split as people decided holds no image, so there is no configuration {DECIDED_TEST}"]
    warnings = [*none_left, *module.check(content, target)]
    forbidden = licence_warning(content)
    if module.HOLDS_PIXELS and forbidden:
        warnings = [f"{target} {forbidden}", *warnings]
    by_class = content.counts()
    if both.decided is not None:
        by_class[DECIDED_TEST] = both.decided.counts().get("test", {})
    written_rows = changed_items(content) if form == "patch" else content.table if module.SINGLE_FILE else content.rows
    files = size = 0
    if not dry_run:

        def fill(path: Path) -> None:
            module.write(content, path, progress=progress)

        dataset = content.dataset
        about = {"dataset": dataset.name, "release": release, "redistributable": dataset.redistributable}
        written = write_file(target, fill) if module.SINGLE_FILE else write_folder(target, fill, form=form, about=about)
        files, size = written.files, written.bytes
    return ExportSummary(
        form=form,
        path=str(target),
        release=release,
        configuration=configuration,
        rows=len(written_rows) + (0 if content.decided is None else len(content.decided.rows)),
        counts={split: sum(of_class.values()) for split, of_class in by_class.items()},
        by_class=by_class,
        files=files,
        bytes=size,
        quarantined=dict(Counter(lost.values())),
        warnings=tuple(warnings),
        dry_run=dry_run,
    )
