"""Bodies of requests and answers about persons and groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from gated.http.schemas import IDENTITY, Code, Email, In, Out, Phone, Text, TimeOfDay
from gated.people.bulk import MOST
from gated.people.people import ErasureReceipt
from gated.workspace import TracesState


class PersonFields(In):
    first_name: Text
    last_name: Text
    personnel_code: Code
    department: Text | None = None
    position: Text | None = None
    email: Email | None = None
    phone: Phone | None = None


class PersonIn(PersonFields):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "first_name": "Ada",
                    "last_name": "Byron",
                    "personnel_code": "E17",
                    "department": "IT",
                    "email": "ada@example.org",
                }
            ]
        }
    )

    leaves_on: date | None = None
    """The last day; inactive after it."""
    extended_unlock: bool = False
    """The door stays unlocked for longer (`door.extended_unlock_s`)."""
    groups: Annotated[Sequence[Text], Field(max_length=100)] = ()
    """Which the person joins, by name."""


class PersonChange(In):
    """Fields that are left out stay as they are."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"department": "HR", "leaves_on": "2027-03-31"}]}
    )

    READ_ONLY: ClassVar = IDENTITY | {"enrollments", "groups", "photo_advice"}

    first_name: Text = ""
    last_name: Text = ""
    personnel_code: Code = ""
    department: Text | None = None
    position: Text | None = None
    email: Email | None = None
    phone: Phone | None = None
    leaves_on: date | None = None
    extended_unlock: bool = False
    is_active: bool | None = None
    """Null: as it is."""


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


class PhotoAdviceOut(Out):
    """Photos in use, and whether another one is advised."""

    usable: int
    another_advised: bool
    reason: Literal["no_photo", "one_photo", "nearly_same", "same_photo"] | None
    """Why: none or one is in use; several, but of nearly the same picture; the photo that came was
    there already. Null when no other is advised."""
    text: str
    """The advice in English; empty without one."""


class PersonOverviewOut(Out):
    id: int
    photos: int
    """Those in use."""
    consent: Literal["given", "missing"]
    visitor: bool
    groups: Sequence[str]
    last_seen: datetime | None
    """The last passage."""
    photo_advice: PhotoAdviceOut


class GroupOut(Out):
    id: int
    uid: str
    name: str
    description: str | None
    planned_hours: float | None
    late_after: str | None
    created_at: datetime
    updated_at: datetime


PlannedHours = Annotated[float, Field(gt=0, le=168)]


class GroupIn(In):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "Cleaners", "planned_hours": 20}]}
    )

    name: Text
    description: Text | None = None
    planned_hours: PlannedHours | None = None
    """Hours a week that its members work, for payroll."""
    late_after: TimeOfDay | None = None
    """HH:MM at the gate: who comes later for the first time on a working day is late."""


class GroupChange(In):
    """Fields that are left out stay as they are."""

    READ_ONLY: ClassVar = IDENTITY

    name: Text = ""
    description: Text | None = None
    planned_hours: PlannedHours | None = None
    late_after: TimeOfDay | None = None


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


class PersonWithEnrollmentsOut(PersonOut):
    enrollments: Sequence[EnrollmentOut]
    groups: Sequence[GroupOut]
    photo_advice: PhotoAdviceOut


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
    texts_left: int
    """Reasons and requests beside other people that name the person: nobody but you can judge
    these."""
    overridden: bool
    chain: str
    seq: int
    hash: str
    state: TracesState
    """As of a withdrawal."""

    @classmethod
    def of(cls, receipt: ErasureReceipt, state: TracesState) -> Self:
        """Show a receipt, and what is left in the database's log."""
        return cls(**asdict(receipt), state=state)


PersonIds = Annotated[
    Sequence[Annotated[int, Field(ge=1, le=2**63 - 1)]], Field(min_length=1, max_length=MOST)
]


class BulkIn(In):
    """One act on several people. group: the id of the one that they join or leave."""

    ids: PersonIds
    act: Literal["activate", "deactivate", "join", "leave"]
    group: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None

    @model_validator(mode="after")
    def _group_of_membership(self) -> Self:
        if (self.group is not None) != (self.act in ("join", "leave")):
            raise ValueError("join and leave need a group, the other acts have none")
        return self


class BulkEraseIn(In):
    """Several people to erase, and how many they are, as somebody has counted them."""

    ids: PersonIds
    count: int
    reason: Annotated[Text, Field(min_length=3)] | None = None
    override: bool = False
    """Erase in spite of a retention hold."""

    @model_validator(mode="after")
    def _counted(self) -> Self:
        if self.count != len(set(self.ids)):
            raise ValueError("count is not the number of people")
        return self


class BulkResultOut(Out):
    """Outcome for one person of several. code, detail: why nothing was done."""

    person_id: int
    done: bool
    code: str | None = None
    detail: str | None = None
    receipt: ErasureReceiptOut | None = None
    """Of an erasure."""


class PersonRefOut(Out):
    """A person as others name them."""

    id: int
    uid: str
    personnel_code: str
    name: str
