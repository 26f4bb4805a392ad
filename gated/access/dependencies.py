"""Dependencies of the routes of this room."""

from __future__ import annotations

from typing import Annotated, Protocol

from fastapi import Depends

from gated.access.credentials import Credentials
from gated.access.passage_cache import PassageCache
from gated.access.pins import PinCheck
from gated.access.rules import Access
from gated.http.callers import app_services
from gated.link.running_gate import RunningGate
from gated.link.status_board import StatusBoard
from gated.people.people import People
from gated.workspace import Workspace


class AccessServices(Protocol):
    """The services that routes of this room call."""

    @property
    def access(self) -> Access: ...

    @property
    def board(self) -> StatusBoard: ...

    @property
    def credentials(self) -> Credentials: ...

    @property
    def passage_cache(self) -> PassageCache: ...

    @property
    def people(self) -> People: ...

    @property
    def pins(self) -> PinCheck | None: ...

    def running_gate(self) -> RunningGate:
        """Return the gate that runs here.

        Raises: NoGate on a hub.
        """
        ...

    @property
    def workspace(self) -> Workspace: ...


Services = Annotated[AccessServices, Depends(app_services)]
