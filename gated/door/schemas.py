"""Bodies of requests and answers about the door and its alarms."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    ConfigDict,
    Field,
)

from gated.core.values import DoorMode
from gated.http.schemas import In, Out, Password, SiteEnd, Text


class DoorAct(In):
    reason: Text
    password: Password | None = None
    """Your own password again; needed when the token is older than `auth.door_confirmation_s`."""


class ModeIn(DoorAct):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"mode": "lockdown", "reason": "drill", "until": "2026-12-24T18:00+01:00"}]
        }
    )

    mode: DoorMode
    until: SiteEnd | None = None
    """When the gate sets the door back to normal by itself; without it somebody has to."""


class ModeOut(Out):
    mode: DoorMode
    """The mode that the gate was asked to set."""
    until: datetime | None = None
    """When it ends by itself; null also for a lockdown that was set by a doubtful clock."""


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
    """Number of times since `raised_at`, until it was acknowledged."""
    acknowledged_at: datetime | None
    acknowledged_by: str | None


class OpenIn(DoorAct):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"reason": "parcel service", "for_s": 5}]}
    )

    for_s: Annotated[float, Field(gt=0, le=600)] | None = None


class OpenOut(Out):
    for_s: float
    """For how long the door was asked to open, in seconds."""
