"""Bodies of the routes of web hooks."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from gated.http.schemas import Out


class DeliveryOut(Out):
    id: str
    """The uid of the event, as the target got it."""
    type: str
    at: datetime
    result: Literal["delivered", "failed", "refused", "expired"]
    status: int
    """Of the answer; 0 without one."""
    says: str
    tries: int


class WebhookOut(Out):
    name: str
    url: str
    """Scheme, host and port: the rest may hold a secret."""
    events: list[str]
    person: str
    delivered: int
    passed_over: int
    """Refused again and again, or older than `webhooks.keep_days`."""
    rows_behind: int
    """Rows of the journal that were not looked at for this target."""
    log: list[DeliveryOut]
    """The last tries, newest first."""


class WebhookTestOut(Out):
    result: Literal["delivered", "failed", "refused", "expired"]
    status: int
    says: str
