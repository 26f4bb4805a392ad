"""Writes the gate's events and decisions into the sealed ring, off the door path."""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import astuple
from typing import Any

from gated.core.gallery import Gallery, GalleryPerson
from gated.core.messages import (
    CameraEvent,
    Command,
    CredentialPresented,
    Decision,
    DoorEvent,
    Event,
    Expected,
    GalleryReplaced,
    JournalState,
    Observation,
    OperatorUnlock,
    RecordDecision,
    ReleaseFailed,
    ResetFire,
    SetDoorMode,
    Trigger,
)
from gated.core.sketch import TrackSketch
from gated.core.values import Instant, TrackedFace
from gated.database.tables import new_uid
from gated.errors import StorageError
from gated.link.loop import Loop, OnCrash
from gated.vault.ring import Piece, SealedRing

log = logging.getLogger(__name__)

WAITING = 512
PIECE_BYTES = 256 << 10
PIECE_S = 60.0
"""A piece is written when it reaches one of these limits."""

CLAIM_S = 120.0
TRACKS = 64

_TAPED = (
    *(Observation, CameraEvent, CredentialPresented, DoorEvent, Expected, GalleryReplaced),
    *(JournalState, OperatorUnlock, ReleaseFailed, ResetFire, SetDoorMode, Trigger),
)


class IncidentTape(Loop):
    """A short queue and the thread that empties it; events are dropped and counted when it is full.

    No name, picture or template is written: of a face only its position and measures, the two most
    similar people with their similarities, and a sketch of the track's embeddings relative to each
    other (`core.sketch`).

    gone: returns the uids of erased persons; no piece about one of them is written. A person whose
    last template leaves the gallery, as by a withdrawn consent, is removed from the ring as well:
    at once, or at the start when it happened while no door ran.
    """

    def __init__(
        self,
        ring: SealedRing,
        most_bytes: int,
        gallery: Gallery,
        gone: Callable[[], Collection[str]],
        on_crash: OnCrash,
    ) -> None:
        super().__init__("incidents", on_crash)
        self._ring = ring
        self._most_bytes = most_bytes
        self._gone = gone
        self._queue: queue.Queue[tuple[Event, Instant, Sequence[Decision]]] = queue.Queue(WAITING)
        self._lines = _Lines(gallery)
        self._run = new_uid()
        self._number = 0
        self.dropped = 0

    def offer(self, event: Event, now: Instant, commands: Sequence[Command]) -> None:
        """Queue an event of the gate with its decisions; never waits."""
        decided = [c.decision for c in commands if isinstance(c, RecordDecision)]
        if not decided and not isinstance(event, _TAPED):
            return
        try:
            self._queue.put_nowait((event, now, decided))
        except queue.Full:
            self.dropped += 1

    def work(self) -> None:
        self._lines.withdrawn |= self._withdrawn_before()
        self._forget_withdrawn()
        began = time.monotonic()
        while not self.stopping.is_set() or not self._queue.empty():
            self.beat()
            with contextlib.suppress(queue.Empty):
                self._lines.take(*self._queue.get(timeout=0.5))
                self._forget_withdrawn()
            if self._lines.size >= PIECE_BYTES or time.monotonic() - began >= PIECE_S:
                self.write()
                began = time.monotonic()
        self.write()

    def write(self) -> None:
        """Write the gathered lines as one piece, unless it concerns an erased person."""
        piece = self._lines.piece()
        if piece is None:
            return
        try:
            if piece.about.intersection(self._gone()):
                return
            self._number += 1
            name = f"{self._run}-{self._number:08}"
            self._ring.add(name, piece, self._most_bytes)
            # erased while it was written: the erasure may have looked before the piece was there
            if piece.about.intersection(self._gone()):
                self._ring.remove(name)
        except StorageError as error:
            log.error("the incident tape cannot be written: %s", error)

    def _withdrawn_before(self) -> set[str]:
        """Return the uids of persons of the ring who had templates then and have none now."""
        found: set[str] = set()
        for piece in self._ring.pieces():
            self.beat()
            found |= _with_templates(piece)
        return {uid for uid in found if not self._lines.is_member(uid)}

    def _forget_withdrawn(self) -> None:
        withdrawn, self._lines.withdrawn = self._lines.withdrawn, set()
        if withdrawn:
            self._ring.forget(withdrawn)


def _with_templates(piece: Piece) -> set[str]:
    """Return the uids of the persons who had templates when the piece was written."""
    head = json.loads(piece.lines[0]) if piece.lines else {}
    return set(head.get("people", ()))


