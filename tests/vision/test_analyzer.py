"""What the analyzer does to a frame, and what it leaves undone, seen through its models."""

from __future__ import annotations

import numpy as np
import pytest

from gated.config import VisionSettings, Zone
from gated.core.messages import Attention, Observation
from gated.core.tracking import Tracker
from gated.core.values import Box, Face, Image, PadReading, Vector
from gated.ports import Frame
from gated.vision.analyzer import MAX_EMBEDDINGS, Analyzer
from gated.vision.factory import Models

LANDMARKS = np.array([[-16, 0], [16, 0], [0, 18], [-14, 32], [14, 32]], np.float32)


def face_at(x: float, y: float, scale: float = 1.0, score: float = 0.95) -> Face:
    width, height = 60 * scale, 80 * scale
    box = Box(x - width / 2, y - height / 2, width, height)
    return Face(box, LANDMARKS * scale + np.array([x, y], np.float32), score)


class ScriptedDetector:
    model = "scripted"

    def __init__(self) -> None:
        self.faces: list[Face] = []
        self.calls = 0
        self.looked_at: list[tuple[int, ...]] = []

    def detect(self, image: Image) -> list[Face]:
        self.calls += 1
        self.looked_at.append(image.shape)
        return list(self.faces)


class CountingEmbedder:
    """Embeds a face as its position, on a chip that is sharp and well lit."""

    model = "counting"
    dimension = 2
    metric = "cosine"
    mirrors = False

    def __init__(self) -> None:
        self.embedded = 0
        rng = np.random.default_rng(0)
        blocks = rng.integers(60, 200, (14, 14))
        self.chip = np.repeat(np.kron(blocks, np.ones((8, 8), int))[:, :, None], 3, axis=2)

    def align(self, image: Image, face: Face) -> Image:
        chip = self.chip.copy()
        chip[0, 0] = int(face.box.centre[0]) % 256
        return np.asarray(chip, np.uint8)

    def embed_chip(self, chip: Image) -> Vector:
        self.embedded += 1
        return np.array([chip[0, 0, 0], 1], np.float32)


class ConstantPad:
    model = "constant"

    def read(self, image: Image, face: Face) -> PadReading:
        return PadReading(0.75)


class Bench:
    """An analyzer, its models, and a camera."""

    def __init__(
        self,
        still_gate: bool = True,
        pad: bool = False,
        zone: Zone | None = None,
        fps: int = 10,
    ) -> None:
        self.detector, self.embedder = ScriptedDetector(), CountingEmbedder()
        liveness = ConstantPad() if pad else None
        models = Models(self.detector, self.embedder, self.detector, self.look_closer, liveness)
        settings = VisionSettings(idle_fps=2)
        self.analyzer = Analyzer(models, Tracker(), settings, zone or Zone(), still_gate=still_gate)
        self.looks = 0
        self.corrected: dict[tuple[float, float], Face] = {}
        self.number, self.fps = 0, fps
        self.picture = np.full((240, 320, 3), 100, np.uint8)

    def look_closer(self, image: Image, face: Face) -> Face:
        self.looks += 1
        return self.corrected.get(face.box.centre, face)

    def see(self, *faces: Face, attention: Attention | None = None) -> Observation:
        self.detector.faces = list(faces)
        self.number += 1
        frame = Frame(self.picture, self.number / self.fps, self.number)
        return self.analyzer.analyse(frame, attention or Attention())


def test_a_usable_face_is_tracked_measured_and_embedded() -> None:
    seen = Bench().see(face_at(160, 120))
    (face,) = seen.faces
    assert (seen.frame_no, seen.captured_at, seen.width, seen.height) == (1, 0.1, 320, 240)
    assert face.track_id == 1
    assert face.flaws == ()
    assert face.quality.eye_distance == pytest.approx(32)
    assert face.embedding is not None
    assert face.embedding.tolist() == [160, 1]
    assert face.pad is None


def test_liveness_is_scored_where_there_is_a_model() -> None:
    assert Bench(pad=True).see(face_at(160, 120)).faces[0].pad == PadReading(0.75)


@pytest.mark.parametrize(
    ("face", "flaw"),
    [
        (face_at(160, 120, score=0.6), "low_detection"),
        (face_at(160, 120, scale=0.3), "too_small"),
        (face_at(20, 120), "outside_zone"),
    ],
)
def test_an_unusable_face_is_told_and_not_embedded(face: Face, flaw: str) -> None:
    bench = Bench(pad=True, zone=Zone(left=0.25))
    (seen,) = bench.see(face).faces
    assert seen.flaws == (flaw,)
    assert seen.embedding is None
    assert seen.pad is None
    assert bench.embedder.embedded == 0


def test_a_settled_track_costs_no_embedding() -> None:
    bench = Bench()
    bench.see(face_at(100, 120), face_at(220, 120))
    seen = bench.see(
        face_at(100, 120), face_at(220, 120), attention=Attention(settled=frozenset({1}))
    )
    assert {f.track_id: f.embedding is not None for f in seen.faces} == {1: False, 2: True}
    assert bench.analyzer.counters.embeddings == 3


def test_a_face_that_is_wanted_is_looked_at_closely() -> None:
    bench = Bench()
    vague, sure = face_at(160, 120, score=0.55), face_at(160, 120, score=0.92)
    bench.corrected[160, 120] = sure
    assert bench.see(vague).faces[0].embedding is not None
    assert bench.see(vague).faces[0].quality.detection == 0.92
    assert bench.looks == 2
    settled = bench.see(vague, attention=Attention(settled=frozenset({1})))
    assert settled.faces[0].quality.detection == 0.55
    assert bench.looks == 2


