"""Define the records that stores give: frozen values; datetimes are aware UTC."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime
from typing import Any, Literal, TypeVar

import sqlalchemy as sa

from gated.config.zones import find_zone
from gated.core.values import PersonRef

T = TypeVar("T")

ROLES = ("self", "viewer", "operator", "admin", "auditor", "device", "directory", "display")


@dataclass(frozen=True, slots=True)
class Person:
    """Someone known to the system; `version` grows with every change."""

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
    """The last day; inactive after it."""
    extended_unlock: bool
    """The door stays unlocked for longer (`door.extended_unlock_s`)."""
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}".strip()

    @property
    def ref(self) -> PersonRef:
        return PersonRef(self.id, self.uid, self.personnel_code, self.name)


@dataclass(frozen=True, slots=True)
class Enrollment:
    """One reference photo and the template made from it by `model`; paths below uploads."""

    id: int
    uid: str
    person_id: int
    face_encoding_path: str | None
    face_image_path: str | None
    confidence_score: float
    is_active: bool
    model: str | None
    quality: Mapping[str, Any]
    image_sha256: str | None
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def files(self) -> tuple[str, ...]:
        """The stored files that belong to it."""
        return tuple(p for p in (self.face_image_path, self.face_encoding_path) if p)


@dataclass(frozen=True, slots=True)
class GalleryRow:
    """An active enrollment with a template, and its person."""

    enrollment_id: int
    person_id: int
    encoding_path: str
    person_active: bool
    person_uid: str
    personnel_code: str
    extended: bool
    name: str


@dataclass(frozen=True, slots=True)
class Account:
    """Someone who may sign in; a token that names another `version` is void.

    last_seen_at: of a screen, when it last asked, to a minute.
    """

    id: int
    uid: str
    username: str
    role: str
    password_hash: str
    token_digest: str | None
    person_id: int | None
    is_active: bool
    last_seen_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Passkey:
    """A key pair of an authenticator, with which somebody signs in to an account (WebAuthn).

    credential_id, user_handle, public_key (COSE): base64url without padding.
    """

    id: int
    uid: str
    account_id: int
    name: str
    credential_id: str
    user_handle: str
    public_key: str
    sign_count: int
    last_used_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Group:
    """Persons to whom the same rules of access apply.

    planned_hours: a week, for payroll. late_after: HH:MM by the clock at the gate; who comes later
    for the first time on a working day is late.
    """

    id: int
    uid: str
    name: str
    description: str | None
    planned_hours: float | None
    late_after: str | None
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Consent:
    """A person's consent to the processing of biometric data, by which notice, and how."""

    id: int
    uid: str
    person_id: int
    notice_version: str
    given_at: datetime
    expires_at: datetime | None
    method: str
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class WeeklySchedule:
    """Hours such as 08:00-17:00 of each weekday, Monday first; holiday None: a day like others."""

    id: int
    uid: str
    name: str
    week: Sequence[Sequence[str]]
    holiday: Sequence[str] | None
    version: int
    created_at: datetime
    updated_at: datetime
    exceptions: Mapping[date, Sequence[str]] = field(default_factory=dict)
    """The hours of single days, which come before all others."""


@dataclass(frozen=True, slots=True)
class Holiday:
    """A day on which schedules use their hours of holidays."""

    day: date
    name: str
    site: str = ""
    """Empty: every site."""


@dataclass(frozen=True, slots=True)
class GroupRule:
    """Members pass `gate` (None: every gate of the site) in this schedule (None: always)."""

    gate: str | None = None
    schedule_id: int | None = None


@dataclass(frozen=True, slots=True)
class PersonAccess:
    """One person's rights, as far as they are not everybody's. version 0: nothing stored."""

    person_id: int
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    visitor: bool = False
    face: bool = True
    two_factors: bool = False
    needs_escort: bool = False
    may_escort: bool = False
    exempt: bool = False
    version: int = 0


@dataclass(frozen=True, slots=True)
class Credential:
    """A card, a PIN or a badge of a person, without its secret.

    key_count: how many keys made what is stored of it: the hub's (from_hub), or this machine's.
    """

    id: int
    uid: str
    person_id: int
    kind: str
    label: str | None
    from_hub: bool
    key_count: int
    failures: int
    is_active: bool
    valid_from: datetime | None
    valid_until: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime

    def is_valid(self, at: datetime) -> bool:
        """Return whether it counts at this time."""
        begun = self.valid_from is None or at >= self.valid_from
        return self.is_active and begun and (self.valid_until is None or at < self.valid_until)


@dataclass(frozen=True, slots=True)
class AttendanceRow:
    """One row of the attendance log, projected from the journal row (chain, seq)."""

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
    visit: int | None
    visit_uid: str | None
    score: float | None
    threshold: float | None
    margin: float | None
    frames: int
    pad: float | None
    flags: Sequence[str]
    sight_to_decision_ms: float | None
    usable_to_decision_ms: float | None
    chain: str
    seq: int
    recorded_at: datetime
    superseded_by: int | None
    timezone: str | None = None
    gate_uid: str | None = None
    """Of the gate that made it; None where nothing tells any more."""
    gate_name_now: str | None = None
    """Where it is another name than `gate_name`."""
    person: PersonRef | None = None
    """Whose it is, as they are called now; None for strangers and who was erased."""

    @property
    def local_time(self) -> datetime:
        """The time with the offset that held at the gate; UTC where no zone is known."""
        return self.created_at.astimezone(find_zone(self.timezone) or UTC)


@dataclass(frozen=True, slots=True)
class CorrectionRequest:
    """A person's claim of an error in the own times: a row, or (attendance_id None) a missing one.

    passed_at, direction and status say what would be right; None: as it is. state: open, approved
    (result_id is the row that came of it) or refused (answer says why).
    """

    id: int
    uid: str
    person_id: int
    attendance_id: int | None
    passed_at: datetime | None
    direction: str | None
    status: Literal["granted", "void"] | None
    reason: str
    state: str
    answer: str | None
    result_id: int | None
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def answered_at(self) -> datetime | None:
        """The time of the approval or refusal; None while it is open."""
        return None if self.state == "open" else self.updated_at


def columns_of(cls: type[Any], table: sa.Table) -> list[sa.Column[Any]]:
    """The columns of `table` that a record of this class is made of, in its order."""
    return [table.c[f.name] for f in fields(cls)]


def record(cls: Callable[..., T], row: sa.Row[Any]) -> T:
    """A record from a row selected with `columns_of`."""
    return cls(*row)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A stored picture of an attack or a stranger. person_id: in whose name an attack was made."""

    id: int
    uid: str
    person_id: int | None
    reason: str
    gate_name: str
    visit: int
    pad: float | None
    path: str
    taken_at: datetime


@dataclass(frozen=True, slots=True)
class GateRow:
    """One gate of the fleet; keys are public, hex; `device` names its hardware's journal."""

    id: int
    uid: str
    name: str
    site: str
    everyone: bool
    photos: bool
    edits: str
    account_id: int | None
    device: str | None
    sign_key: str | None
    seal_key: str | None
    journal_key: str | None
    invite_until: datetime | None
    joined_at: datetime | None
    revoked_at: datetime | None
    seen_at: datetime | None
    model: str | None
    status: Mapping[str, Any]
    troubled: bool
    feed: int
    cursor: int
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def state(self) -> str:
        """invited, joined, or revoked."""
        if self.account_id is not None:
            return "joined"
        return "revoked" if self.revoked_at is not None else "invited"
