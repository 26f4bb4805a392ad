"""gated evaluate, gated calibrate and gated gallery, as a person at a terminal sees them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.assets import require_assets
from tests.cli.conftest import Gated


@pytest.fixture
def people(tmp_path: Path) -> Path:
    store = require_assets("default", "demo")
    folder = tmp_path / "people"
    for person, names in {"Obama": ("obama", "obama2", "obama3"), "Biden": ("biden",)}.items():
        (folder / person).mkdir(parents=True)
        for name in names:
            (folder / person / f"{name}.jpg").write_bytes(store.read(f"{name}.jpg"))
    return folder


def test_faces_are_evaluated(gated: Gated, config: Path, people: Path, tmp_path: Path) -> None:
    at = ("--config", config, "--fpir", "0.01")
    report = gated("evaluate", "faces", people, "--json", *at)
    assert report.code == 0
    wanted = {"accuracy", "tmr_at_fmr", "fpir_promised", "fpir_measured", "fnir"}
    assert wanted <= set(report.json)
    assert report.err == ""
    page = tmp_path / "faces.html"
    spoken = gated("evaluate", "faces", people, "--det", tmp_path / "det.png", "--html", page, *at)
    assert spoken.code == 0
    assert "4 photos of 2 people" in spoken.out
    assert "calibration in use" in spoken.out
    assert (tmp_path / "det.png").is_file()
    assert "<polyline" in page.read_text(encoding="utf-8")
    assert not (config.parent / "state" / "attendance.db").exists(), "nothing is stored"


def test_what_cannot_be_evaluated_is_said(gated: Gated, config: Path, people: Path) -> None:
    absent = gated("evaluate", "faces", people / "absent", "--config", config)
    assert (absent.code, absent.out) == (2, "")
    few = gated("calibrate", people, "--out", people / "c.json", "--config", config)
    assert few.code == 2
    assert "100 impostor comparisons" in few.err
    assert not (people / "c.json").exists()
    promise = gated("evaluate", "faces", people, "--fpir", "0", "--config", config)
    assert promise.code == 2


def test_a_gallery_is_checked_and_odd_photos_are_set_aside(
    gated: Gated, config: Path, people: Path
) -> None:
    at = ("--config", config)
    photos = [people / "Obama" / f"{n}.jpg" for n in ("obama", "obama2", "obama3")]
    assert gated("enroll", "O1", *photos, *at).code == 0
    assert gated("enroll", "B1", people / "Biden" / "biden.jpg", *at).code == 0
    fine = gated("gallery", "check", "--json", *at)
    assert fine.code == 0
    assert (fine.json["people"], fine.json["templates"]) == (2, 4)
    assert fine.json["fnir"]["value"] == 0.0
    assert fine.json["fpir"] == {**fine.json["fpir"], "value": 0.0, "trials": 4}
    assert 0 < fine.json["fpir_expected"] <= fine.json["fpir_wanted"] * 1.5
    codes = {p["personnel_code"] for p in fine.json["closest"]["people"]}
    assert codes == {"O1", "B1"}
    assert fine.json["wrong_openings_per_year"] is None, "the log is empty"
    spoken = gated("gallery", "check", "--set-aside", *at)
    assert spoken.code == 0
    assert "0 photos were set aside" in spoken.out
    assert "closest two people" in spoken.out


def test_there_must_be_a_gallery_to_check(gated: Gated, config: Path) -> None:
    require_assets("default")
    assert gated("gallery", "check", "--config", config).code == 5


def test_visits_of_strangers_are_compared_with_single_frames(
    gated: Gated, config: Path, people: Path, tmp_path: Path
) -> None:
    clip = tmp_path / "clip"
    clip.mkdir()
    portrait = (people / "Obama" / "obama.jpg").read_bytes()
    for number in range(5):
        (clip / f"{number}.jpg").write_bytes(portrait)
    at = ("--people", people, "--config", config)
    # somebody of the folder itself: every comparison with him matches, and so does the visit
    told = gated("evaluate", "visits", clip, "--json", *at).json
    assert (told["tracks"], told["templates"]) == (1, 2)
    assert [row["per_visit"] for row in told["rates"]] == [0.5] * 5
    assert [row["chances"] for row in told["rates"]] == [1.0] * 5
    assert "a visit is worth" in gated("evaluate", "visits", clip, *at).out
    (tmp_path / "empty").mkdir()
    none = gated("evaluate", "visits", tmp_path / "empty", *at)
    assert (none.code, none.out) == (2, "")
