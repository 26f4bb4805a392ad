"""A gate that a directory may change, and the directory before it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from gated.accounts.accounts import Accounts
from gated.accounts.devices import Devices
from gated.config import (
    ApiSettings,
    AuthSettings,
    GateSettings,
    PrivacySettings,
    ScimSettings,
    Settings,
    StorageSettings,
)
from gated.link.status_board import StatusBoard
from gated.web.app import create_app
from gated.web.server import ApiServer
from gated.web.services import api_services
from tests.changes import done_by
from tests.fixtures.server import HUB_DEVICES, PASSWORD, QUICK_HASHES, Running, serving
from tests.workspaces import open_workspace

SCIM = "application/scim+json"


@dataclass(frozen=True)
class Directory:
    """A directory's own client, an administrator's, and what lies behind them."""

    client: httpx.Client
    admin: httpx.Client
    token: str
    running: Running

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        """Ask as a directory does."""
        headers = {"Content-Type": SCIM, "Accept": SCIM, **more.pop("headers", {})}
        given: dict[str, Any] = {} if body is None else {"content": json.dumps(body)}
        return self.client.request(method, f"/scim/v2{path}", headers=headers, **given, **more)

    def done(self, method: str, path: str, body: Any = None, **more: Any) -> dict[str, Any]:
        """Ask, and be answered with success."""
        answer = self.ask(method, path, body, **more)
        assert answer.status_code in (200, 201), answer.text
        assert answer.headers["content-type"] == SCIM
        found: dict[str, Any] = answer.json()
        return found

    def refused(self, method: str, path: str, body: Any = None, **more: Any) -> tuple[int, str]:
        """Ask, and be refused; status and scimType."""
        answer = self.ask(method, path, body, **more)
        assert answer.headers["content-type"] == SCIM, answer.text
        told = answer.json()
        assert told["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
        assert told["status"] == str(answer.status_code)
        assert told["detail"]
        return answer.status_code, told.get("scimType", "")

    def person(self, uid: str) -> dict[str, Any]:
        """Somebody as the people's API shows them."""
        (found,) = [p for p in self.admin.get("/api/persons").json() if p["uid"] == uid]
        return dict(found)


@contextmanager
def directory_of(
    folder: Path, *, hub: bool = False, hold_days: int = 0, url: str | None = None, **scim: Any
) -> Iterator[Directory]:
    """A gate, or a hub, that takes people from a directory. url: of another database."""
    settings = Settings(
        gate=GateSettings(name="north", site="works", role="hub" if hub else "gate"),
        storage=StorageSettings(state_dir=folder, database_url=url),
        api=ApiSettings(port=0),
        auth=AuthSettings(**QUICK_HASHES),
        privacy=PrivacySettings(hold_days=hold_days),
        scim=ScimSettings(**{"enabled": True, "erasures_an_hour": 1000, **scim}),
        **(HUB_DEVICES if hub else {}),
    )
    with open_workspace(settings) as workspace:
        accounts = Accounts.of(workspace)
        accounts.create("the-admin", "admin", PASSWORD, actor="test")
        _, token = done_by("test", Devices.of(workspace).add, "the-directory", "directory")
        services = api_services(settings, workspace, accounts, StatusBoard())
        with serving(ApiServer(create_app(services), settings.api)) as address:
            running = Running(services, address)
            headers = {"Authorization": f"Bearer {token}"}
            with (
                httpx.Client(
                    base_url=address, headers=headers, timeout=60, trust_env=False
                ) as client,
                running.client("admin") as admin,
            ):
                yield Directory(client, admin, token, running)
        services.enrollment_queue.close()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directory]:
    with directory_of(tmp_path_factory.mktemp("gate")) as found:
        yield found
