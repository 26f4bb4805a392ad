"""Bodies of requests and answers about accounts, sign-in and audit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    StringConstraints,
    field_validator,
)

from gated.accounts.devices import Kind
from gated.http.schemas import In, Out, Password, Username, storable
from gated.people.schemas import PersonFields


class SignInForm(BaseModel):
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
    expires_at: datetime | None
    """When it ends unless it is renewed; null for the token of a device."""
    person_id: int | None


class KioskSessionOut(Out):
    csrf_token: str


class PasswordChange(In):
    current_password: Annotated[str, StringConstraints(min_length=1, max_length=1024)]
    new_password: Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class MeOut(Out):
    account_id: int
    username: str
    role: str
    person_id: int | None


class Registration(PersonFields):
    password: Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class AccountOut(Out):
    id: int
    uid: str
    username: str
    role: str
    person_id: int | None
    is_active: bool
    created_at: datetime
    updated_at: datetime


class DeviceOut(AccountOut):
    last_seen_at: datetime | None
    """Of a kiosk or display: when it last asked, to some minutes."""
    watching: bool
    """A stream of events is open for it now."""


class AccountIn(In):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "username": "reception",
                    "role": "operator",
                    "password": "a long one, of several words",
                }
            ]
        }
    )

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
    role: Kind = "device"
    """directory: may change people and groups over SCIM, and nothing else. display: a screen that
    shows what the page Now shows, and may do nothing."""


class DeviceTokenOut(Out):
    id: int
    username: str
    token: str


class ActorOut(Out):
    """The actor and the address; of old rows and of the gate itself only the name is known."""

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

    @field_validator("actor", mode="before")
    @classmethod
    def _as_far_as_it_makes_sense(cls, actor: Any) -> Any:
        """Leave out what another machine wrote in place of a text."""
        if not isinstance(actor, Mapping):
            return None
        texts = {k: v for k, v in actor.items() if isinstance(v, str) and k != "filters"}
        filters = actor.get("filters")
        return {"name": "", **texts, "filters": filters if isinstance(filters, Mapping) else None}
