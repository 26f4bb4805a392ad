"""The route table, line by line, by an outside client of a real server process."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import httpx
import jwt
import pytest

from gated.accounts.accounts import Accounts
from gated.accounts.devices import Devices
from gated.accounts.tokens import load_key
from gated.config import load
from gated.core.roles import PROGRAMS
from gated.people.people import People
from gated.ui.pages import PATHS
from gated.web.app import create_app, route_roles
from tests.changes import done_by
from tests.e2e.process import Process
from tests.fixtures.server import PASSWORD, ROLES, Running
from tests.web.table import ALLOWED, Route, read_table
from tests.workspaces import open_workspace

TABLE = read_table()
GUARDED = [r for r in TABLE if r.who != "anyone"]
STREAMS = frozenset(
    f"/api/{of}/{stream}" for of in ("gate", "kiosk", "display") for stream in ("events", "preview")
)
"""Routes whose answer does not end."""

SIGN_OUT = next(r for r in TABLE if (r.method, r.path) == ("DELETE", "/api/auth/session"))

NEEDS_A_GATE = ("/api/gate/", "/api/sync/", "/api/kiosk/", "/api/display")
"""Where a hub, that has no camera, answers 409, and where one that asks has not joined."""

HUB = """
gate: {{name: walk, role: hub}}
camera: {{driver: none}}
door: {{driver: none}}
storage: {{state_dir: {state}}}
api: {{port: 0}}
auth: {{password_passes: 1, password_memory_kib: 64}}
"""


@dataclasses.dataclass(frozen=True)
class Outside:
    """A server process, tokens for it by role, and tokens that are void by what is wrong."""

    address: str
    tokens: dict[str, str]
    void: dict[str, str | None]
    spare: dict[str, str]
    """Another token for who has this one, to be used up by signing out."""

    def request(self, client: httpx.Client, route: Route, header: str | None) -> httpx.Response:
        if route == SIGN_OUT and header in self.spare:
            header = self.spare[header]
        client.cookies.clear()  # the kiosk's session is kept in one
        headers = {} if header is None else {"Authorization": header}
        body: dict[str, str] | None = {} if route.method in {"POST", "PUT", "PATCH"} else None
        return client.request(route.method, route.address, headers=headers, json=body)


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    folder = tmp_path_factory.mktemp("hub")
    config = folder / "gate.yaml"
    config.write_text(HUB.format(state=folder / "state"))
    with open_workspace(load(config, {})) as workspace:
        accounts = Accounts.of(workspace)
        people = [role for role in ROLES if role not in PROGRAMS]
        ada = {"first_name": "Ada", "last_name": "Byron", "personnel_code": "A1"}
        own = done_by("test", People.of(workspace).create, ada).id
        for role in people:
            accounts.create(
                f"the-{role}",
                role,
                PASSWORD,
                actor="test",
                person_id=own if role == "self" else None,
            )
        accounts.create("gone", "admin", PASSWORD, actor="test")
        tokens = {r: accounts.sign_in(f"the-{r}", PASSWORD, "test")[0] for r in people}
        devices = Devices.of(workspace)
        device, old = done_by("test", devices.add, "the-device")
        _, tokens["device"] = done_by("test", devices.renew, device.id)
        _, tokens["display"] = done_by("test", devices.add, "the-display", "display")
        gone, _ = accounts.sign_in("gone", PASSWORD, "test")
        done_by("test", accounts.disable, "gone")
        changed, _ = accounts.sign_in("the-viewer", PASSWORD, "test")
        accounts.set_password("the-viewer", PASSWORD, actor="test")
        tokens["viewer"], _ = accounts.sign_in("the-viewer", PASSWORD, "test")
        spare = {r: accounts.sign_in(f"the-{r}", PASSWORD, "test")[0] for r in people}
        gone_out, _ = accounts.sign_in("the-admin", PASSWORD, "test")
        accounts.sign_out(gone_out, accounts.verify_token(gone_out))
    with Process("--config", config) as process:
        address = next(
            word for word in process.wait_for("http://").split() if word.startswith("http://")
        )
        void = _void(tokens["admin"], folder / "state")
        void |= {
            "disabled": f"Bearer {gone}",
            "password changed": f"Bearer {changed}",
            "old token of a device": f"Bearer {old}",
            "signed out": f"Bearer {gone_out}",
        }
        spares = {f"Bearer {tokens[r]}": f"Bearer {token}" for r, token in spare.items()}
        yield Outside(address, tokens, void, spares)
        assert process.end() == 0


def _void(good: str, state: Path) -> dict[str, str | None]:
    """Headers of an administrator, each with one thing wrong."""
    key = load_key(None, state)
    claims = jwt.decode(good, key, algorithms=["HS256"], audience="gated-api")
    return {
        "none": None,
        "basic": "Basic dGhlLWFkbWluOng=",
        "empty": "Bearer",
        "altered": f"Bearer {good[:-4]}AAAA",
        "expired": "Bearer " + jwt.encode(claims | {"exp": 1}, key, "HS256"),
        "other key": "Bearer " + jwt.encode(claims, "k" * 40, "HS256"),
        "no algorithm": "Bearer " + jwt.encode(claims, "", "none"),
        "other algorithm": "Bearer " + jwt.encode(claims, key * 2, "HS512"),
        "nobody": "Bearer " + jwt.encode(claims | {"sub": "999999"}, key, "HS256"),
    }


@pytest.fixture(scope="module")
def client(outside: Outside) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=outside.address, timeout=20, trust_env=False) as client:
        yield client


def test_the_table_has_every_route_that_is_served_and_no_other(hub: Running) -> None:
    served = {
        (method, path, role or "anyone")
        for path, methods, role in route_roles(create_app(hub.services))
        for method in methods
        if method != "HEAD"
    }
    listed = [(r.method, r.path, r.who) for r in TABLE]
    assert len(listed) == len(set(listed))
    assert set(listed) == served


def test_the_table_and_the_openapi_description_agree(client: httpx.Client) -> None:
    described = {
        (method.upper(), path): {int(s) for s in operation["responses"]}
        for path, methods in client.get("/openapi.json").json()["paths"].items()
        for method, operation in methods.items()
    }
    listed = {(r.method, r.path): set(r.statuses) for r in TABLE}
    pages = {("GET", p) for p in ("/docs", "/redoc", "/docs/{name}", "/openapi.json", *PATHS)}
    assert listed.keys() - described.keys() == pages
    assert described == {key: listed[key] for key in described}


@pytest.mark.parametrize("role", ROLES)
def test_each_role_gets_exactly_what_it_may(
    outside: Outside, client: httpx.Client, role: str
) -> None:
    for route in GUARDED:
        if route.path in STREAMS and role in ALLOWED[route.who]:
            continue
        answer = outside.request(client, route, f"Bearer {outside.tokens[role]}")
        if role in ALLOWED[route.who]:
            assert answer.status_code in route.statuses - {401, 403}, (route, answer.text)
        else:
            assert answer.status_code == 403, (route, answer.text)


def test_a_void_token_opens_nothing(outside: Outside, client: httpx.Client) -> None:
    for what, header in outside.void.items():
        for route in GUARDED:
            answer = outside.request(client, route, header)
            assert answer.status_code == 401, (what, route, answer.text)
            assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_what_is_open_to_anyone_needs_no_token(outside: Outside, client: httpx.Client) -> None:
    for route in TABLE:
        if route.who == "anyone":
            answer = outside.request(client, route, None)
            assert answer.status_code in route.statuses - {401, 403}, (route, answer.text)


def test_lists_and_pages_answer_with_their_first_status(
    outside: Outside, client: httpx.Client
) -> None:
    for route in TABLE:
        page = route.method == "GET" and "{" not in route.path
        if page and not route.path.startswith(NEEDS_A_GATE):
            role = next((r for r in ROLES if r in ALLOWED[route.who] - {"device"}), "device")
            answer = outside.request(client, route, f"Bearer {outside.tokens[role]}")
            assert answer.status_code == min(route.statuses), (route, answer.text)
