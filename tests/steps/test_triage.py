"""Facts about verdicts in a workspace: complete, ranked, cheap to change, and blind to the truth."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY

from ferclean.errors import FercleanError, UsageError
from ferclean.evidence.constants import Constants
from ferclean.parts.copies import FACE
from ferclean.parts.ensemble import accepted_judges
from ferclean.review.desk import open_desk
from ferclean.steps.score import score
from ferclean.steps.triage import triage
from ferclean.store import decisions, embeddings, run_files, runs, samples, scores, table, verdicts
from ferclean.store.workspace import Workspace


def test_every_scored_or_unreadable_sample_has_one_verdict(judged_folder: Path) -> None:
    ws = Workspace.open(judged_folder)
    whole = table.sample_table(ws)
    expected = (whole["split"] == "train") | whole["quarantine_reason"].notna()
    assert (whole["verdict"].notna() == expected).all()
    judged = whole[whole["verdict"].notna()]
    total = judged[["p_mislabelled", "p_ambiguous", "p_unusable", "p_clean"]].sum(axis=1)
    np.testing.assert_allclose(total, 1, atol=1e-6)
    assert sorted(judged["rank"]) == list(range(1, len(judged) + 1))
    assert judged["label_quality"].between(0, 1).all()


def test_unreadable_and_blank_images_are_unusable_with_the_reason(judged_folder: Path, drawn_set: Path) -> None:
    from ferclean.sources.drawn_faces.drawing import read_truth

    whole = table.sample_table(Workspace.open(judged_folder)).merge(read_truth(drawn_set), on="source_key")
    bad = whole[whole["kind"].isin(["broken", "blank"])]
    assert len(bad)
    assert (bad["verdict"] == "unusable").all()
    assert all(len(reasons) for reasons in bad["reasons"])


def test_a_mislabelled_verdict_suggests_another_label(judged_folder: Path) -> None:
    whole = table.sample_table(Workspace.open(judged_folder))
    flagged = whole[whole["verdict"] == "mislabelled"]
    assert (flagged["suggested_label"] != flagged["given_label"]).all()


def test_copies_in_another_split_are_called_leaks(judged_folder: Path) -> None:
    ws = Workspace.open(judged_folder)
    split = samples.get_samples(ws).set_index("sample_id")["split"]
    pairs = verdicts.get_pairs(ws)
    crossing = {
        a if split[a] == "train" else b
        for a, b in pairs[["sample_a", "sample_b"]].itertuples(index=False)
        if split[a] != split[b]
    }
    judged = verdicts.get_verdicts(ws).set_index("sample_id")
    assert crossing
    assert (judged.loc[sorted(crossing), "kind"] != "clean").all()
    assert all(any("copy of" in text for text in judged.loc[name, "reasons"]) for name in crossing)


def test_a_verdict_keeps_what_its_reasons_tell_so_that_it_is_explained_without_the_scores(judged_copy: Path) -> None:
    ws = Workspace.open(judged_copy)
    shown = table.sample_table(ws).set_index("sample_id")["reasons"].dropna()
    run = runs.latest_run(ws, "triage")
    assert run is not None
    stored = run_files.read(ws, run.run_id, "verdicts", ["reasons"]).column("reasons").to_pylist()
    assert sum(reason.startswith('["') for kept in stored for reason in kept) > len(stored)
    for scored in run.config["score_runs"]:
        shutil.rmtree(ws.runs / scored)
    told = verdicts.get_verdicts(ws).set_index("sample_id")["reasons"]
    assert told.to_dict() == shown.to_dict()
    assert not any(reason.startswith("[") for reasons in told for reason in reasons)


def test_people_are_shown_the_probabilities_that_the_reasons_tell(judged_folder: Path) -> None:
    ws = Workspace.open(judged_folder)
    desk = open_desk(ws, reviewer="ada")
    told = [item for item in desk.items.values() if item.pred_probs is not None]
    assert len(told) > 50
    for item in told:
        assert item.pred_probs is not None
        shares = dict(zip(desk.classes, item.pred_probs, strict=True))
        assert sum(shares.values()) == pytest.approx(1)
        said = " ".join(item.reasons)
        assert f"{item.given_label} {100 * shares[str(item.given_label)]:.0f} %" in said


def test_a_triage_stores_the_constants_that_its_verdicts_rest_on(judged_folder: Path) -> None:
    run = runs.latest_run(Workspace.open(judged_folder), "triage")
    assert run is not None
    stored = run.config["constants"]
    assert stored == json.loads(json.dumps(asdict(Constants())))


def test_what_is_scored_later_joins_no_ensemble_unless_it_is_named(judged_copy: Path) -> None:
    ws = Workspace.open(judged_copy)
    pair = triage(ws)
    alone = score(ws, profile="quick", methods=["cross_entropy"], **TINY).runs
    judged = triage(ws)
    assert judged.score_runs == [run["run_id"] for run in alone]
    (note,) = [note for note in judged.notes if "without a say" in note]
    assert "supcon_relabel; `ferclean triage --members cross_entropy,supcon_relabel`" in note
    again = triage(ws, members=["supcon_relabel", "cross_entropy"])
    assert again.score_runs == pair.score_runs == triage(ws).score_runs
    assert not [note for note in again.notes if "without a say" in note]
    with pytest.raises(UsageError, match=r"'eac' was not scored for these labels.*cross_entropy"):
        triage(ws, members=["eac"])
    shutil.rmtree(ws.runs / alone[0]["run_id"])
    with pytest.raises(FercleanError, match=r"lacks the scores of cross_entropy, seed 0 \(deleted\); run"):
        triage(ws)
    assert len(triage(ws, members=["supcon_relabel"]).score_runs) == 1


def test_a_higher_threshold_flags_fewer_without_scoring_again(judged_copy: Path) -> None:
    ws = Workspace.open(judged_copy)
    loose = triage(ws, mislabelled_at=0.05).verdicts.get("mislabelled", 0)
    strict = triage(ws, mislabelled_at=0.99).verdicts.get("mislabelled", 0)
    assert strict < loose


def test_triage_before_score_says_what_to_do(tmp_path: Path, drawn_set: Path) -> None:
    from ferclean.steps.ingest import ingest

    ws = Workspace.create(tmp_path / "W")
    ingest(ws, "drawn_faces", drawn_set, limit=20)
    with pytest.raises(FercleanError, match="ferclean score"):
        triage(ws)


def test_one_in_five_of_the_undecided_is_drawn_at_random_and_decided_ones_are_not(judged_copy: Path) -> None:
    ws = Workspace.open(judged_copy)
    triage(ws, teaching_round=0)
    before = verdicts.get_verdicts(ws)
    whole = table.sample_table(ws)
    looked_at = whole[whole["verdict"].notna() & whole["fold"].notna()]
    drawn = before[before["drawn_at_random"]]
    assert len(drawn) == len(looked_at) // 5
    assert list(drawn["rank"])[:3] == [5, 10, 15]
    assert (drawn["inclusion_probability"] == len(drawn) / len(looked_at)).all()
    decided = [*before["sample_id"][:7]]
    decisions.append_decisions(
        ws, [decisions.Decision(sample_id=sample_id, action="keep", reviewer="ann") for sample_id in decided]
    )
    assert decisions.decision_history(ws)["inclusion_probability"].notna().sum() == 1
    triage(ws, teaching_round=0)
    after = verdicts.get_verdicts(ws)
    assert not after.loc[after["sample_id"].isin(decided), "drawn_at_random"].any()
    assert list(table.queue(ws)["drawn_at_random"])[:5] == [False] * 4 + [True]
    triage(ws, random_share=0, teaching_round=0)
    assert not verdicts.get_verdicts(ws)["drawn_at_random"].any()


def test_votes_enter_verdicts_and_soft_labels_where_the_set_has_them(judged_copy: Path) -> None:
    ws = Workspace.open(judged_copy)
    classes = list(samples.get_dataset(ws).classes)
    triage(ws)
    known = verdicts.get_verdicts(ws).set_index("sample_id")
    before = known["soft_label"]
    voted, silent = known[known["p_unusable"] < 0.5].index[:2]
    with ws.session("adding votes") as con:
        con.execute("DELETE FROM vote")
        con.executemany(
            "INSERT INTO vote (sample_id, label, count) VALUES (?, ?, 6)", [[voted, name] for name in classes[:2]]
        )
    triage(ws)
    judged = verdicts.get_verdicts(ws).set_index("sample_id")
    assert judged.loc[voted, "p_ambiguous"] + judged.loc[voted, "p_mislabelled"] > 0.4  # six against six
    assert judged.loc[voted, "reasons"][0].startswith("6 of 12 people say ")
    after = judged["soft_label"]
    assert np.sum(after[voted][:2]) > 0.8
    assert abs(after[voted][0] - after[voted][1]) < abs(before[voted][0] - before[voted][1]) + 0.05
    np.testing.assert_allclose(after[silent], before[silent], atol=0.01)  # one face teaches the others hardly anything


def test_decisions_move_the_verdicts_and_the_summary_says_how_much(judged_copy: Path) -> None:
    from ferclean.store.decisions import Decision

    ws = Workspace.open(judged_copy)
    first = triage(ws)
    assert first.decisions == 0
    assert first.taught == 0
    before = verdicts.get_verdicts(ws).set_index("sample_id")
    given = table.sample_table(ws).set_index("sample_id")["given_label"]
    chosen = before[before["soft_label"].notna()].sort_values("label_quality").index
    other = {
        name: samples.get_dataset(ws).classes[name == samples.get_dataset(ws).classes[0]] for name in given.unique()
    }
    said = [Decision(sample_id=i, action="relabel", label=other[given[i]], reviewer="ann") for i in chosen[:12]]
    said += [Decision(sample_id=i, action="keep", reviewer="ann") for i in chosen[-30:]]
    said += [Decision(sample_id=i, action="exclude", reviewer="ann") for i in chosen[12:15]]
    decisions.append_decisions(ws, [replace(one, by_choice=True) for one in said])
    second = triage(ws)
    assert second.decisions == 42  # an excluded face teaches no label
    assert "none of the 45 decided faces was drawn at random" in second.notes[-1]
    assert second.run_id != first.run_id
    after = verdicts.get_verdicts(ws).set_index("sample_id")
    assert (after["p_mislabelled"] - before["p_mislabelled"]).abs().max() > 0.01
    np.testing.assert_allclose(
        after[["p_mislabelled", "p_ambiguous", "p_unusable", "p_clean"]].sum(axis=1), 1, atol=1e-6
    )


def test_what_a_revert_or_doctor_settles_teaches_nothing_but_what_was_seen_before(judged_copy: Path) -> None:
    from ferclean.store.decisions import Decision

    ws = Workspace.open(judged_copy)
    triage(ws)
    chosen = verdicts.get_verdicts(ws).query("soft_label.notna()").sort_values("label_quality")["sample_id"]
    said = [Decision(sample_id=i, action="keep", reviewer="ann", by_choice=True) for i in chosen[:20]]
    decisions.append_decisions(ws, said)
    seen = triage(ws)
    was = verdicts.get_verdicts(ws).set_index("sample_id")
    label = samples.get_dataset(ws).classes[0]
    nobody = {"reviewer": "eve", "by_choice": True}
    decisions.append_decisions(
        ws,
        [
            *(Decision(sample_id=i, action="relabel", label=label, bulk_id="revert-1", **nobody) for i in chosen[:25]),
            *(Decision(sample_id=i, action="exclude", bulk_id="doctor-1", **nobody) for i in chosen[25:30]),
        ],
    )
    again = triage(ws)
    assert (again.decisions, again.taught) == (seen.decisions, seen.taught) == (20, seen.taught)
    now = verdicts.get_verdicts(ws).set_index("sample_id").loc[was.index]
    np.testing.assert_array_equal(now["p_mislabelled"], was["p_mislabelled"])


def test_the_seeds_of_a_recognizer_have_one_vote_in_the_reasons_as_in_the_table(judged_copy: Path) -> None:
    ws = Workspace.open(judged_copy)
    first = next(run for run in runs.list_runs(ws) if run.kind == "score")
    said = scores.get_predictions(ws, first.run_id)
    for seed in (0, 1):
        run = runs.start_run(
            ws, kind="score", method="other", config=first.config, seed=seed, fingerprint=first.fingerprint
        )
        probs = np.roll(said.pred_probs, seed, axis=1)
        signals = scores.get_signals(ws, first.run_id).to_dict("list")
        scores.put_predictions(ws, run, said.sample_ids, said.fold, probs, signals)
        embeddings.write_embeddings(ws, run, *embeddings.read_embeddings(ws, first.run_id))
        runs.finish_run(ws, run)
    triage(ws, members=["cross_entropy", "other", "supcon_relabel"])
    whole = table.sample_table(ws)
    judged = whole[whole["fold"].notna() & whole["reasons"].map(bool)]
    recognizers = {run.method for run in runs.list_runs(ws) if run.kind == "score"}
    counted = 0
    for _, row in judged.iterrows():
        sentence = next((text for text in row["reasons"] if "recognizers prefer" in text), None)
        if sentence is None:
            continue
        named = sentence.rpartition(" recognizers prefer ")[2].rstrip(")")
        # where the label stays, the sentence tells what the recognizer would rather say
        assert named == row["suggested_label"] or row["suggested_label"] == row["given_label"]
        agreeing = sum(vote == named for vote in row["method_votes"].values())
        assert row["method_votes"].keys() == recognizers
        assert f"({agreeing} of {len(recognizers)} recognizers prefer {named})" in sentence
        counted += 1
    assert counted > 20


def test_what_no_detector_sees_is_unusable_and_a_set_that_it_does_not_know_is_told(judged_copy: Path) -> None:
    ws = Workspace.open(judged_copy)
    look = runs.latest_run(ws, "pairs")
    assert look is not None
    seen = scores.get_signals(ws, look.run_id)[FACE]
    frame = verdicts.get_verdicts(ws).set_index("sample_id")
    scored = list(frame.index[frame["p_unusable"] < 0.5])
    scores.put_signals(ws, look.run_id, list(seen.index), {FACE: seen.where(seen.index != scored[0], -12.0)})
    found = triage(ws)
    assert found.notes == []
    row = verdicts.get_verdicts(ws).set_index("sample_id").loc[scored[0]]
    assert (row["kind"], row["p_unusable"] > 0.9) == ("unusable", True)
    assert row["reasons"][0].startswith("perhaps no face: a face detector sees none")

    scores.put_signals(ws, look.run_id, list(seen.index), {FACE: np.full(len(seen), -12.0)})
    assert "does not know this kind of picture" in triage(ws).notes[0]
    assert verdicts.get_verdicts(ws).set_index("sample_id").loc[scored[0], "p_unusable"] < 0.5

    scores.put_signals(ws, look.run_id, list(seen.index), {FACE: seen.where(seen.index != scored[0])})
    assert triage(ws).notes == ["nobody looked for a face in 1 images; `ferclean score` does"]


def test_a_judge_whose_answers_were_deleted_has_no_say_and_triage_says_so(judged_copy: Path) -> None:
    ws = Workspace.open(judged_copy)
    said = scores.get_predictions(ws, next(run.run_id for run in runs.list_runs(ws) if run.kind == "score"))
    config = {"splits": ["train"], "judge": {"name": "outside"}, "known": list(samples.get_dataset(ws).classes)}
    run = runs.start_run(ws, kind="score", method="outside", config=config, seed=0, fingerprint="f")
    scores.put_predictions(ws, run, said.sample_ids, np.zeros_like(said.fold), said.pred_probs)
    runs.finish_run(ws, run, {"accepted": True})
    assert [one.method for one in accepted_judges(ws)] == ["outside"]
    shutil.rmtree(ws.runs / run)
    told = triage(ws)
    assert told.judges == []
    assert any("judge outside has no say" in note and "`ferclean judge run outside`" in note for note in told.notes)
