"""Encoders of a workspace: weights as safetensors, and beside them what each was trained on.

It never loads a weight; a file of hashes says which images, and with which labels, an encoder has seen. That account
is about weights of one content, wherever they lie and whatever they are called.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ferclean import hashes
from ferclean.errors import BadDataError, UsageError, among
from ferclean.files import whole_file
from ferclean.store.workspace import Workspace

FOLDER = "encoders"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What an encoder was trained on: content hash -> given label, None where no label entered.

    `known` is False for an imported encoder, of which nobody here knows.
    """

    labels: dict[str, str | None]
    known: bool


def path_of(ws: Workspace, name: str) -> Path:
    """Where the weights of the encoder `name` lie, or would."""
    return ws.root / FOLDER / f"{name}.safetensors"


def find(ws: Workspace, encoder: str | Path) -> Path:
    """The file of an encoder given by its name in this workspace or by its path. Raises UsageError if there is none."""
    for path in (path_of(ws, str(encoder)), Path(encoder)):
        if path.is_file():
            return path
    known = sorted(path.stem for path in (ws.root / FOLDER).glob("*.safetensors"))
    raise UsageError(f"no encoder {str(encoder)!r} here; {among(str(encoder), known)}; make one with `ferclean encode`")


def put_seen(
    ws: Workspace, name: str, *, content_hashes: Sequence[str], labels: Sequence[str | None] | None, known: bool
) -> None:
    """Write what the encoder `name` was trained on beside its weights, which must be there; `labels` is None for a
    label-free one."""
    about = {"known": "yes" if known else "no", "weights": hashes.of_file(path_of(ws, name), what="encoder")}
    path = path_of(ws, name).with_suffix(".seen.parquet")
    given = list(labels) if labels is not None else [None] * len(content_hashes)
    columns = {"content_hash": pa.array(list(content_hashes), pa.string()), "label": pa.array(given, pa.string())}
    with whole_file(path) as draft:
        pq.write_table(pa.table(columns).replace_schema_metadata(about), draft)


def copy_seen(source: Path, ws: Workspace, name: str) -> None:
    """Take over what is written about the file `source` as the account of `name`; unknown where nothing is."""
    seen = get_seen(source, ws)
    put_seen(
        ws, name, content_hashes=list(seen.labels), known=seen.known,
        labels=list(seen.labels.values()) if any(label is not None for label in seen.labels.values()) else None,
    )  # fmt: skip


def drop_seen(ws: Workspace, name: str) -> None:
    """Forget what the encoder `name` was trained on, so that new weights never stand beside an old account."""
    path_of(ws, name).with_suffix(".seen.parquet").unlink(missing_ok=True)


def get_seen(path: Path, ws: Workspace | None = None) -> Seen:
    """What the encoder in the file `path` was trained on: by the `.seen.parquet` beside it, else by the account that
    `ws` has of an encoder with this content; unknown where there is neither.

    Raises BadDataError when the account cannot be read (to take it for unknown would forget what it knew), and when it
    is about other weights: nobody knows what those that took their place have seen.
    """
    own = hashes.of_file(path, what="encoder") if path.is_file() else None
    beside = path.with_suffix(".seen.parquet")
    if not beside.is_file():
        accounts = sorted((ws.root / FOLDER).glob("*.seen.parquet")) if ws is not None and own is not None else []
        for account in accounts:
            weights, seen = _read(account)
            if weights == own:
                return seen
        return Seen(labels={}, known=False)
    weights, seen = _read(beside)
    if own is not None and weights not in (None, own):
        raise BadDataError(
            f"{path} holds other weights than those that {beside.name} is about, so what they were trained on is not "
            "known: put the encoder back, or remove that account and import the file with `ferclean encode --import`"
        )
    return seen


def _read(beside: Path) -> tuple[str | None, Seen]:
    """The SHA-256 of the weights that an account is about (None in an old one), and what it tells."""
    try:
        table = pq.read_table(beside, columns=["content_hash", "label"])
    except (pa.ArrowInvalid, OSError) as error:
        raise BadDataError(
            f"{beside} should say what the encoder was trained on, but is damaged: train or import the encoder again "
            f"with `ferclean encode` ({error})"
        ) from None
    about = table.schema.metadata or {}
    weights = about.get(b"weights")
    labels = dict(zip(table["content_hash"].to_pylist(), table["label"].to_pylist(), strict=True))
    return weights.decode() if weights else None, Seen(labels=labels, known=about.get(b"known") == b"yes")
