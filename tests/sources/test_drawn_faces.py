"""Facts about drawn faces: what is planted is what the truth says, and the faces can be learned but not trivially."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ferclean.errors import BadDataError, UsageError
from ferclean.sources.cards import load_card
from ferclean.sources.drawn_faces.drawing import GENERATOR_VERSION, KINDS, draw_set, read, read_truth
from ferclean.sources.drawn_faces.face_expressions import (
    ACTIONS,
    BLENDS,
    CLASSES,
    LOOKALIKES,
    VARIANTS,
    Expression,
    draw_actions,
    draw_expression,
    label_distribution,
)
from ferclean.sources.drawn_faces.face_shapes import Pose, curve

FAULTS = {"duplicates": 0.06, "broken": 0.03, "blank": 0.02}
VOTES = [f"votes_{name}" for name in CLASSES]
SHARES = [f"p_{name}" for name in CLASSES]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 + 60 images with every kind of fault."""
    out = tmp_path_factory.mktemp("drawn") / "set"
    draw_set(out, train=200, test=60, seed=3, blends=0.25, **FAULTS)
    return out


@pytest.fixture(scope="module")
def truth(drawn: Path) -> pd.DataFrame:
    return read_truth(drawn)


def image_bytes(root: Path, key: str) -> bytes:
    return (root / "Image" / "aligned" / f"{key}_aligned.jpg").read_bytes()


def pixels(root: Path, key: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(image_bytes(root, key))).convert("RGB"))


def digest(root: Path) -> dict[str, str]:
    return {
        p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in root.rglob("*")
        if p.is_file()
    }


def test_the_same_arguments_give_the_same_bytes_and_another_seed_gives_others(tmp_path: Path) -> None:
    arguments = {"train": 40, "test": 12, "duplicates": 0.1, "broken": 0.05, "blank": 0.05}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        draw_set(tmp_path / name, seed=seed, **arguments)
    a, b, c = (digest(tmp_path / name) for name in "abc")
    assert a == b
    faces = [name for name in a if name.endswith(".jpg")]
    assert sum(a[name] == c[name] for name in faces) <= 1  # empty files are alike
    assert not list(tmp_path.glob(".ferclean-draft-*"))


def test_the_set_is_in_the_rafdb_layout_with_classes_like_rafdb(drawn: Path, truth: pd.DataFrame) -> None:
    lines = (drawn / "EmoLabel" / "list_patition_label.txt").read_text().splitlines()
    assert lines == [
        f"{key}.jpg {CLASSES.index(label) + 1}"
        for key, label in zip(truth["source_key"], truth["given_label"], strict=True)
    ]
    assert lines[0].startswith("train_00001.jpg ")
    assert lines[200].startswith("test_0001.jpg ")
    assert len(list((drawn / "Image" / "aligned").iterdir())) == 260
    readable = truth[truth["kind"] != "broken"]
    assert {pixels(drawn, key).shape for key in readable["source_key"]} == {(100, 100, 3)}
    for _, part in truth[truth["true_label"].notna()].groupby("split"):
        shares = part["true_label"].value_counts(normalize=True)
        assert shares.idxmax() == "happiness"
        assert shares.reindex(CLASSES).min() > 0.05


def test_every_kind_is_planted_as_often_as_asked_for(drawn: Path, truth: pd.DataFrame) -> None:
    facts = json.loads((drawn / "drawn_faces.json").read_text())
    counts = truth.groupby(["split", "kind"]).size()
    assert facts["generator_version"] == GENERATOR_VERSION
    assert facts["arguments"]["seed"] == 3
    assert facts["counts"] == {s: {k: int(counts.get((s, k), 0)) for k in KINDS} for s in ("train", "test")}
    train = facts["counts"]["train"]
    assert (train["duplicate"], train["broken"], train["blank"]) == (12, 6, 4)
    assert train["ambiguous"] > 4
    clear = truth[(truth["split"] == "train") & truth["kind"].isin(["clean", "mislabelled"])]
    clear = clear[clear["blend_with"].isna() & (clear[VOTES].max(axis=1) >= 6)]
    assert train["mislabelled"] == round(0.15 * len(clear))
    assert facts["counts"]["test"] == {"clean": 60 - facts["counts"]["test"]["ambiguous"],
                                       "ambiguous": facts["counts"]["test"]["ambiguous"],
                                       "mislabelled": 0, "duplicate": 0, "broken": 0, "blank": 0}  # fmt: skip


