"""Dependencies of the routes of this room."""

from __future__ import annotations

from typing import Annotated, Protocol

from fastapi import Depends

from gated.http.callers import app_services
from gated.webhooks.webhooks import Webhooks


class WebhookServices(Protocol):
    """The services that routes of this room call."""

    @property
    def webhooks(self) -> Webhooks: ...


Services = Annotated[WebhookServices, Depends(app_services)]
