"""Messages of the gate: events that go in, commands that come out. All immutable.

Times are `Instant`s or monotonic seconds (`float`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gated.core.mode_end import ModeEnd
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
    """Faces of one frame. captured_at: monotonic seconds; lost: the tracks that ended.

    turn: degrees clockwise by which the camera's pictures probably need to be turned; None: none.
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
    """A new gallery, against which faces are matched from now on."""

    gallery: Gallery


@dataclass(frozen=True, slots=True)
class DoorEvent:
    """An input of the door changed, or the adapter ended the lease by itself."""

    kind: DoorEventKind
    detail: str = ""


CAMERA_NEWS = frozenset({CameraEventKind.DARK, CameraEventKind.GLARE, CameraEventKind.CLEAR})
"""News of a working camera: its picture shows nothing, or something again."""


@dataclass(frozen=True, slots=True)
class CameraEvent:
    """The camera was opened, was lost, or repeats one picture or a series of pictures.

    DARK, GLARE, CLEAR: its picture is black or white all over, or shows something again.
    COVERED, TURNED: something covers its lens, or it looks elsewhere; CLEAR ends these as well.
    """

    kind: CameraEventKind
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Trigger:
    """Someone asked for a decision: an input was pressed or a card presented."""

    source: str


@dataclass(frozen=True, slots=True, eq=False)
class PlanReplaced:
    """A new access plan, which applies from now on."""

    plan: AccessPlan


