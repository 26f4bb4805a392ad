"""gated evaluate pad, as a person at a terminal and a script see it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.assets import require_assets
from tests.cli.conftest import Gated
from tests.enrollment.offices import portrait


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    require_assets("default", "demo", "pad")
    (tmp_path / "ann.jpg").write_bytes(portrait("obama"))
    file = tmp_path / "manifest.csv"
    file.write_text("path,species\nann.jpg,bona_fide\n")
    return file


def test_rates_come_with_intervals_and_rows(gated: Gated, config: Path, manifest: Path) -> None:
    report = gated("evaluate", "pad", manifest, "--json", "--config", config).json
    assert report["level"] == "normal"
    assert report["apcer"] == {}
    assert report["bpcer"]["clips"]["interval"] == [0.0, 0.975]
    (row,) = report["presentations"]
    assert (row["path"], row["outcome"], row["frames"]) == ("ann.jpg", "live", 1)
    spoken = gated("evaluate", "pad", manifest, "--level", "strict", "--config", config)
    assert spoken.code == 0
    assert "liveness strict" in spoken.out
    assert "ann.jpg" in spoken.out
    assert "BPCER" in spoken.out


def test_what_cannot_be_evaluated_is_one_line(gated: Gated, config: Path, tmp_path: Path) -> None:
    absent = gated("evaluate", "pad", tmp_path / "absent.csv", "--config", config)
    assert (absent.code, absent.out) == (2, "")
    assert "absent.csv: No such file" in absent.err
    nothing = gated("evaluate", "pad", "--config", config)
    assert nothing.code == 2
    assert "--paper" in nothing.err
