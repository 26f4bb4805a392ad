"""What goes in and out. Times are RFC 3339 with offset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from gated.core.model import DoorMode

_PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]*$"

Text = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=_PRINTABLE),
]
Code = Annotated[
    str, StringConstraints(strip_whitespace=True, pattern=r"^[^@\s\x00-\x1f\x7f-\x9f]{1,64}$")
]
Email = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True,
        max_length=254,
        pattern=r"^[^@\s\x00-\x1f\x7f-\x9f]{1,64}@[^@\s.\x00-\x1f\x7f-\x9f]+(\.[^@\s.\x00-\x1f\x7f-\x9f]+)+$",
    ),
]
Phone = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^\+?[0-9 ()/.-]{1,40}$")]


Username = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.@+-]{1,100}$")]
Password = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


def storable(value: Any) -> Any:
    """The value; ValueError for text that PostgreSQL cannot store. Lone surrogates never get here:
    pydantic refuses them."""
    if isinstance(value, str) and "\0" in value:
        raise ValueError("text cannot hold the character NUL")
    return value


def _in_utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError("a year from 1 to 9999, also in UTC, is needed") from None


Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A time with offset that can be stored, too."""


class In(BaseModel):
    """A body of a request; fields that it does not have are refused, and so is NUL in text."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    @field_validator("*", mode="after")
    @classmethod
    def _storable(cls, value: Any) -> Any:
        return storable(value)


class Out(BaseModel):
    """A body of an answer."""

    model_config = ConfigDict(from_attributes=True)


# --- general ----------------------------------------------------------------------------------


class HealthOut(Out):
    status: Literal["ok", "degraded"]
    problems: Sequence[str]


class RootOut(Out):
    name: str
    version: str
    links: Mapping[str, str]


# --- accounts ---------------------------------------------------------------------------------


class Credentials(BaseModel):
    """OAuth2 clients send grant_type, scope and more: what is not needed is ignored."""

    model_config = ConfigDict(hide_input_in_errors=True)

    username: Annotated[
        str, StringConstraints(min_length=1, max_length=254), AfterValidator(storable)
    ]
    password: Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class TokenOut(Out):
    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105
    expires_in: int


class SessionOut(Out):
    username: str
    role: str
    csrf_token: str | None
    """To be sent in X-CSRF-Token with every request that changes something; None without cookie."""


class PasswordChange(In):
    current_password: Annotated[str, StringConstraints(min_length=1, max_length=1024)]
    new_password: Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class MeOut(Out):
    account_id: int
    username: str
    role: str
    person_id: int | None


# --- persons ----------------------------------------------------------------------------------


class PersonFields(In):
    first_name: Text
    last_name: Text
    personnel_code: Code
    department: Text | None = None
    position: Text | None = None
    email: Email | None = None
    phone: Phone | None = None


class PersonIn(PersonFields):
    leaves_on: date | None = None
    """The last day; inactive after it."""
    extended_unlock: bool = False
    """The door stays unlocked for longer (`door.extended_unlock_s`)."""
    groups: Annotated[Sequence[Text], Field(max_length=100)] = ()
    """Which the person joins, by name."""


class Registration(PersonFields):
    password: Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class PersonChange(In):
    """Fields that are left out stay as they are."""

    first_name: Text = ""
    last_name: Text = ""
    personnel_code: Code = ""
    department: Text | None = None
    position: Text | None = None
    email: Email | None = None
    phone: Phone | None = None
    leaves_on: date | None = None
    extended_unlock: bool = False


class PersonOut(Out):
    id: int
    uid: str
    first_name: str
    last_name: str
    personnel_code: str
    department: str | None
    position: str | None
    email: str | None
    phone: str | None
    is_active: bool
    leaves_on: date | None
    extended_unlock: bool
    created_at: datetime
    updated_at: datetime


class GroupOut(Out):
    id: int
    uid: str
    name: str
    description: str | None
    created_at: datetime
    updated_at: datetime


class GroupIn(In):
    name: Text
    description: Text | None = None


class GroupChange(In):
    """Fields that are left out stay as they are."""

    name: Text = ""
    description: Text | None = None


class ConsentIn(In):
    notice_version: Text
    given_at: Moment
    expires_at: Moment | None = None
    method: Text
    """How it was given, such as "signed form"."""

    @model_validator(mode="after")
    def _ends_after_it_began(self) -> Self:
        if self.expires_at is not None and self.expires_at <= self.given_at:
            raise ValueError("expires_at must be after given_at")
        return self


class ConsentOut(Out):
    person_id: int
    notice_version: str
    given_at: datetime
    expires_at: datetime | None
    method: str
    updated_at: datetime


class EnrollmentOut(Out):
    id: int
    uid: str
    person_id: int
    face_encoding_path: str | None
    face_image_path: str | None
    confidence_score: float
    is_active: bool
    quality: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime


class EnrolledOut(EnrollmentOut):
    advice: Sequence[str]
    """What would make the photo better; empty for one that was enrolled before."""


class PhotoResult(Out):
    """What became of one photo: either it was enrolled, or a problem says why not."""

    name: str
    enrolled: EnrolledOut | None = None
    problem: Mapping[str, Any] | None = None


class SeveralForm(In):
    """The fields beside the photos."""

    person_id: int


class EnrollmentForm(In):
    """The fields beside the photo."""

    person_id: int
    override: Text | None = None


class CaptureIn(In):
    person_id: int
    override: Text | None = None


class ImportForm(In):
    """There is nothing beside the archive."""


class JobOut(Out):
    id: str
    kind: str
    actor: str
    state: Literal["running", "done", "cancelled", "failed"]
    started_at: datetime
    ended_at: datetime | None
    done: int
    total: int
    report: Mapping[str, Any]
    detail: str


class EnrollmentChange(In):
    """Fields that are left out stay as they are."""

    is_active: bool = True


class WithdrawalReceiptOut(Out):
    person_id: int
    uid: str
    withdrawn_at: datetime
    enrollments: int
    files: int
    chain: str
    seq: int
    hash: str


class PersonWithEnrollmentsOut(PersonOut):
    enrollments: Sequence[EnrollmentOut]
    groups: Sequence[GroupOut]


class ErasureReceiptOut(Out):
    person_id: int
    uid: str
    erased_at: datetime
    enrollments: int
    files: int
    accounts: int
    groups: int
    consents: int
    credentials: int
    redacted_rows: int
    overridden: bool
    chain: str
    seq: int
    hash: str


class AccountOut(Out):
    id: int
    uid: str
    username: str
    role: str
    person_id: int | None
    is_active: bool
    created_at: datetime
    updated_at: datetime


class AccountIn(In):
    username: Username
    role: Literal["self", "viewer", "operator", "admin", "auditor"]
    password: Password
    person_id: int | None = None


class AccountChange(In):
    """Fields that are left out stay as they are."""

    role: Literal["self", "viewer", "operator", "admin", "auditor"] | None = None
    is_active: bool | None = None


class NewPassword(In):
    password: Password


class SetupIn(In):
    code: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    username: Username
    password: Password


class DeviceIn(In):
    name: Username


class DeviceTokenOut(Out):
    id: int
    username: str
    token: str


class ActorOut(Out):
    """Who acted, and from where; of old rows and of the gate itself only the name is known."""

    model_config = ConfigDict(from_attributes=True, extra="ignore")

    name: str
    address: str | None = None
    request: str | None = None
    reason: str | None = None
    filters: Mapping[str, Any] | None = None
    """What a table that was exported was narrowed down to."""


class AuditOut(Out):
    chain: str
    seq: int
    at: datetime
    kind: str
    body: Mapping[str, Any]
    actor: ActorOut | None
    subject: Mapping[str, Any] | None


# --- attendance and gate ----------------------------------------------------------------------


class AttendanceOut(Out):
    id: int
    uid: str
    person_id: int | None
    gate_name: str
    direction: str
    confidence_score: float
    camera_name: str
    status: str
    created_at: datetime
    reason: str
    method: str
    rule: str | None
    site: str
    visit_uid: str | None
    score: float | None
    threshold: float | None
    margin: float | None
    frames: int
    pad: float | None
    flags: Sequence[str]
    sight_to_decision_ms: float | None
    chain: str
    seq: int
    recorded_at: datetime
    superseded_by: int | None


class VersionOut(Out):
    """One of the rows that stood in the same place; the last one counts."""

    id: int
    kind: str
    made_at: datetime
    author: str | None
    """None for what the gate itself wrote."""
    cause: str | None
    person_id: int | None
    created_at: datetime
    direction: str
    status: str


class AttendanceDetailOut(AttendanceOut):
    versions: Sequence[VersionOut]


class OwnAttendanceOut(Out):
    """What people see of their own times: nothing of how alike the gate found them."""

    id: int
    gate_name: str
    direction: str
    status: str
    created_at: datetime
    reason: str
    method: str


Cause = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=3, max_length=500, pattern=_PRINTABLE)
]


class PunchIn(In):
    """A passage that the gate did not see."""

    person_id: int
    direction: Literal["entry", "exit"]
    created_at: Moment | None = None
    """When it was; now, if left out."""
    reason: Cause


class CorrectionIn(In):
    """What shall be different; what is left out stays. `void`: it was no passage."""

    person_id: int | None = None
    created_at: Moment | None = None
    direction: Literal["entry", "exit"] | None = None
    status: Literal["granted", "void"] | None = None
    reason: Cause


class CorrectionRequestIn(In):
    """What is wrong: a row, or (without attendance_id) a passage that is missing."""

    attendance_id: int | None = None
    created_at: Moment | None = None
    direction: Literal["entry", "exit"] | None = None
    status: Literal["granted", "void"] | None = None
    reason: Cause


class RefusalIn(In):
    reason: Cause


class CorrectionRequestOut(Out):
    """`created_at`, `direction` and `status` are what is asked for; `asked_at` is when."""

    id: int
    uid: str
    person_id: int
    attendance_id: int | None
    created_at: Annotated[datetime | None, Field(validation_alias="passed_at")]
    direction: str | None
    status: str | None
    reason: str
    state: Literal["open", "approved", "refused"]
    answer: str | None
    result_id: int | None
    asked_at: Annotated[datetime, Field(validation_alias="created_at")]
    answered_at: datetime | None


class VisitOut(Out):
    """Without `entry` or `exit` a punch was forgotten, or the person is still `present`."""

    entry: datetime | None
    exit: datetime | None
    present: bool
    open: bool
    seconds: int


class BreakOut(Out):
    begin: datetime
    end: datetime


class DayOut(Out):
    """One day of one person; times with the offset of the site, durations in seconds."""

    date: date
    person_id: int
    personnel_code: str
    first_name: str
    last_name: str
    department: str | None
    first_in: datetime | None
    last_out: datetime | None
    inside_s: int
    break_s: int
    breaks: Sequence[BreakOut]
    visits: Sequence[VisitOut]
    open_visits: int


class PersonRefOut(Out):
    id: int
    uid: str
    personnel_code: str
    name: str


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


class DoorAct(In):
    reason: Text
    password: Password | None = None
    """One's own, again: needed when the token is older than `auth.door_confirmation_s`."""


