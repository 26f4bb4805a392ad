"""Defines the messages between the two processes of a gate, as types that are validated when read.

The service sends `Hello`, `Ask`, `Report` and `WantFrame`, the command line `WantCard`; the door
sends the rest. Events for the gate are those of `core.messages`, of the kinds only that a service
may send: events of camera, door and clock come from the door process itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError

from gated.core.messages import (
    AlarmsAcknowledged,
    Condition,
    CredentialPresented,
    Event,
    Forgive,
    LastPunches,
    Notice,
    Noticed,
    OperatorUnlock,
    PresenceHeard,
    RemotePassage,
    RemotePresence,
    ResetFire,
    SetDoorMode,
    Silenced,
)
from gated.core.values import Box, Direction, Face, Image
from gated.link.status_board import DecisionView, EventView, RecentEvent
from gated.link.wire import Packet, packed

KB, MB = 1 << 10, 1 << 20

LONGEST_SIDE = 8192
MOST_PICTURE = 64 * MB
"""Bytes of a raw frame: 21 megapixels."""

MOST_FACES = 64
MOST_TROUBLES = 32


class RefusedMessage(Exception):
    """A complete message that is not accepted. code: the reason, one word."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


# --- what the service sends -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message of a service. process: its process id, for the log."""

    process: int


@dataclass(frozen=True, slots=True)
class Ask:
    """An event for the gate, to be answered. number: repeated in the answer.

    until: the deadline in monotonic seconds, which are the same in both processes: a door that was
    held up does not open later for somebody who has gone. None: no deadline.
    """

    number: int
    event: Event
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The complete state of the service, sent as a whole each time.

    address: of the API. setup_code: makes the first administrator; for the screen.
    fields: those of the status that the service publishes. troubles: problem -> what fails.
    many_changes: the hub is sending changes of many people. digest: asks for the digest of the
    gallery, which takes the door a moment for a large one. prepared: the run of the door for which
    the people are up to date. progress: templates done and in all.
    """

    address: str | None = None
    setup_code: str | None = None
    serving: bool = False
    fields: Mapping[str, Any] = field(default_factory=dict)
    troubles: Mapping[str, str] = field(default_factory=dict)
    gauges: Mapping[str, int] = field(default_factory=dict)
    many_changes: bool = False
    digest: bool = False
    prepared: datetime | None = None
    progress: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class WantFrame:
    """Asks for the next frame that is newer than this one; one request at a time."""

    after: int


@dataclass(frozen=True, slots=True)
class WantCard:
    """Asks for the next card that is read, within so many seconds; it opens nothing."""

    within_s: float


# --- what the door sends ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Welcome:
    """The first message of the door. started_at: identifies the run; events are numbered within it.

    settings: uid of the hub's settings in force; None: its own file alone. decisions, recent: the
    last decisions, and the last decisions and events, oldest first.
    """

    process: int
    started_at: datetime
    settings: str | None
    decisions: tuple[DecisionView, ...] = ()
    recent: tuple[DecisionView | EventView, ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """The status that the door process publishes, without fields that have messages of their
    own."""

    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BoardItem:
    """A new decision, event or notice; exactly one of them."""

    decision: DecisionView | None = None
    event: EventView | None = None
    notice: Notice | None = None

    @property
    def item(self) -> RecentEvent | Notice:
        """Return the one that is set. Raises: RefusedMessage when none is."""
        found = self.decision or self.event or self.notice
        if found is None:
            raise RefusedMessage("empty", "nothing has happened")
        return found


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to an `Ask`. code: of the error, None when it was done. retry_after: seconds."""

    number: int
    code: str | None = None
    detail: str = ""
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class CardRead:
    """The answer to `WantCard`. number: None when no card came in time, or there is a problem."""

    number: str | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class FaceBox:
    """A face in a frame. landmarks: five times x and y in pixels."""

    box: tuple[float, float, float, float]
    landmarks: tuple[float, ...]
    score: float


@dataclass(frozen=True, slots=True)
class FrameShape:
    """A frame and its faces; its BGR bytes follow the message."""

    number: int
    height: int
    width: int
    faces: tuple[FaceBox, ...] = ()
    recognizing: bool = False


Message = (
    Hello | Ask | Report | WantFrame | WantCard
    | Welcome | Status | BoardItem | Answer | FrameShape | CardRead
)  # fmt: skip


# --- events that a service may send -----------------------------------------------------------


class _Passage(NamedTuple):
    person: int
    direction: Direction | None
    utc: float | None


