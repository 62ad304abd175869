"""Several patches on one set become one, whatever their order; where they contradict each other, nothing is written.

It never looks at a picture or a workspace.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ferclean.errors import UsageError
from ferclean.exports.patch import write_patch
from ferclean.exports.target import check_target, write_folder
from ferclean.parts.patch_file import Line, read_patch
from ferclean.parts.patch_merging import merged, preferred
from ferclean.summary import Summary


@dataclass(frozen=True, kw_only=True)
class MergeSummary(Summary):
    """What a merge wrote."""

    path: str
    """The folder with the merged patch."""
    patches: int
    lines: int
    """Samples that the merged patch is about."""
    shared: int
    """Samples about which more than one of the patches had a line."""
    sources: list[dict[str, Any]]
    """The releases that it comes from."""


def merge(
    patches: Sequence[str | Path], out: str | Path, *, prefer: str | Path | None = None, overwrite: bool = False
) -> MergeSummary:
    """Write the patch that says what all of `patches` say, to be applied or pushed as any other.

    The same in any order and grouping, and with one that comes twice. Samples are known by their bytes and source key,
    and where patches contradict each other, by bytes or pixels alone (`patch_merging.merged`); of copies that were
    recompressed they are better applied together (`ferclean apply A B`), where pictures can be compared.

    Raises UsageError for fewer than two patches, or those of different sets or of different beginnings; FercleanError,
    naming the samples, where they contradict each other and `prefer` (one of them, or "people") does not settle it.
    """
    if len(patches) < 2:
        raise UsageError("give two patches at least: one alone is merged already")
    target = Path(out)
    check_target(target, single_file=False, overwrite=overwrite, ours=lambda path: False)
    read = [read_patch(path) for path in patches]
    header, lines = merged(read, preferred(read, prefer))

    def fill(folder: Path) -> None:
        write_patch(folder, header, map(_told, lines))

    release = "+".join(str(one["release"]) for one in header["sources"])
    write_folder(target, fill, form="patch", about={"dataset": header["dataset"], "release": release})
    told = Counter(line.sample() for patch in read for line in patch.lines)
    return MergeSummary(
        path=str(target), patches=len(read), lines=len(lines), shared=sum(count > 1 for count in told.values()),
        sources=header["sources"],
    )  # fmt: skip


def _told(line: Line) -> dict[str, Any]:
    """A line as its file has it: without what was noted in reading."""
    return {name: value for name, value in asdict(line).items() if name not in ("number", "plain")}
