"""Does a patch find its pictures in another copy? Of every face of a set: matched, doubtful, missed, and wrong.

    python -m pipelines.patch_match --set FOLDER
    python -m pipelines.patch_match --parquet images.parquet

Every label is changed to the next class, so that the patch has a line for each face; the copies have other names in
another order and are as their `COPIES` says. A match is wrong where it is not the picture's own copy; `twins` are those
wrong ones of which the set itself holds the same picture twice, by the list in --groups (a Parquet of `index` and
`dup_group`). Without --set, faces are drawn in RAF-DB's layout with its official counts (five minutes).
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from ferclean.parts.patch_file import read_patch
from ferclean.parts.patch_matching import match
from ferclean.progress import silent, unheard
from ferclean.sources.cards import load_card
from ferclean.sources.drawn_faces.drawing import draw_set
from ferclean.steps.apply import apply
from ferclean.steps.export import export
from ferclean.steps.ingest import ingest
from ferclean.steps.release import release
from ferclean.store.decisions import Decision, append_decisions
from ferclean.store.pictures import images_bytes
from ferclean.store.samples import get_dataset, get_samples
from ferclean.store.workspace import Workspace
from pipelines.heading import heading, write_figures

COPIES: dict[str, dict[str, Any]] = {
    "renamed": {},
    "quality 80": {"quality": 80},
    "quality 80, 112 px": {"quality": 80, "size": 112},
    "quality 80, 112 px, mirrored": {"quality": 80, "size": 112, "mirror": True},
}
"""What became of each picture."""


def changed(data: bytes, *, quality: int = 0, size: int = 0, mirror: bool = False) -> bytes:
    """A picture's bytes as a copy has them; as they are without a quality."""
    if not quality:
        return data
    image = Image.open(io.BytesIO(data)).convert("RGB")
    if size:
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    if mirror:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def first_copy(folder: Path, take_in: Callable[[Workspace], None]) -> Workspace:
    """A workspace with a release that gives every face another label, and its patch in `folder`/patch."""
    ws = Workspace.create(folder / "first")
    take_in(ws)
    classes, samples = get_dataset(ws).classes, get_samples(ws)
    after = dict(zip(classes, (*classes[1:], classes[0]), strict=True))
    append_decisions(
        ws,
        [
            Decision(sample_id=sample, action="relabel", label=after[label], reviewer="script", source="api")
            for sample, label in samples[["sample_id", "given_label"]].itertuples(index=False)
        ],
    )  # fmt: skip
    release(ws, "v1")
    export(ws, form="patch", release="v1", out=folder / "patch")
    return ws


def other_copy(folder: Path, ws: Workspace, how: dict[str, Any], *, seed: int = 0) -> tuple[Workspace, dict[str, str]]:
    """The same faces in an image folder, and which file is whose (source key there -> source key of `ws`)."""
    samples, of = get_samples(ws), {}
    pictures = images_bytes(ws, list(samples["sample_id"]))
    order = np.random.default_rng(seed).permutation(len(samples))
    for number, row in zip(order.tolist(), samples.to_dict("records"), strict=True):
        name = f"{row['split']}/{row['given_label']}/{number:06d}.jpg"
        picture = pictures[row["sample_id"]]
        assert isinstance(picture, bytes)  # it was ingested a moment ago
        (folder / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "set" / name).write_bytes(changed(picture, **how))
        of[name] = row["source_key"]
    there = Workspace.create(folder / "W")
    ingest(there, "image_folder", folder / "set")
    return there, of


def measured(ws: Workspace, patch: Path, of: dict[str, str], groups: dict[str, Any]) -> dict[str, Any]:
    """What a patch did on one copy; `groups`: source key -> group of equal pictures."""
    started = time.perf_counter()
    done = apply(ws, patch)
    seconds = time.perf_counter() - started
    lines, samples = read_patch(patch).lines, get_samples(ws, include_quarantined=True)
    found = match(ws, lines, samples, progress=silent, tell=unheard)
    keys = dict(zip(samples["sample_id"], samples["source_key"], strict=True))
    wrong = [(lines[at].source_key, of[keys[one]]) for at, one in found.sample.items()]
    wrong = [(there, here) for there, here in wrong if there != here]
    twins = sum(there in groups and groups.get(there) == groups.get(here) for there, here in wrong)
    return {
        "lines": done.lines, "matched": sum(done.matched.values()), "by": done.matched, "missed": done.missed,
        "doubtful": done.doubtful, "wrong": len(wrong), "twins": twins, "seconds": seconds,
    }  # fmt: skip


def faces_of(parquet: Path, folder: Path) -> Path:
    """An image folder of a Parquet with `index`, `usage`, `png` and `orig_name`."""
    for row in pd.read_parquet(parquet, columns=["index", "usage", "png", "orig_name"]).to_dict("records"):
        split = "train" if row["usage"] == "Training" else "test"
        place = folder / split / row["orig_name"] / f"{row['index']}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(row["png"])
    return folder


def groups_of(path: Path, ws: Workspace) -> dict[str, Any]:
    """Source key -> number of the group of equal pictures that it belongs to."""
    listed = pd.read_parquet(path).set_index("index")["dup_group"].to_dict()
    return {key: listed.get(int(Path(key).stem)) for key in get_samples(ws)["source_key"]}


def run(folder: Path, take_in: Callable[[Workspace], None], *, groups: Path | None = None) -> dict[str, Any]:
    """Every copy of COPIES in turn, below `folder`."""
    ws = first_copy(folder, take_in)
    known = {} if groups is None else groups_of(groups, ws)
    size = (folder / "patch" / "patch.jsonl").stat().st_size
    results = {}
    for number, (name, how) in enumerate(COPIES.items()):
        there, of = other_copy(folder / str(number), ws, how, seed=number)
        results[name] = measured(there, folder / "patch", of, known)
    return heading("patch_match") | {"faces": len(get_samples(ws)), "patch_mb": size / 1e6, "copies": results}


def table(result: dict[str, Any]) -> Iterator[str]:
    """The result in Markdown, line by line."""
    yield f"{result['faces']:,} faces, a patch of {result['patch_mb']:.1f} MB, {result['version']}, {result['date']}"
    yield ""
    yield "| copy | matched | doubtful | missed | wrong (twins) | seconds |"
    yield "|---|---|---|---|---|---|"
    for name, one in result["copies"].items():
        share = one["matched"] / max(one["lines"], 1)
        yield (
            f"| {name} | {share:.3%} | {one['doubtful']} | {one['missed']} | {one['wrong']} ({one['twins']}) | "
            f"{one['seconds']:.0f} |"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", type=Path, help="a drawn set in RAF-DB's layout, instead of drawing one")
    parser.add_argument("--parquet", type=Path, help="faces as FER2013's development set has them")
    parser.add_argument("--groups", type=Path, help="a Parquet that says which of these are one picture")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.parquet:
            pictures, layout = faces_of(options.parquet, folder / "faces"), "image_folder"
        else:
            pictures, layout = options.set or folder / "faces", "drawn_faces"
            if options.set is None:
                known = load_card("rafdb").expected
                draw_set(pictures, train=12_271, test=3_068, seed=16, duplicates=0, broken=0, blank=0, counts=known)
        result = run(folder, lambda ws: (ingest(ws, layout, pictures), None)[1], groups=options.groups)
    print("\n".join(table(result)))
    if options.json:
        write_figures(options.json, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
