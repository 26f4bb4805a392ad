"""The benchmark measures both sides and says who decided what; how fast they are is for
`make bench` to say."""

from __future__ import annotations

import cv2
import pytest

from gated.bench import measure_vision
from tests.assets import require_assets


@pytest.mark.long
def test_both_pipelines_are_measured_on_the_same_frames() -> None:
    assets = require_assets("default", "demo", "pad", "dlib")
    pytest.importorskip("dlib", reason="the module dlib is missing (extra dlib)")
    before = cv2.getNumThreads()
    said: list[str] = []
    found = measure_vision(assets, said.append, repeats=2, stride=50)
    assert cv2.getNumThreads() == before
    assert len(said) >= 4
    for row in found["stages"].values():
        for name in ("gated", "face_recognition"):
            stages = row[name]
            parts = stages["detect"] + stages["align"] + stages["embed"]
            assert 0 < parts <= stages["total"] * 1.5
        assert row["gated"]["liveness"] > 0
        assert row["ratio"] > 2
    walkups = found["walkups"]
    for threads in ("1", "2"):
        ours = walkups[threads]
        assert [d["decision"] for d in ours["decisions"]] == ["granted", "denied"]
        assert ours["frames"] == walkups["frames"]
        assert 0 < ours["embeddings"] < ours["detections"] < ours["frames"]
    assert found["ratio_one_thread"] == walkups["1"]["ratio"] > 5
    assert found["ratio_two_threads"] == walkups["2"]["ratio"]
    assert walkups["face_recognition"]["matches_of_the_enrolled"] > 0
    sizes = [row["templates"] for row in found["identification"]]
    assert sizes == [1_000, 10_000, 100_000]
    assert all(row["gated_ms"] > 0 for row in found["identification"])