class _Forgiven(NamedTuple):
    person: int | None
    until: float


@dataclass(frozen=True, slots=True)
class _LastPunches:
    """`LastPunches` as rows: a key of a JSON object is a string and never null."""

    punches: tuple[_Passage, ...]
    complete_to: float | None
    forgiven: tuple[_Forgiven, ...]


class _RemotePassage(NamedTuple):
    person: int
    seq: int
    direction: Direction | None
    utc: float
    gate: str


@dataclass(frozen=True, slots=True)
class _RemotePresence:
    passages: tuple[_RemotePassage, ...]
    forgiven: tuple[_Forgiven, ...]
    others: int | None
    complete: bool
    part: int
    more: bool


EVENTS: Mapping[str, type] = {
    "unlock": OperatorUnlock,
    "mode": SetDoorMode,
    "reset_fire": ResetFire,
    "silence": Silenced,
    "acknowledged": AlarmsAcknowledged,
    "forgive": Forgive,
    "credential": CredentialPresented,
    "condition": Condition,
    "noticed": Noticed,
    "punches": _LastPunches,
    "presence": _RemotePresence,
    "heard": PresenceHeard,
}
"""The events that a service may send to the gate, by their name on the wire."""


def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


_EVENT_READERS = {name: _adapter(kind) for name, kind in EVENTS.items()}
_EVENT_NAMES = {kind: name for name, kind in EVENTS.items()}


@dataclass(frozen=True, slots=True)
class _AskWire:
    number: int
    event: str
    body: Mapping[str, Any]
    until: float | None = None


# --- kinds ------------------------------------------------------------------------------------

TO_DOOR: Mapping[int, type] = {1: Hello, 2: _AskWire, 3: Report, 4: WantFrame, 5: WantCard}
TO_SERVICE: Mapping[int, type] = {
    65: Welcome,
    66: Status,
    67: BoardItem,
    68: Answer,
    69: FrameShape,
    70: CardRead,
}

DOOR_TAKES = {1: (KB, 0), 2: (8 * MB, 0), 3: (64 * KB, 0), 4: (KB, 0), 5: (KB, 0)}
"""Kind -> longest body and picture. An `Ask` is long when it carries a part of the passages at the
other gates of a large site (`fleet.gate.remote_presence.in_parts`)."""

SERVICE_TAKES = {
    65: (2 * MB, 0), 66: (256 * KB, 0), 67: (64 * KB, 0), 68: (16 * KB, 0),
    69: (64 * KB, MOST_PICTURE), 70: (KB, 0),
}  # fmt: skip

for _made in (*TO_DOOR.values(), *TO_SERVICE.values()):
    # strict: an unknown field is a mistake of the sender
    _made.__pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)  # type: ignore[attr-defined]

_READERS = {kind: _adapter(made) for kind, made in {**TO_DOOR, **TO_SERVICE}.items()}
_KINDS = {made: kind for kind, made in {**TO_DOOR, **TO_SERVICE}.items()}


def encode(message: Message) -> bytes:
    """Return a message as bytes; of a frame all but its picture.

    Raises: RefusedMessage for a message that the other side would refuse.
    """
    wire: Any = message
    if isinstance(message, Ask):
        name, event = _event_out(message.event)
        wire = _AskWire(message.number, name, event, message.until)
    kind = _KINDS[type(wire)]
    image = wire.height * wire.width * 3 if isinstance(wire, FrameShape) else 0
    try:
        body = _READERS[kind].dump_json(wire)
    except (ValueError, RecursionError) as error:  # not expressible in JSON
        raise RefusedMessage(
            "unencodable", f"{type(wire).__name__}: {type(error).__name__}"
        ) from None
    most, _ = (DOOR_TAKES | SERVICE_TAKES)[kind]
    if len(body) > most:
        raise RefusedMessage("too_long", f"{type(wire).__name__}: {len(body)} bytes")
    return packed(kind, body, image)


def decode(packet: Packet) -> Message:
    """Return the message of a packet.

    Raises: RefusedMessage for an unknown kind or event, and for a body that does not validate.
    """
    if not packet.known:
        raise RefusedMessage("unknown_message", f"kind {packet.kind}")
    try:
        wire = _READERS[packet.kind].validate_json(packet.body)
        if isinstance(wire, _AskWire):
            return Ask(wire.number, _event_in(wire.event, wire.body), wire.until)
    except (ValidationError, RecursionError) as error:
        raise RefusedMessage("malformed", f"kind {packet.kind}: {_first(error)}") from None
    if isinstance(wire, FrameShape):
        _check_frame(wire, packet)
    message: Message = wire
    return message