class _Lines:
    """Makes lines of events, and collects the uids of the persons concerned."""

    def __init__(self, gallery: Gallery) -> None:
        self._sketches: dict[int, TrackSketch] = {}
        self._claimed: tuple[int, float] | None = None
        self._uids: dict[int, str] = {}
        self._about: set[str] = set()
        self._made: list[str] = []
        self.size = 0
        self._members: dict[str, GalleryPerson] = {}
        self.withdrawn: set[str] = set()
        """The uids of persons whose last template was removed, of whom nothing may be kept."""
        self._replace(gallery)

    def is_member(self, uid: str) -> bool:
        """Return whether this person is in the gallery."""
        return uid in self._members

    def piece(self) -> Piece | None:
        """Return the lines since the last call as a piece; None without any."""
        made, about = self._made, frozenset(self._about)
        self._made, self._about, self.size = [], set(), 0
        if not made:
            return None
        return Piece(about, (self._people(about), *made))

    def take(self, event: Event, now: Instant, decided: Sequence[Decision]) -> None:
        """Add an event and its decisions."""
        for decision in decided:
            if decision.person is not None:
                self._uids[decision.person.id] = decision.person.uid
        if isinstance(event, GalleryReplaced):
            self._replace(event.gallery)
        line = self._line(event, now)
        moment = {"mono": now.mono, "utc": now.utc, "ok": now.clock_ok, "doubted": now.doubted}
        if line is not None:
            self._add({**moment, **line})
        for decision in decided:
            self._add({**moment, "kind": "decided", **self._decided(decision)})

    def _add(self, line: dict[str, Any]) -> None:
        text = json.dumps(line, separators=(",", ":"))
        self._made.append(text)
        self.size += len(text)

    def _replace(self, gallery: Gallery) -> None:
        members = {m.person.uid: m for m in gallery.members}
        # who is only switched off is still a member
        withdrawn = self._members.keys() - members.keys()
        self.withdrawn |= withdrawn
        if self._about & withdrawn:
            self._made, self._about, self.size = [], set(), 0
        self._gallery = gallery
        self._uids = {m.person.id: m.person.uid for m in gallery.members}
        self._members = members

    def _people(self, about: frozenset[str]) -> str:
        """Return the line of the gallery: its size, and the persons concerned."""
        known = {uid: self._members[uid] for uid in sorted(about) if uid in self._members}
        people = {
            uid: [m.active, m.extended, len(self._gallery.only(m.person.id))]
            for uid, m in known.items()
        }
        line = {"kind": "gallery", "templates": len(self._gallery), "people": people}
        line |= {"model": self._gallery.model, "metric": self._gallery.metric}
        return json.dumps(line, separators=(",", ":"))

    def _who(self, person_id: int | None) -> str | None:
        uid = None if person_id is None else self._uids.get(person_id)
        if uid is not None:
            self._about.add(uid)
        return uid

    def _line(self, event: Event, now: Instant) -> dict[str, Any] | None:
        match event:
            case Observation():
                return self._seen(event, now)
            case CredentialPresented(method, person_id):
                self._claim(person_id, CLAIM_S, now)
                return {"kind": "credential", "method": method, "person": self._who(person_id)}
            case Expected(person_id, for_s):
                self._claim(person_id, for_s, now)
                return {"kind": "expected", "person": self._who(person_id), "for_s": for_s}
            case Trigger():
                return {"kind": "trigger"}
            case DoorEvent(kind):
                return {"kind": "door", "door": kind}
            case CameraEvent(kind):
                return {"kind": "camera", "camera": kind}
            case JournalState(available):
                return {"kind": "journal", "available": available}
            case OperatorUnlock(for_s=for_s):
                return {"kind": "operator", "for_s": for_s}
            case SetDoorMode(mode, until=until):
                return {"kind": "mode", "mode": mode, **({} if until is None else {"until": until})}
            case ResetFire():
                return {"kind": "reset_fire"}
            case ReleaseFailed():
                return {"kind": "release_failed"}
            case _:
                return None

    def _claim(self, person_id: int | None, for_s: float, now: Instant) -> None:
        self._claimed = None if person_id is None else (person_id, now.mono + for_s)

    def _seen(self, seen: Observation, now: Instant) -> dict[str, Any]:
        faces = [self._face(face, now) for face in seen.faces]
        for track in seen.lost:
            self._sketches.pop(track, None)
        while len(self._sketches) > TRACKS:
            self._sketches.pop(next(iter(self._sketches)))
        place = {"number": seen.frame_no, "at": seen.captured_at, "turn": seen.turn}
        size = {"width": seen.width, "height": seen.height}
        return {"kind": "seen", **place, **size, "faces": faces, "lost": list(seen.lost)}

    def _face(self, face: TrackedFace, now: Instant) -> dict[str, Any]:
        box, quality = face.face.box, face.quality
        line: dict[str, Any] = {
            "track": face.track_id,
            "box": [float(n) for n in (box.x, box.y, box.width, box.height)],
            "landmarks": face.face.landmarks.tolist(),
            "score": float(face.face.score),
            "quality": [float(n) for n in astuple(quality)],
            "flaws": face.flaws,
        }
        if face.pad is not None:
            line["pad"] = [face.pad.live, face.pad.noise, face.pad.grey]
        if face.mesh is not None:
            line["mesh"] = [face.mesh.yaw, face.mesh.pitch, face.mesh.eyes]
        if face.embedding is not None:
            sketch = self._sketches.setdefault(face.track_id, TrackSketch())
            line["sketch"] = sketch.add(face.embedding).tolist()
            line["match"] = self._match(face, now)
        return line

    def _match(self, face: TrackedFace, now: Instant) -> dict[str, float]:
        """Return the similarities of the two most similar people and of the expected one, by
        uid."""
        assert face.embedding is not None  # noqa: S101
        alike: dict[str, float] = {}
        if self._claimed is not None and now.mono < self._claimed[1]:
            own = self._gallery.only(self._claimed[0]).match(face.embedding)
            if own is not None:
                alike[own.member.person.uid] = own.similarity
        if (match := self._gallery.match(face.embedding)) is not None:
            alike[match.member.person.uid] = match.similarity
            if match.runner_up is not None:
                alike[match.runner_up.person.uid] = match.runner_up_similarity
        self._about.update(alike)
        return alike

    def _decided(self, decision: Decision) -> dict[str, Any]:
        person = decision.person
        if person is not None:
            self._about.add(person.uid)
        return {
            "outcome": decision.outcome,
            "reason": decision.reason,
            "person": None if person is None else person.uid,
            "method": decision.method,
            "track": decision.track_id,
            "score": decision.score,
            "frames": decision.frames,
        }
