"""Keeps templates of refused visits for some hours, to answer whether a visit was a given person's.

Off unless `privacy.denials_hours` is set. Each template is sealed in a file of its own, with the
uids of similar people, so that it is deleted when they are erased; it is in no backup. The answer
is a word: no number that could be collected, and no name that was not asked for.
"""

from __future__ import annotations

import base64
import json
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from gated.change import Change
from gated.core.gallery import Gallery, unit
from gated.core.messages import Attention, Decision, Observation
from gated.core.values import Instant, Method, Outcome, TrackedFace, Vector
from gated.enrollment import enrollment_store
from gated.errors import NotFound, SealError
from gated.link.running_gate import Analyse
from gated.people import person_store
from gated.ports import Frame
from gated.vault.ring import Piece
from gated.workspace import Service

TRACKS, FRAMES = 32, 16
"""Number of tracks that are remembered, and of the last usable frames of each."""

MOST_BYTES = 4 << 20
"""Limit of all files: some three thousand visits, the oldest go first."""

AHEAD_S = 3600.0
"""A visit further in the future was dated by a wrong clock, and is deleted."""

NAMED_FLAWS = 3


class Likeness(StrEnum):
    """Similarity of a refused visit and a person, by the gate's own thresholds."""

    ALIKE = "alike"
    """Above the threshold at which the gate opens."""
    ALMOST = "almost"
    """Below it, but more similar than 999 of 1,000 strangers."""
    UNLIKE = "unlike"
    NOT_COMPARED = "not_compared"
    """No frame was usable, or the person has no template of the gate's model."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The model and thresholds of a gate, and the number of frames that it needs."""

    model: str
    threshold: float
    floor: float
    frames: int


@dataclass(frozen=True, slots=True, eq=False)
class RefusedVisit:
    """The frames of one visit until it was refused.

    mean: (d,) unit vector of its usable frames; None without any. flaws: number of other frames by
    flaw. named: uid of the recognised person, if any.
    """

    visit: int
    at: Instant
    reason: str
    usable: int
    flaws: Mapping[str, int]
    mean: Vector | None
    named: str | None

    def about(self, gallery: Gallery | None) -> frozenset[str]:
        """Return the uids of the recognised person and the two most similar ones."""
        found = set() if self.named is None else {self.named}
        if self.mean is not None and gallery is not None and (match := gallery.match(self.mean)):
            alike = (match.member, match.runner_up)
            found |= {member.person.uid for member in alike if member is not None}
        return frozenset(found)


@dataclass(frozen=True, slots=True)
class VisitComparison:
    """The answer about one visit and one person.

    missing: usable frames that the gate still needed. flaws: of the frames that were not usable,
    the most common first.
    """

    visit_uid: str
    reason: str
    likeness: Likeness
    usable: int
    missing: int
    flaws: tuple[str, ...]


@dataclass(slots=True)
class _TrackFrames:
    vectors: deque[Vector] = field(default_factory=lambda: deque(maxlen=FRAMES))
    usable: int = 0
    flaws: Counter[str] = field(default_factory=Counter)

    def add(self, face: TrackedFace) -> None:
        self.flaws.update(face.flaws)
        if face.embedding is not None:
            self.usable += 1
            self.vectors.append(unit(face.embedding))


