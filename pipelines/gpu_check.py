"""Does a GPU say what a CPU says, and how fast: one command within minutes, on faces that were drawn beforehand.

It opens no workspace and reads no votes. Exit 1 when a check fails; what the time did not suffice for is named.

    python -m pipelines.gpu_faces faces.parquet                                  # anywhere, once: 16 MB
    python -m pipelines.gpu_check faces.parquet --budget 400 --json FILE         # where the GPU is

Phases, in the order of what their figures are worth, each of one piece per recognizer, kept as soon as it is there:

- agree: the same weights must say the same on both devices (to 1e-3), and no step may wait for the device
- fold: one fold of `standard` on all faces for a few epochs, and what the whole run would take
- speed: images a second of training, bare steps and prediction, with `quick` at 48 and `standard` at 112 pixels
- repeat: two trainings with one seed in a process that asks for the same bytes
- compile: bare steps of `cross_entropy` at 48 pixels as they are, through torch.compile, and as CUDA graphs
- seeds: a training there must not be further from one on the CPU than another seed is (times 1.5)

Without a GPU the CPU is compared with itself; `--rehearsal` does all of it in small.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ferclean import files
from ferclean.errors import UsageError, among
from ferclean.recognition import devices
from ferclean.recognition.methods.catalogue import METHODS, check_methods
from ferclean.recognition.profiles import Profile, get_profile
from ferclean.store.version import code_version
from pipelines import gpu_faces, gpu_pieces

SAME_WEIGHTS = 1e-3
SEED_TIMES = 1.5
PLAIN = "cross_entropy"
PHASES = {"agree": 6.0, "fold": 30.0, "speed": 8.0, "repeat": 30.0, "compile": 60.0, "seeds": 8.0}
"""Name -> seconds that one of its pieces is expected to take, or what its longest took if that was more."""
COMPILED = (None, "default", "reduce-overhead")
"""torch.compile's modes, the last of which records CUDA graphs; None is the network as it is."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is trained and timed."""

    quick: Profile
    standard: Profile
    judged: int
    fold_images: int
    fold_epochs: int
    speed_images: int
    bare_seconds: float
    seeds_images: int
    seeds_epochs: int


WHOLE = Plan(
    quick=get_profile("quick"), standard=get_profile("standard"), judged=128, fold_images=gpu_faces.COUNT,
    fold_epochs=5, speed_images=4096, bare_seconds=0.5, seeds_images=300, seeds_epochs=6,
)  # fmt: skip
REHEARSAL = Plan(
    quick=get_profile("quick", input_size=32, batch_size=8),
    standard=get_profile("standard", input_size=40, batch_size=8, backbone="slim"),
    judged=16, fold_images=60, fold_epochs=2, speed_images=32, bare_seconds=0.02, seeds_images=28, seeds_epochs=2,
)  # fmt: skip
"""All of it on a CPU in a minute or two; its speeds mean nothing."""


def run(
    faces: Path,
    *,
    device: str = "auto",
    methods: Sequence[str] = tuple(METHODS),
    phases: Sequence[str] = tuple(PHASES),
    budget: float = 400.0,
    rehearsal: bool = False,
    commit: str | None = None,
    told: Callable[[dict[str, Any]], None] = lambda result: None,
) -> dict[str, Any]:
    """Do the `phases` for the `methods`, as far as `budget` seconds go; `told` hears the result after each piece.

    A piece that raises is recorded with its error, fails the check, and the next one is done. Raises UsageError for
    unknown methods and phases, and what `gpu_faces.read` raises.
    """
    if unknown := [name for name in phases if name not in PHASES]:
        raise UsageError(f"unknown phase {unknown[0]!r}; {among(unknown[0], PHASES)}")
    chosen, plan = check_methods(methods), REHEARSAL if rehearsal else WHOLE
    drawn = gpu_faces.read(faces)
    check = _Check(
        {
            "schema": 2,
            "pipeline": "gpu_check",
            "version": code_version(),
            "commit": commit,
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            **devices.facts(device),
            "driver": driver() if devices.choose_device(device).type == "cuda" else None,
            "machine": platform.machine(),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "rehearsal": rehearsal,
            "faces": len(drawn),
            "budget_seconds": budget,
        },
        budget, told,
    )  # fmt: skip
    profiles = (plan.quick, plan.standard)
    # the plain recognizer first: all others are compared with it
    ordered = sorted(chosen, key=lambda name: name != PLAIN)
    for phase in (name for name in PHASES if name in phases):
        if phase == "agree":
            for profile in profiles:
                for name in ordered:
                    check.piece(
                        phase, name, profile, gpu_pieces.agreement, name, drawn, profile,
                        device=device, judged=plan.judged,
                    )  # fmt: skip
        elif phase == "fold":
            check.piece(
                phase, PLAIN, plan.standard, gpu_pieces.one_fold, PLAIN, drawn, plan.standard,
                device=device, epochs=plan.fold_epochs, count=min(plan.fold_images, len(drawn)),
            )  # fmt: skip
        elif phase == "speed":
            for name in ordered:
                for profile in profiles:
                    check.piece(
                        phase, name, profile, gpu_pieces.speed, name, drawn, profile,
                        device=device, count=plan.speed_images, seconds=plan.bare_seconds, beside=name == PLAIN,
                    )  # fmt: skip
        elif phase == "repeat":
            check.piece(
                phase, "all", plan.quick, gpu_pieces.repeated, faces, ordered, device=device, rehearsal=rehearsal
            )
        elif phase == "compile":
            for mode in COMPILED:
                check.piece(
                    phase, mode or "as it is", plan.quick, gpu_pieces.bare_rate, PLAIN, plan.quick,
                    device=device, seconds=plan.bare_seconds, compiled=mode,
                )  # fmt: skip
        else:
            for name in ordered:
                check.piece(
                    phase, name, plan.quick, gpu_pieces.seeds, name, drawn, plan.quick,
                    device=device, count=plan.seeds_images, epochs=plan.seeds_epochs,
                )  # fmt: skip
    return check.result


