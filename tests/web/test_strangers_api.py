"""What somebody without a token may send, how much of it is read, and when."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import json
import logging
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.exceptions import HTTPException

from gated.config import ApiSettings
from gated.database import account_store
from gated.fleet.hub import gate_store
from gated.fleet.wire.signing import GateKeys, SignedRequest
from gated.http.headers import HEADER
from gated.oidc import routes as company
from gated.passkeys import routes as passkeys
from gated.web import admission, middleware
from gated.web.app import CROWDS, OWN_VALUES, PUBLIC, VALUES, create_app, route_roles
from gated.web.middleware import BodyLimit
from gated.web.server import ApiServer
from tests.fixtures.server import PASSWORD, Running, running, serving


class Raw:
    """One connection by hand."""

    def __init__(self, address: str, source: str = "127.0.0.1") -> None:
        parts = urlsplit(address)
        assert parts.hostname is not None
        assert parts.port is not None
        where = (parts.hostname, parts.port)
        self.socket = socket.create_connection(where, source_address=(source, 0))
        self.socket.settimeout(20)

    def begin(self, method: str, path: str, length: int | None, *more: str) -> None:
        size = [] if length is None else [f"Content-Length: {length}"]
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *size, *more, "", ""]
        self.socket.sendall("\r\n".join(lines).encode())

    def status(self) -> int:
        """Of the answer; 0 when the connection ended without one."""
        try:
            head = b""
            while b"\r\n\r\n" not in head:
                part = self.socket.recv(1)
                if not part:
                    return 0
                head += part
            length = re.search(rb"content-length: (\d+)", head)
            self.socket.recv(int(length[1]) if length else 0, socket.MSG_WAITALL)
        except ConnectionResetError:
            return 0
        return int(head.split()[1])

    def is_open(self) -> bool:
        """Whether the other side keeps the connection, as far as is known now."""
        self.socket.setblocking(False)
        try:
            return self.socket.recv(65536) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            self.socket.settimeout(20)

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


def body_routes(running_: Running) -> list[tuple[str, str]]:
    """Each route that may be sent a body and is not open to everybody."""
    return [
        (method, path.replace("{", "").replace("}", ""))
        for path, methods, role in route_roles(create_app(running_.services))
        for method in methods
        if role is not None and method in {"POST", "PUT", "PATCH", "DELETE"}
    ]


def test_nobody_is_asked_for_a_body_before_the_token_is_right(hub: Running) -> None:
    """On every route the answer comes while the body is still at its sender."""
    found = body_routes(hub)
    assert len(found) > 40
    for number, (method, path) in enumerate(found):
        for token in ((), ("Authorization: Bearer nonsense",)):
            # connections that have just ended keep their places for a moment, by address
            with Raw(hub.address, f"127.0.1.{number + 1}") as raw:
                kind = "Content-Type: application/json"
                raw.begin(method, path, 200_000, kind, "Expect: 100-continue", *token)
                assert raw.status() == 401, (method, path)


def test_a_role_that_is_too_low_is_told_before_the_body(server: Running) -> None:
    with server.client("viewer") as client, Raw(server.address) as raw:
        raw.begin("POST", "/api/persons", 9, f"Authorization: {client.headers['Authorization']}")
        assert raw.status() == 403


@pytest.mark.parametrize("path", ["/api/sync/edits", "/api/sync/join", "/api/sync/journal"])
def test_what_belongs_to_a_hub_is_not_there_on_a_gate(server: Running, path: str) -> None:
    with Raw(server.address) as raw:
        raw.begin("POST", path, 12_900_001, "Content-Type: application/json")
        assert raw.status() == 404


def test_a_gate_that_invites_others_is_a_hub_from_then_on(tmp_path: Path) -> None:
    path = "/api/sync/changes?since="
    with running(tmp_path) as gate, gate.client("admin") as client:
        assert client.get(path).status_code == 404
        invited = {"name": "south", "site": "works"}
        assert client.post("/api/fleet/gates", json=invited).status_code == 201
        time.sleep(admission.LOOK_S)
        assert client.get(path).status_code == 403


ONLY_READ = {"/api/meta", "/api/codes", passkeys.CHALLENGE, *company.PATHS}
"""Open to anybody, and without a body."""


@pytest.mark.parametrize("path", sorted(p for p in PUBLIC - ONLY_READ if p.startswith("/api/")))
def test_what_is_open_to_anybody_takes_some_kilobytes(hub: Running, path: str) -> None:
    body = b'{"username": "' + b"x" * admission.STRANGER_BODY + b'"}'
    kind = {"Content-Type": "application/json"}
    with hub.client() as client:
        assert client.post(path, content=body, headers=kind).status_code == 413
        assert client.post(path, content=iter([body]), headers=kind).status_code == 413
        assert client.post(path, content=b'{"a": 1}', headers=kind).status_code == 422


def test_strangers_hold_so_many_bodies_and_no_more(tmp_path: Path) -> None:
    """Of one address, and of all; where somebody has signed in there is still room."""
    with running(tmp_path) as gate, ExitStack() as held:

        def slow(address: str) -> Raw:
            raw = held.enter_context(Raw(gate.address, address))
            kind = "Content-Type: application/json"
            raw.begin("POST", "/api/auth/login", 9, kind, "Expect: 100-continue")
            return raw

        others = [f"127.0.0.{n}" for n in range(2, 7)]
        answers = [slow(a).status() for a in others for _ in range(admission.STRANGERS_OF_ONE)]
        assert answers[: admission.STRANGERS] == [100] * admission.STRANGERS, "waits for the bodies"
        assert slow("127.0.0.2").status() == 503
        assert slow("127.0.0.9").status() == 503, "all strangers together"
        with gate.client("admin") as client:
            person = {"first_name": "Ada", "last_name": "B", "personnel_code": "A1"}
            assert client.post("/api/persons", json=person).status_code == 201
            me = {"username": "the-admin", "password": PASSWORD}
            assert client.post("/api/auth/login", json=me).status_code == 200


def joined(hub: Running, name: str) -> GateKeys:
    """A gate of the hub, by its keys."""
    services, keys = hub.services, GateKeys(GateKeys.new_seed())
    fleet = services.fleet
    gate, _ = fleet.invite(name, "works", {"everyone": True}, actor="test")
    with services.workspace.database.write() as session:
        account = account_store.add(session, f"gate-{name}", "device", account_store.NO_PASSWORD)
        account_store.set_token_digest(session, account.id, keys.public()["token_digest"])
        values = {"account_id": account.id, "joined_at": datetime.now(UTC)}
        gate_store.update(session, gate.gate.id, **values, sign_key=keys.sign_key)
    return keys


def signed(keys: GateKeys, path: str, body: bytes) -> dict[str, str]:
    at = int(time.time())
    return {
        "Authorization": f"Bearer {keys.token}",
        HEADER: f"{at}.{keys.sign(SignedRequest('POST', path, at, body).message())}",
        "Content-Type": "application/json",
    }


def test_the_bodies_of_strangers_keep_no_gate_out(hub: Running) -> None:
    keys, path = joined(hub, "north"), "/api/sync/journal"
    with ExitStack() as held, hub.client() as client:
        for _ in range(CROWDS[path] + 1):
            raw = held.enter_context(Raw(hub.address))
            raw.begin("POST", path, 1000)
        answer = client.post(path, content=b"{}", headers=signed(keys, path, b"{}"))
        assert answer.status_code == 422


def test_so_many_bodies_of_gates_are_read_at_a_time(hub: Running) -> None:
    """Whoever comes besides is sent away before the body, and let in when another has left."""
    keys, path = joined(hub, "west"), "/api/sync/journal"
    token = f"Authorization: Bearer {keys.token}"
    with ExitStack() as held, hub.client() as client:
        slow = []
        for _ in range(CROWDS[path]):
            slow.append(held.enter_context(Raw(hub.address)))
            slow[-1].begin("POST", path, 9, token, "Expect: 100-continue")
            assert slow[-1].status() == 100
        for _ in range(100):
            refused = client.post(path, content=b"{}", headers=signed(keys, path, b"{}"))
            if refused.status_code == 503:
                break
        assert (refused.status_code, refused.json()["code"]) == (503, "busy")
        assert int(refused.headers["Retry-After"]) > 0
        assert client.get("/health").status_code == 200
        slow[0].socket.close()
        headers = signed(keys, path, b"{}")
        answers = (client.post(path, content=b"{}", headers=headers) for _ in range(100))
        assert 422 in (answer.status_code for answer in answers)


def test_a_gates_body_is_parsed_after_its_signature_only(hub: Running) -> None:
    """What is no JSON is refused for its signature, and for what it is when that is right."""
    keys, path, body = joined(hub, "south"), "/api/sync/heartbeat", b"[" * 1000
    right = signed(keys, path, body)
    wrong = {**right, HEADER: right[HEADER][:-4] + "0000"}
    with hub.client() as client:
        assert client.post(path, content=body, headers=wrong).json()["code"] == "bad_signature"
        assert client.post(path, content=body, headers=right).status_code in {400, 422}


@pytest.mark.parametrize("path", sorted(OWN_VALUES))
def test_what_a_gate_nests_is_bounded(hub: Running, path: str) -> None:
    keys = joined(hub, f"east{len(path)}")
    body = b"[" + b"[]," * (OWN_VALUES[path] // 2 + 1) + b"[]]"
    with hub.client() as client:
        answer = client.post(path, content=body, headers=signed(keys, path, body))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_what_an_account_nests_is_bounded_and_read_within_some_milliseconds(
    server: Running,
) -> None:
    within, beyond = (b"[" + b"[]," * n + b"[]]" for n in (VALUES // 2 - 2, VALUES // 2 + 1))
    gc.disable()  # the heap of a test run is no measure: the program freezes its own
    try:
        began = time.thread_time()
        json.loads(within)
        assert time.thread_time() - began < 0.05
    finally:
        gc.enable()
    kind = {"Content-Type": "application/json"}
    with server.client("admin") as client:
        answer = client.post("/api/persons", content=within, headers=kind)
        assert answer.status_code == 422
        assert len(answer.json()["errors"]) <= 20
        assert client.post("/api/persons", content=beyond, headers=kind).status_code == 413


async def subject_of(*parts: bytes, pause_s: float, strange: bool) -> int:
    """What becomes of a body that comes in these parts, so far apart: the answer's status."""
    status = 0

    async def receive() -> Any:
        await asyncio.sleep(pause_s)
        nonlocal parts
        part, *rest = parts or (b"",)
        parts = tuple(rest)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal status
        status = 200
        try:
            while (await receive())["more_body"]:
                pass
        except HTTPException as error:
            status = error.status_code

    async def send(_: Any) -> None: ...

    limits = BodyLimit(app, 10**6, 10**6, {}, 10**6, {})
    headers = [(b"transfer-encoding", b"chunked")]
    scope = {"type": "http", "headers": headers, "path": "/", "gated.stranger": strange}
    await limits(scope, receive, send)
    return status