def _first(error: Exception) -> str:
    """Return the location and type of the first error, never the value."""
    if isinstance(error, ValidationError):
        found = error.errors(include_url=False, include_context=False, include_input=False)[0]
        return f"{'.'.join(map(str, found['loc']))}: {found['type']}"
    return type(error).__name__


def _event_out(event: Event) -> tuple[str, Mapping[str, Any]]:
    wire: Any = event
    if isinstance(event, LastPunches):
        passages = (
            _Passage(person, *(found or (None, None))) for person, found in event.punches.items()
        )
        wire = _LastPunches(tuple(passages), event.complete_to, _forgiven_out(event.forgiven))
    elif isinstance(event, RemotePresence):
        remote = tuple(
            _RemotePassage(person, p.seq, p.direction, p.utc, p.gate)
            for person, p in event.passages.items()
        )
        how = event.others, event.complete, event.part, event.more
        wire = _RemotePresence(remote, _forgiven_out(event.forgiven), *how)
    name = _EVENT_NAMES.get(type(wire))
    if name is None:
        raise RefusedMessage("unknown_event", f"a service does not send {type(event).__name__}")
    body: Mapping[str, Any] = _EVENT_READERS[name].dump_python(wire, mode="json")
    return name, body


def _event_in(name: str, body: Mapping[str, Any]) -> Event:
    reader = _EVENT_READERS.get(name)
    if reader is None:
        raise RefusedMessage("unknown_event", "no such event")
    _only_known(EVENTS[name], body)
    event: Any = reader.validate_python(body)
    if isinstance(event, _LastPunches):
        punches = {
            p.person: None if p.direction is None or p.utc is None else (p.direction, p.utc)
            for p in event.punches
        }
        return LastPunches(punches, event.complete_to, dict(event.forgiven))
    if isinstance(event, _RemotePresence):
        remote = {
            p.person: RemotePassage(p.seq, p.direction, p.utc, p.gate) for p in event.passages
        }
        how = event.others, event.complete, event.part, event.more
        return RemotePresence(remote, dict(event.forgiven), *how)
    found: Event = event
    return found


def _only_known(kind: type, body: Mapping[str, Any]) -> None:
    assert is_dataclass(kind)  # noqa: S101
    if unknown := set(body) - {f.name for f in fields(kind)}:
        raise RefusedMessage(
            "malformed", f"{len(unknown)} fields that {kind.__name__} does not have"
        )


def _forgiven_out(forgiven: Mapping[int | None, float]) -> tuple[_Forgiven, ...]:
    return tuple(_Forgiven(person, until) for person, until in forgiven.items())


# --- frames -----------------------------------------------------------------------------------


def _check_frame(shape: FrameShape, packet: Packet) -> None:
    sides = shape.height, shape.width
    if not all(0 < side <= LONGEST_SIDE for side in sides) or len(shape.faces) > MOST_FACES:
        raise RefusedMessage("malformed", "a frame that no camera delivers")
    if len(packet.picture) != 3 * math.prod(sides):
        raise RefusedMessage("malformed", "a frame with more or fewer bytes than its size has")
    if any(len(face.landmarks) != 10 for face in shape.faces):
        raise RefusedMessage("malformed", "a face without five landmarks")


def shape_of(
    image: Image, faces: tuple[Face, ...], number: int, recognizing: bool
) -> FrameShape | None:
    """Return the message of a frame; None for one that is too large to be sent."""
    height, width = image.shape[:2]
    if max(height, width) > LONGEST_SIDE or image.nbytes > MOST_PICTURE:
        return None
    boxes = tuple(
        FaceBox(
            (face.box.x, face.box.y, face.box.width, face.box.height),
            tuple(float(v) for v in np.asarray(face.landmarks).reshape(-1)),
            float(face.score),
        )
        for face in faces[:MOST_FACES]
    )
    return FrameShape(number, height, width, boxes, recognizing)


def image_of(shape: FrameShape, picture: bytes) -> Image:
    """Return the picture of a frame: height x width x 3, BGR uint8, read-only."""
    return np.frombuffer(picture, np.uint8).reshape(shape.height, shape.width, 3)


def faces_of(shape: FrameShape) -> tuple[Face, ...]:
    """Return the faces of a frame."""
    return tuple(
        Face(
            Box(*face.box),
            np.asarray(face.landmarks, np.float32).reshape(5, 2),
            face.score,
        )
        for face in shape.faces
    )
