"""Field types and base classes of all bodies. Times are RFC 3339, without offset the site's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, get_args

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from gated.core.text import clean_code, clean_text
from gated.http.site_time import completed, completed_end

_PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]*$"


def _clean_text(value: str) -> str:
    return clean_text(value, "this")


def _clean_code(value: str) -> str:
    return clean_code(value, "this")


Text = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=_PRINTABLE),
    AfterValidator(_clean_text),
]
Code = Annotated[
    str,
    StringConstraints(strip_whitespace=True, pattern=r"^[^@\s\x00-\x1f\x7f-\x9f]{1,64}$"),
    AfterValidator(_clean_code),
]
Email = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True,
        max_length=254,
        pattern=r"^[^@\s\x00-\x1f\x7f-\x9f]{1,64}@[^@\s.\x00-\x1f\x7f-\x9f]+(\.[^@\s.\x00-\x1f\x7f-\x9f]+)+$",
    ),
    AfterValidator(_clean_code),
]
Phone = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^\+?[0-9 ()/.-]{1,40}$")]


Username = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.@+-]{1,100}$")]
TimeOfDay = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
"""HH:MM by the clock at a gate, such as 08:15."""
Password = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


def storable(value: Any) -> Any:
    """The value; ValueError for text that PostgreSQL cannot store. Lone surrogates never get here:
    pydantic refuses them."""
    if isinstance(value, str) and "\0" in value:
        raise ValueError("text cannot hold the character NUL")
    return value


def _has_flag(value: Any) -> bool:
    if isinstance(value, list):
        return any(isinstance(item, bool) for item in value)
    return isinstance(value, bool)


def _takes_only_numbers(annotation: Any) -> bool:
    """Return whether a type has a place for numbers and none for true and false."""
    parts = frozenset(_parts(annotation))
    return not parts.isdisjoint((int, float)) and bool not in parts


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from _parts(part)


def _in_utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError:
        text = "a year from 1 to 9999, also in UTC, is needed"
        raise PydanticCustomError("year", text) from None


Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A time with offset that can be stored, too."""

_WRITTEN = WithJsonSchema({
    "anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}],
})  # fmt: skip

SiteMoment = Annotated[Moment, BeforeValidator(completed), _WRITTEN]
"""The same; one without an offset is one of the site's clock, a day alone its begin."""

SiteEnd = Annotated[Moment, BeforeValidator(completed_end), _WRITTEN]
"""Until when: the same, but that a day alone is included."""


IDENTITY = frozenset({"id", "uid", "created_at", "updated_at"})


class In(BaseModel):
    """A body of a request; fields that it does not have are refused, and so is NUL in text.

    Where a number is wanted, true and false are refused: they would count as 1 and 0.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    READ_ONLY: ClassVar[frozenset[str]] = frozenset()
    """Returned by GET and changed by nobody: a PUT may send it back, and it is passed over."""

    @model_validator(mode="before")
    @classmethod
    def _changeable(cls, given: Any) -> Any:
        if not cls.READ_ONLY or not isinstance(given, dict):
            return given
        return {name: value for name, value in given.items() if name not in cls.READ_ONLY}

    @field_validator("*", mode="before")
    @classmethod
    def _no_flag_for_a_number(cls, given: Any, info: ValidationInfo) -> Any:
        wanted = cls.model_fields[str(info.field_name)].annotation
        if _has_flag(given) and _takes_only_numbers(wanted):
            raise ValueError("a number is needed, not true or false")
        return given

    @field_validator("*", mode="after")
    @classmethod
    def _storable(cls, value: Any) -> Any:
        return storable(value)


class Out(BaseModel):
    """A body of an answer."""

    model_config = ConfigDict(from_attributes=True, defer_build=True)


Cause = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=3, max_length=500, pattern=_PRINTABLE)
]
