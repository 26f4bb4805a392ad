"""What is still open when somebody may not have it any more, and how much one account may open."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from gated.config import ApiSettings
from gated.core.roles import Role
from gated.errors import NotAllowed
from gated.http.callers import STREAMS_EACH, Require
from gated.http.problems import problem_of
from gated.link.running_gate import PREVIEWS_EACH, RunningGate
from gated.link.shares import Shares
from gated.web.server import ApiServer
from gated.web.still import LOOK_S, StillAllowed
from tests.changes import done_by
from tests.devices.waiting import eventually
from tests.fixtures.server import PASSWORD, Running, running, serving
from tests.live.test_live_api import Camera

SOON_S = 10.0
"""A second, and what a busy machine takes besides; what is asked would last longer still."""


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    camera = Camera([np.full((120, 160, 3), 90, np.uint8)])
    state = tmp_path_factory.mktemp("state")
    camera.tap._most = 8
    live = RunningGate(camera.tap, lambda event: None)
    with running(state, roles=("viewer", "operator", "admin"), live=live) as server, camera.on():
        yield server


@pytest.fixture
def person(gate: Running) -> Iterator[httpx.Client]:
    """A client of an operator made for this test, with a person of their own."""
    fields = {"first_name": "Ada", "last_name": "", "personnel_code": f"p{time.monotonic_ns()}"}
    made = done_by("test", gate.services.people.create, fields)
    name = f"u{time.monotonic_ns()}"
    gate.services.accounts.create(name, "operator", PASSWORD, actor="test", person_id=made.id)
    token, _ = gate.services.accounts.sign_in(name, PASSWORD, "test")
    headers = {"Authorization": f"Bearer {token}", "X-Name": name, "X-Person": str(made.id)}
    with httpx.Client(
        base_url=gate.address, headers=headers, timeout=20, trust_env=False
    ) as client:
        yield client


def sign_out(gate: Running, client: httpx.Client) -> None:
    assert client.delete("/api/auth/session").status_code == 204


def switch_off(gate: Running, client: httpx.Client) -> None:
    done_by("test", gate.services.accounts.disable, client.headers["X-Name"])


def demote(gate: Running, client: httpx.Client) -> None:
    done_by("test", gate.services.accounts.set_role, client.headers["X-Name"], "self")


def change_password(gate: Running, client: httpx.Client) -> None:
    gate.services.accounts.set_password(client.headers["X-Name"], PASSWORD + "!", actor="test")


def deactivate(gate: Running, client: httpx.Client) -> None:
    done_by("test", gate.services.people.set_active, int(client.headers["X-Person"]), False)


def erase(gate: Running, client: httpx.Client) -> None:
    done_by("test", gate.services.people.delete, int(client.headers["X-Person"]))


ENDINGS = (sign_out, switch_off, demote, change_password, deactivate, erase)


@pytest.mark.parametrize("end", ENDINGS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("path", ["events", "preview"])
def test_a_stream_ends_with_the_right_to_it(
    gate: Running,
    person: httpx.Client,
    path: str,
    end: Callable[[Running, httpx.Client], None],
) -> None:
    with person.stream("GET", f"/api/gate/{path}") as answer:
        parts = answer.iter_raw()
        assert answer.status_code == 200
        assert next(parts)
        end(gate, person)
        began = time.monotonic()
        for _ in parts:  # ends, and is not cut off
            assert time.monotonic() - began < SOON_S
    assert time.monotonic() - began < SOON_S
    assert eventually(lambda: gate.services.board.listening == 0)


def test_others_and_the_same_account_elsewhere_go_on(gate: Running, person: httpx.Client) -> None:
    again, _ = gate.services.accounts.sign_in(person.headers["X-Name"], PASSWORD, "test")
    other = {"Authorization": f"Bearer {again}"}
    with person.stream("GET", "/api/gate/events", headers=other) as answer:
        parts = answer.iter_raw()
        next(parts)
        sign_out(gate, person)
        time.sleep(1.0)
        assert gate.services.board.listening == 1
    assert eventually(lambda: gate.services.board.listening == 0)


@pytest.mark.parametrize(("path", "each"), [("events", STREAMS_EACH), ("preview", PREVIEWS_EACH)])
def test_one_account_cannot_keep_others_out(
    gate: Running, person: httpx.Client, path: str, each: int
) -> None:
    with ExitStack() as opened:
        read = []  # a reader that is let go of closes its answer
        for _ in range(each):
            answer = opened.enter_context(person.stream("GET", f"/api/gate/{path}"))
            assert answer.status_code == 200
            read.append(answer.iter_raw())
            next(read[-1])
        for _ in range(20):
            refused = person.get(f"/api/gate/{path}")
            assert (refused.status_code, refused.json()["code"]) == (503, "busy")
            assert "Retry-After" in refused.headers
        other = opened.enter_context(gate.client("operator"))
        with other.stream("GET", f"/api/gate/{path}") as answer:
            assert answer.status_code == 200
            assert next(answer.iter_raw())

    def is_free() -> bool:
        with person.stream("GET", f"/api/gate/{path}") as answer:
            return answer.status_code == 200

    assert eventually(is_free)


def test_places_are_bounded_in_all_and_given_back() -> None:
    shares = Shares(most=3, each=2, what="streams")
    with ExitStack() as held:
        for who in (1, 1, 2):
            held.enter_context(shares.hold(who))
        for who in (1, 2, 3):
            with pytest.raises(Exception, match="open"):
                shares.require(who)
    for who in (1, 2, 3):
        shares.require(who)


# --- any other answer that lasts --------------------------------------------------------------


@contextlib.contextmanager
def lasting(allowed: threading.Event) -> Iterator[str]:
    """A server whose answers last, for who is allowed."""

    def ask(request: Request) -> None:
        request.state.still = allowed.is_set

    async def export(request: Request) -> Response:
        ask(request)

        async def rows() -> AsyncIterator[bytes]:
            while True:
                yield b"row\r\n"
                await asyncio.sleep(0.05)

        return StreamingResponse(rows(), media_type="text/csv")

    async def question(request: Request) -> Response:
        ask(request)
        await asyncio.sleep(30)
        return PlainTextResponse("secret")

    async def change(request: Request) -> Response:
        ask(request)
        await asyncio.sleep(1.5)
        return PlainTextResponse("done")

    routes: list[Any] = [
        Route("/export", export), Route("/question", question),
        Route("/change", change, methods=["POST"]),
    ]  # fmt: skip
    app = Starlette(routes=routes)
    app.add_middleware(StillAllowed)
    with serving(ApiServer(app, ApiSettings(port=0))) as address:  # type: ignore[arg-type]
        yield address


def test_who_is_refused_reads_why_however_long_the_answer_takes(gate: Running) -> None:
    async def refuse(request: Request) -> Response:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        with pytest.raises(NotAllowed) as refused:
            Require(Role.ADMIN).admit(request, gate.services, token)
        await asyncio.sleep(3 * LOOK_S)
        return problem_of(refused.value)

    app = Starlette(routes=[Route("/", refuse)])
    app.add_middleware(StillAllowed)
    with (
        serving(ApiServer(app, ApiSettings(port=0))) as address,  # type: ignore[arg-type]
        gate.client("viewer") as client,
    ):
        assert client.get(address).status_code == 403


def test_an_export_is_cut_off_and_does_not_look_whole() -> None:
    allowed = threading.Event()
    allowed.set()
    with (
        lasting(allowed) as address,
        httpx.stream("GET", f"{address}/export", trust_env=False, timeout=20) as answer,
    ):
        parts = answer.iter_raw()
        next(parts)
        allowed.clear()
        began = time.monotonic()
        with pytest.raises(httpx.RemoteProtocolError):
            list(parts)
        assert time.monotonic() - began < SOON_S


def test_a_question_that_waits_is_answered_and_a_change_runs_to_its_end() -> None:
    allowed = threading.Event()
    with lasting(allowed) as address, httpx.Client(trust_env=False, timeout=20) as client:
        began = time.monotonic()
        answer = client.get(f"{address}/question")
        assert (answer.status_code, answer.json()["code"]) == (401, "not_signed_in")
        assert time.monotonic() - began < SOON_S
        assert client.post(f"{address}/change").text == "done"
        assert client.get(f"{address}/question").status_code == 401  # the server is well