def test_labels_are_wrong_where_the_truth_says_so_and_only_there(truth: pd.DataFrame) -> None:
    wrong = truth[truth["kind"] == "mislabelled"]
    assert (wrong["given_label"] != wrong["true_label"]).all()
    assert wrong["blend_with"].isna().all()
    seen = [row[f"p_{row['given_label']}"] for _, row in wrong.iterrows()]
    assert max(seen) < 0.15
    right = truth[(truth["kind"] == "clean") | (truth["split"] == "test")]
    assert (right["given_label"] == right["true_label"]).all()
    unsure = truth[truth["kind"] == "ambiguous"]
    likeliest = np.argsort(-unsure[SHARES].to_numpy(), axis=1)[:, :2]
    assert all(CLASSES.index(g) in two for g, two in zip(unsure["given_label"], likeliest, strict=True))
    clear = truth[truth["kind"].isin(["clean", "mislabelled"])]
    assert (clear[VOTES].max(axis=1) >= 5).all()
    assert all(row[f"votes_{row['true_label']}"] == max(row[VOTES]) for _, row in clear.iterrows())


def test_every_face_has_ten_votes_and_a_distribution_and_other_pictures_have_none(truth: pd.DataFrame) -> None:
    faceless = truth["kind"].isin(["broken", "blank"])
    assert (truth.loc[~faceless, VOTES].sum(axis=1) == 10).all()
    np.testing.assert_allclose(truth.loc[~faceless, SHARES].sum(axis=1), 1, atol=1e-9)
    assert (truth.loc[faceless, VOTES].sum(axis=1) == 0).all()
    assert truth.loc[faceless, [*SHARES, "true_label", "intensity"]].isna().all().all()


def test_copies_look_like_their_original_and_equal_files_have_a_conflicting_label(
    drawn: Path, truth: pd.DataFrame
) -> None:
    rows = truth.set_index("source_key")
    copies = rows[rows["kind"] == "duplicate"]
    assert not copies["duplicate_of"].duplicated().any()
    assert copies["duplicate_of"].str.startswith("test_").sum() == 6
    assert (copies["copy"] == "exact").sum() == 3
    for key, row in copies.iterrows():
        other = row["duplicate_of"]
        if row["copy"] == "exact":
            assert image_bytes(drawn, str(key)) == image_bytes(drawn, other)
            assert row["given_label"] != rows.loc[other, "given_label"]
            continue
        assert image_bytes(drawn, str(key)) != image_bytes(drawn, other)
        assert row["given_label"] == rows.loc[other, "given_label"]
        a, b = (pixels(drawn, str(k)).mean(2).reshape(10, 10, 10, 10).mean((1, 3)).ravel() for k in (key, other))
        assert np.corrcoef(a, b)[0, 1] > 0.97


def test_broken_files_do_not_open_and_blank_images_show_nothing(drawn: Path, truth: pd.DataFrame) -> None:
    for key in truth.loc[truth["kind"] == "broken", "source_key"]:
        with pytest.raises(OSError, match=r"cannot identify|truncated"):
            pixels(drawn, key)
    sizes = [len(image_bytes(drawn, k)) for k in truth.loc[truth["kind"] == "broken", "source_key"]]
    assert 0 in sizes
    spread = {
        kind: [pixels(drawn, k).mean(2).std() for k in truth.loc[truth["kind"] == kind, "source_key"]]
        for kind in ("blank", "clean")
    }
    assert max(spread["blank"]) < 3 < 10 < min(spread["clean"])


def test_nobody_is_in_both_splits_except_in_copies(truth: pd.DataFrame) -> None:
    own = truth[truth["kind"].isin(["clean", "mislabelled", "ambiguous"])]
    people = {split: set(part["identity"]) for split, part in own.groupby("split")}
    assert not people["train"] & people["test"]
    assert own["identity"].value_counts().between(4, 8).all()


