"""A hub that serves, on either engine, and gates with state directories of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gated.accounts.accounts import Accounts
from gated.config import (
    ApiSettings,
    AttendanceSettings,
    AuthSettings,
    GateSettings,
    Settings,
    StorageSettings,
)
from gated.fleet.gate.client import HubClient
from gated.fleet.gate.membership import Member, Membership
from gated.link.status_board import StatusBoard
from gated.web.app import create_app
from gated.web.server import ApiServer
from gated.web.services import ApiServices, api_services
from gated.workspace import Workspace
from tests.fixtures.server import HUB_DEVICES, QUICK_HASHES, serving
from tests.workspaces import open_workspace

ACTOR = "test"


@dataclass
class Hub:
    """A hub that answers at `url`."""

    services: ApiServices
    url: str

    @property
    def workspace(self) -> Workspace:
        return self.services.workspace

    def invite(self, name: str, **wanted: Any) -> str:
        """A code for a new gate, that is given everybody unless told otherwise."""
        wanted = wanted or {"everyone": True}
        return self.services.fleet.invite(name, "works", wanted, actor=ACTOR)[1]


@dataclass
class JoinedGate:
    """A gate that has joined."""

    workspace: Workspace
    membership: Membership
    member: Member
    client: HubClient


@contextmanager
def hub_in(folder: Path, database_url: str | None, timezone: str | None = None) -> Iterator[Hub]:
    settings = Settings(
        gate=GateSettings(name="hub", role="hub", site="office", timezone=timezone),
        storage=StorageSettings(state_dir=folder / "hub", database_url=database_url),
        api=ApiSettings(port=0),
        auth=AuthSettings(**QUICK_HASHES),
        **HUB_DEVICES,
        attendance=AttendanceSettings(direction="entry"),
    )
    with open_workspace(settings) as workspace:
        services = api_services(settings, workspace, Accounts.of(workspace), StatusBoard())
        with serving(ApiServer(create_app(services), settings.api)) as url:
            yield Hub(services, url)
            services.bell.stop()
        services.enrollment_queue.close()  # else its models stay until its timer ends


class World:
    """One hub, and as many gates as a test asks for."""

    def __init__(self, folder: Path, hub: Hub, stack: ExitStack) -> None:
        self.folder = folder
        self.hub = hub
        self._stack = stack

    def standalone(self, name: str, timezone: str | None = None) -> Workspace:
        """A gate that has not joined."""
        settings = Settings(
            gate=GateSettings(name=name, site="works", timezone=timezone),
            storage=StorageSettings(state_dir=self.folder / name),
        )
        return self._stack.enter_context(open_workspace(settings))

    def gate(self, name: str, **wanted: Any) -> JoinedGate:
        """A gate that has joined; by default it is given everybody."""
        return self.join(self.standalone(name), name, **wanted)

    def join(self, workspace: Workspace, name: str, **wanted: Any) -> JoinedGate:
        """The gate that a workspace becomes when it joins."""
        membership = Membership.of(workspace)
        member = membership.join(self.hub.url, self.hub.invite(name, **wanted), actor=ACTOR)
        client = membership.client(member)
        self._stack.callback(client.close)
        return JoinedGate(workspace, membership, member, client)
