"""The page of a difference: every flow with faces and reasons, bounded, inert whatever names say, pixels by choice."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from scenes import coded, scene, workspace_of

from ferclean.cli import run
from ferclean.steps.diff import diff, matrix_of, write_page
from ferclean.steps.release import release
from ferclean.store.decisions import Decision, append_decisions
from ferclean.store.samples import get_samples
from ferclean.store.workspace import Workspace

EVIL = "<script>alert(1)</script>"
KEYS = ['"><img src=x onerror=alert(1)>.png', "turned\u202egnp.exe", *(f"{number}.png" for number in range(2, 8))]


class Seen(HTMLParser):
    """Every tag, address and word of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.names: set[str] = set()
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.names |= {name for name, _ in attrs}
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Five faces of one class relabelled, one left out, one decided anew since; the second picture is lost."""
    root = tmp_path_factory.mktemp("diff")
    pictures = {key: coded(scene(number)) for number, key in enumerate(KEYS)}
    made = workspace_of(root, pictures, [EVIL] * 6 + ["fear", "joy"], classes=(EVIL, "fear", "joy"))
    ids = list(get_samples(made)["sample_id"])

    def said(number: int, action: str, label: str | None = None) -> Decision:
        note = f"{EVIL} the mouth"
        return Decision(sample_id=ids[number], action=action, label=label, reviewer="<i>eve</i>", note=note)

    append_decisions(made, [*(said(number, "relabel", "joy") for number in range(5)), said(6, "exclude")])
    release(made, "v1")
    append_decisions(made, [said(4, "keep")])
    (root / "faces/1").unlink()
    return made


def page(ws: Workspace, out: Path, **options: int) -> Seen:
    write_page(ws, diff(ws, "original", "v1"), out, **options)
    return Seen(out.read_text("utf-8"))


def test_the_page_shows_each_flow_with_reason_and_decision_and_no_name_acts(ws: Workspace, tmp_path: Path) -> None:
    seen = page(ws, tmp_path / "page.html")
    assert not {"script", "i", "iframe", "link"} & set(seen.tags)
    assert seen.tags.count("img") == 5
    assert all(one.startswith(("data:image/jpeg;base64,", "#flow-")) for one in seen.addresses)
    assert not [name for name in seen.names if name.startswith("on")]
    assert [seen.words.count(word) for word in ("5", "5 faces", "1 face")] == [3, 1, 1], "of a tile, matrix, release"
    assert seen.words.count("decision: relabel by <i>eve</i>") == 5
    assert sum(word.startswith("relabel joy by <i>eve</i>, 20") and EVIL in word for word in seen.words) == 4
    assert sum(word.startswith("since then keep by <i>eve</i>") for word in seen.words) == 1
    assert "turned\\u202egnp.exe" in seen.words
    assert "file: missing since ingest" in seen.words, "the lost picture is told in its place, no folder of here"


def test_a_page_is_bounded_every_flow_is_seen_and_without_faces_it_holds_no_pixel(
    ws: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = page(ws, tmp_path / "few.html", faces=3)
    assert few.tags.count("figure") == 3
    assert "5 faces, 2 shown" in few.words
    assert any("3 changed faces are only counted here" in word for word in few.words)
    asked = ["-w", str(ws.root), "diff", "original", "v1", "--html", str(tmp_path / "none.html"), "--faces", "0"]
    assert run([*asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["relabelled"] == 5
    none = Seen((tmp_path / "none.html").read_text("utf-8"))
    assert (none.tags.count("figure"), none.tags.count("img")) == (6, 0)
    for before, after, way in (("original", "v1", "v1"), ("v1", "original", "v1"), ("original", "original", None)):
        assert run(["-w", str(ws.root), "diff", before, after]) == 0
        told = capsys.readouterr().err.split(f"-w {ws.root} ")[1]
        assert told == (f"export --release {way} --out PATH\n" if way else "release\n"), "the set as given is none"
    for wrong, words in ((asked, "--overwrite"), ([*asked[:5], "--faces", "9"], "--html")):
        assert run(wrong) == 2
        assert words in capsys.readouterr().err


def test_a_set_of_very_many_classes_is_told_as_a_list_of_flows(
    ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes = tuple(f"class {number}" for number in range(60))
    few = {("class 3", "class 9"): 2, ("class 9", None): 1}
    assert matrix_of(few, classes) == ["class 3", "class 9", None], "of many classes only those that changed"
    assert matrix_of({(name, None): 1 for name in classes}, classes) == []
    monkeypatch.setattr("ferclean.steps.diff._MATRIX", 1)
    text = page(ws, tmp_path / "many.html", faces=0)
    assert text.tags.count("table") == 2
    assert text.words.count("before") == 1
    assert text.words.count("joy") == 7, "of the list, of the heading, and of five faces"
