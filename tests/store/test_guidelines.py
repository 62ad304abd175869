"""What the team writes about its classes: the last word holds, none is lost, and a release and its card carry it."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_workspace import small

from ferclean.errors import FercleanError, UsageError
from ferclean.steps.export import export
from ferclean.steps.release import release
from ferclean.store.exchange import rows
from ferclean.store.guidelines import guidelines, write_guideline
from ferclean.store.releases import get_release
from tests.bare_workspace import bare

HOSTILE = "<script>alert(1)</script> **b** | `c`\n# not a heading"


def test_the_last_writing_about_a_class_holds_and_none_is_lost(tmp_path: Path) -> None:
    ws, ids = bare(tmp_path)
    assert guidelines(ws) == {}
    write_guideline(ws, "fear", "wide eyes", author="ann")
    write_guideline(ws, None, "by the mouth first", author="ann")
    write_guideline(ws, "fear", "wide eyes,\nopen mouth", examples=[("k1", "a yawn is none")], author="bob", seen=1)
    held = guidelines(ws)
    assert list(held) == [None, "fear"]
    assert (held["fear"].text, held["fear"].author, held["fear"].version) == ("wide eyes,\nopen mouth", "bob", 3)
    [face] = held["fear"].examples
    assert (face.sample_id, face.source_key, face.words) == (ids[1], "k1", "a yawn is none")
    with pytest.raises(FercleanError, match="meanwhile"):
        write_guideline(ws, "fear", "an old page", author="ann", seen=1)
    write_guideline(ws, "fear", "", author="ann")
    assert list(guidelines(ws)) == [None], "nothing written takes it back"
    with ws.reading("all of it") as con:
        assert rows(con, "SELECT count(*) FROM guideline") == [(4,)]


def test_what_cannot_be_written_is_refused_in_words(tmp_path: Path) -> None:
    ws, _ = bare(tmp_path)
    with pytest.raises(UsageError, match="unknown class 'joy'"):
        write_guideline(ws, "joy", "x", author="ann")
    with pytest.raises(UsageError, match="neither a sample id nor a source key"):
        write_guideline(ws, "fear", "x", examples=[("nobody", "y")], author="ann")
    with pytest.raises(UsageError, match="up to 4,000 characters"):
        write_guideline(ws, "fear", "x" * 4001, author="ann")
    with pytest.raises(UsageError, match="needs a name"):
        write_guideline(ws, "fear", "x", author=" ")


def test_a_release_and_its_card_carry_them_inert_and_are_the_same_without_any(tmp_path: Path) -> None:
    made = small(tmp_path)
    release(made.ws, "before")
    assert "guidelines" not in get_release(made.ws, "before").config
    write_guideline(made.ws, "fear", HOSTILE, examples=[("train_00001", HOSTILE)], author="ann")
    release(made.ws, "after")
    export(made.ws, form="image_folder", out=tmp_path / "before", release="before")
    export(made.ws, form="image_folder", out=tmp_path / "after", release="after")
    card = (tmp_path / "after" / "README.md").read_text("utf-8")
    assert "## Guidelines" not in (tmp_path / "before" / "README.md").read_text("utf-8")
    assert "### fear\n\n&lt;script&gt;alert(1)" in card
    assert "&#35; not a heading" in card
    assert "<script>" not in card
    assert "- `train_00001`: &lt;script" in card
    assert release(made.ws, "before").unchanged_since, "words about labels are no other labels"