def test_nobody_is_embedded_while_a_trigger_is_awaited() -> None:
    bench = Bench()
    seen = bench.see(face_at(160, 120), attention=Attention(watching=False))
    assert seen.faces[0].embedding is None
    assert seen.faces[0].flaws == ()


def test_in_a_crowd_the_nearest_are_embedded_first() -> None:
    bench = Bench()
    crowd = [face_at(30 + 50 * i, 120, scale=0.5 + 0.1 * i) for i in range(6)]
    seen = bench.see(*crowd)
    embedded = {f.face.box.centre[0] for f in seen.faces if f.embedding is not None}
    assert embedded == {30 + 50 * i for i in range(6)[-MAX_EMBEDDINGS:]}
    settled = frozenset(f.track_id for f in seen.faces if f.embedding is not None)
    again = bench.see(*crowd, attention=Attention(settled=settled))
    late = {f.face.box.centre[0] for f in again.faces if f.embedding is not None}
    assert late == {30, 80}


def test_a_still_empty_scene_is_looked_at_at_the_idle_rate() -> None:
    bench = Bench()
    for _ in range(50):
        bench.see()
    counters = bench.analyzer.counters
    assert counters.frames == 50
    assert bench.detector.calls == counters.detections == 10
    assert counters.skipped == 40


def test_motion_wakes_the_detector_at_once() -> None:
    bench = Bench()
    bench.see()
    bench.see()
    assert bench.detector.calls == 1
    bench.picture = bench.picture.copy()
    bench.picture[100:130, 100:130] = 160
    bench.see()
    assert bench.detector.calls == 2


def test_noise_is_no_motion() -> None:
    bench = Bench()
    rng = np.random.default_rng(1)
    for _ in range(4):
        bench.picture = np.asarray(rng.normal(100, 6, (240, 320, 3)).clip(0, 255), np.uint8)
        bench.see()
    assert bench.detector.calls == 1


def test_slow_motion_adds_up() -> None:
    bench = Bench()
    for _ in range(4):
        bench.picture = bench.picture + np.uint8(4)
        bench.see()
    assert bench.detector.calls == 2


def test_an_open_track_keeps_the_detector_awake_until_it_is_lost() -> None:
    bench = Bench()
    for _ in range(5):
        bench.see(face_at(160, 120))
    assert bench.detector.calls == 5
    lost = [track for _ in range(12) for track in bench.see().lost]
    assert lost == [1]
    assert bench.analyzer.counters.skipped > 0


def test_the_clock_going_back_does_not_blind_the_gate() -> None:
    bench = Bench()
    bench.number = 1000
    bench.see()
    bench.number = 0
    bench.see()
    assert bench.detector.calls == 2


def test_a_replay_leaves_nothing_out() -> None:
    bench = Bench(still_gate=False)
    crowd = [face_at(30 + 50 * i, 120) for i in range(6)]
    away = Attention(watching=False, settled=frozenset(range(1, 7)))
    for _ in range(5):
        seen = bench.see(*crowd, attention=away)
        assert all(f.embedding is not None for f in seen.faces)
    bench.see()
    bench.see()
    assert bench.detector.calls == 7


def test_a_strange_face_is_looked_at_a_few_times_a_second() -> None:
    bench = Bench()
    strange = Attention(strange=frozenset({1}))
    seen = [bench.see(face_at(160, 120), attention=strange).faces[0] for _ in range(8)]
    assert [n for n, face in enumerate(seen) if face.embedding is not None] == [0, 3, 7]
    assert bench.see(face_at(160, 120)).faces[0].embedding is not None


def test_while_everybody_is_settled_the_detector_looks_less_often() -> None:
    bench = Bench(fps=30)
    settled = Attention(settled=frozenset({1}))
    first = bench.see(face_at(160, 120))
    seen = [bench.see(face_at(162, 120), attention=settled) for _ in range(3)]
    assert bench.detector.calls == 2
    assert [s.faces[0].face.box.x for s in seen] == [first.faces[0].face.box.x] * 2 + [
        face_at(162, 120).box.x
    ]
    assert [s.frame_no for s in seen] == [2, 3, 4]
    assert all(s.faces[0].embedding is None for s in seen), "evidence is told once"
    bench.see(face_at(164, 120))
    bench.see(face_at(166, 120))
    assert bench.detector.calls == 4, "who is not settled is looked for in every frame"


def test_the_end_of_a_track_is_told_once_while_others_are_settled() -> None:
    bench = Bench(fps=30)
    left, right = face_at(80, 120), face_at(240, 120)
    bench.see(left, right)
    settled = Attention(settled=frozenset({1, 2}))
    lost = [bench.see(right, attention=settled).lost for _ in range(30)]
    assert [ids for ids in lost if ids] == [(1,)]


def test_faces_are_looked_for_in_the_small_picture_and_found_in_the_large_one() -> None:
    bench = Bench()
    bench.detector.faces = [face_at(80, 60, scale=0.5)]
    large, small = np.zeros((480, 640, 3), np.uint8), np.zeros((240, 320, 3), np.uint8)
    seen = bench.analyzer.analyse(Frame(large, 1.0, 1, small), Attention())
    assert bench.detector.looked_at == [(240, 320, 3)]
    assert (seen.width, seen.height) == (640, 480)
    (face,) = seen.faces
    assert face.quality.eye_distance == pytest.approx(32)
    assert face.embedding is not None
    assert face.embedding.tolist() == [160, 1]