class _Check:
    """The result while it grows, and the time that is left."""

    def __init__(self, facts: dict[str, Any], budget: float, told: Callable[[dict[str, Any]], None]) -> None:
        self.started, self.budget, self.told = time.perf_counter(), budget, told
        self.longest = dict(PHASES)
        self.result: dict[str, Any] = facts | {"seconds": 0.0, "ok": True, "faults": [], "left_out": []}

    def piece(
        self, phase: str, name: str, profile: Profile, make: Callable[..., Any], *given: Any, **options: Any
    ) -> None:
        """Add what `make` gives, a row or a list of rows, to a phase; or note why there is none."""
        title = f"{phase} {name} {profile.input_size}"
        before = time.perf_counter()
        if before - self.started + self.longest[phase] > self.budget:
            self.result["left_out"].append(title)
        else:
            try:
                made = make(*given, **options)
            except Exception:  # another recognizer's figures must not be lost with this one's
                made = {"failed": traceback.format_exc(limit=-3)[-600:]}
            took = time.perf_counter() - before
            self.longest[phase] = max(took, self.longest[phase])
            for row in made if isinstance(made, list) else [made]:
                row = {"name": name, "size": profile.input_size} | row | {"seconds": round(took, 2)}
                self.result.setdefault(phase, []).append(row)
                if why := fault(phase, row):
                    self.result["faults"].append(f"{phase} {row['name']} {row['size']}: {why}")
        self.result["ok"] = not self.result["faults"]
        self.result["seconds"] = round(time.perf_counter() - self.started, 1)
        self.told(self.result)


def fault(phase: str, row: dict[str, Any]) -> str | None:
    """What is wrong with a row, in a few words; None where nothing is."""
    if "failed" in row:
        return str(row["failed"]).strip().splitlines()[-1]
    if phase == "agree":
        if wrong := [name for name in ("pred_probs_max", "outputs_max") if not _within(row[name], SAME_WEIGHTS)]:
            return f"the same weights differ: {wrong[0]} {row[wrong[0]]}"
        if row["waits_per_step"]:
            return f"a step waits {row['waits_per_step']:g} times for the device"
        if isinstance(row["float16_loss"], str):
            return f"in float16: {row['float16_loss']}"
    if phase == "repeat" and not row["equal"]:
        return row["error"] or f"one seed gives results that differ by {row['largest']}"
    if phase == "seeds" and not _within(row["cpu"], SEED_TIMES * (row["two_seeds"] or 0)):
        return f"further from the CPU ({row['cpu']}) than other seeds are from each other ({row['two_seeds']})"
    return None


def _within(value: float | None, limit: float) -> bool:
    """Not so for a number that is none."""
    return value is not None and value <= limit


