"""Dependencies of the routes of this room."""

from __future__ import annotations

from typing import Annotated, Protocol

from fastapi import Depends

from gated.door.alarms import Alarms
from gated.door.remote_door import RemoteDoor
from gated.http.callers import app_services
from gated.link.running_gate import RunningGate


class DoorServices(Protocol):
    """The services that routes of this room call."""

    @property
    def alarms(self) -> Alarms: ...

    @property
    def remote_door(self) -> RemoteDoor: ...

    def running_gate(self) -> RunningGate:
        """Return the gate that runs here.

        Raises: NoGate on a hub.
        """
        ...


Services = Annotated[DoorServices, Depends(app_services)]