def test_counts_are_those_of_true_labels_also_where_faces_are_faint_or_ambiguous(tmp_path: Path) -> None:
    numbers = {"train": (14, 5, 9, 30, 18, 6, 18), "test": (4, 1, 2, 6, 3, 1, 3)}
    counts = {split: dict(zip(CLASSES, found, strict=True)) for split, found in numbers.items()}
    whole = {"noise": 0, "duplicates": 0, "broken": 0, "blank": 0}
    table = draw_set(tmp_path / "c", train=100, test=20, seed=0, blends=0.4, counts=counts, **whole).table
    assert (table["kind"] == "ambiguous").sum() > 5
    assert list(table["given_label"]) == list(table["true_label"])
    for split, wanted in counts.items():
        assert table.loc[table["split"] == split, "given_label"].value_counts().to_dict() == wanted
    with pytest.raises(UsageError, match="counts hold 100 and 20 faces, not 99 and 20"):
        draw_set(tmp_path / "d", train=99, test=20, seed=0, counts=counts, **whole)


def test_a_confusion_matrix_decides_which_errors_are_planted(tmp_path: Path) -> None:
    matrix = np.eye(7)
    matrix[[3, 6]] = matrix[[6, 3]]  # happiness and neutral change places, always
    table = draw_set(
        tmp_path / "m", train=60, test=7, seed=0, mechanism="confusion", confusion=matrix, blends=0, duplicates=0
    ).table
    wrong = table[table["kind"] == "mislabelled"]
    assert set(zip(wrong["true_label"], wrong["given_label"], strict=True)) == {
        ("happiness", "neutral"),
        ("neutral", "happiness"),
    }
    usual = draw_set(tmp_path / "u", train=100, test=7, seed=0, mechanism="confusion", noise=0.4, duplicates=0).table
    wrong = usual[usual["kind"] == "mislabelled"]
    assert 15 < len(wrong) < 50
    assert all(LOOKALIKES[CLASSES.index(t), CLASSES.index(g)] > 0
               for t, g in zip(wrong["true_label"], wrong["given_label"], strict=True))  # fmt: skip


