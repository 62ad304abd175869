"""A process that is killed at any moment loses nothing that it had acknowledged."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

from ferclean.store.decisions import current_decisions, decision_history
from ferclean.store.workspace import Workspace
from tests.bare_workspace import bare

KILLS = 8
BULK = 40

# One process imports everything once and forks the writers: importing takes longer than a writer lives.
KILLER = """
import os, random, signal, sys, time
from ferclean.store.decisions import Decision, append_decisions, undo
from ferclean.store.workspace import Workspace
import duckdb, numpy, pandas, pyarrow

root, kills, bulk = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
ids = sys.argv[4].split(",")
random.seed(7)
for kill in range(kills):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        ws = Workspace.open(root)
        turn = 0
        while True:
            turn += 1
            many = bulk if turn % 2 else 1
            name = f"{kill}-{turn}"
            decide = dict(action="exclude", reviewer=f"r{kill}", bulk_id=name)
            given = [Decision(sample_id=ids[i], **decide) for i in range(many)]
            for identity in append_decisions(ws, given):
                os.write(writing, f"{identity} {name}\\n".encode())
            if turn % 3 == 0:
                undo(ws, reviewer=f"r{kill}")
    os.close(writing)
    told = os.read(reading, 1)
    time.sleep(random.uniform(0, 0.25))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while part := os.read(reading, 1 << 16):
        told += part
    os.close(reading)
    # a line that was cut by the kill was not acknowledged
    sys.stdout.write(told.decode().rpartition("\\n")[0] + "\\n")
"""


def test_kill_9_loses_no_acknowledged_decision_and_tears_no_bulk(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path, BULK)
    done = subprocess.run(
        [sys.executable, "-c", KILLER, str(ws.root), str(KILLS), str(BULK), ",".join(ids)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    acknowledged = [line.split() for line in done.stdout.splitlines()]
    assert {name.split("-")[0] for _, name in acknowledged} == {str(kill) for kill in range(KILLS)}

    history = decision_history(Workspace.open(ws.root))
    assert list(history["decision_id"]) == list(range(1, len(history) + 1))
    stored = {(str(row.decision_id), row.bulk_id) for row in history.itertuples()}
    assert stored.issuperset((identity, name) for identity, name in acknowledged)
    for name, size in Counter(history.loc[history["action"] == "exclude", "bulk_id"]).items():
        assert size == (BULK if int(name.split("-")[1]) % 2 else 1)
    current_decisions(ws)