@dataclass(frozen=True, slots=True)
class CredentialPresented:
    """A card, a PIN or a badge was presented, and its owner looked up.

    person_id: None when it is unknown or not valid.
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
    """An identity claim by card or PIN: for `for_s` seconds faces are verified against this person.

    The gate may identify other people meanwhile. person_id: None withdraws the claim.
    """

    person_id: int | None
    for_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Tick:
    """A deadline of the gate has passed."""


@dataclass(frozen=True, slots=True)
class JournalState:
    """The journal can or cannot record decisions at the moment."""

    available: bool


LastPassages = Mapping[int, "tuple[Direction, float] | None"]
"""By person id, (direction, UTC seconds) of the last granted passage; None: there is none."""


@dataclass(frozen=True, slots=True)
class LastPunches:
    """The last passages of these people in the log; sent at start and when it was corrected.

    complete_to: UTC seconds until which the log has all decisions of the gate, so that a passage
    missing in it was corrected; None: unknown. forgiven: by person id (None: everybody), the UTC
    seconds until which entries are forgiven.
    """

    punches: LastPassages
    complete_to: float | None = None
    forgiven: Mapping[int | None, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RemotePassage:
    """A person's last passage at another gate of the site, as reported by the hub.

    seq: larger in a later report about the same person. direction: None when there is no passage,
    or the last one was at this gate. utc: UTC seconds on the clock of this gate.
    """

    seq: int
    direction: Direction | None = None
    utc: float = 0.0
    gate: str = ""


@dataclass(frozen=True, slots=True)
class RemotePresence:
    """News from the hub about the other gates of the site.

    passages: by person id. forgiven: by person id (None: everybody), the UTC seconds until which
    entries are forgiven. others: number of people inside whom this gate does not know; None: as
    before. complete: people who are not named have no passage elsewhere.

    Of a large site they come in parts, which count together once the last one is there. part: the
    number of this one, from 0. more: another one follows.
    """

    passages: Mapping[int, RemotePassage] = field(default_factory=dict)
    forgiven: Mapping[int | None, float] = field(default_factory=dict)
    others: int | None = None
    complete: bool = False
    part: int = 0
    more: bool = False


@dataclass(frozen=True, slots=True)
class PresenceHeard:
    """The gate gets, or does not get, news of the other gates of the site."""

    heard: bool


@dataclass(frozen=True, slots=True)
class OperatorUnlock:
    """An operator opens the door remotely. `actor` and `cause` go into the private record."""

    actor: str
    cause: str
    for_s: float | None = None


@dataclass(frozen=True, slots=True)
class SetDoorMode:
    """Somebody sets the door to a mode. `actor` and `cause` go into the private record.

    until: UTC time at which the mode ends by itself; None: when somebody sets another one.
    """

    mode: DoorMode
    actor: str
    cause: str
    until: float | None = None


@dataclass(frozen=True, slots=True)
class ResetFire:
    """Somebody ends the fire release by hand; also the command that asks the adapter to."""

    actor: str
    cause: str


@dataclass(frozen=True, slots=True)
class ReleaseFailed:
    """The door was not released for the last grant: the relay failed, or it was not recorded."""


@dataclass(frozen=True, slots=True)
class Restored:
    """The state before the start of the program: mode of the door, unacknowledged alarms.

    end: when the mode ends by itself; None: never. unlogged: the log does not have the mode yet.
    """

    mode: DoorMode = DoorMode.NORMAL
    alarms: Mapping[str, Severity] = field(default_factory=dict)
    end: ModeEnd | None = None
    unlogged: bool = False


@dataclass(frozen=True, slots=True)
class AlarmsAcknowledged:
    """An operator has acknowledged the alarms of this kind."""

    kind: str


@dataclass(frozen=True, slots=True)
class Silenced:
    """An operator has silenced the sounder; the alarms stand."""

    actor: str


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition of the machine began (with this severity) or ended, such as `disk_low`.

    values: those of the detail, as `gated.core.alarms.DETAILS` names them, and `why`.
    """

    name: str
    present: bool
    detail: str = ""
    severity: Severity = "warning"
    values: Mapping[str, int | str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Noticed:
    """An event from outside of the core that is to be recorded; an alarm by its severity.

    body: without personal data.
    """

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
    | ReleaseFailed
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

    person: the identified person; None below the threshold. score, threshold, margin: similarities
    of the model (larger is more similar); None where nothing was compared.
    confidence: [0, 1], `clip(-log10(FMR(score)) / 6, 0, 1)` of the best candidate.
    frames: agreeing usable frames for a grant, usable frames seen otherwise.
    first_seen, usable_since, captured_at: monotonic seconds of the first frame of the track, its
    first usable one, and the deciding one.
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
    """All factors presented, where there was more than one."""
    rule: str = ""
    """The rule that denied, with the name of its schedule or group if any."""
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
    """Release the door for `for_s` seconds; overlapping grants extend, never add up."""

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
    """The reason given by the actor: private, and erased with the person whom it concerns."""


@dataclass(frozen=True, slots=True)
class Attention:
    """The tracks for which the gate needs evidence; for the inference thread.

    watching: False while waiting for a trigger: no face is embedded. settled: tracks that need no
    more evidence. challenged: tracks with a challenge. strange: tracks that have resembled nobody
    so far, for which a low rate is enough.
    """

    watching: bool = True
    settled: frozenset[int] = frozenset()
    challenged: frozenset[int] = frozenset()
    strange: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to show to the person at the gate now (prompt, come closer, granted, ...).

    done, steps, seconds_left: progress and remaining time of a challenge.
    """

    track_id: int | None
    code: str
    detail: str = ""
    done: int = 0
    steps: int = 0
    seconds_left: float | None = None


@dataclass(frozen=True, slots=True)
class GateState:
    """The state of a gate.

    door: see `core.door`. alarms: severities of unacknowledged ones, by kind. faults: of the
    hardware, name -> detail, while they last, acknowledged or not; another camera is one where
    nobody is let in by it.
    """

    door: str = "locked"
    mode: DoorMode = DoorMode.NORMAL
    lights: frozenset[Light] = frozenset({Light.IDLE})
    alarms: Mapping[str, Severity] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    mode_until: float | None = None
    """UTC time at which the mode ends by itself; None: when somebody sets another one."""


Command = Unlock | Lock | ResetFire | RecordDecision | RecordEvent | Attention | Notice
