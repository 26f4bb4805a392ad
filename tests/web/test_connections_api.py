"""Connections that say nothing, too little, too slowly or too often."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.config import ApiSettings
from gated.web import connections, places
from gated.web.app import create_app
from gated.web.places import Bounds, ConnectionPlace, Places
from gated.web.server import ApiServer
from tests.fixtures.server import Running, running, serving
from tests.web.test_server import certificate, hello
from tests.web.test_strangers_api import Raw

FEW = Bounds(total=12, strangers=8, of_address=4, of_owner=3)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rules with a tenth of their seconds."""
    for name in ("HEAD_S", "KEPT_STRANGER_S", "ENDING_S"):
        monkeypatch.setattr(places, name, getattr(places, name) / 10)
    monkeypatch.setattr(connections, "SWEEP_S", 0.05)


@pytest.fixture
def gate(hasty: None, tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path) as made:
        server = ApiServer(create_app(made.services), ApiSettings(port=0), FEW)
        with serving(server) as address:
            yield Running(made.services, address)


def eventually(true: Callable[[], bool], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    return true()


def test_silent_connections_keep_nobody_out_and_are_closed(gate: Running) -> None:
    with ExitStack() as held, gate.client() as client:
        silent = [held.enter_context(Raw(gate.address)) for _ in range(30)]
        assert client.get("/health").status_code == 200
        kept = sum(raw.is_open() for raw in silent)
        assert kept <= FEW.of_address
        assert eventually(lambda: not any(raw.is_open() for raw in silent))


@pytest.mark.parametrize("said", [b"", b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"G"])
def test_a_head_that_does_not_end_is_cut_off_however_it_drips(gate: Running, said: bytes) -> None:
    with Raw(gate.address) as raw:
        raw.socket.sendall(said)
        began = time.monotonic()
        while raw.is_open() and time.monotonic() < began + 60:
            if said.startswith(b"GET"):
                try:
                    raw.socket.sendall(b"X-Drip: 1\r\n")
                except OSError:
                    break
            time.sleep(0.1)
        assert 0.5 <= time.monotonic() - began < 40


def test_many_addresses_leave_room_for_who_signs_in_and_do_not_push_them_out(
    gate: Running,
) -> None:
    with ExitStack() as held, gate.client("admin") as client:
        assert client.get("/api/persons").status_code == 200
        for number in range(2, 40):
            held.enter_context(Raw(gate.address, f"127.0.0.{number}"))
        kept = client.get("/api/persons")
        assert kept.status_code == 200
        with gate.client("viewer") as another:
            assert another.get("/api/persons").status_code == 200


def test_one_account_has_so_many_connections_for_good(gate: Running) -> None:
    with gate.client("viewer") as client:
        token = f"Authorization: {client.headers['Authorization']}"
    with ExitStack() as held:
        for _ in range(FEW.total * 2):
            raw = held.enter_context(Raw(gate.address))
            raw.begin("GET", "/api/persons", None, token)
            assert raw.status() == 200
        with gate.client("admin") as client:
            assert client.get("/api/persons").status_code == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 40_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST /api/auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 4000,
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ],
)
def test_what_is_no_request_is_a_400_and_leaves_nothing_in_the_log(
    gate: Running, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), Raw(gate.address) as raw:
        raw.socket.sendall(sent)
        assert raw.status() in {400, 413}
        assert eventually(lambda: not raw.is_open())
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING or r.exc_info]


def test_requests_in_one_go_are_answered_one_after_the_other(gate: Running) -> None:
    one = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with Raw(gate.address) as raw:
        raw.socket.sendall(one * 50)
        got = b""
        while got.count(b"HTTP/1.1 200") < 50:
            part = raw.socket.recv(65536)
            assert part, got[-200:]
            got += part


def test_an_upload_that_nobody_reads_is_answered_and_ended(gate: Running) -> None:
    """The answer is read although the sender goes on; what it sends is thrown away, so far."""
    with Raw(gate.address) as raw:
        raw.begin("POST", "/api/persons", 50_000_000)
        sent = 0
        try:
            for _ in range(500):
                sent += raw.socket.send(bytes(100_000))
        except OSError:
            pass
        assert sent < 20_000_000
        assert eventually(lambda: not raw.is_open())


