"""States of the things that travel from a hub to its gates: one class for each kind.

The hub collects `{uid: State}` from its rows; a gate reads the same class from the wire and applies
it. Two states are the same when they are equal, so that a field which is declared here is sent,
read, compared and, where a column has its name, stored, and cannot be forgotten in one place.

On the wire a state is JSON with the fields in the order in which they are declared. A gate ignores
fields that it does not know; a field that an older hub does not send needs a default.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache
from typing import Annotated, Any, Generic, Literal, Protocol, Self, TypeVar

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from gated.access.access_plan import site_rules_of
from gated.accounts.operator_keys import DERIVATION
from gated.config.zones import zone_of
from gated.core.schedule import Hours
from gated.core.text import scrubbed
from gated.http.schemas import Moment, TimeOfDay
from gated.vault.sealing import KEY


class _Named(Protocol):
    @property
    def uid(self) -> str: ...


N = TypeVar("N", bound=_Named)


def by_uid(things: Iterable[N]) -> tuple[N, ...]:
    """Put things into the order in which states hold them."""
    found = tuple(things)
    return found if len(found) < 2 else tuple(sorted(found, key=lambda thing: thing.uid))


def _hours(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(str(Hours.parse(text)) for text in texts)


def _hex(text: str) -> str:
    bytes.fromhex(text)
    return text


def _key(text: str) -> str:
    if len(bytes.fromhex(text)) != KEY:
        raise ValueError("a key of another length")
    return text


def _decoded(value: Any) -> Any:
    return base64.b64decode(value, validate=True) if isinstance(value, str) else value


def _encoded(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _names(pairs: Any) -> Any:
    """Read (uid, name) pairs; a name of which nothing can be shown is the uid."""
    return {str(uid): scrubbed(str(name)) or str(uid) for uid, name in pairs}


def _pairs(names: Mapping[str, str]) -> list[list[str]]:
    return [[uid, name] for uid, name in names.items()]


Shown = Annotated[str, AfterValidator(scrubbed)]
"""A text for people, without what they could not see."""
Titled = Annotated[Shown, AfterValidator(lambda text: text or "?")]
Number = Annotated[int, Field(ge=0, le=2**53)]
"""A number that every database holds."""
At = Annotated[Moment, PlainSerializer(lambda at: at.isoformat(), when_used="json")]
HoursOfDay = Annotated[tuple[str, ...], AfterValidator(_hours)]
Content = Annotated[bytes, BeforeValidator(_decoded), PlainSerializer(_encoded, when_used="json")]
"""Base64 on the wire."""
GroupNames = Annotated[Mapping[str, str], BeforeValidator(_names), PlainSerializer(_pairs)]
"""uid -> name; pairs on the wire."""


class State(BaseModel):
    """The state of one thing, as a hub has it or as a gate has it from there."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", hide_input_in_errors=True, defer_build=True
    )

    def to_wire(self) -> bytes:
        """Return the state as it travels."""
        return json.dumps(self.model_dump(mode="json")).encode()

    @classmethod
    def from_wire(cls, data: bytes, model: str) -> Self:
        """Return the state that was sent to a gate that compares templates of this model.

        Raises: ValueError, TypeError for one that makes no sense.
        """
        try:
            return cls.model_validate_json(data, context={"model": model})
        except ValidationError as error:
            found = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise ValueError("; ".join(found)) from None

    @classmethod
    def of(cls, **fields: Any) -> Self:
        """Return the state of a thing in our own database, which is not checked again.

        A field that is missing is an error, even one with a default.
        """
        names = _names_of(cls)
        if fields.keys() != names:
            different = sorted(fields.keys() ^ names)
            raise TypeError(f"{cls.__name__}: {', '.join(different)} missing or unknown")
        # as pickle does it: an eighth of the time that `model_construct` takes
        made = cls.__new__(cls)
        made.__setstate__({**_RESTORED, "__pydantic_fields_set__": names, "__dict__": fields})
        return made

    def fields(self) -> dict[str, Any]:
        """Return the fields by name, as they are."""
        return self.__dict__.copy()


_RESTORED = {"__pydantic_extra__": None, "__pydantic_private__": None}


@cache
def _names_of(cls: type[State]) -> set[str]:
    return set(cls.model_fields)


class EnrollmentState(State):
    """A reference photo of a person, apart from what is in its files."""

    uid: str
    model: str | None
    confidence: Annotated[float, Field(allow_inf_nan=False)]
    is_active: bool


class StoredEnrollment(EnrollmentState):
    """An enrollment as rows hold it; paths below uploads. It never travels."""

    encoding_path: str | None
    image_path: str | None


