"""Bodies of requests and answers about rules of access and credentials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from gated.access.rules import SiteRulesView
from gated.config.zones import LONGEST, zone_of
from gated.http.schemas import IDENTITY, In, Out, SiteEnd, SiteMoment, Text, TimeOfDay
from gated.people.schemas import PersonRefOut

_TIME = r"([01]\d|2[0-3]):[0-5]\d"
Hours = Annotated[str, StringConstraints(pattern=rf"^{_TIME}-({_TIME}|24:00)$")]
"""Such as 08:00-17:00; an end that is not after the begin is on the next day."""
Day = Annotated[list[Hours], Field(max_length=24)]
Week = Annotated[list[Day], Field(min_length=7, max_length=7)]
Id = Annotated[int, Field(ge=1, lt=2**63)]


def _known_zone(name: str) -> str:
    try:
        zone_of(name)
    except ValueError as error:
        raise PydanticCustomError("unknown_zone", "{said}", {"said": str(error)}) from None
    return name


Timezone = Annotated[str, Field(max_length=LONGEST), AfterValidator(_known_zone)]


class ScheduleIn(In):
    name: Text
    week: Week
    """The hours of each day, Monday first."""
    holiday: Day | None = Field(default_factory=list)
    """The hours of holidays; null: a holiday is a day like others."""


class ScheduleChange(In):
    """Fields that are left out stay as they are."""

    READ_ONLY: ClassVar = IDENTITY | {"exceptions"}

    name: Text = ""
    week: Week = Field(default_factory=list)
    holiday: Day | None = None


class ScheduleOut(Out):
    id: int
    uid: str
    name: str
    week: Sequence[Sequence[str]]
    holiday: Sequence[str] | None
    exceptions: Mapping[date, Sequence[str]]
    created_at: datetime
    updated_at: datetime


class HoursIn(In):
    hours: Day


class HolidayIn(In):
    name: Text


class HolidayOut(Out):
    day: date
    name: str
    site: str
    """Empty: at all sites."""


class GroupRuleIn(In):
    gate: Text | None = None
    """Its name; null: every gate of the site."""
    schedule_id: Id | None = None
    """Null: at any time."""


class GroupRuleOut(Out):
    gate: str | None
    """Empty for a rule of the hub: another gate than this one."""
    schedule_id: int | None


class _Dated(In):
    valid_from: SiteMoment | None = None
    valid_until: SiteEnd | None = None

    @model_validator(mode="after")
    def _ends_after_it_began(self) -> Self:
        begin, end = self.valid_from, self.valid_until
        if begin is not None and end is not None and end <= begin:
            raise PydanticCustomError("ends_early", "valid_until must be after valid_from")
        return self


class PersonAccessChange(_Dated):
    """Fields that are left out stay as they are."""

    READ_ONLY: ClassVar = frozenset({"person_id"})

    visitor: bool = False
    face: bool = True
    """False: this person is not to be recognised by face; a card, PIN or badge is enough."""
    two_factors: bool = False
    needs_escort: bool = False
    may_escort: bool = False
    exempt: bool = False
    """From anti-passback and the limit of people inside."""


class PersonAccessOut(Out):
    person_id: int
    valid_from: datetime | None
    valid_until: datetime | None
    visitor: bool
    face: bool
    two_factors: bool
    needs_escort: bool
    may_escort: bool
    exempt: bool


Wait = Annotated[float, Field(gt=0, le=600)]


class SiteRulesChange(In):
    """Fields that are left out stay as they are."""

    READ_ONLY: ClassVar = frozenset({"own"})

    anti_passback: Literal["off", "soft", "hard", "timed"] = "off"
    timed_s: Annotated[float, Field(gt=0, le=86_400)] = 900.0
    forgive_after_s: Annotated[float, Field(gt=0, le=30 * 86_400)] = 57_600.0
    forgive_at: TimeOfDay | None = None
    occupancy: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    two_person: bool = False
    two_factors: Id | None = None
    """The schedule in which everybody needs a second factor."""
    credential_alone: bool = False
    partner_s: Wait = 15.0
    escort_s: Wait = 15.0
    first_in: Id | None = None
    """The schedule in which the door stays unlocked after the first grant."""
    unset_clock: Literal["refuse", "trust"] = "refuse"
    without_hub: Literal["local", "soft", "deny"] = "local"
    """Anti-passback and occupancy while there is no news of the other gates of the site."""
    ungrouped: bool = True
    """People in no group that opens a door pass at any time."""
    timezone: Timezone | None = None
    """IANA name; null: that of all sites. A gate that has its own (`gate.timezone`) goes by it."""

    def changes(self) -> dict[str, Any]:
        """Return the fields that were sent as they are stored: times in minutes after midnight."""
        sent = self.model_dump(exclude_unset=True)
        if sent.get("forgive_at") is not None:
            hour, minute = map(int, sent["forgive_at"].split(":"))
            sent["forgive_at"] = hour * 60 + minute
        return sent


class SiteRulesOut(Out):
    anti_passback: str
    timed_s: float
    forgive_after_s: float
    forgive_at: str | None
    occupancy: int | None
    two_person: bool
    two_factors: int | None
    credential_alone: bool
    partner_s: float
    escort_s: float
    first_in: int | None
    unset_clock: str
    without_hub: str
    ungrouped: bool
    timezone: str | None
    """Null: none is set, each gate goes by its own, or by UTC."""
    own: Sequence[str]
    """The rules that this site has of its own, before those of all sites."""

    @classmethod
    def of(cls, found: SiteRulesView) -> Self:
        """Make the body from the rules as they are stored."""
        minute = found.rules["forgive_at"]
        at = None if minute is None else f"{minute // 60:02}:{minute % 60:02}"
        return cls.model_validate({**found.rules, "forgive_at": at, "own": found.own})


class CredentialIn(_Dated):
    label: Text | None = None
    kind: Literal["card", "pin", "qr"]
    number: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z :.,/-]{1,64}$")] | None = None
    """Of a card, as the reader types it: at most credentials.card_length characters."""
    next_card: bool = False
    """Instead of a number: the card that is held to the gate's reader within the next 30 seconds.
    It opens nothing, and its number is not told."""
    pin: Annotated[str, StringConstraints(pattern=r"^[0-9]{4,12}$")] | None = None

    @model_validator(mode="after")
    def _has_its_secret(self) -> Self:
        wanted = {"card": (True, False), "pin": (False, True), "qr": (False, False)}[self.kind]
        card = (self.number is not None) + self.next_card
        if (card == 1, self.pin is not None) != wanted or card > 1:
            raise ValueError(
                "a card needs number or next_card, a PIN needs pin, a badge (qr) nothing"
            )
        return self

    @property
    def secret(self) -> str | None:
        """The number or the PIN; a badge gets its own, and the next card is read."""
        return self.number or self.pin


class CredentialChange(_Dated):
    """Fields that are left out stay as they are; switching it on forgives wrong PINs."""

    READ_ONLY: ClassVar = IDENTITY | {"person_id", "kind", "from_hub", "failures"}

    label: Text | None = None
    is_active: bool = True


class CredentialOut(Out):
    id: int
    uid: str
    person_id: int
    kind: str
    label: str | None
    is_active: bool
    from_hub: bool
    """It came from the hub and is changed there."""
    failures: int
    """Wrong PINs since the last right one."""
    valid_from: datetime | None
    valid_until: datetime | None
    created_at: datetime
    updated_at: datetime


class CardIn(In):
    number: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z :.,/-]{1,64}$")]
    """As the reader types it, or as it is printed."""


class CardOwnerOut(Out):
    person_id: int
    uid: str
    personnel_code: str
    name: str
    credential: CredentialOut


class CredentialGivenOut(CredentialOut):
    secret: str | None
    """The content of a badge, in this answer and nowhere else."""
    image: str | None
    """The badge as a PNG, a data: URL."""


class PinIn(In):
    personnel_code: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    pin: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,12}$")]


class PinOut(Out):
    taken: bool = True
    """The gate has it; what it decides is shown at the gate, never here."""


class PresentOut(Out):
    person: PersonRefOut
    since: datetime
    gate: str | None
    """The other gate of the site by which they entered; null: this one."""


class InsideOut(Out):
    people: Sequence[PresentOut]
    """In the order of entering."""
    limit: int | None
    others: int
    """More people, whom this gate does not know."""
    heard: bool
    """This gate gets news of the other gates of its site at the moment."""


class ForgiveIn(In):
    person_id: Id | None = None
    """Null: everybody."""
    reason: Text


class RuleSaysOut(Out):
    rule: str
    outcome: Literal["passed", "refused", "missing"]
    reason: str
    text: str


class ExplanationOut(Out):
    person: PersonRefOut
    at: datetime
    direction: str
    shown: Sequence[str]
    outcome: Literal["granted", "denied", "waits"]
    reason: str
    rule: str
    text: str
    flags: Sequence[str]
    groups: Sequence[str]
    schedules: Sequence[str]
    lacks: str
    """Missing photos or credentials, without which the gate cannot recognise the person."""
    opens_at: datetime | None
    rules: Sequence[RuleSaysOut]
