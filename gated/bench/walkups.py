"""Measures the mean time of a frame, and decisions, on replayed walk-ups.

Two people of the demo walk up, one enrolled from another photo, one a stranger, with an empty scene
after each. On our side the gate's own analyzer with liveness, tracker, attention, decisions.
face_recognition analyses every frame, as its users' loops do, and takes faces within its tolerance
for the enrolled person.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gated.bench.baseline import TOLERANCE, Baseline, face_distance
from gated.bench.site import Progress, has_liveness
from gated.config import (
    CameraSettings,
    GateSettings,
    LivenessSettings,
    Settings,
    StorageSettings,
    VisionSettings,
)
from gated.core.gallery import Gallery, GalleryPerson, Template
from gated.core.gate import Gate
from gated.core.messages import Attention, Observation
from gated.core.values import Image, PersonRef
from gated.devices.clock import ManualClock
from gated.devices.demo_scene import walk_ups
from gated.devices.recorded import RecordedCamera
from gated.enrollment.models import VisionKit, asset_store, policy_of
from gated.evaluation.replay import replay
from gated.live.demo import PHOTO
from gated.ports import Frame
from gated.vision.assets import AssetStore
from gated.vision.decoding import decode
from gated.vision.photo import PhotoExaminer

FPS = 15.0
ANNA = GalleryPerson(PersonRef(1, "1", "DEMO-1", "the enrolled person"))


def measure_walkups(
    assets: AssetStore, baseline: Baseline, progress: Progress, stride: int = 1
) -> dict[str, Any]:
    """Return {face_recognition, "1", "2" (threads): {ms, ...}, frames}; ms: mean of all frames.

    stride: face_recognition analyses only every stride-th frame, and is assumed to need as much for
    the others.
    """
    with walker_kit(assets, 1) as kit:
        frames = list(walk_ups(kit.demo_portraits(phone=False), (640, 480), FPS))
    found: dict[str, Any] = {"frames": len(frames)}
    for threads in (1, 2):
        progress(f"walk-ups through gated, {threads} threads")
        with walker_kit(assets, threads) as kit:
            found[str(threads)] = _ours(kit, frames)
    progress("the same walk-ups through face_recognition")
    enrolled = baseline.encodings(decode(assets.read(PHOTO)))
    theirs = _theirs(baseline, enrolled, frames[::stride], stride / FPS)
    for name in ("1", "2"):
        found[name]["ratio"] = theirs["ms"] / found[name]["ms"]
    return {**found, "face_recognition": theirs}


@contextmanager
def walker_kit(assets: AssetStore, threads: int) -> Iterator[VisionKit]:
    with TemporaryDirectory() as folder:
        yield VisionKit(
            Settings(
                gate=GateSettings(demo=True),
                camera=CameraSettings(source="demo"),
                liveness=LivenessSettings(level="normal" if has_liveness(assets) else "off"),
                vision=VisionSettings(threads=threads, assets_dir=assets.places[0]),
                storage=StorageSettings(state_dir=Path(folder)),
            ),
            pad=True,
        )


def _ours(kit: VisionKit, frames: list[Image]) -> dict[str, Any]:
    photo = decode(asset_store(kit.settings).read(PHOTO))
    examiner = PhotoExaminer(kit.models, kit.settings.vision)
    template = Template(1, 1, examiner.examine(photo).embedding, kit.model)
    gallery = Gallery.build(kit.model, kit.metric, [ANNA], [template])
    gate = Gate(policy_of(kit.settings, kit.calibration), gallery, kit.calibration)
    analyzer = kit.analyzer()
    spent = 0.0

    def analyse(frame: Frame, attention: Attention) -> Observation:
        nonlocal spent
        start = time.perf_counter()
        seen = analyzer.analyse(frame, attention)
        spent += time.perf_counter() - start
        return seen

    camera = RecordedCamera(
        "bench", lambda: iter(frames), FPS, ManualClock(), loop=False, realtime=False
    )
    decisions = [
        {"t": round(t, 2), "decision": str(d.outcome), "reason": str(d.reason)}
        for t, d in replay(camera, analyse, gate)
    ]
    counters = asdict(analyzer.counters)
    return {"ms": spent * 1e3 / len(frames), "decisions": decisions, **counters}


def _theirs(
    baseline: Baseline, enrolled: Any, frames: list[Image], step_s: float
) -> dict[str, Any]:
    spent, faces, matched = 0.0, 0, []
    for number, frame in enumerate(frames):
        start = time.perf_counter()
        encodings = baseline.encodings(frame)
        spent += time.perf_counter() - start
        faces += len(encodings)
        if any(face_distance(enrolled, e).min() <= TOLERANCE for e in encodings):
            matched.append(number)
    half = len(frames) // 2
    return {
        "ms": spent * 1e3 / len(frames),
        "faces": faces,
        "first_match_s": round(matched[0] * step_s, 2) if matched else None,
        "matches_of_the_enrolled": sum(n < half for n in matched),
        "matches_of_the_stranger": sum(n >= half for n in matched),
    }
