"""A gate at gate.example.org, and people with authenticators before it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from gated.accounts.accounts import Accounts
from gated.config import (
    ApiSettings,
    AuthSettings,
    PasskeySettings,
    Settings,
    StorageSettings,
)
from gated.database import account_store
from gated.link.status_board import StatusBoard
from gated.passkeys.routes import CHALLENGE, HERE, SIGN_IN
from gated.web.app import create_app
from gated.web.server import ApiServer
from gated.web.services import api_services
from tests.changes import done_by
from tests.fixtures.server import PASSWORD, QUICK_HASHES, Running, serving
from tests.passkeys.authenticator import Authenticator
from tests.workspaces import open_workspace

DOMAIN = "gate.example.org"
ORIGIN = f"https://{DOMAIN}"
ROLES = ("self", "viewer", "operator", "admin", "auditor")
_NETWORKS = count(1)


@contextmanager
def gate_of(folder: Path, domain: str | None = DOMAIN, **auth: Any) -> Iterator[Running]:
    """A gate with accounts the-ROLE whose pages are at this domain; none: without passkeys."""
    pytest.importorskip("webauthn", reason="the extra `passkeys` is not installed")
    settings = Settings(
        storage=StorageSettings(state_dir=folder),
        api=ApiSettings(port=0, allowed_hosts=(DOMAIN,)),
        auth=AuthSettings(**QUICK_HASHES, **auth),
        passkeys=PasskeySettings(domain=domain),
    )
    with open_workspace(settings) as workspace:
        accounts = Accounts.of(workspace)
        for role in ROLES:
            if not any(a.username == f"the-{role}" for a in accounts.list_()):
                accounts.create(f"the-{role}", role, PASSWORD, actor="test")
        services = api_services(settings, workspace, accounts, StatusBoard())
        with serving(ApiServer(create_app(services), settings.api)) as address:
            yield Running(services, address)


@dataclass
class Browser:
    """Somebody's browser with an authenticator, in a network of its own."""

    client: httpx.Client
    authenticator: Authenticator = field(default_factory=lambda: Authenticator(ORIGIN))

    def sign_in(self, role: str = "viewer") -> None:
        """Sign in with the password."""
        given = {"username": f"the-{role}", "password": PASSWORD}
        answer = self.client.post("/api/auth/sign-in", json=given)
        assert answer.status_code == 200, answer.text
        self._know(answer)

    def _know(self, answer: httpx.Response) -> None:
        self.client.headers["X-CSRF-Token"] = answer.json()["csrf_token"]

    def options(self) -> Any:
        """What the gate asks for a new passkey."""
        answer = self.client.post(f"{HERE}/registration")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def add(self, name: str = "phone", **lies: Any) -> httpx.Response:
        """Register a passkey; the gate's answer."""
        made = self.authenticator.create(self.options(), **lies)
        return self.client.post(HERE, json={"name": name, "credential": made})

    def challenge(self) -> Any:
        """What the gate asks for a sign-in."""
        answer = self.client.post(CHALLENGE)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def by_passkey(self, **lies: Any) -> httpx.Response:
        """Sign in with the passkey; the gate's answer."""
        return self.send(self.authenticator.sign(self.challenge(), **lies))

    def send(self, answer: Any) -> httpx.Response:
        told = self.client.post(SIGN_IN, json=answer)
        if told.status_code == 200:
            self._know(told)
        return told

    def passkeys(self) -> Any:
        return self.client.get(HERE).json()

    def who(self) -> str | None:
        """Whose session this is; None: of nobody."""
        answer = self.client.get("/api/auth/session")
        return str(answer.json()["username"]) if answer.status_code == 200 else None


@contextmanager
def browser_of(gate: Running) -> Iterator[Browser]:
    transport = httpx.HTTPTransport(local_address=f"127.2.{next(_NETWORKS)}.1")
    with httpx.Client(
        base_url=gate.address, timeout=60, trust_env=False, transport=transport
    ) as client:
        yield Browser(client)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with gate_of(tmp_path_factory.mktemp("gate")) as gate:
        yield gate


@pytest.fixture
def browser(gate: Running) -> Iterator[Browser]:
    with browser_of(gate) as browser:
        yield browser


@pytest.fixture
def owner(browser: Browser, gate: Running) -> Iterator[Browser]:
    """A browser whose owner, a viewer, has just registered its first passkey."""
    browser.sign_in()
    answer = browser.add()
    assert answer.status_code == 201, answer.text
    yield browser
    with gate.services.workspace.database.read() as session:
        account = account_store.by_username(session, "the-viewer")
    assert account is not None
    done_by("test", gate.services.passkeys.remove, account.id)