def test_labels_by_annotators_are_votes_that_were_cast(tmp_path: Path) -> None:
    table = draw_set(tmp_path / "a", train=120, test=7, seed=0, mechanism="annotators", duplicates=0).table
    faces = table[table["true_label"].notna()]
    assert all(row[f"votes_{row['given_label']}"] > 0 for _, row in faces.iterrows())
    assert 2 < (faces["kind"] == "mislabelled").sum() < 40


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise": 1.5}, "noise is a share"),
        ({"mechanism": "random"}, "known: symmetric"),
        ({"test": 3}, "at least 7"),
        ({"mechanism": "confusion", "confusion": np.ones((7, 7))}, "rows"),
        ({"confusion": np.eye(7)}, "needs mechanism='confusion'"),
        ({"duplicates": 0.6}, "lower duplicates"),
    ],
)
def test_a_set_that_cannot_be_is_refused(tmp_path: Path, change: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        draw_set(tmp_path / "x", **({"train": 40, "test": 8, "seed": 0} | change))
    assert not (tmp_path / "x").exists()


def test_a_folder_with_anything_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years")
    with pytest.raises(UsageError, match="not empty"):
        draw_set(tmp_path, train=20, test=8, seed=0)


def test_a_drawn_set_is_read_like_any_rafdb_set_and_another_folder_is_refused(drawn: Path, tmp_path: Path) -> None:
    card = load_card("drawn_faces")
    assert (card.layout, card.classes, card.version) == ("drawn_faces", CLASSES, str(GENERATOR_VERSION))
    rows = list(read(drawn, card))
    truth = read_truth(drawn)
    assert [(r.source_key, r.split, r.given_label) for r in rows] == list(
        zip(truth["source_key"], truth["split"], truth["given_label"], strict=True)
    )
    assert all(row.votes is None for row in rows)  # the truth stays unread
    with pytest.raises(BadDataError, match="no finished drawn set"):
        list(read(tmp_path, card))
    with pytest.raises(BadDataError, match="only drawn sets"):
        read_truth(tmp_path)


def test_progress_ends_at_the_number_of_faces(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    draw_set(tmp_path / "p", train=30, test=10, seed=0, broken=0, blank=0, duplicates=0,
             progress=lambda _, done, total: seen.append((done, total)))  # fmt: skip
    assert seen[-1] == (40, 40)
    assert seen == sorted(seen)


def test_faint_expressions_lose_votes_to_neutral_and_blends_share_them() -> None:
    def seen(intensity: float) -> np.ndarray:
        return label_distribution(Expression(first=4, second=None, weight=1.0, intensity=intensity))

    assert seen(1.0)[4] > 0.9 > seen(0.3)[4]
    assert seen(0.3)[6] > 0.15 > seen(1.0)[6]
    mixed = label_distribution(Expression(first=0, second=1, weight=0.5, intensity=1.0))
    assert mixed[0] == pytest.approx(mixed[1], abs=0.01)
    assert mixed[:2].sum() > 0.9


def test_expressions_name_only_known_actions_and_plausible_pairs() -> None:
    assert set(VARIANTS) == set(BLENDS) == set(CLASSES)
    assert {name for variants in VARIANTS.values() for v in variants for name in v} <= set(ACTIONS)
    assert not any(first in others for first, others in BLENDS.items())
    np.testing.assert_allclose(LOOKALIKES.sum(1), 1)
    rng = np.random.default_rng(0)
    for first in range(7):
        shown = draw_expression(rng, first=first, blend=True)
        assert CLASSES[shown.second or 0] in BLENDS[CLASSES[first]]
        assert all(0 <= v <= 1.2 for v in draw_actions(rng, shown).values())


def test_a_curve_passes_through_its_points_and_turning_the_head_moves_the_nose_most() -> None:
    corners = [(0.0, 0.0), (1.0, 1.0), (2.0, 0.0)]
    assert curve(corners, steps=5)[::5].tolist() == [list(c) for c in corners]
    nose_and_ear = np.array([(0.0, 0.2), (0.75, 0.2)])
    moved = Pose(yaw=0.2).surface(nose_and_ear) - Pose().surface(nose_and_ear)
    assert moved[0, 0] > 0.03 > abs(moved[1, 0])


def test_a_small_classifier_learns_the_faces_but_not_the_blends(tmp_path: Path) -> None:
    """The floor is a weak one on purpose: gradient histograms and a linear model, 350 clear faces, seconds on a CPU."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    table = draw_set(
        tmp_path / "l", train=500, test=200, seed=1, noise=0, blends=0.3, duplicates=0, broken=0, blank=0
    ).table
    features = np.array([_gradient_histograms(pixels(tmp_path / "l", key)) for key in table["source_key"]])
    labels = table["true_label"].map(CLASSES.index).to_numpy()
    blend, test = table["blend_with"].notna().to_numpy(), (table["split"] == "test").to_numpy()
    scaler = StandardScaler().fit(features[~test])
    model = LogisticRegression(C=0.003, max_iter=200).fit(scaler.transform(features[~test]), labels[~test])
    right = model.predict(scaler.transform(features[test])) == labels[test]
    assert 0.48 < right[~blend[test]].mean() < 0.9  # always saying happiness gives 0.28
    assert right[blend[test]].mean() < right[~blend[test]].mean() - 0.05


def _gradient_histograms(image: np.ndarray) -> np.ndarray:
    """Eight directions of edges in 12 x 12 cells of a picture."""
    grey = image[2:98, 2:98].mean(2)
    dy, dx = np.gradient(grey)
    strength, direction = np.hypot(dx, dy), (np.arctan2(dy, dx) % np.pi / np.pi * 8).astype(int) % 8
    maps = np.stack([strength * (direction == k) for k in range(8)], 2)
    cells = maps.reshape(12, 8, 12, 8, 8).sum((1, 3))
    return (cells / (np.linalg.norm(cells, axis=2, keepdims=True) + 30)).ravel()