class RefusalTaker:
    """Remembers tracks in the inference thread; the controller's thread takes refused ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tracks: OrderedDict[int, _TrackFrames] = OrderedDict()

    def tapped(self, analyse: Analyse) -> Analyse:
        """Return `analyse`, wrapped to remember the last tracks."""

        def analyse_and_remember(frame: Frame, attention: Attention) -> Observation:
            seen = analyse(frame, attention)
            if seen.faces:
                self._remember(seen)
            return seen

        return analyse_and_remember

    def _remember(self, seen: Observation) -> None:
        with self._lock:
            for face in seen.faces:
                self._tracks.setdefault(face.track_id, _TrackFrames()).add(face)
                self._tracks.move_to_end(face.track_id)
            while len(self._tracks) > TRACKS:
                self._tracks.popitem(last=False)

    def take(self, decision: Decision) -> RefusedVisit | None:
        """Return the frames of a face that was refused; None for other decisions."""
        if decision.outcome is not Outcome.DENIED or decision.method is not Method.FACE:
            return None
        with self._lock:
            track = self._tracks.get(-1 if decision.track_id is None else decision.track_id)
            if track is None:
                return None
            vectors, usable, flaws = list(track.vectors), track.usable, dict(track.flaws)
        mean = np.asarray(unit(np.mean(vectors, axis=0)), np.float32) if vectors else None
        return RefusedVisit(
            decision.visit,
            decision.at,
            decision.reason.value,
            usable,
            flaws,
            mean,
            decision.person.uid if decision.person else None,
        )


class RefusedVisits(Service):
    """The stored refused visits of a workspace."""

    def keep(
        self, refused: RefusedVisit, visit_uid: str, scale: Scale, gallery: Gallery | None
    ) -> None:
        """Seal one, replacing an earlier one of the same visit. Raises: StorageError."""
        ring, mean, about = self._workspace.refused, refused.mean, refused.about(gallery)
        stored = {
            "reason": refused.reason,
            "usable": refused.usable,
            "wanted": scale.frames,
            "flaws": refused.flaws,
            "model": scale.model,
            "limits": [scale.threshold, scale.floor],
            "mean": None
            if mean is None
            else base64.b64encode(mean.astype("<f4").tobytes()).decode(),
        }
        for name in self._names(visit_uid):
            ring.remove(name)
        name = f"{int(refused.at.utc):012}-{visit_uid}"
        ring.add(name, Piece(about, (json.dumps(stored),)), MOST_BYTES)
        # erased while it was written: the erasure may have looked before the file was there
        if about.intersection(self._workspace.journal.ledger.read()):
            ring.remove(name)

    def expire(self) -> int:
        """Delete those whose time is over, or all when the setting is off; return how many."""
        hours = self._workspace.settings.privacy.denials_hours
        now, gone = self._clock.now().utc, 0
        for name in self._workspace.refused.names():
            taken, _, _ = name.partition("-")
            age = now - int(taken) if taken.isdigit() else -np.inf
            if not hours or not -AHEAD_S <= age < hours * 3600:
                self._workspace.refused.remove(name)
                gone += 1
        return gone

    def compare(self, change: Change, visit_uid: str, person_id: int) -> VisitComparison:
        """Compare a refused visit with a person; journaled.

        Raises: NotFound for the person, or when the visit is not kept.
        """
        person = person_store.get(change.session, person_id)
        visit = self._read(visit_uid)
        body = {"person": person.uid, "visit": visit_uid}
        change.record("refused_visit_compared", body, subject=person.ref)
        flaws = sorted(visit["flaws"], key=lambda flaw: (-visit["flaws"][flaw], flaw))
        return VisitComparison(
            visit_uid,
            visit["reason"],
            self._likeness(change.session, visit, person_id),
            visit["usable"],
            max(0, visit["wanted"] - visit["usable"]),
            tuple(flaws[:NAMED_FLAWS]),
        )

    def _read(self, visit_uid: str) -> Mapping[str, Any]:
        self.expire()
        for name in self._names(visit_uid):
            piece = self._workspace.refused.read(name)
            if piece is not None:
                stored: Mapping[str, Any] = json.loads(piece.lines[0])
                return stored
        kept = self._workspace.settings.privacy.denials_hours
        raise NotFound(
            f"nothing is kept of visit {visit_uid}: it was not refused, or is over for {kept} h"
            if kept
            else "refused visits are not kept: privacy.denials_hours is 0"
        )

    def _names(self, visit_uid: str) -> list[str]:
        return [n for n in self._workspace.refused.names() if n.partition("-")[2] == visit_uid]

    def _likeness(self, session: Session, visit: Mapping[str, Any], person_id: int) -> Likeness:
        templates = self._templates(session, person_id, visit["model"])
        if visit["mean"] is None or not templates:
            return Likeness.NOT_COMPARED
        mean = np.frombuffer(base64.b64decode(visit["mean"]), "<f4")
        best = max(float(unit(template) @ mean) for template in templates)
        threshold, floor = visit["limits"]
        if best >= threshold:
            return Likeness.ALIKE
        return Likeness.ALMOST if best >= floor else Likeness.UNLIKE

    def _templates(self, session: Session, person_id: int, model: str) -> list[Vector]:
        found = []
        for enrolled in enrollment_store.list_(session, person_id=person_id, is_active=True):
            if enrolled.model != model or enrolled.face_encoding_path is None:
                continue
            try:
                vector, _ = self._workspace.files.load_encoding(enrolled.face_encoding_path)
            except SealError:
                continue
            found.append(vector)
        return found
