"""Bodies of requests and answers about the running gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from gated.http.schemas import In, Out, Text
from gated.live.unknown_faces import Act
from gated.people.schemas import PersonRefOut


class HealthOut(Out):
    status: Literal["ok", "degraded", "unavailable"]
    problems: Sequence[str]
    details: Mapping[str, str] | None = None
    """Problem -> what fails and since when, of those about which there is more to say."""


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
    """Whether there is no account yet, and the code of the first start makes one."""
    registration: Literal["closed", "approval", "open"]
    timezone: str | None
    """Of the gate, where it has its own."""
    company_sign_in: str | None
    """What the button says that leads to the company's own sign-in; null: there is none."""


class KioskOut(Out):
    name: str
    language: str
    """To begin with, and to go back to."""
    names: bool
    sound: bool
    pin: bool
    card: bool
    """Whether there is a reader of cards."""


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
    """Of the picture that is kept of it; in the state of the gate, not in events."""


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
    """A stored picture. person_id: in whose name an attack was made; pad: the live score."""

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
    """A picture of a stranger; those of one face have the same `group`."""

    id: int
    """Of the snapshot."""
    taken_at: datetime
    gate_name: str
    group: str
    ignored: bool
    deleted_at: datetime | None
    """When it goes for good; until then that can be taken back."""
    problem: str | None
    """The code of why it cannot be enrolled."""


class UnknownFacesOut(Out):
    """kept: whether pictures of strangers are kept; waiting: those not put together yet."""

    kept: bool
    waiting: int
    faces: Sequence[UnknownFaceOut]


class UnknownFacesIn(In):
    """merge: all join the group of the first one; split: they stand by themselves again."""

    ids: Pictures
    act: Act


class NameIn(In):
    ids: Pictures
    person_id: Annotated[int, Field(ge=1, le=2**63 - 1)]


class NamedOut(Out):
    """enrolled: photos that the person got; refused: code and detail of those that were not."""

    enrolled: int
    refused: Sequence[Mapping[str, str]]


class CameraOut(Out):
    identity: str
    """What tells this camera from another: maker, model and serial number, or its certificate."""


class ClockOut(Out):
    clock: str
    """trusted, doubtful or unset; see docs/operations.md."""
    clock_doubt: str
    """Why it is not trusted; empty when it is."""


class ComparisonIn(In):
    person_id: int


class ComparisonOut(Out):
    """The answer whether a refused visit was that person's.

    likeness: `alike` (as much as the gate wants), `almost`, `unlike`, or `not_compared`. missing:
    usable frames too few. flaws: what was wrong with the others, the commonest first.
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
    """At a gate of a hub: last contact, rows that wait, and what fails since when, by channel."""
    camera: str | None
    camera_hint: str | None
    """What its settings should probably be: `rotate: 180?` where only turned copies show faces."""
    door: str | None
    door_state: str | None
    """locked, unlocked, open, held_warning, held_open, forced, fire, or as the mode."""
    door_mode: str | None
    """normal, lockdown, free_access or out_of_service."""
    alarms: Mapping[str, str]
    """Kind and severity of those that nobody has acknowledged."""
    journal: str | None
    clock: str | None
    """trusted, doubtful or unset; see docs/operations.md."""
    clock_doubt: str
    """Why it is not trusted; empty when it is."""
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
    strangers_kept: bool
    """Whether pictures of strangers are kept, to be named."""
    decisions: Sequence[DecisionOut]
    counters: Mapping[str, int]
