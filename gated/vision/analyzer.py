"""Frame in, Observation out: the one place where the cost of a frame is decided.

A still scene without a track costs a thumbnail; a frame costs one detection; an embedding is made
only of a usable face on a track that the gate still wants evidence of.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from gated.config import VisionSettings, Zone
from gated.core.messages import Attention, Observation
from gated.core.quality import flaws
from gated.core.tracking import Tracker
from gated.core.values import Face, TrackedFace
from gated.ports import Frame
from gated.vision.factory import Models
from gated.vision.measuring import limits_of, measure
from gated.vision.uprightness import Uprightness

THUMBNAIL = (64, 48)
CHANGED_BY = 10
CHANGED_CELLS = 3
"""The scene moves when so many cells of the thumbnail differ by so many gray levels."""

SETTLED_S = 0.09
"""While of nobody in view evidence is wanted the detector looks this often; tracks bridge more."""

STRANGE_S = 0.3
"""How often a face is looked at for evidence that has resembled nobody so far."""

MAX_EMBEDDINGS = 4
"""Faces of one live frame that are looked at for evidence; the nearest first, so that a crowd
cannot stall a door."""


@dataclass(slots=True)
class Counters:
    """Counts of what was done since the start; read by other threads, written by one."""

    frames: int = 0
    skipped: int = 0
    detections: int = 0
    faces: int = 0
    embeddings: int = 0


class Analyzer:
    """Turns frames into observations; used by one thread, owns its tracker.

    still_gate: False analyses every frame and embeds every usable face, whatever the attention.
    meshed: a mesh is laid over every face that is looked at for evidence, not only where movements
    were asked for. upright: find out whether pictures are turned; default: as still_gate.
    """

    def __init__(
        self,
        models: Models,
        tracker: Tracker,
        settings: VisionSettings,
        zone: Zone,
        still_gate: bool = True,
        meshed: bool = False,
        *,
        upright: bool | None = None,
    ) -> None:
        self.counters = Counters()
        self._models = models
        self._tracker = tracker
        self._limits = limits_of(settings)
        self._idle_s = 1.0 / settings.idle_fps
        self._zone = zone
        self._still_gate = still_gate
        self._meshed = meshed
        self._seen: npt.NDArray[np.int16] | None = None
        self._seen_at = -np.inf
        self._moved = False
        self.grey = False
        """Whether the face that was last looked at had no colour."""
        self._last: Observation | None = None
        self._detected_at = -np.inf
        watched = still_gate if upright is None else upright
        self._uprightness = Uprightness(models.detector) if watched else None
        self._examined: dict[int, float] = {}
        """When the face of a track was last looked at for evidence."""

    @property
    def turn(self) -> int | None:
        """Degrees clockwise by which pictures have to be turned to show faces; None: by none."""
        return self._uprightness.turn if self._uprightness is not None else None

    def analyse(self, frame: Frame, attention: Attention) -> Observation:
        """Detect, track, measure and, where it is wanted, embed the faces of one frame."""
        self.counters.frames += 1
        last = self._last
        if self._still_gate and last is not None and self._is_settled(frame, attention):
            self.counters.skipped += 1
            # reported again, so that the tracks stay alive where they were
            return replace(last, frame_no=frame.number, captured_at=frame.captured_at)
        seen = self._look(frame, attention)
        known = tuple(replace(face, embedding=None, pad=None, mesh=None) for face in seen.faces)
        self._last = replace(seen, faces=known, lost=())
        return seen

    def _look(self, frame: Frame, attention: Attention) -> Observation:
        height, width = frame.image.shape[:2]
        faces: list[Face] = []
        if self._still_gate and self._is_still(frame):
            self.counters.skipped += 1
        else:
            self.counters.detections += 1
            self._detected_at = frame.captured_at
            faces = self._detected(frame)
            moved = self._moved or not self._still_gate
            if self._uprightness is not None and (faces or moved):
                self._uprightness.saw(frame.image, faces, frame.captured_at)
        ids, lost = self._tracker.update(faces, frame.captured_at)
        for track_id in lost:
            self._examined.pop(track_id, None)
        self.counters.faces += len(faces)
        return Observation(
            frame.number,
            frame.captured_at,
            width,
            height,
            self._examine(frame, faces, ids, attention),
            tuple(lost),
            self.turn,
        )

    def _detected(self, frame: Frame) -> list[Face]:
        """The faces of a frame, in its pixels."""
        if frame.small is None:
            return self._models.detector.detect(frame.image)
        (height, width), (low, narrow) = frame.image.shape[:2], frame.small.shape[:2]
        across, down = width / narrow, height / low
        return [face.scaled(across, down) for face in self._models.detector.detect(frame.small)]

    def _is_settled(self, frame: Frame, attention: Attention) -> bool:
        """Return whether nobody in view is wanted, and the detector looked a moment ago."""
        tracks, now = self._tracker.ids, frame.captured_at
        if not tracks or not 0 <= now - self._detected_at < SETTLED_S:
            return False
        return not any(self._is_wanted(track_id, attention, now) for track_id in tracks)

    def _is_still(self, frame: Frame) -> bool:
        """Return whether nothing changed since the detector last looked, and it may wait longer."""
        source = frame.image if frame.small is None else frame.small
        small = cv2.resize(source, THUMBNAIL, interpolation=cv2.INTER_AREA)
        gray = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.int16)
        before, waited = self._seen, frame.captured_at - self._seen_at
        if before is not None and not self._tracker.open and 0 <= waited < self._idle_s:
            changed = np.count_nonzero(np.abs(gray - before) > CHANGED_BY)
            if changed < CHANGED_CELLS:
                return True
        self._moved = before is not None and 0 <= waited < self._idle_s
        self._seen, self._seen_at = gray, frame.captured_at
        return False

    def _examine(
        self, frame: Frame, faces: list[Face], ids: list[int], attention: Attention
    ) -> tuple[TrackedFace, ...]:
        """Nearest first, so that these are embedded when there are too many."""
        budget = MAX_EMBEDDINGS if self._still_gate else len(faces)
        tracked = []
        for face, track_id in sorted(zip(faces, ids, strict=True), key=_nearness):
            wanted = budget > 0 and self._is_wanted(track_id, attention, frame.captured_at)
            budget -= wanted
            if wanted:
                self._examined[track_id] = frame.captured_at
            challenged = self._meshed or track_id in attention.challenged
            tracked.append(self._examine_one(frame, face, track_id, wanted, challenged))
        return tuple(tracked)

    def _examine_one(
        self, frame: Frame, face: Face, track_id: int, wanted: bool, challenged: bool
    ) -> TrackedFace:
        if wanted:
            face = self._models.look_closer(frame.image, face)
        chip = self._models.embedder.align(frame.image, face)
        quality = measure(face, chip)
        flawed = flaws(quality, self._limits, self._in_zone(face, frame))
        if flawed or not wanted:
            return TrackedFace(track_id, face, quality, flawed)
        self.counters.embeddings += 1
        embedding = self._models.embedder.embed_chip(chip)
        pad = self._models.pad.read(frame.image, face) if self._models.pad else None
        self.grey = pad is not None and pad.grey
        mesh = None
        if challenged and self._models.mesh is not None:
            mesh = self._models.mesh.measure(frame.image, face)
        return TrackedFace(track_id, face, quality, flawed, embedding, pad, mesh)

    def _is_wanted(self, track_id: int, attention: Attention, now: float) -> bool:
        if not self._still_gate:
            return True
        if not attention.watching or track_id in attention.settled:
            return False
        waited = now - self._examined.get(track_id, -np.inf)
        return track_id not in attention.strange or not 0 <= waited < STRANGE_S

    def _in_zone(self, face: Face, frame: Frame) -> bool:
        height, width = frame.image.shape[:2]
        x, y = face.box.centre
        zone = self._zone
        inside: bool = (
            zone.left * width <= x <= zone.right * width
            and zone.top * height <= y <= zone.bottom * height
        )
        return inside


def _nearness(pair: tuple[Face, int]) -> tuple[float, int]:
    face, track_id = pair
    return -face.eye_distance, track_id
