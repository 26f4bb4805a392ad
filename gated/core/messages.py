"""Messages of the gate: events that go in, commands that come out. All immutable.

Times are `Instant`s or monotonic seconds (`float`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gated.core.values import (
    Box,
    CameraEventKind,
    Direction,
    DoorEventKind,
    DoorMode,
    Instant,
    Light,
    Method,
    Outcome,
    PersonRef,
    Reason,
    Severity,
    TrackedFace,
)

if TYPE_CHECKING:
    from gated.core.gallery import Gallery
    from gated.core.plan import AccessPlan


# --- events -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """Contents of one frame. `captured_at` is monotonic; `lost` are the tracks that ended.

    turn: degrees clockwise by which pictures seem to have to be turned; None: by none.
    """

    frame_no: int
    captured_at: float
    width: int
    height: int
    faces: tuple[TrackedFace, ...] = ()
    lost: tuple[int, ...] = ()
    turn: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class GalleryReplaced:
    """From now on faces are matched against this gallery."""

    gallery: Gallery


@dataclass(frozen=True, slots=True)
class DoorEvent:
    """An input of the door changed, or the adapter ended the lease by itself."""

    kind: DoorEventKind
    detail: str = ""


CAMERA_NEWS = frozenset({CameraEventKind.DARK, CameraEventKind.GLARE, CameraEventKind.CLEAR})
"""Of a camera that works: there is nothing to be seen in its picture, or something again."""


@dataclass(frozen=True, slots=True)
class CameraEvent:
    """The camera was opened, disappeared or delivers the same picture or pictures for ever.

    DARK, GLARE, CLEAR: it works, and its picture is black or white all over, or shows things again.
    """

    kind: CameraEventKind
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Trigger:
    """Someone asked for a decision: an input was pressed or a card presented."""

    source: str


@dataclass(frozen=True, slots=True, eq=False)
class PlanReplaced:
    """From now on these are the rules."""

    plan: AccessPlan


@dataclass(frozen=True, slots=True)
class CredentialPresented:
    """A card, a PIN or a badge was presented, and whose it is was found out outside of the core.

    person_id: None when it is nobody's, or is not valid any more.
    """

    method: Method
    person_id: int | None


@dataclass(frozen=True, slots=True)
class Forgive:
    """An operator lets a person (None: everybody) count as outside."""

    person: PersonRef | None
    actor: str
    cause: str


@dataclass(frozen=True, slots=True)
class Expected:
    """Somebody said who they are, by a card or a PIN: for `for_s` seconds faces are verified
    against this person, whether or not the gate identifies people as well. None withdraws it."""

    person_id: int | None
    for_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Tick:
    """A deadline of the gate has passed."""


@dataclass(frozen=True, slots=True)
class JournalState:
    """News whether decisions can be recorded at the moment."""

    available: bool


LastPassages = Mapping[int, "tuple[Direction, float] | None"]
"""person id -> (direction, UTC seconds) of the last granted passage; None: there is none."""


@dataclass(frozen=True, slots=True)
class LastPunches:
    """The last passages of these people in the log; sent at start and when it was corrected.

    complete_to: UTC seconds until which the log has everything that the gate decided, so that what
    it does not tell of was corrected; None when that is not known. forgiven: person id (None:
    everybody) -> UTC seconds until which entries are forgiven.
    """

    punches: LastPassages
    complete_to: float | None = None
    forgiven: Mapping[int | None, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RemotePassage:
    """The hub's word of a person's last passage at another gate of the site.

    seq: a later word about the same person has a larger one. direction: None when there is no
    passage, or the last one was at this gate. utc: UTC seconds on the clock of this gate.
    """

    seq: int
    direction: Direction | None = None
    utc: float = 0.0
    gate: str = ""


@dataclass(frozen=True, slots=True)
class RemotePresence:
    """News of the hub about the other gates of the site.

    passages: person id -> word. forgiven: person id (None: everybody) -> UTC seconds until which
    entries are forgiven. others: how many are inside whom this gate does not know; None: as before.
    complete: of whom it does not speak there is no passage elsewhere.
    """

    passages: Mapping[int, RemotePassage] = field(default_factory=dict)
    forgiven: Mapping[int | None, float] = field(default_factory=dict)
    others: int | None = None
    complete: bool = False


@dataclass(frozen=True, slots=True)
class PresenceHeard:
    """News whether this gate hears who passes at the other gates of the site."""

    heard: bool


@dataclass(frozen=True, slots=True)
class OperatorUnlock:
    """An operator opens the door from afar. `actor` and `cause` go into the private record."""

    actor: str
    cause: str
    for_s: float | None = None


@dataclass(frozen=True, slots=True)
class SetDoorMode:
    """Somebody sets the door to a mode. `actor` and `cause` go into the private record."""

    mode: DoorMode
    actor: str
    cause: str


@dataclass(frozen=True, slots=True)
class ResetFire:
    """Somebody ends the fire release by hand; also the command that asks the adapter to."""

    actor: str
    cause: str


@dataclass(frozen=True, slots=True)
class Restored:
    """The state before the program was started: the door's mode, and alarms nobody has seen to."""

    mode: DoorMode = DoorMode.NORMAL
    alarms: Mapping[str, Severity] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AlarmsAcknowledged:
    """An operator has taken note of the alarms of this kind."""

    kind: str


