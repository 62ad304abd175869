"""`ferclean doctor CARD PATH`: a look at a set before it is ingested, in a workspace of its own that goes away.

It decides nothing, and leaves nothing behind.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ferclean.cli.plumbing import Session
from ferclean.errors import BadDataError, UsageError

if TYPE_CHECKING:
    from ferclean.steps.doctor import DoctorReport
    from ferclean.store.workspace import Workspace


@contextmanager
def looked_at(
    session: Session, card: str | None, path: str | None, fail_on: Literal["error", "warning", "never"]
) -> Iterator[tuple[Workspace | None, DoctorReport]]:
    """The workspace that was looked at, while its pictures are there, and what doctor found: the session's, or one for
    the set at `path`, read as the card says. None instead of it where the set is refused as that.

    Costs what `ingest` costs, in time and, until it ends, in space for the temporary files.
    """
    from ferclean.steps.doctor import doctor, refused
    from ferclean.steps.ingest import ingest
    from ferclean.store.workspace import Workspace

    if (card is None) != (path is None):
        raise UsageError("doctor looks at the workspace, or at a set: `ferclean doctor CARD PATH`")
    with session.progress() as progress:
        if card is None or path is None:
            ws = session.open()
            yield ws, doctor(ws, fail_on=fail_on, progress=progress, tell=session.tell)
            return
        with tempfile.TemporaryDirectory(prefix="ferclean-doctor-") as folder:
            ws = Workspace.create(Path(folder) / "workspace")
            try:
                taken = ingest(ws, card, path, progress=progress)
            except BadDataError as error:
                yield None, refused(error, card, fail_on=fail_on)
                return
            for note in taken.notes:
                if folder not in note:  # where the files lie is of no use: they go away
                    session.note(note)
            yield ws, doctor(ws, fail_on=fail_on, progress=progress, tell=session.tell)
