"""Bodies of requests and answers about consent."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from gated.http.schemas import In, Out, SiteEnd, SiteMoment, Text


class ConsentIn(In):
    READ_ONLY: ClassVar = frozenset({"person_id", "updated_at"})

    notice_version: Text
    given_at: SiteMoment
    expires_at: SiteEnd | None = None
    method: Text
    """How it was given, such as "signed form"."""

    @model_validator(mode="after")
    def _ends_after_it_began(self) -> Self:
        if self.expires_at is not None and self.expires_at <= self.given_at:
            raise PydanticCustomError("ends_early", "expires_at must be after given_at")
        return self


class ConsentOut(Out):
    person_id: int
    notice_version: str
    given_at: datetime
    expires_at: datetime | None
    method: str
    updated_at: datetime


class OwnConsentIn(In):
    notice_version: Text


class OwnConsentOut(Out):
    """notice: the version that one may consent to oneself, None where that is not foreseen."""

    notice: str | None
    given: ConsentOut | None
