"""Bodies of requests and answers about the running gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from gated.core.lookalikes import Likeness
from gated.http.schemas import In, Out, Text
from gated.live.unknown_faces import Act
from gated.people.schemas import PersonRefOut


class HealthOut(Out):
    status: Literal["ok", "degraded", "unavailable"]
    problems: Sequence[str]
    details: Mapping[str, str] | None = None
    """More about some of the problems, by name: what fails, and since when."""


class LiveOut(Out):
    status: Literal["ok"]


class ReadyOut(Out):
    status: Literal["ok", "unavailable"]
    reasons: Sequence[str]


class RootOut(Out):
    name: str
    version: str
    links: Mapping[str, str]


class CodeOut(Out):
    """A code of a problem."""

    code: str
    statuses: Sequence[int]
    means: str
    remedy: str


class MetaOut(Out):
    name: str
    role: Literal["gate", "hub"]
    version: str
    setup: bool
    """True while there is no account: the code of the first start makes one."""
    registration: Literal["closed", "approval", "open"]
    timezone: str | None
    """Of the gate, where it has its own."""
    company_sign_in: str | None
    """Text of the button for the company's own sign-in; null: there is none."""
    passkeys: str | None
    """Domain at whose pages passkeys sign in; null: none do."""


class KioskOut(Out):
    name: str
    language: str
    """Initial language, and the one to return to."""
    names: bool
    sound: bool
    pin: bool
    card: bool
    """True where there is a card reader."""
    badge: bool
    """True where the camera looks for badges (QR codes)."""


class DisplayPersonOut(Out):
    name: str


class DisplayDecisionOut(Out):
    number: int
    at: datetime
    outcome: str
    reason: str
    person: DisplayPersonOut | None


class DisplayPresentOut(Out):
    name: str
    since: datetime


class DisplayInsideOut(Out):
    count: int
    limit: int | None
    """How many may be inside; null: any number."""
    people: Sequence[DisplayPresentOut]
    """The last hundred who came, newest first."""


class DisplayAlarmOut(Out):
    id: int
    kind: str
    severity: Literal["warning", "alarm"]
    last_at: datetime
    count: int


class DisplayOut(Out):
    """The part of the page Now that a display shows; of people their names alone."""

    name: str
    site: str
    role: str
    timezone: str
    problems: Sequence[str]
    camera: str | None
    door_state: str | None
    """As in the state of the gate."""
    door_mode: str | None
    door_mode_until: datetime | None
    """When the mode ends by itself; null: when somebody sets another one."""
    clock: str | None
    clock_doubt: str
    clock_reason: str
    clock_off_s: float
    liveness: str
    granted: int
    """Since the gate was started."""
    denied: int
    inside: DisplayInsideOut
    alarms: Sequence[DisplayAlarmOut]
    """Those that nobody has acknowledged, newest first, twenty at most."""
    decisions: Sequence[DisplayDecisionOut]
    """The last twenty, newest first."""


class DecisionOut(Out):
    number: int
    at: datetime
    outcome: str
    reason: str
    person: PersonRefOut | None
    confidence: float
    direction: str
    method: str
    rule: str
    frames: int
    pad: float | None
    visit: int
    flags: Sequence[str]
    decided_after_ms: float | None
    relay_after_ms: float | None
    frame_to_decision_ms: float | None
    snapshot_id: int | None = None
    """Id of its stored picture; in the state of the gate, not in events."""


class JournalReviewIn(In):
    reason: Text


class JournalProblemOut(Out):
    chain: str
    seq: int
    last: int
    """The rows `seq` to `last` of the chain."""
    what: str


class EventOut(Out):
    at: datetime
    kind: str
    severity: Literal["info", "warning", "alarm"]
    detail: Mapping[str, Any]
    number: int


class SnapshotOut(Out):
    """A stored picture. person_id: the person whom an attack imitated; pad: the live score."""

    id: int
    person_id: int | None
    reason: str
    gate_name: str
    visit: int
    pad: float | None
    taken_at: datetime


Pictures = Annotated[
    Sequence[Annotated[int, Field(ge=1, le=2**63 - 1)]], Field(min_length=1, max_length=200)
]


class PictureOut(Out):
    """The picture of a row of the attendance log."""

    attendance_id: int
    snapshot_id: int


