"""Dependencies of the routes of this room."""

from __future__ import annotations

from typing import Annotated, Protocol

from fastapi import Depends

from gated.http.callers import app_services
from gated.privacy.privacy import Privacy
from gated.workspace import Workspace


class PrivacyServices(Protocol):
    """The services that routes of this room call."""

    @property
    def privacy(self) -> Privacy: ...

    @property
    def workspace(self) -> Workspace: ...


Services = Annotated[PrivacyServices, Depends(app_services)]