class SentEnrollment(EnrollmentState):
    """An enrollment as it travels: the template (float32) where the gate can use it, else the
    photo where the gate may have it."""

    template: Content | None
    photo: Content | None

    @model_validator(mode="after")
    def _is_template(self, info: ValidationInfo) -> Self:
        if self.template is not None:
            vector = np.frombuffer(self.template, "<f4")
            if not len(vector) or not np.isfinite(vector).all():
                raise ValueError("no template")
            if info.context is None or self.model != info.context["model"]:
                raise ValueError("a template of another model")
        return self


class AccessState(State):
    """The access of one person, as far as it is not what everybody may."""

    valid_from: At | None
    valid_until: At | None
    visitor: bool
    face: bool
    two_factors: bool
    needs_escort: bool
    may_escort: bool
    exempt: bool


class CredentialState(State):
    """A card, badge or PIN. key_count: how many of the hub's keys made digest or hash."""

    uid: str
    kind: str
    key_count: Number
    digest: str | None
    pin_hash: str | None
    is_active: bool
    valid_from: At | None
    valid_until: At | None

    @model_validator(mode="after")
    def _has_one_secret(self) -> Self:
        if (self.digest is None) == (self.pin_hash is None):
            raise ValueError("a credential is a card, a badge or a PIN")
        return self


E = TypeVar("E", bound=EnrollmentState)


class PersonState(State, Generic[E]):
    """A person with what hangs on it.

    version: number of the last change on the hub. access: None for what everybody has.
    """

    uid: str
    version: Number
    first_name: Shown
    last_name: Shown
    personnel_code: str
    department: Shown | None
    position: Shown | None
    is_active: bool
    leaves_on: date | None
    extended_unlock: bool
    groups: GroupNames
    enrollments: Annotated[tuple[E, ...], AfterValidator(by_uid)]
    access: AccessState | None
    credentials: Annotated[tuple[CredentialState, ...], AfterValidator(by_uid)]

    @field_validator("personnel_code")
    @classmethod
    def _scrubbed(cls, code: str, info: ValidationInfo) -> str:
        # a hub of an older version may have one of which nothing is left
        return scrubbed(code) or str(info.data.get("uid"))


class StoredPerson(PersonState[StoredEnrollment]):
    """A person as rows hold it."""


class SentPerson(PersonState[SentEnrollment]):
    """A person as it travels."""


class ScheduleState(State):
    """Hours of the weekdays, Monday first, of holidays (None: days like others), and of days."""

    name: Titled
    week: Annotated[tuple[HoursOfDay, ...], Field(min_length=7, max_length=7)]
    holiday: HoursOfDay | None
    exceptions: Mapping[date, HoursOfDay]


class GroupState(State):
    """A group as one gate has to know it.

    here: in which schedules (uid; None: always) its members pass this gate; elsewhere: whether
    they pass others.
    """

    name: Titled
    here: tuple[str | None, ...]
    elsewhere: bool
    planned_hours: float | None = None
    """A week; None of a hub from before groups had them."""
    late_after: TimeOfDay | None = None
    """By the clock at the gate; None of a hub from before groups had it."""


class SiteState(State):
    """The rules of the site of a gate; its rules name schedules by uid."""

    rules: Mapping[str, Any]
    holidays: Mapping[date, str]
    timezone: str | None = None
    """None of a hub from before sites had one."""

    @field_validator("rules")
    @classmethod
    def _are_rules(cls, rules: Mapping[str, Any]) -> Mapping[str, Any]:
        site_rules_of(rules)
        return rules

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, timezone: str | None) -> str | None:
        if timezone is not None:
            zone_of(timezone)
        return timezone


class OperatorState(State):
    """An operator at gates. groups: uid -> name; salt and public_key are hex."""

    username: str
    derivation: str
    salt: Annotated[str, AfterValidator(_hex)]
    public_key: Annotated[str, AfterValidator(_hex)]
    everyone: bool
    at_once: bool
    groups: Mapping[str, str]

    @field_validator("derivation")
    @classmethod
    def _is_known(cls, derivation: str) -> str:
        if derivation != DERIVATION:
            raise ValueError("a key of a kind that this version does not know")
        return derivation


class EditState(State):
    """The decision of the hub on an edit of the gate."""

    state: Literal["accepted", "refused"]
    reason: str | None


class CredentialKeysState(State):
    """The keys (hex) under which cards and PINs are stored, oldest first."""

    keys: Annotated[tuple[Annotated[str, AfterValidator(_key)], ...], Field(min_length=1)]


class SettingsState(State):
    """Settings for one gate. given: uid of this giving; revision 0: the gate's file alone.

    settings: section -> key -> value; by: who began the roll-out.
    """

    given: str
    revision: Number
    settings: Mapping[str, Mapping[str, Any]]
    by: str
