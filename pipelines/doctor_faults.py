"""Does `ferclean doctor` name what is wrong with a copy of RAF-DB, and is it silent about a good one? And how fast?

    python -m pipelines.doctor_faults --json FILE
    python -m pipelines.doctor_faults --faces 700

Drawn faces in the RAF-DB layout, with the card's numbers per split and class (a smaller set: the same shares, and a
card that says so). Each fault is planted in a copy of its own, which is ingested and examined as a user does it, by the
command, in a new workspace; pictures that a fault leaves alone are links to the drawn ones. `seconds` are those of
`doctor`, from the first byte of Python on; `exit` is its exit code.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from ferclean.bundled_files import known_cards
from ferclean.progress import Progress, silent
from ferclean.sources.cards import load_card
from ferclean.sources.drawn_faces.drawing import draw_set
from ferclean.sources.rafdb import LABELS
from pipelines.heading import heading, write_figures

LEAST = 20
"""Training faces of a class in a small set: with fewer, `doctor` rightly says that there are few."""
LOST = 96 / 15_339
LEAKED = 0.03
VERB = "from ferclean.cli import main; main()"
Labels = dict[str, str]
"""Key (train_00001) -> code."""


@dataclass(frozen=True)
class Fault:
    """What is done to a copy (the folder, its labels, random numbers), and the errors that `doctor` must find, no
    more and no fewer."""

    plant: Callable[[Path, Labels, np.random.Generator], None]
    errors: tuple[str, ...]


def picture(root: Path, key: str) -> Path:
    """Where a face's aligned picture lies."""
    return root / f"Image/aligned/{key}_aligned.jpg"


def replace(root: Path, key: str, data: bytes) -> None:
    """Give a face another file, not the drawn one that it is a link to."""
    picture(root, key).unlink()
    picture(root, key).write_bytes(data)


def jpeg(image: Image.Image, quality: int) -> bytes:
    """The picture as a JPEG file."""
    coded = BytesIO()
    image.save(coded, "JPEG", quality=quality)
    return coded.getvalue()


def leak(change: Callable[[Image.Image, int], Image.Image]) -> Callable[[Path, Labels, np.random.Generator], None]:
    """A share of the training faces become changed, recompressed copies of test faces of their class."""

    def plant(root: Path, labels: Labels, rng: np.random.Generator) -> None:
        of = defaultdict(list)
        for key, code in labels.items():
            of[key.startswith("test"), code].append(key)
        for code in sorted(set(labels.values())):
            number = max(1, round(LEAKED * len(of[False, code])))
            to = rng.permutation(of[False, code])[:number]
            for place, (own, test) in enumerate(zip(to, rng.permutation(of[True, code])[:number], strict=True)):
                with Image.open(picture(root, str(test))) as image:
                    replace(root, str(own), jpeg(change(image.convert("RGB"), place), int(rng.integers(40, 91))))

    return plant


def augmented(image: Image.Image, number: int) -> Image.Image:
    """What a training script does to a picture, one thing after another, every second time mirrored too."""
    side = image.width
    edge = round(side * 0.03)
    ways = (
        lambda: image.crop((edge, edge, side - edge, side - edge)).resize((side, side), Image.Resampling.BICUBIC),
        lambda: image.rotate(4, Image.Resampling.BICUBIC),
        lambda: ImageEnhance.Brightness(image).enhance(0.7),
        lambda: image.filter(ImageFilter.GaussianBlur(1)),
    )
    changed = ways[number % len(ways)]()
    return ImageOps.mirror(changed) if number // len(ways) % 2 else changed


def lose(root: Path, labels: Labels, rng: np.random.Generator) -> None:
    """Files that are not there, though the list names them."""
    for key in rng.permutation(sorted(labels))[: max(1, round(LOST * len(labels)))]:
        picture(root, str(key)).unlink()


def resize(root: Path, labels: Labels, rng: np.random.Generator) -> None:
    """All faces as another aligner cuts them out: 112 pixels a side."""
    for key in labels:
        with Image.open(picture(root, key)) as image:
            replace(root, key, jpeg(image.resize((112, 112), Image.Resampling.BICUBIC), 90))


def recode(codes: Callable[[int], int], only: str = "") -> Callable[[Path, Labels, np.random.Generator], None]:
    """Other codes in the list, of all faces or of those whose names begin with `only`."""

    def plant(root: Path, labels: Labels, rng: np.random.Generator) -> None:
        labels.update({key: str(codes(int(code))) for key, code in labels.items() if key.startswith(only)})

    return plant


def twice(root: Path, labels: Labels, rng: np.random.Generator) -> None:
    """One training picture in the place of another one of another class: the same bytes."""
    first, other = next((a, b) for a in sorted(labels) for b in sorted(labels) if labels[a] != labels[b])
    replace(root, other, picture(root, first).read_bytes())


