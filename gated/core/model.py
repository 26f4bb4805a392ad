"""The values that flow through the gate: events in, commands out. All immutable.

Times are `Instant`s or monotonic seconds (`float`); sizes and positions are pixels of the frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from gated.core.gallery import Gallery
    from gated.core.plan import AccessPlan

Vector = npt.NDArray[np.float32]
"""One embedding: (d,) float32, as the model gave it (not normalised)."""

Image = npt.NDArray[np.uint8]
"""One picture: (height, width, 3) uint8, BGR."""


class Direction(StrEnum):
    ENTRY = "entry"
    EXIT = "exit"


class Outcome(StrEnum):
    GRANTED = "granted"
    DENIED = "denied"


class Reason(StrEnum):
    """Why a decision went as it did; stable codes, shown to people and clients."""

    GRANTED = "granted"
    NO_MATCH = "no_match"
    AMBIGUOUS = "ambiguous"
    LOW_QUALITY = "low_quality"
    LIVENESS_UNDECIDED = "liveness_undecided"
    CHALLENGE_FAILED = "challenge_failed"
    CAMERA_CHANGED = "camera_changed"
    SPOOF = "spoof"
    INACTIVE = "inactive"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    VISIT_OVER = "visit_over"
    NO_ACCESS = "no_access"
    OUTSIDE_SCHEDULE = "outside_schedule"
    CLOCK_UNSET = "clock_unset"
    COOLDOWN = "cooldown"
    ANTI_PASSBACK = "anti_passback"
    OCCUPANCY = "occupancy"
    PRESENCE_UNKNOWN = "presence_unknown"
    FACE_NOT_ACCEPTED = "face_not_accepted"
    UNKNOWN_CREDENTIAL = "unknown_credential"
    FACE_MISSING = "face_missing"
    SECOND_FACTOR_MISSING = "second_factor_missing"
    SECOND_PERSON_MISSING = "second_person_missing"
    ESCORT_MISSING = "escort_missing"
    LOG_UNAVAILABLE = "log_unavailable"
    LOCKDOWN = "lockdown"
    OUT_OF_SERVICE = "out_of_service"
    INTERLOCK = "interlock"
    REMOTE = "remote"


RETRYABLE = frozenset(
    {
        Reason.LOW_QUALITY,
        Reason.NO_MATCH,
        Reason.LIVENESS_UNDECIDED,
        Reason.CHALLENGE_FAILED,
        Reason.INTERLOCK,
        Reason.FACE_MISSING,
        Reason.SECOND_FACTOR_MISSING,
        Reason.SECOND_PERSON_MISSING,
        Reason.ESCORT_MISSING,
    }
)
"""Denials after which the same visit may still become a grant."""


Severity = Literal["info", "warning", "alarm"]
"""How much an event matters: nothing to do; to be seen soon; to be seen now."""


class DoorMode(StrEnum):
    """What people have set the door to."""

    NORMAL = "normal"
    FREE_ACCESS = "free_access"
    """Unlocked for everybody."""
    LOCKDOWN = "lockdown"
    """Nobody is let in; the way out stays free."""
    OUT_OF_SERVICE = "out_of_service"
    """Nobody is let in, and what the leaf does is no alarm; the way out stays free."""


class Method(StrEnum):
    """How the person was identified."""

    FACE = "face"
    CARD = "card"
    PIN = "pin"
    QR = "qr"
    REMOTE = "remote"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment on both clocks: monotonic seconds since boot, and UTC seconds since 1970."""

    mono: float
    utc: float
    clock_ok: bool = True


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels; may reach outside the frame."""

    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> tuple[float, float]:
        return self.x + self.width / 2, self.y + self.height / 2


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One detected face.

    landmarks: (5, 2) float32 pixels, in the order right eye, left eye, nose, right and left
    mouth corner (the person's right, which is on the left of the picture). score: [0, 1].
    """

    box: Box
    landmarks: npt.NDArray[np.float32]
    score: float

    @property
    def eye_distance(self) -> float:
        """Distance between the eye centres in pixels."""
        d = self.landmarks[1] - self.landmarks[0]
        return float(np.hypot(d[0], d[1]))


@dataclass(frozen=True, slots=True)
class Quality:
    """What was measured on one face. Angles in degrees, 0 is frontal."""

    detection: float
    eye_distance: float
    yaw: float
    pitch: float
    roll: float
    sharpness: float
    brightness: float
    contrast: float
    score: float
    """All of it in one number in [0, 1]; weighs frames and ranks photos."""


@dataclass(frozen=True, slots=True)
class Mesh:
    """What a mesh over one face says: degrees, signs as in `Quality`; the eyes' height by width."""

    yaw: float
    pitch: float
    eyes: float


@dataclass(frozen=True, slots=True, eq=False)
class TrackedFace:
    """One face of one frame on its track.

    flaws: why the frame is not usable (empty: usable). embedding and pad are None where no
    evidence was wanted or the frame is not usable. pad: live score in [0, 1]. mesh: only on
    tracks that are challenged.
    """

    track_id: int
    face: Face
    quality: Quality
    flaws: tuple[str, ...] = ()
    embedding: Vector | None = None
    pad: float | None = None
    mesh: Mesh | None = None