class UnknownFaceOut(Out):
    """A picture of a stranger; pictures of one face have the same `group`."""

    id: int
    """Id of the snapshot."""
    taken_at: datetime
    gate_name: str
    group: str
    ignored: bool
    deleted_at: datetime | None
    """Time of the final deletion; until then it can be restored."""
    problem: str | None
    """Code of the reason why it cannot be enrolled."""


class LookalikeOut(Out):
    """A person whom a stranger resembles, too little to be let in as that person."""

    id: int
    name: str
    personnel_code: str
    is_active: bool
    likeness: Likeness
    """`strong`: one stranger in a hundred resembles anybody here so much; `some`: one in ten."""


class ResemblingOut(Out):
    """People whom the stranger of a group may be, most similar first; somebody has to look."""

    group: str
    people: Sequence[LookalikeOut]


class UnknownFacesOut(Out):
    """kept: pictures of strangers are kept; waiting: number of pictures not grouped yet."""

    kept: bool
    waiting: int
    faces: Sequence[UnknownFaceOut]
    resembling: Sequence[ResemblingOut]
    """Those of the strangers who resemble somebody."""
    alike: Sequence[Sequence[str]]
    """Pairs of groups that may be one person (two each), most similar first; to be looked at."""


class UnknownFacesIn(In):
    """merge: all join the group of the first one; unmerge: the last merging of each is taken back;
    split: each leaves its group."""

    ids: Pictures
    act: Act


class NameIn(In):
    ids: Pictures
    person_id: Annotated[int, Field(ge=1, le=2**63 - 1)]


class NamedOut(Out):
    """enrolled: number of photos added to the person; refused: code and detail of the others."""

    enrolled: int
    refused: Sequence[Mapping[str, str]]


class CameraOut(Out):
    identity: str
    """Identity of the camera: maker, model and serial number, or its certificate."""


class ClockOut(Out):
    clock: str
    """trusted, doubtful or unset; see docs/operations.md."""
    clock_doubt: str
    """Why it is not trusted; empty when it is."""
    clock_reason: str
    """The same by its name, such as leapt or hub_disagrees."""
    clock_off_s: float
    """Seconds by which it is off; 0 where nobody knows."""


class ComparisonIn(In):
    person_id: int


class ComparisonOut(Out):
    """The answer whether a refused visit was a given person's.

    likeness: `alike` (enough for the gate to open), `almost`, `unlike`, or `not_compared`. missing:
    usable frames that were lacking. flaws: of the other frames, the most common first.
    """

    visit_uid: str
    reason: str
    likeness: Literal["alike", "almost", "unlike", "not_compared"]
    usable: int
    missing: int
    flaws: tuple[str, ...]


class GateOut(Out):
    name: str
    site: str
    role: str
    started_at: datetime
    problems: Sequence[str]
    hub: Mapping[str, Any] | None
    """At a gate of a hub: last contact, backlog, and failures by channel."""
    camera: str | None
    camera_hint: str | None
    """Probable settings of the camera, such as `rotate: 180?` when only turned pictures show
    faces."""
    door: str | None
    door_state: str | None
    """locked, unlocked, open, held_warning, held_open, forced, fire, or as the mode."""
    door_mode: str | None
    """normal, lockdown, free_access or out_of_service."""
    door_mode_until: datetime | None
    """When the mode ends by itself; null: when somebody sets another one."""
    alarms: Mapping[str, str]
    """Severity of unacknowledged alarms, by kind."""
    journal: str | None
    clock: str | None
    """trusted, doubtful or unset; see docs/operations.md."""
    clock_doubt: str
    """Why it is not trusted; empty when it is."""
    clock_reason: str
    """The same by its name, such as leapt or hub_disagrees."""
    clock_off_s: float
    """Seconds by which it is off; 0 where nobody knows."""
    liveness: str
    model: str | None
    pad_model: str | None
    people: int
    templates: int
    threshold: float | None
    fmr: float | None
    fpir: float | None
    stranger_visits_per_year: float | None
    wrong_openings_per_year: float | None
    gallery_stamp: str | None
    card_reader: bool
    """The gate has one, which may read a card for a person."""
    strangers_kept: bool
    """True where pictures of strangers are kept, to be named."""
    decisions: Sequence[DecisionOut]
    counters: Mapping[str, int]
