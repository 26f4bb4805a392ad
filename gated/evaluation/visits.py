"""Measure how often a whole visit of a stranger is recognised, against a single comparison.

The gate's threshold assumes that a visit is worth `core.policy.CHANCES` comparisons with each
template; here that is measured, on clips of people none of whom is in the folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gated.config import Settings
from gated.core.evaluation import taken_in_visit
from gated.core.evidence import FLOOR_FMR, REJECT_FMR, Criteria
from gated.core.gallery import unit
from gated.core.messages import Attention
from gated.core.policy import CHANCES
from gated.core.statistics import Floats
from gated.core.values import Vector
from gated.devices.cameras import open_camera
from gated.devices.clock import SystemClock
from gated.devices.recorded import PICTURES
from gated.enrollment.models import VisionKit
from gated.errors import SourceError
from gated.evaluation.rates import error_rate
from gated.evaluation.recognition import PhotoFolder, Progress, embed_people
from gated.ports import EndOfStream, Frame

RATES = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4)
INTERVAL_S = 1.0 / 15.0
"""Frames closer in time than those of a gate are skipped."""


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """Usable frames of one face, oldest first. vectors: (frames, d), unit; weights: (frames,).

    folder: name of the folder in which the clip lies.
    """

    clip: str
    vectors: Vector
    weights: Floats
    folder: str = ""


def evaluate_visits(
    settings: Settings,
    clips: Path,
    folder: Path,
    progress: Progress,
    enrolled: Path | None = None,
    fpir: float | None = None,
) -> dict[str, Any]:
    """Rates per comparison and per visit at several thresholds.

    Raises: SourceError without a track.

    clips: a recording, or a folder of them. folder: people (one sub-folder each) who stand for a
    gallery, one template each. enrolled: people (one sub-folder each) who are in the gallery too;
    clips in a folder of the same name show them, all others show strangers. fpir: the promise, else
    that of the settings.
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
    templates, _ = _one_template_each(embed_people([kit], folder, progress))
    known, names = templates[:0], tuple[str, ...]()
    if enrolled is not None:
        known, names = _one_template_each(embed_people([kit], enrolled, progress))
    promised = settings.recognition.fpir if fpir is None else fpir
    strangers = [t for t in tracks if t.folder not in names]
    if not strangers:
        raise SourceError(f"{clips}: shows no stranger: every clip is of somebody enrolled")
    everybody = np.concatenate([templates, known])
    threshold = kit.calibration.threshold(promised, len(everybody), CHANCES)
    criteria = _criteria(kit, settings, threshold)
    kept = settings.recognition.max_attempts
    return {
        "model": kit.model,
        "clips": len(files) - len(unusable),
        "unusable": unusable,
        "tracks": len(tracks),
        "frames": sum(len(t.weights) for t in tracks),
        "templates": len(templates),
        "chances_assumed": CHANCES,
        "fpir_promised": promised,
        "threshold": round(threshold, 4),
        "visits": visit_rates(tracks, names, everybody, criteria, kept),
        "visits_by_scores_alone": visit_rates(
            tracks, names, everybody, replace(criteria, pool_shift=None), kept
        ),
        "rates": [_rates(kit, settings, strangers, templates, rate) for rate in RATES],
    }


def visit_rates(
    tracks: Sequence[Track],
    names: Sequence[str],
    templates: Vector,
    criteria: Criteria,
    kept: int,
) -> dict[str, Any]:
    """FPIR and FNIR of whole visits, with 95 % intervals as if visits were independent.

    names: of the people whose templates come last, in their order; a clip in the folder of that
    name shows them. A stranger's track that is taken for anybody is an error; so is a clip in which
    no track is taken for whom it shows.
    """
    own = {name: len(templates) - len(names) + i for i, name in enumerate(names)}
    false: list[bool] = []
    found: dict[tuple[str, str], bool] = {}
    for track in tracks:
        similarities = np.asarray(track.vectors @ templates.T, np.float32)
        taken = taken_in_visit(similarities, track.vectors, track.weights, criteria, kept)
        if track.folder in own:
            clip = (track.folder, track.clip)
            found[clip] = found.get(clip, False) or bool(taken[own[track.folder]])
        else:
            false.append(bool(taken.any()))
    return {"fpir": error_rate(false), "fnir": error_rate([not there for there in found.values()])}


def _one_template_each(people: PhotoFolder) -> tuple[Vector, tuple[str, ...]]:
    """(people, d) unit vectors, and whose they are."""
    _, first = np.unique(people.owners, return_index=True)
    return unit(people.templates[0][first]), people.names


def read_tracks(settings: Settings, file: Path) -> list[Track]:
    """Return the faces of a clip that are seen in enough usable frames. Raises: SourceError."""
    kit = VisionKit(settings)
    analyse = kit.analyzer(still_gate=False).analyse
    seen: dict[int, list[tuple[Vector, float]]] = {}
    for frame in _frames(settings, file):
        for face in analyse(frame, Attention()).faces:
            if face.embedding is not None:
                sample = (face.embedding, max(face.quality.score, 1e-3))
                seen.setdefault(face.track_id, []).append(sample)
    return [
        Track(
            file.name,
            unit(np.stack([v for v, _ in t])),
            np.array([w for _, w in t]),
            file.parent.name,
        )
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


def _criteria(kit: VisionKit, settings: Settings, threshold: float) -> Criteria:
    calibration = kit.calibration
    return Criteria(
        threshold,
        min(threshold, calibration.similarity_at(FLOOR_FMR)),
        min(threshold, calibration.similarity_at(REJECT_FMR)),
        0.0,
        settings.recognition.frames,
        calibration.pool_shift,
    )


def _rates(
    kit: VisionKit, settings: Settings, tracks: list[Track], templates: Vector, rate: float
) -> dict[str, float | None]:
    recognition, threshold = settings.recognition, kit.calibration.similarity_at(rate)
    criteria = _criteria(kit, settings, threshold)
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