def text(result: dict[str, Any]) -> str:
    """The figures for people: one line per recognizer, then what is said once."""
    facts = [result["device"], f"torch {result['torch']}", result["precision"]]
    facts += [f"{name} {result[name]}" for name in ("cuda", "driver") if result[name]]
    sizes = sorted({row["size"] for row in result.get("agree", []) + result.get("speed", [])})
    lines = [
        ", ".join(facts),
        f"| recognizer | {' | '.join(_heading(size) for size in sizes)} | repeats | CPU / bf16 / other seed |",
        "|---|" + "---|" * (5 * len(sizes) + 2),
    ]
    names = dict.fromkeys(
        row["name"] for phase in ("agree", "speed", "repeat", "seeds") for row in result.get(phase, [])
    )
    for name in names:
        cells = [name]
        for size in sizes:
            agree, speed = _row(result, "agree", name, size), _row(result, "speed", name, size)
            stages = " + ".join(f"{rate:.0f}" for rate in speed.get("first_stages", {}).values())
            cells += [
                _cell(agree, "pred_probs_max", ".0e"), _cell(agree, "waits_per_step", "g"),
                _cell(speed, "images_per_second", ".0f") + (f" ({stages})" if stages else ""),
                _cell(speed, "bare_share", ".0%"), _cell(speed, "predict_images_per_second", ".0f"),
            ]  # fmt: skip
        repeat, seeds = _row(result, "repeat", name), _row(result, "seeds", name)
        cells.append({True: "yes", False: "no", None: "–"}[repeat.get("equal")])
        cells.append(" / ".join(_cell(seeds, key, ".3f") for key in ("cpu", "half", "two_seeds")))
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        f"one fold of {row['images']:,} faces, {row['backbone']} at {row['size']} px: {row['images_per_second']:.0f} "
        f"images/s, {row['accuracy']:.1%} right; {row['whole_run_is']} take {row['whole_run_seconds'] / 60:.1f} min"
        for row in result.get("fold", [])
        if "failed" not in row
    ]
    lines += [
        f"{row['name']} at {row['size']} px: bare {row['bare_images_per_second']:.0f} images/s, streamed "
        f"{row['streamed_images_per_second']:.0f}, float32 {row['float32_images_per_second']:.0f}, "
        f"{_cell(row, 'peak_memory_mb', '.0f')} MB"
        for row in result.get("speed", [])
        if "streamed_images_per_second" in row
    ]
    steps = [f"{row['name']} {_cell(row, 'milliseconds_a_step', '.2f')} ms" for row in result.get("compile", [])]
    lines += [f"bare steps: {', '.join(steps)}"] if steps else []
    lines += [f"FAULT {line}" for line in result["faults"]]
    if result["left_out"]:
        lines.append(f"no time for: {', '.join(result['left_out'])}")
    return "\n".join([*lines, f"{result['seconds']:.0f} s, {'ok' if result['ok'] else 'NOT ok'}"]) + "\n"


def driver() -> str | None:
    """The GPU's driver, as nvidia-smi names it; None where there is no nvidia-smi."""
    if shutil.which("nvidia-smi") is None:
        return None
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, check=False).stdout
    return answer.splitlines()[0].strip() if answer.strip() else None


def _heading(size: int) -> str:
    return f"{size} px: same weights, max | waits a step | images/s (first stages) | of bare | predict images/s"


def _row(result: dict[str, Any], phase: str, name: str, size: int | None = None) -> dict[str, Any]:
    rows = (row for row in result.get(phase, []) if row["name"] == name and size in (None, row["size"]))
    return next(rows, {})


def _cell(row: dict[str, Any], key: str, form: str) -> str:
    return "–" if row.get(key) is None else format(row[key], form)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Does a GPU say what a CPU says, and how fast.")
    parser.add_argument("faces", type=Path, help="what pipelines.gpu_faces drew")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--methods", default=",".join(METHODS), help="recognizers, comma-separated")
    parser.add_argument("--phases", default=",".join(PHASES), help="comma-separated")
    parser.add_argument("--budget", type=float, default=400.0, help="seconds; no piece is begun that would pass it")
    parser.add_argument("--rehearsal", action="store_true", help="all of it in small, on a CPU beforehand")
    parser.add_argument("--commit", help="what is measured, where the code does not lie in a checkout")
    parser.add_argument("--json", type=Path, help="where the figures go, after every piece")
    parser.add_argument("--only-repeat", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only_repeat:
        plan, drawn = REHEARSAL if options.rehearsal else WHOLE, gpu_faces.read(options.faces)
        rows = [
            gpu_pieces.two_trainings(name, drawn, plan.quick, device=options.device)
            for name in options.methods.split(",")
        ]
        print(json.dumps(rows))
        return

    def told(result: dict[str, Any]) -> None:
        print(f"{result['seconds']:.0f} s", file=sys.stderr, flush=True)
        if options.json is not None:
            with files.whole_file(options.json) as draft:
                draft.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", "utf-8")

    result = run(
        options.faces, device=options.device, methods=options.methods.split(","), phases=options.phases.split(","),
        budget=options.budget, rehearsal=options.rehearsal, commit=options.commit, told=told,
    )  # fmt: skip
    print(text(result) + json.dumps(result, allow_nan=False))
    sys.exit(0 if result["ok"] else 1)


if __name__ == "__main__":
    main()
