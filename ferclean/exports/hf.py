"""The Hugging Face form: a folder that `datasets.load_dataset(PATH)` opens without a network.

It never pushes anything, never re-encodes an image, and leaves no cache behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferclean import extras
from ferclean.exports import croissant
from ferclean.exports.card import write_card
from ferclean.exports.cells import safe_file_name
from ferclean.exports.content import DECIDED_TEST, DEFAULT, Content, needs_release, records, split_order
from ferclean.exports.croissant import write_croissant
from ferclean.exports.provenance import provenance
from ferclean.exports.soft_targets import target
from ferclean.progress import Progress

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SINGLE_FILE = False
HOLDS_PIXELS = True

_HUB_LICENCES = {
    "apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "odc-by", "unknown",
}  # fmt: skip
_BATCH = 256  # rows whose image bytes are in memory at once; also a row group of the file
SHARD_BYTES = 500_000_000
"""A file ends where its rows reach this; it is what the hub and `datasets` ask for."""


def check(content: Content, out: Path) -> list[str]:
    """No content is beyond this form; it only needs a release. Warns of verdicts that were deleted."""
    extras.require("hf", "the hf form")
    needs_release(content, "hf")
    return content.empty_columns(["verdict"])


COLUMNS = {
    "image": "the source's file, byte for byte",
    "label": "the released label; class names in the card's order",
    "given_label": "the source's label, in the same order",
    "sample_id": "digest of data set, key and content",
    "source_key": "the source's own name of the row",
    "changed": "true where `label` differs from `given_label`",
    "verdict": "what the recognizers thought when this folder was written, where they ran",
    "decision": "what people said of the row when this folder was written: keep, relabel, ambiguous or exclude; null "
    "where nobody decided",
    "soft_label": "the training target, a probability per class in the order above",
    "weight": "what `label` counts for where one trains on it: 1, or less where it was in doubt",
}
"""Column -> what it means, for the card and the Croissant file."""


def features(classes: tuple[str, ...]) -> Any:
    """The columns as `datasets.Features`; both labels are ClassLabel with names in the card's order."""
    from datasets import ClassLabel, Features, Image, List, Value

    return Features(
        {
            "image": Image(),
            "label": ClassLabel(names=list(classes)),
            "given_label": ClassLabel(names=list(classes)),
            "sample_id": Value("string"),
            "source_key": Value("string"),
            "changed": Value("bool"),
            "verdict": Value("string"),
            "decision": Value("string"),
            "soft_label": List(Value("float32")),
            "weight": Value("float32"),
        }
    )


def write(content: Content, target: Path, *, progress: Progress) -> None:
    """Write data/<split>-<number>-of-<files>.parquet, each of about SHARD_BYTES, image bytes inside, README.md and
    croissant.json; of both configurations the second's own test split as decided_test/test-...parquet: the other splits
    are the same files."""
    import pyarrow as pa

    columns = features(content.dataset.classes)
    # the Arrow schema carries the feature types, so that ClassLabel names survive in the file itself
    schema = columns.arrow_schema
    index = {name: number for number, name in enumerate(content.dataset.classes)}
    rows, decided = content.rows, None if content.decided is None else content.decided.rows
    total = len(rows) + (0 if decided is None else len(decided))
    (target / "data").mkdir()
    done = 0

    def parts(of_split: pd.DataFrame) -> Iterator[pa.Table]:
        nonlocal done
        left = records(of_split)
        while batch := [_row(content, row, index) for row in islice(left, _BATCH)]:
            yield pa.Table.from_pylist(batch, schema=schema)
            done += len(batch)
            progress("writing the dataset", done, total)

    def written(folder: str, split: str, of_split: pd.DataFrame) -> dict[str, Any]:
        size = _write_shards(target / folder, split, parts(of_split), schema)
        return {"name": split, "folder": folder, "num_bytes": size, "num_examples": len(of_split)}

    names = sorted(rows["split"].unique(), key=split_order)
    configurations = {DEFAULT: [written("data", split, rows[rows["split"] == split]) for split in names]}
    if decided is not None:
        (target / DECIDED_TEST).mkdir()
        others = [split for split in configurations[DEFAULT] if split["name"] != "test"]
        configurations[DECIDED_TEST] = [*others, written(DECIDED_TEST, "test", decided)]
    origin = provenance(content)
    head = _front_matter(content, columns, configurations)
    write_card(content, target / "README.md", form="hf", front_matter=head, columns=COLUMNS, origin=origin)
    write_croissant(content, target / croissant.FILE, columns, COLUMNS, origin)


def _write_shards(folder: Path, split: str, parts: Iterator[pa.Table], schema: pa.Schema) -> int:
    """Write the parts one after another into as many files as it takes; returns their bytes in memory."""
    import pyarrow.parquet as pq

    files: list[Path] = []
    size, part = 0, next(parts, None)
    while part is not None:
        files.append(folder / f"{split}-{len(files):05d}.parquet")
        held = 0
        with pq.ParquetWriter(files[-1], schema) as writer:
            while part is not None and held < SHARD_BYTES:
                writer.write_table(part)
                held += part.nbytes
                part = next(parts, None)
        size += held
    for number, file in enumerate(files):  # how many there are is known now
        file.rename(folder / f"{split}-{number:05d}-of-{len(files):05d}.parquet")
    return size


def _row(content: Content, row: dict[str, Any], index: dict[str, int]) -> dict[str, Any]:
    data = content.image(row)
    name = safe_file_name(row["source_key"], sample_id=row["sample_id"], data=data)
    return {
        "image": {"bytes": data, "path": name},
        "label": index[row["release_label"]],
        "given_label": index.get(row["given_label"]),
        "sample_id": row["sample_id"],
        "source_key": row["source_key"],
        "changed": row["release_label"] != row["given_label"],
        "verdict": row["verdict"],
        "decision": row["decision"],
        "soft_label": target(row, list(index)),
        "weight": row["release_weight"],
    }


def _front_matter(content: Content, columns: Any, configurations: dict[str, list[dict[str, Any]]]) -> str:
    """YAML that says where each configuration's splits lie and which features they have, as `load_dataset` reads it."""
    from datasets import DatasetInfo
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    files = {
        name: [{"split": one["name"], "path": f"{one['folder']}/{one['name']}-*.parquet"} for one in splits]
        for name, splits in configurations.items()
    }
    about = {
        name: DatasetInfo(
            features=columns, splits=[{key: one[key] for key in one if key != "folder"} for one in splits]
        )
        for name, splits in configurations.items()
    }
    named = content.dataset.licence
    # the hub knows a fixed list of licences; a card's own words go into license_name
    data = DatasetCardData(
        license=named if named in _HUB_LICENCES else "other",
        license_name=None if named in _HUB_LICENCES else named,
        pretty_name=f"{content.dataset.card.get('title') or content.dataset.name}, release {content.name}",
        task_categories=["image-classification"],
        tags=["facial-expression-recognition", "ferclean"],
        configs=[{"config_name": name, "data_files": found} for name, found in files.items()],
    )
    DatasetInfosDict(about).to_dataset_card_data(data)
    return str(data.to_yaml())
