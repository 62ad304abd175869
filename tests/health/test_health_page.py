"""What doctor found stays known, and can be looked at: a page that stands alone, inert, in light and dark."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from ferclean.cli import run
from ferclean.errors import UsageError
from ferclean.parts.examined import in_words, last_look
from ferclean.review.overview import overview
from ferclean.steps.doctor import doctor, write_page
from ferclean.steps.ingest import ingest
from ferclean.steps.status import status
from ferclean.store.workspace import Workspace
from tests.browser import browser_page
from tests.made_sets import image_bytes, write_folder

HOSTILE = "<img src=x onerror=alert(1)>.png"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Path]:
    """A folder with a leak, a copy under two labels and a name with HTML; and where its page goes."""
    folder = tmp_path_factory.mktemp("page")
    folders = [f"{split}/{label}" for split in ("train", "test") for label in ("happiness", "fear")]
    names = [f"{folder_name}/{number}.png" for folder_name in folders for number in range(3)]
    root = write_folder(folder / "set", names)
    for name, seed in ((f"train/happiness/{HOSTILE}", 9), ("train/fear/other.png", 0)):
        (root / name).write_bytes(image_bytes(seed, "PNG"))
    ws = Workspace.create(folder / "W")
    ingest(ws, "image_folder", root)
    return ws, folder / "page.html"


def test_what_was_found_is_known_until_the_set_changes(made: tuple[Workspace, Path], tmp_path: Path) -> None:
    root = tmp_path / "W"
    shutil.copytree(made[0].root, root)
    ws = Workspace.open(root)
    assert "has not looked" in in_words(last_look(ws)) == status(ws).examined_in_words
    doctor(ws)
    found = status(ws)
    assert found.examined is not None
    assert (found.examined["errors"], found.examined["outdated"]) == (2, False)
    assert (
        overview(ws).examined
        == found.examined_in_words
        == ("doctor found 2 errors and 2 warnings (conflicting_labels, leak)")
    )
    assert found.runs == []
    (made[0].root.parent / "set/train/happiness/new.png").write_bytes(image_bytes(77, "PNG"))
    ingest(ws, "image_folder", made[0].root.parent / "set")
    assert in_words(last_look(ws)).endswith("; the samples changed since, look again")


def test_the_page_shows_copies_side_by_side_and_no_name_acts(
    made: tuple[Workspace, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    ws, file = made
    assert run(["-w", str(ws.root), "doctor", "--html", str(file), "--json"]) == 3
    kinds = [one["kind"] for one in json.loads(capsys.readouterr().out)["findings"]]
    text = file.read_text("utf-8")
    assert not re.search(r"""(src|href)=["'](?!data:)""", text)
    assert "<script" not in text
    assert HOSTILE not in text
    with pytest.raises(UsageError, match="--overwrite"):
        write_page(ws, doctor(ws), file)
    with browser_page(width=800, height=900, dark=True) as page:
        page.goto(file.as_uri())
        assert page.locator("section").count() == len(kinds)
        leak = page.locator("section", has=page.locator("h2", has_text="leak"))
        assert leak.locator(".group").first.locator("img").count() == 2
        one, other = leak.locator(".group").first.locator("img").all()
        assert one.bounding_box()["y"] == other.bounding_box()["y"]
        assert set(leak.locator(".group").first.locator("span").all_text_contents()) >= {"train", "test"}
        for width in (800, 1400, 2560):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert sum(map(int, re.findall(r"\d+", ground)[:3])) < 150
