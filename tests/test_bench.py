"""The benchmark runs and reports both pipelines; how fast they are is for `make bench` to say."""

from __future__ import annotations

import io

import cv2
import pytest
from rich.console import Console

from gated.bench import print_report, run_bench
from tests.assets import require_assets


def test_both_pipelines_are_measured_side_by_side() -> None:
    assets = require_assets("default", "demo", "dlib")
    pytest.importorskip("dlib", reason="the module dlib is missing (extra dlib)")
    before = cv2.getNumThreads()
    result = run_bench(assets, repeats=2)
    assert cv2.getNumThreads() == before
    for row in result["threads"].values():
        for name in ("gated", "face_recognition"):
            stages = row[name]
            parts = stages["detect"] + stages["align"] + stages["embed"]
            assert 0 < parts <= stages["total"] * 1.5
        assert row["ratio"] == pytest.approx(
            row["face_recognition"]["total"] / row["gated"]["total"]
        )
    assert result["ratio_one_thread"] > 2
    assert result["ratio_daemon"] > result["ratio_one_thread"], "most frames need no embedding"
    text = io.StringIO()
    print_report(result, Console(file=text, width=120))
    assert f"{result['ratio_one_thread']:.1f}x" in text.getvalue()
