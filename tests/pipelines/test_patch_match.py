"""The measurement of patches on a handful of drawn faces: every line finds its own picture in every copy."""

from __future__ import annotations

from pathlib import Path

from ferclean.sources.drawn_faces.drawing import draw_set
from ferclean.steps.ingest import ingest
from pipelines import patch_match


def test_every_face_is_found_in_every_copy(tmp_path: Path) -> None:
    draw_set(tmp_path / "faces", train=14, test=7, seed=3, noise=0, blends=0, duplicates=0, broken=0, blank=0)
    result = patch_match.run(tmp_path, lambda ws: (ingest(ws, "drawn_faces", tmp_path / "faces"), None)[1])
    assert result["faces"] == 21
    ways = {"renamed": "bytes"}
    for name, found in result["copies"].items():
        assert (found["matched"], found["missed"], found["doubtful"], found["wrong"]) == (21, 0, 0, 0), name
        assert found["by"][ways.get(name, "perceptual")] == 21
    assert any("| renamed | 100.000% | 0 | 0 | 0 (0) |" in line for line in patch_match.table(result))