@pytest.mark.parametrize(
    ("parts", "pause_s", "strange", "status"),
    [
        ([b"x"] * 20, 0.001, True, 200),
        ([b"x"] * 200, 0.02, True, 408),
        ([b"x"] * 200, 0.02, False, 408),
        ([b"x" * 4000] * 20, 0.02, False, 200),
        ([b"x" * 40] * 20, 0.02, False, 200),
    ],
)
def test_a_body_comes_in_time_or_at_a_rate(
    parts: list[bytes], pause_s: float, strange: bool, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bounds with fewer seconds; more of them where a busy machine could use them up."""
    bound_s = 1.0 if status == 408 else 10.0
    monkeypatch.setattr(middleware, "STRANGER_S", bound_s)
    monkeypatch.setattr(middleware, "BODY_S", bound_s)
    assert asyncio.run(subject_of(*parts, pause_s=pause_s, strange=strange)) == status


# --- who asks, and under which name --------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("192.168.1.7", 200),
        ("localhost", 200),
        ("LOCALHOST.", 200),
        ("gate.localhost:1", 200),
        (socket.gethostname(), 200),
        ("door.example.org", 200),
        ("a.b.works.example", 200),
        ("works.example", 421),
        ("evil.example", 421),
        ("door.example.org.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("1.2.3", 421),
        ("a b", 400),
        ("user@localhost", 400),
        ("", 400),
    ],
)
def test_only_names_of_this_machine_are_answered(named: Running, host: str, status: int) -> None:
    with named.client() as client:
        answer = client.get("/health", headers={"Host": host})
    assert answer.status_code == status, answer.text
    if status == 421:
        assert answer.json()["code"] == "wrong_host"
        assert "api.allowed_hosts" in answer.json()["detail"]


@pytest.fixture(scope="module")
def named(server: Running) -> Iterator[Running]:
    settings = ApiSettings(port=0, allowed_hosts=("Door.example.org", ".works.example"))
    services = server.services
    whole = services.settings.model_copy(update={"api": settings})
    again = dataclasses.replace(services, settings=whole)
    with serving(ApiServer(create_app(again), settings)) as address:
        yield Running(again, address)


@pytest.mark.parametrize("name", ["", "*", "https://a", "a b", "a..b", "a/b"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        ApiSettings(allowed_hosts=(name,))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "{own}"}, 200),
        ({"Origin": "{own}", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "{own}.evil.example"}, 403),
        ({"Origin": "{own}", "Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_a_page_of_another_site_signs_nobody_in(
    server: Running, headers: dict[str, str], status: int
) -> None:
    me = {"username": "the-viewer", "password": PASSWORD}
    sent = {name: value.format(own=server.address) for name, value in headers.items()}
    with server.client() as client:
        for answer in (
            client.post("/api/auth/sign-in", headers=sent, json=me),
            client.post("/api/auth/sign-in", headers=sent, data=me),
        ):
            assert answer.status_code == status, answer.text
            assert ("Set-Cookie" in answer.headers) is (status == 200)


def test_a_request_that_is_cut_off_leaves_no_traceback(
    server: Running, hub: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """On every route that reads a body, whoever sends it."""
    with caplog.at_level(logging.DEBUG, "gated"):
        keys = joined(hub, "cut")
        for running_, path, kind, who in (
            (server, "/api/auth/login", "application/json", ()),
            (server, "/api/auth/sign-in", "application/x-www-form-urlencoded", ()),
            (server, "/api/auth/login", "multipart/form-data; boundary=x", ()),
            (hub, "/api/sync/join", "application/json", ()),
            (hub, "/api/sync/journal", "application/json", (f"Bearer {keys.token}",)),
            (server, "/api/persons", "application/json", admin_of(server)),
            (server, "/api/enrollment", "multipart/form-data; boundary=x", admin_of(server)),
            (server, "/api/enrollment/import", "multipart/form-data; boundary=x", admin_of(server)),
        ):
            with Raw(running_.address) as raw:
                more = [f"Authorization: {token}" for token in who]
                raw.begin("POST", path, 100, f"Content-Type: {kind}", *more)
                raw.socket.sendall(b"--x\r\n")
                time.sleep(0.1)
        time.sleep(0.3)
    assert not [r for r in caplog.records if r.exc_info or r.levelno >= logging.WARNING]


def admin_of(server: Running) -> tuple[str]:
    with server.client("admin") as client:
        return (client.headers["Authorization"],)
