"""Facts about the review screen's pages, run by Streamlit's own test runner on a real workspace."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from apps.review import parts, sitting
from ferclean.bundled_files import bundled_path
from ferclean.steps.audit import audit
from ferclean.store.audits import get_audit
from ferclean.store.decisions import current_decisions, decision_history
from ferclean.store.samples import get_samples
from ferclean.store.verdicts import get_verdicts, put_verdicts
from ferclean.store.workspace import Workspace
from tests.bare_workspace import held_by_another
from tests.workspaces import EIGHT, copied, make_workspace

Open = Callable[..., AppTest]
HOSTILE = '<img src=x onerror="alert(1)">&"\' **b** .png'


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make_workspace(tmp_path_factory.mktemp("app"), names=(HOSTILE,))


@pytest.fixture
def ws(original: Workspace, tmp_path: Path) -> Workspace:
    return copied(original, tmp_path)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Open:
    """Open the screen of a workspace with query parameters, as a fresh browser tab does."""

    def start(root: Path, **query: str) -> AppTest:
        monkeypatch.setenv("FERCLEAN_WORKSPACE", str(root))
        monkeypatch.setenv("FERCLEAN_REVIEWER", "ada")
        app = AppTest.from_file(str(bundled_path("apps/review/main.py")), default_timeout=30)
        for name, value in query.items():
            app.query_params[name] = value
        app.run()
        assert not app.exception
        return app

    return start


def button(app: AppTest, label: str) -> Any:
    return next(found for found in app.button if found.label == label)


def press(app: AppTest, label: str) -> None:
    button(app, label).click().run()
    assert not app.exception


def html(app: AppTest) -> str:
    """What the page holds, without its style sheet."""
    return "\n".join(body for element in app.get("html") if not (body := element.proto.body).startswith("<style>"))


def test_every_key_is_a_visible_button(original: Workspace, opened: Open) -> None:
    labels = [found.label for found in opened(original.root).button]
    for name in ("`1` surprise", "`7` neutral", "`Enter` Accept fear", "`K` Keep", "`A` Ambiguous", "`X` Exclude"):
        assert name in labels
    assert {"`S` Skip", "`U` Undo", "`?`"} <= set(labels)
    assert not any(label.startswith("`8`") for label in labels)


def test_eight_classes_have_eight_keys(tmp_path: Path, opened: Open) -> None:
    ws = make_workspace(tmp_path, n=16, classes=EIGHT)
    assert "`8` contempt" in [found.label for found in opened(ws.root).button]


def test_no_button_names_a_key_that_no_keyboard_has(tmp_path: Path, opened: Open) -> None:
    many = tuple(f"{letter}fully surprised" for letter in "abcdefghijklm")
    shown = [found for found in opened(make_workspace(tmp_path, n=26, classes=many).root).button]
    named = {found.label: found.help for found in shown if "surprised" in found.label and "Accept" not in found.label}
    assert list(named) == [*(f"`{at % 10}` {name}" for at, name in enumerate(many[:10], 1)), *many[10:]]
    assert list(named.values()) == list(many)  # the whole name, where a narrow button cuts it


def test_the_face_page_says_labels_probabilities_and_reasons_in_words(original: Workspace, opened: Open) -> None:
    page = html(opened(original.root))
    assert "given label</small><strong>surprise</strong>" in page
    assert "suggested label</small><strong>fear</strong>" in page
    assert "the model sees fear where surprise was given" in page
    assert "Probably mislabelled (90%)" in page
    assert page.index(">surprise</span>") < page.index(">fear</span>") < page.index(">neutral</span>")
    assert page.count("data:image/png;base64,") == 3 + 4 + 1  # clear surprise (but itself), clear fear, the near copy


def test_a_press_is_recorded_and_moves_on_to_the_next_face(ws: Workspace, opened: Open) -> None:
    app = opened(ws.root, verdict="mislabelled,ambiguous")
    ids = get_samples(ws)["sample_id"].tolist()
    press(app, "`Enter` Accept fear")
    press(app, "`K` Keep")
    press(app, "`A` Ambiguous")
    press(app, "`X` Exclude")
    press(app, "`S` Skip")
    press(app, "`1` surprise")
    assert app.query_params["sample"] == ids[6]
    history = decision_history(ws)
    assert history["sample_id"].tolist() == ids[:6]
    assert history["action"].tolist() == ["relabel", "keep", "ambiguous", "exclude", "skip", "relabel"]
    assert (history["reviewer"] == "ada").all()
    assert (history["seconds"] >= 0).all()
    assert json.loads(history["shown"][0])["suggested_label"] == "fear"
    assert "<b>5</b> of 14 decided" in html(app)


def test_undo_comes_back_to_the_face_also_in_a_new_tab(ws: Workspace, opened: Open) -> None:
    press(opened(ws.root), "`K` Keep")
    app = opened(ws.root)
    press(app, "`U` Undo")
    first = get_samples(ws)["sample_id"][0]
    assert app.query_params["sample"] == first
    assert current_decisions(ws).empty
    press(app, "`U` Undo")
    assert "Nothing to undo" in html(app)


def test_blind_mode_hides_the_model(ws: Workspace, opened: Open) -> None:
    app = opened(ws.root, blind="1")
    page = html(app)
    for word in ("reasons are hidden", "suggested label</small><strong>hidden"):
        assert word in page
    for word in ("Probably", "the model sees", "fc-bars", "rank ", "errors to find"):
        assert word not in page
    assert button(app, "`Enter` Off: blind mode").disabled
    press(app, "`K` Keep")
    assert decision_history(ws)["shown"].isna().all()


def test_filters_and_position_come_from_the_address(original: Workspace, opened: Open) -> None:
    ids = get_samples(original)["sample_id"].tolist()
    app = opened(original.root, verdict="ambiguous", sample=ids[5])
    assert "2 / 4" in html(app)
    assert "Probably ambiguous" in html(app)
    assert not button(app, "`Enter` Ambiguous").disabled
    assert "No face matches" in html(opened(original.root, verdict="ambiguous", suggested="fear"))
    assert "1 / 10" in html(opened(original.root, verdict="nonsense", sample="nobody", page="nowhere"))


def test_arrows_look_around_without_deciding(ws: Workspace, opened: Open) -> None:
    app = opened(ws.root)
    ids = get_samples(ws)["sample_id"].tolist()
    press(app, "←")
    assert app.query_params["sample"] == ids[13]
    press(app, "→")
    press(app, "→")
    assert app.query_params["sample"] == ids[1]
    assert decision_history(ws).empty


def test_the_end_is_said_and_can_be_undone(tmp_path: Path, opened: Open) -> None:
    ws = make_workspace(tmp_path, n=4)
    app = opened(ws.root)
    press(app, "`K` Keep")
    press(app, "`K` Keep")
    assert "All decided" in html(app)
    press(app, "`U` Undo the last")
    assert len(current_decisions(ws)) == 1


def test_a_note_is_kept_with_the_decision(ws: Workspace, opened: Open) -> None:
    app = opened(ws.root)
    next(field for field in app.text_input if field.label == "Note").set_value("hand over the mouth").run()
    press(app, "`A` Ambiguous")
    press(app, "`A` Ambiguous")
    assert decision_history(ws)["note"].tolist() == ["hand over the mouth", ""]


def test_markup_in_a_file_name_is_shown_as_it_is(original: Workspace, opened: Open) -> None:
    for page in ("review", "grid"):
        shown = html(opened(original.root, page=page))
        assert "<img src=x" not in shown
        assert HOSTILE in unescape(shown)


def test_markdown_in_a_name_reaches_no_label_or_tooltip(tmp_path: Path, opened: Open) -> None:
    """On every page, blind or not: whatever Streamlit reads as Markdown holds no name as it is."""
    classes = ("*joy*", ":red[fear] :material/home: $x$ https://a.b [c](d) ` -> `")
    ws = make_workspace(tmp_path, n=6, classes=classes, names=("**face**",))
    for page in ("review", "grid", "overview"):
        for blind in ("", "1"):
            app = opened(ws.root, page=page, blind=blind, reviewer="*ada*", verdict="mislabelled,clean")
            read = [text for element in app._tree for text in _markdown(getattr(element, "proto", None))]
            assert not [text for text in read for name in (*classes, "**face**", "*ada*") if name in text]
            assert page != "review" or any(parts.inert(classes[0]) in text for text in read)


def _markdown(proto: Any) -> list[str]:
    """The texts of a widget that Streamlit draws as Markdown; options of a selectbox and values of fields are not."""
    plain = {"id", "form_id", "body", "default", "placeholder", "value", "options", "url", "data", "json", "icon"}
    texts = [str(option.content) for option in getattr(proto, "options", ()) if hasattr(option, "content")]
    for field, value in proto.ListFields() if hasattr(proto, "ListFields") else ():
        if isinstance(value, str) and (field.name not in plain or proto.DESCRIPTOR.name == "Markdown"):
            texts.append(value)
    return texts


def test_a_face_whose_file_is_gone_can_still_be_excluded(tmp_path: Path, opened: Open) -> None:
    ws = make_workspace(tmp_path, n=6)
    (tmp_path / "source" / "0000.png").unlink()
    app = opened(ws.root)
    press(app, "`X` Exclude")
    assert current_decisions(ws)["action"].tolist() == ["exclude"]


def test_a_busy_workspace_is_a_sentence_and_the_press_can_be_tried_again(
    ws: Workspace, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sitting, "_PATIENCE", 0.2)
    app = opened(ws.root)
    with held_by_another(ws.root):
        press(app, "`K` Keep")
        assert "Not recorded: the workspace" in html(app)
        assert "1 / 10" in html(app)
        assert "The workspace is busy" in html(opened(ws.root))
    assert decision_history(ws).empty
    press(app, "Try again")
    assert current_decisions(ws)["action"].tolist() == ["keep"]


def test_no_workspace_is_a_sentence(tmp_path: Path, opened: Open) -> None:
    assert "no workspace at" in html(opened(tmp_path))


def test_an_untriaged_workspace_says_what_to_run(tmp_path: Path, opened: Open) -> None:
    ws = make_workspace(tmp_path, n=3, triaged=False)
    assert "ferclean triage" in html(opened(ws.root))


def test_the_overview_counts_flows_and_decisions(ws: Workspace, opened: Open) -> None:
    press(opened(ws.root), "`Enter` Accept fear")
    page = html(opened(ws.root, page="overview"))
    assert "<b>28</b><span>samples</span>" in page
    assert "<b>1</b><span>relabel</span>" in page
    assert "1 of 10 decided" in page
    assert "By ada (1)" in page
    assert "fc-flows" in page
    assert "fc-flows" not in html(opened(ws.root, page="overview", blind="1"))


def test_the_grid_decides_about_many_at_once_and_undoes_them_at_once(ws: Workspace, opened: Open) -> None:
    app = opened(ws.root, page="grid", verdict="ambiguous")
    assert button(app, "Decide 0").disabled
    app.checkbox[0].check().run()
    assert not button(app, "Decide 1").disabled
    press(app, "Choose all 4")
    app.selectbox(key="bulk_action").set_value("ambiguous").run()
    press(app, "Decide 4")
    assert current_decisions(ws)["action"].tolist() == ["ambiguous"] * 4
    assert decision_history(ws)["bulk_id"].nunique() == 1
    press(app, "`U` Undo the last")
    assert current_decisions(ws).empty


def test_a_random_check_says_so_unless_the_model_is_hidden(ws: Workspace, opened: Open) -> None:
    table = get_verdicts(ws)
    first = table["rank"] == 1
    put_verdicts(ws, table["run_id"][0], table.assign(drawn_at_random=first, inclusion_probability=first.where(first)))
    assert "drawn at random, to measure how many errors are left" in html(opened(ws.root))
    assert "drawn at random" not in html(opened(ws.root, blind="1"))
    app = opened(ws.root)
    press(app, "`K` Keep")
    assert decision_history(ws)["inclusion_probability"].tolist() == [1.0]
    assert "drawn at random" not in html(app)


def test_the_audit_sample_is_worked_through_blind_and_in_its_order(ws: Workspace, opened: Open) -> None:
    assert "No audit was drawn" in html(opened(ws.root, queue="audit"))
    audit(ws, n=20)
    items = get_audit(ws)
    order = items.loc[items["position"].notna(), "sample_id"].tolist()
    app = opened(ws.root)
    app.segmented_control(key="queue").set_value("audit").run()
    assert app.query_params["queue"] == "audit"
    assert "Blind mode" in html(app)
    assert "<b>0</b> of 20 of the audit decided" in html(app)
    assert "Probably" not in html(app)
    press(app, "`K` Keep")
    press(app, "`A` Ambiguous")
    history = decision_history(ws)
    assert history["sample_id"].tolist() == order[:2]
    assert history["shown"].isna().all()
    assert history["inclusion_probability"].notna().all()
    assert "<b>2</b> of 20 of the audit decided" in html(app)
    assert "Blind mode" not in html(opened(ws.root, queue="audit", blind="0"))
    app.segmented_control(key="queue").set_value("ranked").run()
    assert "of 10 decided" in html(app)


def test_enter_records_what_its_button_says_and_that_follows_the_verdict(ws: Workspace, opened: Open) -> None:
    table = get_verdicts(ws)
    kinds = {1: "unusable", 2: "mislabelled", 3: "ambiguous", 4: "clean", 5: "duplicate", 6: "mislabelled"}
    kind = table["rank"].map(kinds).fillna(table["kind"])
    suggested = table["suggested_label"].where(table["rank"] != 6, None)
    put_verdicts(ws, table["run_id"][0], table.assign(kind=kind, suggested_label=suggested))
    app = opened(ws.root, verdict=",".join(kinds.values()))
    assert "suggested label</small><strong>fear</strong>" in html(app), "the unusable face has a suggestion"
    for label in ("Exclude (unusable)", "Accept disgust", "Ambiguous", "Keep (clean)", "Exclude (duplicate)"):
        assert button(app, f"`Enter` {label}").proto.type == "primary"
        press(app, f"`Enter` {label}")
    assert button(app, "`Enter` No proposal").disabled
    history = decision_history(ws)
    assert history["action"].tolist() == ["exclude", "relabel", "ambiguous", "keep", "exclude"]
    assert history["label"].tolist()[1] == "disgust"


def test_a_second_tabs_older_answer_is_asked_about_and_replaces_nothing_by_itself(ws: Workspace, opened: Open) -> None:
    old, other = opened(ws.root), opened(ws.root)
    first, second = get_samples(ws)["sample_id"].tolist()[:2]
    press(other, "`K` Keep")
    press(old, "`Enter` Accept fear")
    assert "Not recorded: keep stands, your answer in another tab at " in html(old)
    assert old.query_params.get("sample", [first]) in ([first], first)
    assert current_decisions(ws)["action"].tolist() == ["keep"]
    press(old, "Leave keep")
    assert old.query_params["sample"] == second
    assert len(decision_history(ws)) == 1
    press(other, "`X` Exclude")
    press(old, "`A` Ambiguous")
    assert "exclude stands" in html(old)
    press(old, "Replace by ambiguous")
    assert current_decisions(ws)["action"].tolist() == ["keep", "ambiguous"]
    assert "Not recorded" not in html(old)


def test_tiles_say_the_verdict_and_what_is_proposed_and_mark_the_random_check(ws: Workspace, opened: Open) -> None:
    table = get_verdicts(ws)
    drawn = table["rank"].isin([1, 20])
    put_verdicts(ws, table["run_id"][0], table.assign(drawn_at_random=drawn, inclusion_probability=drawn.where(drawn)))
    app = opened(ws.root, page="grid")
    page = html(app)
    assert "mislabelled 90% · <b>accept</b>" in page
    assert "ambiguous 90% · <b>ambiguous</b>" in html(opened(ws.root, page="grid", verdict="ambiguous"))
    assert page.count("<b>random check</b>") == 2
    press(app, "Choose all 11")
    assert "9 faces: 9 relabelled; left out: 2 of the random check" in html(app)
    press(app, "Decide 9")
    assert len(current_decisions(ws)) == 9
    assert "One undo takes all of them back" in html(app)
    press(app, "Decide alone")
    assert app.query_params["page"] == "review"
    blind = opened(ws.root, page="grid", blind="1")
    assert "random check" not in html(blind)
    assert "mislabelled" not in html(blind)
    assert blind.selectbox(key="bulk_action").value is None, "nothing is proposed by default while the model is hidden"


def test_more_than_a_page_at_once_is_asked_about_first_with_the_count(ws: Workspace, opened: Open) -> None:
    app = opened(ws.root, page="grid", verdict="mislabelled,ambiguous,clean")
    press(app, "Choose all 28")
    press(app, "Decide 28")
    assert "28 faces: 10 relabelled · 14 kept · 4 ambiguous: are so many meant?" in html(app)
    press(app, "No")
    assert decision_history(ws).empty
    press(app, "Decide 28")
    press(app, "Yes, decide 28")
    assert len(current_decisions(ws)) == 28
