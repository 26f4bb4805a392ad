"""Values used everywhere: pictures, faces, persons, times, reasons. All immutable.

Times are `Instant`s or monotonic seconds (`float`); sizes and positions are pixels of the frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal

import numpy as np
import numpy.typing as npt

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
    """Reasons of decisions; stable codes, shown to people and clients."""

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
    HUB_REVOKED = "hub_revoked"
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
"""Urgency of an event: nothing to do; look soon; look now."""


class DoorMode(StrEnum):
    """Modes that people set the door to."""

    NORMAL = "normal"
    FREE_ACCESS = "free_access"
    """Unlocked for everybody."""
    LOCKDOWN = "lockdown"
    """Nobody is let in; the way out stays free."""
    OUT_OF_SERVICE = "out_of_service"
    """Nobody is let in, and movements of the leaf raise no alarm; the way out stays free."""

    @property
    def admits(self) -> bool:
        """True where the gate may let somebody in."""
        return self in (DoorMode.NORMAL, DoorMode.FREE_ACCESS)


class Method(StrEnum):
    """Ways in which a person is identified."""

    FACE = "face"
    CARD = "card"
    PIN = "pin"
    QR = "qr"
    REMOTE = "remote"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment on both clocks: monotonic seconds since boot, and UTC seconds since 1970.

    clock_ok: rules that depend on the time may use it. doubted: it may be wrong nevertheless; see
    `core.clock`.
    """

    mono: float
    utc: float
    clock_ok: bool = True
    doubted: bool = False

    @property
    def sure(self) -> bool:
        """True when the time is known to be right."""
        return self.clock_ok and not self.doubted


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

    def scaled(self, across: float, down: float) -> Face:
        """The same face in a picture of another size."""
        box = self.box
        back = np.array([across, down], np.float32)
        return Face(
            Box(box.x * across, box.y * down, box.width * across, box.height * down),
            self.landmarks * back,
            self.score,
        )

    @property
    def eye_distance(self) -> float:
        """Distance between the eye centres in pixels."""
        d = self.landmarks[1] - self.landmarks[0]
        return float(np.hypot(d[0], d[1]))


@dataclass(frozen=True, slots=True)
class Quality:
    """Measures of one face. Angles in degrees, 0 is frontal."""

    detection: float
    eye_distance: float
    yaw: float
    pitch: float
    roll: float
    sharpness: float
    brightness: float
    contrast: float
    score: float
    """All measures combined, in [0, 1]; weighs frames and ranks photos."""


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """Measures of a mesh over one face: degrees, signs as in `Quality`; the eyes' height by width.

    shape: (points, 2) positions of some of its points, for `facial_motion`.
    """

    yaw: float
    pitch: float
    eyes: float
    shape: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class PadReading:
    """Scores of the liveness networks for one face.

    live: score in [0, 1]; None for a gray picture, where it is meaningless. noise: standard
    deviation of the noise in the networks' input, in gray levels. grey: a picture without colour.
    """

    live: float | None
    noise: float = 0.0
    grey: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class TrackedFace:
    """One face of one frame on its track.

    flaws: why the frame is not usable (empty: usable). embedding, pad: None where no evidence was
    needed or the frame is not usable. mesh: only on tracks that are challenged.
    """

    track_id: int
    face: Face
    quality: Quality
    flaws: tuple[str, ...] = ()
    embedding: Vector | None = None
    pad: PadReading | None = None
    mesh: Mesh | None = None


@dataclass(frozen=True, slots=True)
class PersonRef:
    """The person that a template or a decision is about."""

    id: int
    uid: str
    personnel_code: str
    name: str


class DoorEventKind(StrEnum):
    CONTACT_OPEN = "contact_open"
    FOUND_OPEN = "found_open"
    """The leaf stood open when the program started."""
    CONTACT_CLOSED = "contact_closed"
    REX = "rex"
    TRIGGER = "trigger"
    """The input that starts recognition (recognition.trigger: input)."""
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
    FAULT_OVER = "fault_over"
    """Relay and inputs could be read and moved again after a fault."""


class CameraEventKind(StrEnum):
    OPENED = "opened"
    LOST = "lost"
    FROZEN = "frozen"
    LOOPED = "looped"
    DARK = "dark"
    GLARE = "glare"
    COVERED = "covered"
    TURNED = "turned"
    CLEAR = "clear"


class Light(StrEnum):
    """Lights and sounds that show a state of the gate."""

    IDLE = "idle"
    LOOK_HERE = "look_here"
    FAULT = "fault"
    HELD_WARNING = "held_warning"
    ALARM = "alarm"


def moment(at: Instant) -> datetime:
    """Return the aware UTC time of an instant."""
    return datetime.fromtimestamp(at.utc, UTC)
