"""The process behind `ferclean browse`: says on stdout, one JSON object per line, what happens; logs go to stderr.

It ends when its stdin closes, so it cannot outlive the command that started it. Nothing else reads its output.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

# started by its path, from a checkout or from inside an installed wheel
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def main() -> int:
    """Run one sitting; 0 when it ended as asked, 1 after an error (told as the last event)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", help="folder of the workspace (default: FERCLEAN_WORKSPACE)")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, help="serve the App here; without it only the dataset is updated")
    parser.add_argument("--reviewer", help="who gets the decisions made in the App")
    parser.add_argument("--brain", action="store_true", help="have FiftyOne's brain compute everything it can")
    parser.add_argument("--open-browser", action="store_true")
    options = parser.parse_args()
    tell = _events()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    threading.Thread(target=_watch_stdin, args=(stop,), daemon=True).start()
    try:
        tell(event="closed", **_sit(options, tell, stop))
    except Exception as error:  # the starting process shows it; the traceback is in the log
        traceback.print_exc()
        tell(event="error", kind=type(error).__name__, error=str(error))
        return 1
    return 0


def _sit(options: argparse.Namespace, tell: Any, stop: threading.Event) -> dict[str, Any]:
    from ferclean.steps.browse import environment, loopback
    from ferclean.store.workspace import Workspace

    ws = Workspace.open(options.workspace or os.environ["FERCLEAN_WORKSPACE"])
    settings = environment(ws.root)
    os.environ.clear()
    os.environ.update(settings)
    if options.reviewer:
        os.environ["FERCLEAN_REVIEWER"] = options.reviewer  # for the operators, which run in FiftyOne's server
    # FiftyOne reads its environment when it is imported
    from apps.fiftyone_view.database import disconnect
    from apps.fiftyone_view.decide import TagSync
    from apps.fiftyone_view.session import bring_up_to_date, serve, summary

    def progress(description: str, done: int, total: int) -> None:
        tell(event="progress", description=description, done=done, total=total)

    url = None

    def ready(where: str) -> None:
        nonlocal url
        url = where
        tell(event="ready", url=where)

    try:
        update, views, tags = bring_up_to_date(ws, reviewer=options.reviewer, brain=options.brain, progress=progress)
        if options.port is not None:
            later = serve(
                ws,
                update,
                address=loopback(options.address),
                port=options.port,
                open_browser=options.open_browser,
                reviewer=options.reviewer,
                ready=ready,
                told=lambda text: tell(event="told", text=text),
                stop=stop,
            )
            put_back = tags.put_back + later.put_back
            tags = TagSync(recorded=tags.recorded + later.recorded, problems=later.problems, put_back=put_back)
        return summary(update, views, tags, url)
    finally:
        disconnect()


def _events() -> Any:
    """A function that writes one event to the real stdout; everything else that prints goes to stderr."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    lock = threading.Lock()

    def tell(**event: Any) -> None:
        with lock:
            try:
                channel.write(json.dumps(event) + "\n")
            except BrokenPipeError:
                # nobody listens any more: stdin has closed too, and the sitting ends by itself
                print(f"event without a reader: {event}", file=sys.stderr)

    return tell


def _watch_stdin(stop: threading.Event) -> None:
    while sys.stdin.buffer.read(1):
        pass
    stop.set()


if __name__ == "__main__":
    sys.exit(main())
