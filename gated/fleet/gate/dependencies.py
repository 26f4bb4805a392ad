"""Services that the routes of this room call."""

from __future__ import annotations

from typing import Annotated, Protocol

from fastapi import Depends

from gated.fleet.gate.offline_edits import OfflineEdits
from gated.fleet.gate.own_settings import OwnSettings
from gated.http.callers import app_services


class GateServices(Protocol):
    """The services that routes of this room call."""

    @property
    def offline_edits(self) -> OfflineEdits: ...

    @property
    def own_settings(self) -> OwnSettings: ...


Services = Annotated[GateServices, Depends(app_services)]