def test_a_small_body_that_nobody_reads_keeps_its_connection(server: Running) -> None:
    with Raw(server.address) as raw:
        for _ in range(3):
            raw.begin("POST", "/api/persons", 9)
            assert raw.status() == 401
            raw.socket.sendall(b"x" * 9)


def test_a_flood_of_requests_waits_for_its_turn(hasty: None) -> None:
    bounds = Bounds(rate=20.0, burst=10.0)
    with serving(ApiServer(hello(), ApiSettings(port=0), bounds)) as address, httpx.Client() as one:
        began = time.monotonic()
        assert all(one.get(address).status_code == 200 for _ in range(40))
        assert time.monotonic() - began > 1.0


def test_tls_that_is_none_is_cut_off_and_leaves_nothing_in_the_log(
    hasty: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pem, key = certificate(tmp_path)
    settings = ApiSettings(port=0, tls_certificate=pem, tls_key=key)
    with (
        caplog.at_level(logging.INFO),
        serving(ApiServer(hello(), settings, FEW)) as address,
        ExitStack() as held,
    ):
        silent = [held.enter_context(Raw(address)) for _ in range(20)]
        silent[-1].socket.sendall(b"GET / HTTP/1.1\r\n\r\n")
        trust = ssl.create_default_context(cafile=str(pem))
        local = address.replace("127.0.0.1", "localhost")
        assert httpx.get(local, verify=trust, trust_env=False, timeout=60).json() == "hello"
        assert eventually(lambda: not any(raw.is_open() for raw in silent), 20)
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING or r.exc_info]


# --- the rules -----------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["enter", "leave", "known", "unknown", "answer", "rest", "wait"]),
        st.integers(0, 30),
        st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.1.1", "2001:db8::1", "2001:db8::2"]),
    ),
    max_size=120,
)


@given(STEPS)
def test_no_bound_is_ever_passed_and_who_is_known_is_never_pushed_out(
    steps: list[tuple[str, int, str]],
) -> None:
    now = 0.0
    held = Places(FEW, lambda: now, ["10.0.1.0/24"])
    pushed: set[ConnectionPlace] = set()
    for what, number, address in steps:
        now += 0.5
        taken = list(held.taken)
        place = taken[number % len(taken)] if taken else None
        if what == "enter":
            made = held.enter(address)
            if made is not None:
                made.cut = lambda made=made: pushed.add(made)  # type: ignore[misc]
        elif place is None:
            continue
        elif what == "leave":
            held.leave(place)
            held.leave(place)
        elif what == "known":
            held.recognise(place, f"account {number % 3}")
        elif what == "unknown":
            held.forget(place)
        else:
            place.turn(now, waiting=what != "answer", resting=what == "rest")
        assert len(held.taken) <= FEW.total
        strangers = [p for p in held.taken if not p.owner and not p.proxied]
        assert sum(p.address == "10.0.0.1" for p in strangers) <= FEW.of_address + FEW.of_owner * 3
        owners = [p.owner for p in held.taken if p.owner]
        assert all(owners.count(owner) <= FEW.of_owner for owner in owners)
        assert not any(p.owner for p in pushed)


def test_addresses_of_one_line_are_one() -> None:
    assert places.group_of("::ffff:10.0.0.1") == places.group_of("10.0.0.1") == "10.0.0.1"
    assert places.group_of("2001:db8::1") == places.group_of("2001:db8::ffff:1%eth0")
    assert places.group_of("2001:db8:0:1::1") != places.group_of("2001:db8::1")


def test_who_was_known_may_come_ten_times_as_often() -> None:
    now = 0.0
    held = Places(Bounds(rate=1.0, burst=5.0, of_address=1000), lambda: now)
    came = [held.enter("10.0.0.1") for _ in range(20)]
    assert sum(place is not None for place in came) == 5
    assert held.refused == 15
    now += 1.0
    back = held.enter("10.0.0.1")
    assert back is not None, "a flood does not keep its address out afterwards"
    held.recognise(back, "account anna")
    assert sum(held.enter("10.0.0.1") is not None for _ in range(50)) > 40
