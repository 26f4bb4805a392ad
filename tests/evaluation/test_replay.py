"""A recording through the gate: real frames, the frames' own time, nothing touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from gated.config import CameraSettings
from gated.core.gallery import Gallery, GalleryPerson, Template
from gated.core.gate import Gate
from gated.core.messages import Attention, Decision, Observation
from gated.core.values import Box, Face, Image, PersonRef, Quality, TrackedFace
from gated.devices.cameras import open_camera
from gated.devices.clock import ManualClock
from gated.devices.recorded import RecordedCamera
from gated.enrollment.gallery_cache import open_gallery
from gated.enrollment.models import policy_of
from gated.evaluation.replay import as_json, replay
from gated.ports import Frame
from gated.vision.decoding import decode
from gated.vision.engines import calibration_for
from tests.enrollment.offices import kit_of, office_in, portrait, settings_in

CALIBRATION = calibration_for("sface-2021dec")
ANNA = PersonRef(7, "u7", "E7", "Anna Berg")
KNOWN = np.eye(1, 128, dtype=np.float32)[0]
FPS = 10.0


def gate_of(tmp_path: Path) -> Gate:
    """A gate that knows Anna by a made-up template."""
    templates = [Template(1, ANNA.id, KNOWN, "m")]
    gallery = Gallery.build("m", "cosine", [GalleryPerson(ANNA)], templates)
    return Gate(policy_of(settings_in(tmp_path), CALIBRATION), gallery, CALIBRATION)


def seen(
    number: int, frame: Frame, embedding: np.ndarray[tuple[int], np.dtype[np.float32]]
) -> Observation:
    """Somebody large and clear in the middle of the frame."""
    points = np.array([[290, 200], [350, 200], [320, 235], [295, 265], [345, 265]], np.float32)
    face = Face(Box(260, 150, 120, 150), points, 0.95)
    quality = Quality(0.95, 60, 0, 0, 0, 0.8, 120, 50, 0.9)
    tracked = TrackedFace(1, face, quality, (), embedding)
    return Observation(number, frame.captured_at, 640, 480, (tracked,))


class Script:
    """Stands where the analyzer stands: Anna is seen in the first `frames` frames."""

    def __init__(self, frames: int) -> None:
        self.frames = frames
        self.attention: list[Attention] = []

    def __call__(self, frame: Frame, attention: Attention) -> Observation:
        self.attention.append(attention)
        if frame.number <= self.frames:
            return seen(frame.number, frame, KNOWN)
        return Observation(frame.number, frame.captured_at, 640, 480)


def camera_of(frames: int, closed: list[bool] | None = None) -> RecordedCamera:
    picture: Image = np.zeros((48, 64, 3), np.uint8)

    def source() -> Iterator[Image]:
        for _ in range(frames):
            yield picture
        if closed is not None:
            closed.append(True)

    return RecordedCamera("clip", source, FPS, ManualClock(), loop=False, realtime=False)


def test_decisions_come_at_the_time_of_their_frame(tmp_path: Path) -> None:
    script = Script(8)
    decisions = list(replay(camera_of(8), script, gate_of(tmp_path)))
    granted = [(t, d) for t, d in decisions if d.granted]
    assert len(granted) == 1
    t, decision = granted[0]
    assert t == pytest.approx((decision.frames - 1) / FPS)
    assert decision.person == ANNA
    assert script.attention[-1].settled == {1}


def test_who_is_seen_at_the_end_only_is_decided_at_the_end(tmp_path: Path) -> None:
    def stranger(frame: Frame, _: Attention) -> Observation:
        return seen(frame.number, frame, np.roll(KNOWN, 1))

    decisions = list(replay(camera_of(4), stranger, gate_of(tmp_path)))
    ((t, decision),) = decisions
    assert t == pytest.approx(0.3)
    assert not decision.granted


def test_an_empty_recording_has_no_decisions(tmp_path: Path) -> None:
    assert list(replay(camera_of(0), Script(9), gate_of(tmp_path))) == []


def test_a_line_has_exactly_the_promised_keys(tmp_path: Path) -> None:
    ((t, decision),) = replay(camera_of(8), Script(8), gate_of(tmp_path))
    line = as_json(t, decision)
    assert list(line) == ["t", "decision", "reason", "person", "confidence", "frames", "pad"]
    assert line["person"] == {"id": 7, "personnel_code": "E7", "name": "Anna Berg"}
    assert (line["decision"], line["reason"], line["pad"]) == ("granted", "granted", None)


# --- with the real models -------------------------------------------------------------------------


def frames_of(name: str, count: int) -> Iterator[Image]:
    """Somebody before the lens, who moves a little from frame to frame."""
    picture = decode(portrait(name))
    scale = 640 / picture.shape[1]
    for number in range(count):
        place = np.array([[scale, 0, 2 * number], [0, scale, number]], np.float32)
        moved = cv2.warpAffine(picture, place, (640, 480), borderMode=cv2.BORDER_REPLICATE)
        yield np.asarray(moved, np.uint8)


def folder_of(path: Path, frames: Iterator[Image]) -> Path:
    path.mkdir()
    for number, frame in enumerate(frames):
        assert cv2.imwrite(str(path / f"frame{number}.png"), frame)
    return path


def video_of(path: Path, frames: Iterator[Image]) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (640, 480))
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


@pytest.mark.parametrize("kind", [folder_of, video_of], ids=["folder", "video"])
def test_the_same_recording_gives_the_same_decisions(
    tmp_path: Path, kind: Callable[[Path, Iterator[Image]], Path]
) -> None:
    known = kind(tmp_path / "known.avi", frames_of("obama3", 6))
    stranger = kind(tmp_path / "stranger.avi", frames_of("biden", 6))
    kit = kit_of("sface")
    with office_in(tmp_path / "state") as office:
        office.enrollment.enroll_as("A1", {"first_name": "Anna"}, portrait("obama"), "eve")
        gallery = open_gallery(office.workspace, kit.model, kit.metric).load()

    def play(source: Path) -> list[tuple[float, Decision]]:
        settings = settings_in(tmp_path)
        recorded = CameraSettings(driver="replay", source=source, loop=False, realtime=False)
        gate = Gate(policy_of(settings, kit.calibration), gallery, kit.calibration)
        analyse = kit.analyzer(still_gate=False).analyse
        return list(replay(open_camera(recorded, ManualClock()), analyse, gate))

    first, second = play(known), play(known)
    assert [as_json(t, d) for t, d in first] == [as_json(t, d) for t, d in second]
    ((t, decision),) = first
    assert decision.granted
    assert decision.person is not None
    assert decision.person.personnel_code == "A1"
    assert t <= 0.5
    refused = play(stranger)
    assert refused
    assert not any(d.granted for _, d in refused)
