"""What ingest asks of a set as a whole, once its rows are read: usable images, and pictures that stay in sight.

It reads no row and stores nothing.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ferclean.errors import BadDataError
from ferclean.evidence.labels import EXPRESSIONS, ClassName
from ferclean.store.samples import Sample, get_samples
from ferclean.store.workspace import Workspace


def missing_pictures(found: list[Sample], root: Path, has_option: bool) -> list[str]:
    """Where pictures were looked for that are not there; empty when all are."""
    gone = [sample for sample in found if "file: missing" in (sample.quarantine_reason or "") and sample.relative_path]
    if not gone:
        return []
    way = "; say with --images DIR where the pictures lie" if has_option else ""
    first = _short(str(root / str(gone[0].relative_path)))
    return [f"{len(gone):,} pictures are not where they should be, first {first}{way}"]


def _short(text: str) -> str:
    """At most 300 characters: a column of pictures that was taken for one of names or labels fills no screen."""
    return text if len(text) <= 300 else f"{text[:200]} ... ({len(text):,} characters)"


def check_usable(found: list[Sample], good: list[Sample], path: Path, missing: list[str]) -> None:
    """Raise BadDataError, with the commonest reasons and what is `missing`, where no row is `good`."""
    if good:
        return
    if not found:
        raise BadDataError(f"{path} holds no samples")
    reasons = Counter(str(sample.quarantine_reason) for sample in found)
    shown = "; ".join(f"{_short(reason)} ({count:,})" for reason, count in reasons.most_common(3))
    hint = "; give --classes with the names in the order of the codes" if "label: unknown" in shown else ""
    where = "".join(f"; {sentence}" for sentence in missing)
    raise BadDataError(f"{path} holds no usable image among {len(found):,} rows: {shown}{hint}{where}")


def refuse_second_folder(ws: Workspace, old: Path, new: Path, keys: set[str], source: str | None) -> None:
    """A workspace has one folder of pictures: a second list must not take the first list's pictures out of sight.

    Where some rows are known, the set has moved: then only rows of other files than this `source` are at stake.
    """
    if old == new:
        return
    table = get_samples(ws, include_quarantined=True)
    here = table["source_key"].isin(keys)
    at_stake = table["source"].notna() & (table["source"] != source) & (source is not None) if here.any() else ~here
    others = [Path(path) for path in table["path"][at_stake & ~here].dropna()]
    below = [path.relative_to(old) for path in others if path.is_relative_to(old) and path.exists()]
    lost = [path for path in below if not (new / path).exists()]
    if lost:
        raise BadDataError(
            f"the pictures of {len(lost):,} samples that are here already lie below {old}, and these below {new}: a "
            "workspace has one folder of pictures; put both below one folder, with lists that name them from there "
            "(--images FOLDER)"
        )


def found_classes(found: list[Sample]) -> tuple[ClassName, ...]:
    """The classes that the rows name; one whose pictures are all broken is a class all the same."""
    names = {sample.given_label for sample in found if sample.given_label}
    return tuple(ClassName(name) for name in EXPRESSIONS if name in names)
