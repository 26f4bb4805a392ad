"""How often a whole visit of a stranger is taken for somebody, against a single comparison.

The gate's threshold assumes that a visit is worth `core.policy.CHANCES` comparisons with each
template; here that is measured, on clips of people none of whom is in the folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gated.config import Settings
from gated.core.evaluation import taken_in_visit
from gated.core.evidence import FLOOR_FMR, REJECT_FMR, Criteria
from gated.core.gallery import unit
from gated.core.model import Attention, Vector
from gated.core.policy import CHANCES
from gated.core.statistics import Floats
from gated.devices.cameras import open_camera
from gated.devices.clock import SystemClock
from gated.devices.recorded import PICTURES
from gated.errors import SourceError
from gated.ports import EndOfStream, Frame
from gated.services.evaluation import Progress, embed_people
from gated.services.models import VisionKit

RATES = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4)
INTERVAL_S = 1.0 / 15.0
"""Frames nearer to each other than at a gate are passed over."""


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """Usable frames of one face, oldest first. vectors: (frames, d), unit; weights: (frames,)."""

    clip: str
    vectors: Vector
    weights: Floats


def evaluate_visits(
    settings: Settings, clips: Path, folder: Path, progress: Progress
) -> dict[str, Any]:
    """Rates per comparison and per visit at several thresholds; SourceError without a track.

    clips: a recording, or a folder of them. folder: people (one sub-folder each) who stand for a
    gallery, one template each.
    """
    kit = VisionKit(settings)
    found = sorted(p for p in clips.rglob("*") if p.is_file())
    files = [p for p in found if p.suffix.lower() not in PICTURES] or [clips]
    tracks: list[Track] = []
    unusable: dict[str, str] = {}
    for done, file in enumerate(files):
        progress("clips", done, len(files))
        try:
            tracks += read_tracks(settings, file)
        except SourceError as error:
            unusable[file.name] = str(error)
    progress("clips", len(files), len(files))
    if not tracks:
        raise SourceError(f"{clips}: shows no face in {settings.recognition.frames} usable frames")
    people = embed_people([kit], folder, progress)
    _, first = np.unique(people.owners, return_index=True)
    templates = unit(people.templates[0][first])
    return {
        "model": kit.model,
        "clips": len(files) - len(unusable),
        "unusable": unusable,
        "tracks": len(tracks),
        "frames": sum(len(t.weights) for t in tracks),
        "templates": len(templates),
        "chances_assumed": CHANCES,
        "rates": [_rates(kit, settings, tracks, templates, rate) for rate in RATES],
    }


def read_tracks(settings: Settings, file: Path) -> list[Track]:
    """The faces of a clip that are seen in enough usable frames; SourceError."""
    kit = VisionKit(settings)
    analyse = kit.analyzer(still_gate=False).analyse
    seen: dict[int, list[tuple[Vector, float]]] = {}
    for frame in _frames(settings, file):
        for face in analyse(frame, Attention()).faces:
            if face.embedding is not None:
                sample = (face.embedding, max(face.quality.score, 1e-3))
                seen.setdefault(face.track_id, []).append(sample)
    return [
        Track(file.name, unit(np.stack([v for v, _ in t])), np.array([w for _, w in t]))
        for t in seen.values()
        if len(t) >= settings.recognition.frames
    ]


def _frames(settings: Settings, file: Path) -> Iterator[Frame]:
    recorded = {"driver": "replay", "source": file, "loop": False, "realtime": False}
    camera = open_camera(settings.camera.model_copy(update=recorded), SystemClock())
    last = -np.inf
    try:
        camera.open()
        while True:
            frame = camera.read()
            if frame.captured_at - last >= INTERVAL_S * 0.99:
                last = frame.captured_at
                yield frame
    except EndOfStream:
        return
    finally:
        camera.close()


def _rates(
    kit: VisionKit, settings: Settings, tracks: list[Track], templates: Vector, rate: float
) -> dict[str, float | None]:
    recognition, calibration = settings.recognition, kit.calibration
    threshold = calibration.similarity_at(rate)
    criteria = Criteria(
        threshold,
        min(threshold, calibration.similarity_at(FLOOR_FMR)),
        min(threshold, calibration.similarity_at(REJECT_FMR)),
        0.0,
        recognition.frames,
    )
    compared, taken = [], []
    for track in tracks:
        similarities = np.asarray(track.vectors @ templates.T, np.float32)
        compared.append(float((similarities >= threshold).mean()))
        taken.append(
            taken_in_visit(
                similarities, track.vectors, track.weights, criteria, recognition.max_attempts
            ).mean()
        )
    per_comparison, per_visit = float(np.mean(compared)), float(np.mean(taken))
    return {
        "fmr": rate,
        "threshold": round(threshold, 4),
        "per_comparison": per_comparison,
        "per_visit": per_visit,
        "chances": per_visit / per_comparison if per_comparison else None,
        "chances_of_fmr": per_visit / rate,
    }