def compound(root: Path, labels: Labels, rng: np.random.Generator) -> None:
    """The list of the compound set beside the pictures of the basic one: other faces, codes 1 to 11."""
    keys = sorted(labels)[:: max(1, len(labels) // 3954)]
    labels.clear()
    labels.update({key: str(place % 11 + 1) for place, key in enumerate(keys)})


FAULTS: Mapping[str, Fault] = {
    "none": Fault(lambda root, labels, rng: None, ()),
    "3 % of train copied from test, mirrored, recompressed": Fault(
        leak(lambda image, _: ImageOps.mirror(image)), ("near_leak",)
    ),
    "3 % of train copied from test, augmented": Fault(leak(augmented), ("near_leak",)),
    "96 files missing": Fault(lose, ("missing_pictures",)),
    "another alignment size": Fault(resize, ("other_size",)),
    "labels off by one": Fault(recode(lambda code: code % 7 + 1), ("shifted_labels",)),
    "two classes swapped": Fault(recode(lambda code: {2: 6, 6: 2}.get(code, code)), ("swapped_labels",)),
    "two classes swapped, in train": Fault(
        recode(lambda code: {2: 6, 6: 2}.get(code, code), "train"), ("swapped_labels",)
    ),
    "one picture under two labels": Fault(twice, ("conflicting_labels",)),
    "the compound list": Fault(compound, ("other_set",)),
}


def numbers(faces: int) -> dict[str, dict[str, int]]:
    """Faces per split and class of the card, or with the same shares as many as asked for, nearly."""
    official = load_card("rafdb").expected or {}
    share = faces / sum(sum(found.values()) for found in official.values())
    if share == 1:
        return official
    fewer: dict[str, dict[str, int]] = {}
    for split, found in official.items():
        last = LEAST - 1 if split == "train" else 1
        fewer[split] = dict.fromkeys(found, 0)
        for name in sorted(found, key=lambda name: found[name]):  # no two of one size: they cannot be told apart
            fewer[split][name] = last = max(last + 1, round(share * found[name]))
    return fewer


def write_card(file: Path, counts: Mapping[str, Mapping[str, int]]) -> Path:
    """The card of RAF-DB that expects these numbers."""
    _, front, text = known_cards()["rafdb"].read_text("utf-8").split("---\n", 2)
    said = yaml.safe_load(front)
    said["ferclean"]["expected"] = {split: dict(found) for split, found in counts.items()}
    file.write_text(f"---\n{yaml.safe_dump(said, sort_keys=False)}---\n{text}", "utf-8")
    return file


def examine(card: str, root: Path, ws: Path) -> dict[str, Any]:
    """Findings, exit code and seconds of `doctor` on a set that `ingest` took in, or, where it refuses, on the set as
    it lies there."""
    began = [sys.executable, "-c", VERB, "-w", str(ws), "--json"]
    taken = subprocess.run([*began, "ingest", card, str(root)], capture_output=True, text=True, check=False)
    started = time.perf_counter()
    where = [card, str(root)] if taken.returncode else []
    done = subprocess.run([*began, "doctor", *where], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    return {"findings": json.loads(done.stdout)["findings"], "exit": done.returncode, "seconds": seconds}


def run(
    folder: Path, *, faces: int, seed: int = 0, drawn: Path | None = None, progress: Progress = silent
) -> dict[str, Any]:
    """Each fault in a copy of its own, below `folder`; the faces are drawn into `drawn`, unless they are there."""
    counts, load = numbers(faces), os.getloadavg()
    card = "rafdb" if counts == load_card("rafdb").expected else str(write_card(folder / "rafdb.md", counts))
    in_train, in_test = (sum(counts[split].values()) for split in ("train", "test"))
    drawn = drawn or folder / "drawn"
    if not (drawn / LABELS).is_file():
        draw_set(
            drawn, train=in_train, test=in_test, seed=seed, counts=counts, noise=0, blends=0, duplicates=0, broken=0,
            blank=0, progress=progress,
        )  # fmt: skip
    told: dict[str, Any] = {}
    for place, (name, fault) in enumerate(FAULTS.items()):
        progress("examining", place, len(FAULTS))
        root, rng = folder / "copy", np.random.default_rng([seed, place])
        shutil.copytree(drawn / "Image", root / "Image", copy_function=os.link)
        (root / LABELS).parent.mkdir()
        lines = (drawn / LABELS).read_text("utf-8").split()
        labels = {key.removesuffix(".jpg"): code for key, code in zip(lines[::2], lines[1::2], strict=True)}
        fault.plant(root, labels, rng)
        (root / LABELS).write_text("".join(f"{key}.jpg {code}\n" for key, code in labels.items()), "utf-8")
        found = examine(card, root, folder / "W")
        errors = sorted(one["kind"] for one in found["findings"] if one["severity"] == "error")
        # of the good copy nothing at all is to be said
        told[name] = found | {"right": set(errors) == set(fault.errors) and bool(found["findings"]) == bool(errors)}
        shutil.rmtree(root)
        shutil.rmtree(folder / "W", ignore_errors=True)
    return heading("doctor_faults") | {
        "faces": in_train + in_test, "seed": seed, "cores": os.cpu_count(), "load": load,
        "load_after": os.getloadavg(), "faults": told,
    }  # fmt: skip


def table(result: dict[str, Any]) -> str:
    """The result in Markdown."""
    lines = [
        f"{result['faces']:,} drawn faces, {result['version']}, {result['date']}, {result['cores']} cores, load "
        f"{result['load'][0]:.1f} to {result['load_after'][0]:.1f}", "",
        "| fault | findings | exit | seconds | as it should be |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for name, told in result["faults"].items():
        found = "; ".join(f"{one['kind']} ({one['severity']}, {one['count']:,})" for one in told["findings"])
        right = "yes" if told["right"] else "**no**"
        lines.append(f"| {name} | {found or 'none'} | {told['exit']} | {told['seconds']:.0f} | {right} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line: 1 where a finding is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=15_339, help="about how many, for a small trial")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--drawn", type=Path, help="keep the drawn faces in this folder, or use those that are there")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        result = run(Path(name), faces=options.faces, seed=options.seed, drawn=options.drawn)
    print(table(result))
    if options.json:
        write_figures(options.json, result)
    return 0 if all(told["right"] for told in result["faults"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
