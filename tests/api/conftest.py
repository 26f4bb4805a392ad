"""A real server on a free port, over a real workspace, with an account of each role."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from gated.api.app import ApiServices, create_app
from gated.api.server import ApiServer
from gated.config import ApiSettings, AuthSettings, GateSettings, Settings, StorageSettings
from gated.services.accounts import Accounts
from gated.services.devices import Devices
from gated.services.gate import GateBoard
from gated.services.workspace import Workspace

PASSWORD = "Correct-horse-battery-9"
ROLES = ("self", "viewer", "operator", "admin", "auditor", "device")


@dataclass(frozen=True)
class Running:
    """A server that runs, and clients of it."""

    services: ApiServices
    address: str
    device_token: str = ""

    def client(self, role: str | None = None) -> httpx.Client:
        """A client, signed in as the account of a role."""
        headers = {}
        if role == "device":
            headers["Authorization"] = f"Bearer {self.device_token}"
        elif role is not None:
            token, _ = self.services.accounts.sign_in(f"the-{role}", PASSWORD, "test")
            headers["Authorization"] = f"Bearer {token}"
        return httpx.Client(base_url=self.address, headers=headers, timeout=20, trust_env=False)


@contextmanager
def serving(server: ApiServer) -> Iterator[str]:
    """The server runs in a thread while the block does; gives its address."""
    ready = threading.Event()

    async def main() -> None:
        serve = asyncio.create_task(server.serve())
        await server.started()
        ready.set()
        await serve

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    assert ready.wait(20)
    try:
        yield server.address
    finally:
        server.stop()
        thread.join(20)
        assert not thread.is_alive()


@contextmanager
def running(
    state_dir: Path, auth: AuthSettings | None = None, roles: Sequence[str] = ("viewer", "admin")
) -> Iterator[Running]:
    settings = Settings(
        gate=GateSettings(name="north", site="works"),
        storage=StorageSettings(state_dir=state_dir),
        api=ApiSettings(port=0),
        auth=auth or AuthSettings(),
    )
    with Workspace(settings) as workspace:
        accounts = Accounts.of(workspace)
        token = ""
        if "device" in roles:
            _, token = Devices.of(workspace).add("the-device", actor="test")
        for role in set(roles) - {"device"}:
            accounts.create(f"the-{role}", role, PASSWORD, actor="test")
        services = ApiServices(settings, workspace, accounts, GateBoard())
        with serving(ApiServer(create_app(services), settings.api)) as address:
            yield Running(services, address, token)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("state"), roles=ROLES) as server:
        yield server