@dataclass(frozen=True, slots=True)
class PersonRef:
    """Who a template or a decision speaks of."""

    id: int
    uid: str
    personnel_code: str
    name: str


# --- events -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """What was seen in one frame. `captured_at` is monotonic; `lost` are the tracks that ended."""

    frame_no: int
    captured_at: float
    width: int
    height: int
    faces: tuple[TrackedFace, ...] = ()
    lost: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class GalleryReplaced:
    """From now on faces are matched against this gallery."""

    gallery: Gallery


class DoorEventKind(StrEnum):
    CONTACT_OPEN = "contact_open"
    FOUND_OPEN = "found_open"
    """The leaf stood open when the program began to watch it."""
    CONTACT_CLOSED = "contact_closed"
    REX = "rex"
    TRIGGER = "trigger"
    """The input that asks the gate to look at faces (recognition.trigger: input)."""
    FIRE = "fire"
    FIRE_CLEARED = "fire_cleared"
    FIRE_HELD = "fire_held"
    """Somebody wanted to reset the fire release while the fire input was still active."""
    TAMPER = "tamper"
    TAMPER_CLEARED = "tamper_cleared"
    POWER_FAIL = "power_fail"
    POWER_RESTORED = "power_restored"
    OTHER_OPEN = "other_open"
    """The other door of a mantrap was opened."""
    OTHER_CLOSED = "other_closed"
    RELOCKED = "relocked"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class DoorEvent:
    """An input of the door changed, or the adapter ended the lease by itself."""

    kind: DoorEventKind
    detail: str = ""


class CameraEventKind(StrEnum):
    OPENED = "opened"
    LOST = "lost"
    FROZEN = "frozen"
    LOOPED = "looped"


@dataclass(frozen=True, slots=True)
class CameraEvent:
    """The camera was opened, disappeared or delivers the same picture or pictures for ever."""

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
class Credential:
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
    """Whether decisions can be recorded at the moment."""

    available: bool


LastPassages = Mapping[int, "tuple[Direction, float] | None"]
"""person id -> (direction, UTC seconds) of the last granted passage; None: there is none."""


@dataclass(frozen=True, slots=True)
class LastPunches:
    """What the log says of these people's last passages; sent at start and when it was corrected.

    complete_to: UTC seconds until which the log has everything that the gate decided, so that what
    it does not tell of was corrected; None when that is not known. forgiven: person id (None:
    everybody) -> UTC seconds until which entries are forgiven.
    """

    punches: LastPassages
    complete_to: float | None = None
    forgiven: Mapping[int | None, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PassageElsewhere:
    """The hub's word of a person's last passage at another gate of the site.

    seq: a later word about the same person has a larger one. direction: None when there is no
    passage, or the last one was at this gate. utc: UTC seconds on the clock of this gate.
    """

    seq: int
    direction: Direction | None = None
    utc: float = 0.0
    gate: str = ""


@dataclass(frozen=True, slots=True)
class PresenceTold:
    """What the hub says of the other gates of the site.

    passages: person id -> word. forgiven: person id (None: everybody) -> UTC seconds until which
    entries are forgiven. others: how many are inside whom this gate does not know; None: as before.
    complete: of whom it does not speak there is no passage elsewhere.
    """

    passages: Mapping[int, PassageElsewhere] = field(default_factory=dict)
    forgiven: Mapping[int | None, float] = field(default_factory=dict)
    others: int | None = None
    complete: bool = False


@dataclass(frozen=True, slots=True)
class PresenceHeard:
    """Whether this gate hears at the moment who passes at the other gates of the site."""

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
    """What held before the program was started: the door's mode, and alarms nobody has seen to."""

    mode: DoorMode = DoorMode.NORMAL
    alarms: Mapping[str, Severity] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Acknowledged:
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
    | Credential
    | Forgive
    | Tick
    | JournalState
    | LastPunches
    | PresenceTold
    | PresenceHeard
    | OperatorUnlock
    | SetDoorMode
    | ResetFire
    | Restored
    | Acknowledged
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


@dataclass(frozen=True, slots=True)
class Attention:
    """What the gate still wants evidence for; handed to the inference thread.

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


class Light(StrEnum):
    """What a gate shows by lamps and sounders for as long as it holds."""

    IDLE = "idle"
    LOOK_HERE = "look_here"
    FAULT = "fault"
    HELD_WARNING = "held_warning"
    ALARM = "alarm"


@dataclass(frozen=True, slots=True)
class GateState:
    """What holds at a gate, as a whole.

    door: the door's state, see `core.door`. alarms: kind -> severity of those that nobody has
    acknowledged.
    """

    door: str = "locked"
    mode: DoorMode = DoorMode.NORMAL
    lights: frozenset[Light] = frozenset({Light.IDLE})
    alarms: Mapping[str, Severity] = field(default_factory=dict)


Command = Unlock | Lock | ResetFire | RecordDecision | RecordEvent | Attention | Notice
