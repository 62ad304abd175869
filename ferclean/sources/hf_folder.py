"""Open a local Hugging Face folder with `datasets`, once all that its loader would read lies in it.

It asks no network, unpacks nothing, and leaves no cache behind.
"""

from __future__ import annotations

import glob
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from ferclean import extras
from ferclean.errors import BadDataError, UsageError, among
from ferclean.sources.file_names import IMAGE_SUFFIXES
from ferclean.sources.tabular import PARQUET

_PACKED = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".lz4", ".7z", ".rar")
_CARD, _CARD_ALONE = "README.md", ".huggingface.yaml"
"""Where the loader looks for configurations; what the second says goes before the first."""


def opened_folder(root: Path, cache: Path, configuration: str | None = None) -> tuple[Path, Mapping[str, Any]]:
    """(the folder as the loader was given it, split name -> datasets.Dataset), whatever of its local forms it has.

    Raises UsageError for what is no folder and no Parquet file, and for a configuration that it lacks; BadDataError
    for a folder that names files outside of it, holds packed ones, or cannot be opened.
    """
    place, one = root, root.is_file() and root.suffix.lower() in PARQUET
    if not root.is_dir() and not one:
        raise UsageError(
            f"{root} is not a folder and no Parquet file; a Hugging Face data set is read from there, or from hf://OWNER/NAME"
        )
    extras.require("hf", "a Hugging Face data set")
    import datasets
    from datasets import Dataset, DatasetDict

    _refuse_addresses(root)
    configuration = _chosen(root, configuration)
    bars = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        if one:
            file = glob.escape(str(root))
            return root, {
                "": datasets.load_dataset("parquet", data_files=file, split="train", cache_dir=str(cache / "cache"))
            }
        if (root / "dataset_dict.json").is_file() or (root / "state.json").is_file():
            _refuse_outside(root, _saved(root))
            opened: Dataset | DatasetDict = datasets.load_from_disk(str(root))
        else:
            # resolved: the loader takes the data set's name from the path, and "." has none
            place = root.resolve()
            if re.search(r"[^\w/.,@+~ -]", str(place)):
                place = _linked(place, cache / "set")
            # the cache lives and dies with this call: nothing of a face set stays in a home folder
            builder = datasets.load_dataset_builder(str(place), configuration, cache_dir=str(cache / "cache"))
            found = [str(file) for files in (builder.config.data_files or {}).values() for file in files]
            if ".imagefolder." in type(builder).__module__:  # each row says so itself of its picture
                _refuse_outside(root, [file for file in found if not file.lower().endswith(IMAGE_SUFFIXES)])
            else:
                _refuse_outside(root, found)
            if ".webdataset." not in type(builder).__module__:  # which reads its tar files as they come
                _refuse_packed(root, found)
            builder.download_and_prepare()
            opened = builder.as_dataset()
    except (ValueError, TypeError, OSError, KeyError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        why = f"{error}: {error.__cause__}" if error.__cause__ else str(error)
        if "corresponds to no data" in why:
            why += " A folder of that split has no rows: give it a metadata.csv with labels, or ingest the others alone"
        raise BadDataError(f"{root} cannot be opened as a Hugging Face data set: {why}") from error
    finally:
        if bars:
            datasets.enable_progress_bars()
    return place, opened if isinstance(opened, DatasetDict) else {str(opened.split or ""): opened}


def configurations(root: Path) -> tuple[list[str], str | None]:
    """(names of the configurations that a folder declares, the one that is read where none is asked for)."""
    configs = _declared(root)
    names = [str(one.get("config_name", "default")) for one in configs]
    usual = [name for name, one in zip(names, configs, strict=True) if one.get("default") or name == "default"]
    return names, usual[0] if usual else names[0] if len(names) == 1 else None


def _chosen(root: Path, configuration: str | None) -> str | None:
    names, usual = configurations(root)
    if configuration is not None and configuration not in names:
        raise UsageError(f"{root} declares no configuration {configuration!r}; {among(configuration, names)}")
    if names and configuration is None and usual is None:
        raise BadDataError(f"{root} has the configurations {', '.join(names)}: say with --configuration which is meant")
    return configuration


def _declared(root: Path) -> list[Mapping[str, Any]]:
    found = _head(root).get("configs")
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def _head(root: Path) -> dict[str, Any]:
    """What the folder's card says of its files, read as the loader reads it."""
    extras.require("hf", "a Hugging Face data set")
    from huggingface_hub import DatasetCard

    card, alone = root / _CARD, root / _CARD_ALONE
    try:
        head = DatasetCard.load(card).data.to_dict() if card.is_file() else {}
        more = yaml.safe_load(alone.read_text("utf-8")) if alone.is_file() else None
    except (ValueError, TypeError, OSError, yaml.YAMLError) as error:
        raise BadDataError(f"{root}: the front matter of {_CARD} or {_CARD_ALONE} cannot be read: {error}") from None
    return {**head, **(more if isinstance(more, dict) else {})}


def _refuse_addresses(root: Path) -> None:
    """A card can point `data_files` at any address or path: the loader would ask a server to see what matches."""
    for text in _strings(_head(root).get("configs")):
        if "://" in text or "::" in text or text.startswith(("/", "~")) or ".." in Path(text).parts:
            raise BadDataError(
                f"{root} ({_CARD} or {_CARD_ALONE}): data_files {text!r} leads out of the folder; "
                "only local files are read"
            )


def _refuse_outside(root: Path, files: list[str]) -> None:
    """What the Hub's own cache links from a snapshot lies beside it."""
    base = root.resolve()
    base = base.parent.parent if base.parent.name == "snapshots" else base
    for file in files:
        if "://" in file or not Path(os.path.realpath(file)).is_relative_to(base):
            raise BadDataError(f"{root}: {file} leads out of the folder; only local files are read")


def _refuse_packed(root: Path, files: list[str]) -> None:
    for file in files:
        if file.lower().endswith(_PACKED):
            raise BadDataError(
                f"{root} holds {Path(file).name}, which its loader would unpack without a bound: unpack it, or ingest "
                "the archive itself"
            )


def _saved(root: Path) -> list[str]:
    """The files that a folder that was saved to disk says it has."""
    whole = root / "dataset_dict.json"
    splits = json.loads(whole.read_text("utf-8"))["splits"] if whole.is_file() else [""]
    return [
        os.path.join(root, split, one["filename"])
        for split in splits
        for one in json.loads((root / split / "state.json").read_text("utf-8"))["_data_files"]
    ]


def _linked(root: Path, copy: Path) -> Path:
    """The folder's files as links under a name that is no pattern: of se[t] the loader would read the neighbour set."""
    for folder, _, names in os.walk(root):
        inside = copy / Path(folder).relative_to(root)
        inside.mkdir()
        for name in names:
            (inside / name).symlink_to(Path(folder) / name)
    return copy


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part)
