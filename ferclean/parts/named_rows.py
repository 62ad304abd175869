"""Which sample a row of a decision file means: by its id, by its key, or by the picture that it is about.

It reads no file and records nothing.
"""

from __future__ import annotations

from pathlib import PurePosixPath

import pandas as pd


class Rows:
    """The samples of a workspace (as from `get_samples`) by id or source key, and their given labels."""

    def __init__(self, samples: pd.DataFrame) -> None:
        self.given: dict[str, str | None] = dict(zip(samples["sample_id"], samples["given_label"], strict=True))
        self._key_of = dict(zip(samples["sample_id"], samples["source_key"], strict=True))
        self._ids_of: dict[str, list[str]] = {}
        # a key means the sample that holds it now, not one whose bytes it held before
        held = samples["in_source"].astype(bool)
        for part in (samples[held], samples[~held]):
            answered = set(self._ids_of)
            for sample_id, key in zip(part["sample_id"], part["source_key"], strict=True):
                if key not in answered:
                    self._ids_of.setdefault(key, []).append(sample_id)

    def find(self, sample_id: str, key: str) -> str:
        """The sample id. Raises ValueError where none or several answer, or the two name different samples."""
        if sample_id:
            if sample_id not in self._key_of:
                raise ValueError(f"no sample has the id {sample_id!r}")
            if key.strip() and self._key_of[sample_id].strip() != key.strip():
                raise ValueError(f"sample {sample_id} has the key {self._key_of[sample_id]!r}, not {key!r}")
            return sample_id
        if not key.strip():
            raise ValueError("neither sample_id nor source_key is given")
        found = self._ids_of.get(key) or self._ids_of.get(key.strip(), [])
        if len(found) != 1:
            problem = "no sample has" if not found else f"{len(found)} samples have"
            raise ValueError(f"{problem} the key {key!r}" + ("; give sample_id" if found else ""))
        return found[0]


class Pictures:
    """The samples of a workspace (as from `get_samples`) by what they show."""

    def __init__(self, samples: pd.DataFrame) -> None:
        self._ids = set(samples["sample_id"])
        self._of: dict[str, list[tuple[str, str]]] = {}
        held = samples[samples["in_source"].astype(bool) & samples["content_hash"].notna()]
        self._held = set(held["sample_id"])
        for sample_id, key, content in zip(held["sample_id"], held["source_key"], held["content_hash"], strict=True):
            self._of.setdefault(content, []).append((sample_id, key))

    def find(self, sample_id: str, key: str, content: str) -> str | None:
        """The same row with the same picture, where the source holds it still; else the one other row with that
        picture, of several the one of that file name; else the row that is gone. None when there is none."""
        if sample_id in self._held:
            return sample_id
        found = self._of.get(content, [])
        if len(found) > 1:
            name = PurePosixPath(key).name
            found = [(other, its) for other, its in found if PurePosixPath(its).name == name]
        return found[0][0] if len(found) == 1 else sample_id if sample_id in self._ids else None