class ModeIn(DoorAct):
    mode: DoorMode


class ModeOut(Out):
    mode: DoorMode
    """That the door was asked to take."""


class AcknowledgeIn(In):
    note: Text | None = None


class AlarmOut(Out):
    id: int
    kind: str
    severity: Literal["warning", "alarm"]
    detail: Mapping[str, Any]
    raised_at: datetime
    last_at: datetime
    count: int
    """How often it happened since `raised_at`, until it was acknowledged."""
    acknowledged_at: datetime | None
    acknowledged_by: str | None


class EventOut(Out):
    at: datetime
    kind: str
    severity: Literal["info", "warning", "alarm"]
    detail: Mapping[str, Any]
    number: int


class OpenIn(DoorAct):
    for_s: Annotated[float, Field(gt=0, le=600)] | None = None


class OpenOut(Out):
    for_s: float
    """For how long the door was asked to open, in seconds."""


class SnapshotOut(Out):
    """A stored picture. person_id: in whose name an attack was made; pad: the live score."""

    id: int
    person_id: int | None
    reason: str
    gate_name: str
    visit: int
    pad: float | None
    taken_at: datetime


class CameraOut(Out):
    identity: str
    """What tells this camera from another: maker, model and serial number, or its certificate."""


class GateOut(Out):
    name: str
    site: str
    role: str
    started_at: datetime
    problems: Sequence[str]
    camera: str | None
    door: str | None
    door_state: str | None
    """locked, unlocked, open, held_warning, held_open, forced, fire, or as the mode."""
    door_mode: str | None
    """normal, lockdown, free_access or out_of_service."""
    alarms: Mapping[str, str]
    """Kind and severity of those that nobody has acknowledged."""
    journal: str | None
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
    decisions: Sequence[DecisionOut]
    counters: Mapping[str, int]
