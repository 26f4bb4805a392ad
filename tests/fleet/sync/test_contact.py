"""A gate that is cut off from its hub says what fails, since when, and how much waits."""

from __future__ import annotations

import http.client
import http.server
import json
import logging
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from gated.access.revocation import Revocation
from gated.accounts.certificates import self_signed
from gated.devices.clock import ManualClock
from gated.errors import HubError, HubUnreachable, StorageError
from gated.fleet.gate.client import HubAddress, HubClient
from gated.fleet.gate.hub_loops import HubLoop, UplinkLoop
from gated.fleet.gate.membership import Membership
from gated.fleet.gate.uplink import ROWS, Uplink, status_of
from gated.link.status_board import StatusBoard
from gated.live.hub_contact import Contact, HubContact
from gated.live.hub_failures import reason_of
from tests.e2e.process import Process, gated
from tests.fleet.sync.world import ACTOR, World
from tests.people.people import entry
from tests.runtime.test_hub_loops import Scripted, fails

PATIENCE_S = 60.0


def within(true: Callable[[], bool], seconds: float = PATIENCE_S) -> bool:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


# --- why it fails ---------------------------------------------------------------------------------


@contextmanager
def speaking_tls(certificate: Path, key: Path) -> Iterator[int]:
    """A server that does no more than the handshake; gives its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]


def reason(url: str, ca_file: Path | None = None) -> str:
    client = HubClient(HubAddress(url, ca_file))
    try:
        with pytest.raises(HubError) as raised:
            client.get("/health", timeout=5)
    finally:
        client.close()
    assert url in str(raised.value)
    assert "_ssl.c" not in str(raised.value), "a sentence for people"
    return reason_of(raised.value)


@pytest.mark.parametrize(
    ("names", "days", "trusted", "expected"),
    [
        (["127.0.0.1"], 30, False, "certificate_untrusted"),
        (["other.example"], 30, True, "certificate_wrong_name"),
        (["127.0.0.1"], 0, True, "certificate_expired"),
    ],
)
def test_what_is_wrong_with_a_certificate_is_named(
    tmp_path: Path, names: list[str], days: int, trusted: bool, expected: str
) -> None:
    made = self_signed(tmp_path, names, days, replace=False)
    with speaking_tls(made.certificate, made.key) as port:
        ca_file = made.certificate if trusted else None
        assert reason(f"https://127.0.0.1:{port}", ca_file) == expected


def test_what_is_wrong_with_an_address_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = taken.getsockname()[1]
    assert reason(f"http://127.0.0.1:{closed}") == "unreachable"
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as plain:
        threading.Thread(target=plain.serve_forever, daemon=True).start()
        assert reason(f"https://127.0.0.1:{plain.server_port}") == "no_tls"
        plain.shutdown()


def test_each_new_reason_is_logged_once_until_it_works_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one, other = HubUnreachable("gone", reason="silent"), StorageError("full")
    failing = [fails(e) for e in (one, other, one, other, HubError("large", 413), one)]
    loop = Scripted([*failing, lambda: 0.0, fails(one)])
    with caplog.at_level(logging.WARNING, "gated.fleet.gate.hub_loops"):
        loop.start()
        assert loop.done.wait(PATIENCE_S)
    loop.stop()
    loop.join(PATIENCE_S)
    logged = [r.getMessage().partition(": ")[2] for r in caplog.records]
    assert logged == ["gone", "full", "large", "gone"]


# --- a proxy that takes no large bodies -----------------------------------------------------------


class _Proxy(http.server.ThreadingHTTPServer):
    """Hands requests on to a hub, and answers 413 to bodies of more bytes than `limit`.

    loses: so many of the hub's answers get lost on their way, the first ones.
    """

    def __init__(self, hub: str, limit: int, loses: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handing)
        self.hub = hub.removeprefix("http://")
        self.limit = limit
        self.loses = loses
        self.refused = 0


class _Handing(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Proxy

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if len(body) > self.server.limit:
            self.server.refused += 1
            self._answer(413, {}, b"<html>Request Entity Too Large</html>")
            return
        connection = http.client.HTTPConnection(self.server.hub, timeout=20)
        connection.request(self.command, self.path, body or None, dict(self.headers))
        answer = connection.getresponse()
        headers, content = dict(answer.getheaders()), answer.read()
        connection.close()
        if self.server.loses:
            self.server.loses -= 1
            self.close_connection = True
            return
        self._answer(answer.status, headers, content)

    def do_GET(self) -> None:
        self.do_POST()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "connection", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def proxy(hub: str, limit: int, loses: int = 0) -> Iterator[_Proxy]:
    server = _Proxy(hub, limit, loses)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def test_a_batch_that_is_too_large_for_a_proxy_is_halved_until_it_passes(world: World) -> None:
    gate = world.gate("north")
    with gate.workspace.database.write() as session:  # each with a seal of its own
        for _ in range(ROWS):
            gate.workspace.journal.append([entry() for _ in range(2)], session)
    with proxy(world.hub.url, 40_000) as before:
        client = HubClient(
            HubAddress(f"http://127.0.0.1:{before.server_port}"), gate.member.credentials
        )
        uplink = Uplink.of(gate.workspace, client)
        try:
            while uplink.send():
                pass
        finally:
            client.close()
        assert uplink.backlog() == 0
        assert 1 <= before.refused <= 12, "what fits is known after a few tries"


def test_a_gate_whose_heartbeats_pass_and_whose_batches_do_not_says_so(world: World) -> None:
    gate = world.gate("north")
    gate.workspace.journal.append([entry() for _ in range(8)])
    clock, board = ManualClock(utc=time.time()), StatusBoard()
    contact = HubContact(gate.workspace.settings.storage.state_dir, clock, 300)
    crashes: list[BaseException] = []
    with proxy(world.hub.url, 1500) as before:
        client = HubClient(
            HubAddress(f"http://127.0.0.1:{before.server_port}"), gate.member.credentials
        )

        def status(backlog: int) -> tuple[dict[str, Any], str | None]:
            return status_of(gate.workspace, board.snapshot, clock, backlog), None

        loop = UplinkLoop(
            Uplink(gate.workspace, client, clock),
            client,
            status,
            lambda _: None,
            lambda _, error: crashes.append(error),
        )
        loop.contact = contact
        loop.start()
        try:
            assert within(lambda: "hub-up" in contact.snapshot().failures)
            now = contact.snapshot()
            assert now.failures["hub-up"].reason == "too_large"
            assert "client_max_body_size" in now.failures["hub-up"].says
            assert now.last_contact is not None
            assert now.backlog
            contact.publish(board)
            assert board.snapshot().problems == (), "it may be over in a moment"
            clock.advance(301)
            contact.publish(board)
            assert board.snapshot().problems == ("hub_too_large",)
            told = board.snapshot().troubles["hub_too_large"]
            assert "rows wait here" in told
            assert "since" in told
            assert world.hub.services.fleet.by_name("north").reported.backlog == now.backlog
            before.limit = 10_000_000
            assert within(lambda: not contact.snapshot().failures)
            contact.publish(board)
            assert board.snapshot().problems == ()
        finally:
            loop.stop()
            loop.join(PATIENCE_S)
    assert not crashes
    noted = Contact.read(gate.workspace.settings.storage.state_dir)
    assert noted is not None
    assert noted.failures == {}


def test_since_when_is_of_the_reason_and_health_of_the_whole_outage(tmp_path: Path) -> None:
    clock, board = ManualClock(), StatusBoard()
    contact = HubContact(tmp_path, clock, 300)
    contact.fails("hub-up", HubUnreachable("no", reason="silent"))
    clock.advance(200)
    contact.fails("hub-up", HubUnreachable("no", reason="certificate_expired"))
    first = contact.snapshot().failures["hub-up"].since
    clock.advance(150)
    contact.fails("hub-up", HubUnreachable("still no", reason="certificate_expired"))
    assert contact.snapshot().failures["hub-up"].since == first
    contact.publish(board)
    assert board.snapshot().problems == ("hub_certificate_expired",)
    noted = Contact.read(tmp_path)
    assert noted is not None
    assert noted.failures["hub-up"].says == "still no"
    assert "still no" in noted.sentence()


def test_what_was_noted_and_makes_no_sense_is_none(tmp_path: Path) -> None:
    for text in ("", "{", "[]", "{}", '{"at": 5}', "null"):
        (tmp_path / "hub-contact.json").write_text(text)
        assert Contact.read(tmp_path) is None


# --- real processes -------------------------------------------------------------------------------

CONFIG = """
gate: {{name: {name}, role: hub}}
camera: {{driver: none}}
door: {{driver: none}}
storage: {{state_dir: {state}}}
api: {{port: {port}}}
sync: {{degraded_after_s: 1}}
"""


def _config(folder: Path, name: str, port: int) -> Path:
    file = folder / f"{name}.yaml"
    file.write_text(CONFIG.format(name=name, state=folder / name, port=port))
    return file


def _address(process: Process) -> str:
    found = re.search(r"http://[0-9.:]+", process.wait_for("http://"))
    assert found is not None
    return found[0]


@pytest.mark.long
def test_a_running_gate_that_is_cut_off_says_so_everywhere_until_it_is_not(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    hub, gate = _config(tmp_path, "hub", port), _config(tmp_path, "north", 0)
    shown = gated("hub", "invite", "north", "--site", "works", "--everyone", "--config", hub).stdout
    code = re.search(r"gated join HUB_URL (\S+)", shown)
    assert code is not None
    with Process("--config", hub) as first:
        url = _address(first)
        assert gated("join", url, code[1], "--config", gate).returncode == 0
        with Process("--config", gate) as process:
            health = _address(process) + "/health"

            def problems() -> list[str]:
                found: list[str] = httpx.get(health, timeout=5, trust_env=False).json()["problems"]
                return found

            def state() -> str:
                said = gated("sync", "status", "--json", "--config", gate).stdout
                return str(json.loads(said)["state"])

            assert within(lambda: state() == "connected")
            assert problems() == []
            assert first.end() == 0
            assert within(lambda: problems() == ["hub_unreachable"], 30)
            details = httpx.get(health, timeout=5, trust_env=False).json()["details"]
            assert "since" in details["hub_unreachable"]
            status = gated("sync", "status", "--config", gate)
            assert status.returncode == 1
            assert "last heard 20" in status.stdout
            assert "hub-up: unreachable since" in status.stdout
            found = json.loads(gated("doctor", "--json", "--config", gate).stdout)
            (of_hub,) = [f for f in found if f["name"] == "hub"]
            assert of_hub["state"] == "fail"
            assert "nothing listens there" in of_hub["message"]
            with Process("--config", hub) as second:
                _address(second)
                assert within(lambda: problems() == [], 90)
                assert within(lambda: state() == "connected", 30)


# --- revoked --------------------------------------------------------------------------------------


def test_only_the_hub_itself_can_say_that_a_gate_is_revoked(world: World) -> None:
    gate = world.gate("north")
    fleet = world.hub.services.fleet
    fleet.revoke(fleet.by_name("north").gate.id, actor=ACTOR)
    with pytest.raises(HubError, match="revoked") as raised:
        gate.client.post("/api/sync/heartbeat", {"model": None, "status": {}})
    assert (raised.value.status, reason_of(raised.value)) == (401, "revoked")

    class Liar(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.dumps({"code": "revoked", "detail": "revoked, I swear"}).encode()
            self.send_response(401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Liar) as liar:
        threading.Thread(target=liar.serve_forever, daemon=True).start()
        client = HubClient(
            HubAddress(f"http://127.0.0.1:{liar.server_port}"), gate.member.credentials
        )
        with pytest.raises(HubError) as raised:
            client.post("/api/sync/heartbeat", {})
        client.close()
        liar.shutdown()
    assert reason_of(raised.value) == "not_signed_in"


def test_a_revoked_gate_joins_again_by_one_command(world: World) -> None:
    gate = world.gate("north")
    fleet = world.hub.services.fleet
    id_ = fleet.by_name("north").gate.id
    fleet.revoke(id_, actor=ACTOR)
    loop = _Asking(gate.client)
    revocation = Revocation.of(gate.workspace)
    loop.on_revoked = revocation.heard
    loop.start()
    assert within(lambda: revocation.find() is not None)
    loop.stop()
    loop.join(PATIENCE_S)
    standing = gate.membership.standing()
    assert standing is not None
    assert standing.state == "revoked"
    _, code = fleet.replace(id_, actor=ACTOR)
    member = Membership.of(gate.workspace).join(world.hub.url, code, actor=ACTOR)
    assert (member.name, member.gate) == ("north", gate.member.gate)
    assert revocation.find() is None
    client = gate.membership.client(member)
    Uplink.of(gate.workspace, client).greet({}, None)
    client.close()


class _Asking(HubLoop):
    def __init__(self, client: HubClient) -> None:
        super().__init__("asking", client, lambda _, error: None)
        self._asks = client

    def turn(self) -> float:
        self._asks.post("/api/sync/heartbeat", {"model": None, "status": {}})
        return 60.0


@pytest.mark.parametrize("status", ["200 OK", "500 Broken"])
def test_an_answer_of_nothing_but_brackets_is_no_hub(status: str) -> None:
    """Python gives up on it with an error of its own."""
    body = b"[" * 100_000
    answer = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

        pool.submit(serve)
        client = HubClient(HubAddress(f"http://127.0.0.1:{server.getsockname()[1]}"))
        with pytest.raises(HubError):
            client.get("/api/sync/hub", timeout=5)
        client.close()


def test_a_hub_that_answers_byte_by_byte_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:

        def drip() -> int:
            connection, _ = server.accept()
            sent = 0
            with connection, suppress(OSError):
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n")
                while sent < 600:  # a minute
                    connection.sendall(b"x")
                    sent += 1
                    time.sleep(0.1)
            return sent

        dripping = pool.submit(drip)
        address = HubAddress(f"http://127.0.0.1:{server.getsockname()[1]}")
        client = HubClient(address, transfer_s=0.5)
        with pytest.raises(HubUnreachable) as caught:
            client.get("/api/sync/hub", timeout=0.5)
        client.close()
        assert caught.value.reason == "silent"
        assert dripping.result(timeout=30) < 600
