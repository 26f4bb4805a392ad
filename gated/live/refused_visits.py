"""Templates of refused visits, kept for some hours: was that this person?

Off unless `privacy.denials_hours` says how long. Each is sealed in a file of its own, names whom it
resembles so that it goes when they are erased, and leaves the gate in no backup. What is answered
is a word; no number that could be collected, and no name that was not asked for.
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
"""So many tracks are remembered, and so many of their last usable frames."""

MOST_BYTES = 4 << 20
"""Of all that is kept: some three thousand visits, the oldest go first."""

AHEAD_S = 3600.0
"""A visit from later than this is of a clock that was wrong, and goes."""

NAMED_FLAWS = 3


class Likeness(StrEnum):
    """Likeness of a refused visit and a person, in the words of the gate's own limits."""

    ALIKE = "alike"
    """As alike as the gate wants before it opens."""
    ALMOST = "almost"
    """More alike than 999 of 1,000 strangers are, and less than the gate wants."""
    UNLIKE = "unlike"
    NOT_COMPARED = "not_compared"
    """No frame was usable, or the person has no template of the gate's model."""


@dataclass(frozen=True, slots=True)
class Scale:
    """A model, the similarities by which its gate tells people apart, and the frames it wants."""

    model: str
    threshold: float
    floor: float
    frames: int


@dataclass(frozen=True, slots=True, eq=False)
class RefusedVisit:
    """Sight of one visit until it was refused.

    mean: (d,) unit vector of its usable frames; None without any. flaws: what was wrong with so
    many of the other frames. named: uid of who was recognised, where anybody was.
    """

    visit: int
    at: Instant
    reason: str
    usable: int
    flaws: Mapping[str, int]
    mean: Vector | None
    named: str | None

    def about(self, gallery: Gallery | None) -> frozenset[str]:
        """Name by uid who was recognised, and the two whom the visit resembles most."""
        found = set() if self.named is None else {self.named}
        if self.mean is not None and gallery is not None and (match := gallery.match(self.mean)):
            alike = (match.member, match.runner_up)
            found |= {member.person.uid for member in alike if member is not None}
        return frozenset(found)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The answer about one visit and one person.

    missing: usable frames that the gate wanted and did not get. flaws: what was wrong with most of
    the frames that were not usable, the commonest first.
    """

    visit_uid: str
    reason: str
    likeness: Likeness
    usable: int
    missing: int
    flaws: tuple[str, ...]


@dataclass(slots=True)
class _Track:
    vectors: deque[Vector] = field(default_factory=lambda: deque(maxlen=FRAMES))
    usable: int = 0
    flaws: Counter[str] = field(default_factory=Counter)

    def saw(self, face: TrackedFace) -> None:
        self.flaws.update(face.flaws)
        if face.embedding is not None:
            self.usable += 1
            self.vectors.append(unit(face.embedding))


class RefusalTaker:
    """Remembers tracks in the inference thread, is asked for refused ones in the controller's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tracks: OrderedDict[int, _Track] = OrderedDict()

    def tapped(self, analyse: Analyse) -> Analyse:
        """`analyse`, whose faces are remembered for as long as others do not follow them."""

        def analyse_and_remember(frame: Frame, attention: Attention) -> Observation:
            seen = analyse(frame, attention)
            if seen.faces:
                self._remember(seen)
            return seen

        return analyse_and_remember

    def _remember(self, seen: Observation) -> None:
        with self._lock:
            for face in seen.faces:
                self._tracks.setdefault(face.track_id, _Track()).saw(face)
                self._tracks.move_to_end(face.track_id)
            while len(self._tracks) > TRACKS:
                self._tracks.popitem(last=False)

    def take(self, decision: Decision) -> RefusedVisit | None:
        """Give what was seen of a face that was refused; None for other decisions."""
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
    """The refused visits of a workspace that are kept, and what may be asked of them."""

    def keep(
        self, refused: RefusedVisit, visit_uid: str, scale: Scale, gallery: Gallery | None
    ) -> None:
        """Seal one, in the place of what was kept of the same visit. StorageError."""
        ring, mean, about = self._workspace.refused, refused.mean, refused.about(gallery)
        told = {
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
        ring.add(name, Piece(about, (json.dumps(told),)), MOST_BYTES)
        # erased while it was written: whoever erased may have looked before it was there
        if about.intersection(self._workspace.journal.ledger.read()):
            ring.remove(name)

    def expire(self) -> int:
        """Remove those whose time is over, all where none are kept any more; how many."""
        hours = self._workspace.settings.privacy.denials_hours
        now, gone = self._clock.now().utc, 0
        for name in self._workspace.refused.names():
            taken, _, _ = name.partition("-")
            age = now - int(taken) if taken.isdigit() else -np.inf
            if not hours or not -AHEAD_S <= age < hours * 3600:
                self._workspace.refused.remove(name)
                gone += 1
        return gone

    def compare(self, change: Change, visit_uid: str, person_id: int) -> Comparison:
        """Tell how alike a refused visit and a person are; the question is journaled.

        NotFound: no such person, or nothing is kept of such a visit.
        """
        person = person_store.get(change.session, person_id)
        told = self._told(visit_uid)
        body = {"person": person.uid, "visit": visit_uid}
        change.record("refused_visit_compared", body, subject=person.ref)
        flaws = sorted(told["flaws"], key=lambda flaw: (-told["flaws"][flaw], flaw))
        return Comparison(
            visit_uid,
            told["reason"],
            self._likeness(change.session, told, person_id),
            told["usable"],
            max(0, told["wanted"] - told["usable"]),
            tuple(flaws[:NAMED_FLAWS]),
        )

    def _told(self, visit_uid: str) -> Mapping[str, Any]:
        self.expire()
        for name in self._names(visit_uid):
            piece = self._workspace.refused.read(name)
            if piece is not None:
                told: Mapping[str, Any] = json.loads(piece.lines[0])
                return told
        kept = self._workspace.settings.privacy.denials_hours
        raise NotFound(
            f"nothing is kept of visit {visit_uid}: it was not refused, or is over for {kept} h"
            if kept
            else "refused visits are not kept: privacy.denials_hours is 0"
        )

    def _names(self, visit_uid: str) -> list[str]:
        return [n for n in self._workspace.refused.names() if n.partition("-")[2] == visit_uid]

    def _likeness(self, session: Session, told: Mapping[str, Any], person_id: int) -> Likeness:
        templates = self._templates(session, person_id, told["model"])
        if told["mean"] is None or not templates:
            return Likeness.NOT_COMPARED
        mean = np.frombuffer(base64.b64decode(told["mean"]), "<f4")
        best = max(float(unit(template) @ mean) for template in templates)
        threshold, floor = told["limits"]
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