@dataclass(frozen=True, slots=True)
class Silenced:
    """The sounder is to be quiet; the alarms stand."""

    actor: str


@dataclass(frozen=True, slots=True)
class Condition:
    """Something about the machine began (with this severity) or ended: `disk_low`, `clock_wrong`,
    `camera_changed`."""

    name: str
    present: bool
    detail: str = ""
    severity: Severity = "warning"


@dataclass(frozen=True, slots=True)
class Noticed:
    """Somebody outside of the core noticed what is to be recorded, and stands as an alarm when
    `severity` says so. `body` holds no personal data."""

    kind: str
    severity: Severity
    body: Mapping[str, Any]


Event = (
    Observation
    | GalleryReplaced
    | DoorEvent
    | CameraEvent
    | Trigger
    | Expected
    | PlanReplaced
    | CredentialPresented
    | Forgive
    | Tick
    | JournalState
    | LastPunches
    | RemotePresence
    | PresenceHeard
    | OperatorUnlock
    | SetDoorMode
    | ResetFire
    | Restored
    | AlarmsAcknowledged
    | Silenced
    | Condition
    | Noticed
)


# --- commands ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Decision:
    """One verdict about one visit.

    person: the one who was identified; None below the threshold. score, threshold, margin: in the
    model's similarity (larger is more alike); None where nothing was compared.
    confidence: [0, 1], `clip(-log10(FMR(score)) / 6, 0, 1)` of the best candidate.
    frames: agreeing usable frames for a grant, usable frames seen otherwise.
    first_seen, usable_since, captured_at: monotonic seconds of the track's first frame, of its
    first usable one, and of the frame that decided.
    """

    at: Instant
    outcome: Outcome
    reason: Reason
    person: PersonRef | None = None
    confidence: float = 0.0
    score: float | None = None
    threshold: float | None = None
    margin: float | None = None
    frames: int = 0
    pad: float | None = None
    method: Method = Method.FACE
    factors: tuple[Method, ...] = ()
    """All that was shown, where that is more than the method."""
    rule: str = ""
    """The rule that is against it, with the name of the schedule or group where there is one."""
    direction: Direction = Direction.ENTRY
    visit: int = 0
    track_id: int | None = None
    first_seen: float | None = None
    usable_since: float | None = None
    captured_at: float | None = None
    box: Box | None = None
    flaws: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    actor: str | None = None

    @property
    def granted(self) -> bool:
        return self.outcome is Outcome.GRANTED


@dataclass(frozen=True, slots=True)
class Unlock:
    """Release the door for so many seconds; overlapping grants extend, never stack."""

    for_s: float
    cause: str


@dataclass(frozen=True, slots=True)
class Lock:
    """Lock the door now."""

    cause: str


@dataclass(frozen=True, slots=True)
class RecordDecision:
    """Write the decision into the journal (and so into the attendance log)."""

    decision: Decision


@dataclass(frozen=True, slots=True)
class RecordEvent:
    """Write a door, camera or system event into the journal. `body` holds no personal data."""

    at: Instant
    kind: str
    body: Mapping[str, Any] = field(default_factory=dict)
    severity: Severity = "info"
    actor: str | None = None
    subject: PersonRef | None = None
    cause: str = ""
    """Why, in the words of who did it: private, and gone with the person whom it concerns."""


@dataclass(frozen=True, slots=True)
class Attention:
    """Tracks that the gate still wants evidence for; handed to the inference thread.

    watching: False while a trigger is awaited: no face is embedded at all.
    settled: tracks that need no more evidence. challenged: tracks whose movements are watched.
    strange: tracks that have resembled nobody so far: now and then is often enough.
    """

    watching: bool = True
    settled: frozenset[int] = frozenset()
    challenged: frozenset[int] = frozenset()
    strange: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to show to the person at the gate now (prompt, come closer, granted, ...).

    A prompt of a challenge says how many of its movements are done and how long it may still take.
    """

    track_id: int | None
    code: str
    detail: str = ""
    done: int = 0
    steps: int = 0
    seconds_left: float | None = None


@dataclass(frozen=True, slots=True)
class GateState:
    """The state of a gate, as a whole.

    door: the door's state, see `core.door`. alarms: kind -> severity of those that nobody has
    acknowledged.
    """

    door: str = "locked"
    mode: DoorMode = DoorMode.NORMAL
    lights: frozenset[Light] = frozenset({Light.IDLE})
    alarms: Mapping[str, Severity] = field(default_factory=dict)


Command = Unlock | Lock | ResetFire | RecordDecision | RecordEvent | Attention | Notice
