"""A hub that serves, on either engine, and gates with state directories of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gated.api.app import ApiServices, create_app
from gated.api.server import ApiServer
from gated.config import (
    ApiSettings,
    AttendanceSettings,
    GateSettings,
    Settings,
    StorageSettings,
)
from gated.services.accounts import Accounts
from gated.services.gate import GateBoard
from gated.services.sync.client import HubClient
from gated.services.sync.membership import Member, Membership
from gated.services.workspace import Workspace
from tests.api.conftest import serving

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
def hub_in(folder: Path, database_url: str | None) -> Iterator[Hub]:
    settings = Settings(
        gate=GateSettings(name="hub", role="gate", site="office"),
        storage=StorageSettings(state_dir=folder / "hub", database_url=database_url),
        api=ApiSettings(port=0),
        attendance=AttendanceSettings(direction="entry"),
    )
    with Workspace(settings) as workspace:
        services = ApiServices(settings, workspace, Accounts.of(workspace), GateBoard())
        with serving(ApiServer(create_app(services), settings.api)) as url:
            yield Hub(services, url)
            services.bell.stop()


class World:
    """One hub, and as many gates as a test asks for."""

    def __init__(self, folder: Path, hub: Hub, stack: ExitStack) -> None:
        self.folder = folder
        self.hub = hub
        self._stack = stack

    def standalone(self, name: str) -> Workspace:
        """A gate that has not joined."""
        settings = Settings(
            gate=GateSettings(name=name, site="works"),
            storage=StorageSettings(state_dir=self.folder / name),
        )
        return self._stack.enter_context(Workspace(settings))

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
