"""gated replay as a script sees it; and the dlib engine from photo to decision."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from gated.enrollment.models import INSTALLED
from gated.vision.decoding import decode
from tests.assets import require_assets
from tests.cli.conftest import GATE, Gated, Result
from tests.enrollment.offices import portrait

KEYS = ["t", "decision", "reason", "person", "confidence", "frames", "pad"]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Somebody whom the gate may know stays before the lens for six pictures."""
    require_assets("default", "demo")
    picture = decode(portrait("obama3"))
    folder = tmp_path / "clip"
    folder.mkdir()
    for number in range(6):
        place = np.array([[640 / picture.shape[1], 0, number], [0, 640 / picture.shape[1], 0]])
        frame = cv2.warpAffine(picture, place, (640, 480), borderMode=cv2.BORDER_REPLICATE)
        assert cv2.imwrite(str(folder / f"{number}.jpg"), frame)
    return folder


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    file = tmp_path / "anna.jpg"
    file.write_bytes(portrait("obama"))
    return file


def decisions(result: Result) -> list[dict[str, object]]:
    assert result.code == 0, result.err
    return [json.loads(line) for line in result.out.splitlines()]


def journal_rows(config: Path) -> Iterator[int]:
    with closing(sqlite3.connect(config.parent / "state" / "attendance.db")) as database:
        yield database.execute("SELECT count(*) FROM journal").fetchone()[0]
        yield database.execute("SELECT count(*) FROM attendance_logs").fetchone()[0]


def test_one_json_object_a_decision_and_nothing_logged(
    gated: Gated, config: Path, clip: Path, photo: Path
) -> None:
    at = ("--config", config)
    (stranger,) = decisions(gated("replay", clip, "--json", *at))
    assert (stranger["decision"], stranger["person"]) == ("denied", None)
    names = ("--first-name", "Anna", "--last-name", "Berg")
    assert gated("enroll", "E17", photo, *names, *at).code == 0
    before = list(journal_rows(config))
    played = gated("replay", clip, "--json", *at)
    (line,) = decisions(played)
    assert list(line) == KEYS
    assert (line["decision"], line["pad"]) == ("granted", None)
    assert line["person"] == {"id": 1, "personnel_code": "E17", "name": "Anna Berg"}
    assert gated("replay", clip, "--json", *at) == played
    assert list(journal_rows(config)) == before
    told = gated("replay", clip, *at).out
    assert "Anna Berg (E17)" in told


def test_nobody_in_the_picture_is_said(gated: Gated, config: Path, tmp_path: Path) -> None:
    require_assets("default")
    folder = tmp_path / "empty hall"
    folder.mkdir()
    assert cv2.imwrite(str(folder / "1.png"), np.full((480, 640, 3), 90, np.uint8))
    assert "no decision" in gated("replay", folder, "--config", config).out
    assert decisions(gated("replay", folder, "--json", "--config", config)) == []


def test_a_gate_that_waits_for_an_input_is_replayed_all_the_same(
    gated: Gated, config: Path, clip: Path, photo: Path
) -> None:
    config.write_text(config.read_text() + "recognition: {trigger: input}\n")
    gated("enroll", "E17", photo, "--config", config)
    (line,) = decisions(gated("replay", clip, "--json", "--config", config))
    assert line["decision"] == "granted"


def test_with_liveness_on_the_photos_are_scored(
    gated: Gated, config: Path, clip: Path, photo: Path
) -> None:
    require_assets("pad")
    gated("enroll", "E17", photo, "--config", config)
    config.write_text(config.read_text().replace('liveness: "off"', "liveness: normal"))
    lines = decisions(gated("replay", clip, "--json", "--config", config))
    assert any(isinstance(line["pad"], float) for line in lines)


def test_the_dlib_engine_recognises_a_person_from_another_photo(
    gated: Gated, tmp_path: Path, clip: Path, photo: Path
) -> None:
    require_assets("dlib")
    pytest.importorskip("dlib", reason="the module dlib is missing (extra dlib)")
    config = tmp_path / "dlib.yaml"
    text = GATE.format(assets=INSTALLED, state=tmp_path / "state")
    config.write_text(text.replace("vision: {", "vision: {engine: dlib, "))
    assert gated("enroll", "E17", photo, "--config", config).code == 0
    (line,) = decisions(gated("replay", clip, "--json", "--config", config))
    assert line["decision"] == "granted"
    other = tmp_path / "sface.yaml"
    other.write_text(text)
    unknown = gated("replay", clip, "--json", "--config", other)
    assert decisions(unknown)[0]["decision"] == "denied"
    assert "1 templates were made by another model" in unknown.err


def test_with_liveness_each_decision_says_how_live(
    gated: Gated, config: Path, clip: Path, photo: Path
) -> None:
    require_assets("pad")
    config.write_text(config.read_text().replace('liveness: "off"', "liveness: normal"))
    assert gated("enroll", "E1", photo, "--config", config).code == 0
    (decision,) = decisions(gated("replay", clip, "--json", "--config", config))
    assert isinstance(decision["pad"], float)
    assert decision["reason"] in {"granted", "spoof", "liveness_undecided"}
    assert f"live {decision['pad']:.2f}" in gated("replay", clip, "--config", config).out
