"""`ferclean demo`: run the bundled pipeline and say what was planted and what was found.

The journey itself is `pipelines/demo.py`, which anyone can read and run.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from ferclean.bundled_files import bundled_path
from ferclean.cli.plumbing import Session

DEFAULT_FOLDER = Path("ferclean-demo")


def run_demo(session: Session, *, faces: int, seed: int, device: str, force: bool) -> None:
    """Run the demo in the given workspace, or in ./ferclean-demo when none is named."""
    if session.workspace_origin == "default":
        session.workspace, session.workspace_origin = DEFAULT_FOLDER, "demo"
    pipeline = load_pipeline("demo")
    with session.progress() as progress:
        result = pipeline.run(
            session.workspace, faces=faces, seed=seed, device=device, force=force, progress=progress, tell=session.tell
        )
    session.emit("demo", result)
    session.say(
        f"drew {result['samples']:,} faces with planted errors and went the whole way in {result['seconds']:.0f} s "
        f"(peak memory {result['peak_rss_mb']:,.0f} MB)"
    )
    session.table(
        ["kind", "planted", "flagged", "precision", "recall"],
        [
            [kind, row["planted"], row["flagged"], row["precision"], row["recall"]]
            for kind, row in result["found"].items()
        ],
    )
    torn = result["found"]["ambiguous"]
    session.say(
        f"{torn['hits']} of the {torn['planted']} faces on which people would not agree are called ambiguous: which "
        "they are, a recognizer of so few faces cannot tell, and 500 decisions are too few to teach it (RESULTS.md)"
    )
    gain = result["retrain"]
    session.say(
        f"retrained on cleaned labels: {100 * gain['mean']:+.1f} points on {gain['test_images']} untouched test faces "
        f"(95 % interval {100 * gain['low']:+.1f} to {100 * gain['high']:+.1f}): {gain['verdict']}"
    )
    session.say(f"release: {result['release']}")
    session.say(f"report:  {result['report']}")
    session.say(result["in_short"])
    session.next("review")


def load_pipeline(name: str) -> ModuleType:
    """A pipeline script as a module, from the wheel or the checkout."""
    path = bundled_path(f"pipelines/{name}.py")
    spec = importlib.util.spec_from_file_location(f"ferclean_pipeline_{name}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
