"""A gate that knows a provider, and a browser before it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from gated.accounts.accounts import Accounts
from gated.config import (
    ApiSettings,
    AuthSettings,
    OidcSettings,
    Settings,
    StorageSettings,
    UiSettings,
)
from gated.link.status_board import StatusBoard
from gated.web.app import create_app
from gated.web.server import ApiServer
from gated.web.services import api_services
from tests.fixtures.server import PASSWORD, QUICK_HASHES, Running, serving
from tests.oidc.providers import CLIENT, LyingProvider, lying_provider
from tests.workspaces import open_workspace

_NETWORKS = count(1)

ROLES = {"gate-admins": "admin", "gate-viewers": "viewer"}


@contextmanager
def gate_of(
    folder: Path, issuer: str, *, first: bool = True, pages: bool = True, **more: Any
) -> Iterator[Running]:
    """A gate whose people sign in at this provider.

    first: it has an administrator already. pages: it serves them.
    """
    oidc = {"issuer": issuer, "client_id": CLIENT, "roles": ROLES, **more}
    settings = Settings(
        storage=StorageSettings(state_dir=folder),
        api=ApiSettings(port=0),
        auth=AuthSettings(**QUICK_HASHES),
        oidc=OidcSettings.model_validate(oidc),
        ui=UiSettings(enabled=pages),
    )
    with open_workspace(settings) as workspace:
        accounts = Accounts.of(workspace)
        if first:
            accounts.create("the-admin", "admin", PASSWORD, actor="test")
        services = api_services(settings, workspace, accounts, StatusBoard())
        with serving(ApiServer(create_app(services), settings.api)) as address:
            yield Running(services, address)


@pytest.fixture(scope="module")
def shared_provider() -> Iterator[LyingProvider]:
    with lying_provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def shared_gate(
    shared_provider: LyingProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    with gate_of(tmp_path_factory.mktemp("gate"), shared_provider.address) as gate:
        yield gate


@pytest.fixture
def provider(shared_provider: LyingProvider) -> LyingProvider:
    """The provider, which tells the truth until a test says otherwise."""
    shared_provider.tell_the_truth()
    return shared_provider


@pytest.fixture
def browser(shared_gate: Running) -> Iterator[httpx.Client]:
    """A browser of nobody yet, of a network of its own; it follows no redirection by itself."""
    transport = httpx.HTTPTransport(local_address=f"127.1.{next(_NETWORKS)}.1")
    with httpx.Client(
        base_url=shared_gate.address, timeout=60, trust_env=False, transport=transport
    ) as client:
        yield client
