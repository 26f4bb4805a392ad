"""Displays: what a screen without a session may see, and how its right ends."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import numpy as np
import pytest

from gated.core.values import PersonRef
from gated.http.callers import LONGEST_S
from gated.link.running_gate import DISPLAYS, PREVIEWS, RunningGate
from gated.live.display import MOST_DECISIONS
from gated.web.app import create_app, route_roles
from tests.changes import done_by
from tests.devices.waiting import eventually
from tests.fixtures.server import PASSWORD, Running, running
from tests.live.test_live_api import Camera, decision, told

SOON_S = 10.0
"""A second, and what a busy machine takes besides; what is asked would last longer still."""

ADA = PersonRef(4711, "018f-uid", "A-1234", "Ada Byron")
HERE = "/api/display"


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    camera = Camera([np.full((120, 160, 3), 90, np.uint8)])
    camera.tap._most = PREVIEWS + 2
    live = RunningGate(camera.tap, lambda event: None)
    roles = ("viewer", "operator", "admin", "display")
    with (
        running(tmp_path_factory.mktemp("state"), roles=roles, live=live) as server,
        camera.on(),
    ):
        yield server


@pytest.fixture
def screen(gate: Running) -> Iterator[httpx.Client]:
    """A client with the token of a display that was made for this test."""
    with gate.client("admin") as admin:
        body = {"name": f"screen-{time.monotonic_ns()}", "role": "display"}
        made = admin.post("/api/devices", json=body)
        assert made.status_code == 201, made.text
        headers = {"Authorization": f"Bearer {made.json()['token']}"}
        headers["X-Device"] = str(made.json()["id"])
        with httpx.Client(
            base_url=gate.address, headers=headers, timeout=20, trust_env=False
        ) as client:
            yield client


def _listed(gate: Running, screen: httpx.Client) -> dict[str, Any]:
    with gate.client("admin") as admin:
        wanted = int(screen.headers["X-Device"])
        (found,) = [d for d in admin.get("/api/devices").json() if d["id"] == wanted]
    return dict(found)


def _keys(value: Any) -> set[str]:
    """Every key of an answer, at whatever depth."""
    if isinstance(value, dict):
        return set(value).union(*(_keys(inner) for inner in value.values()))
    return set().union(*map(_keys, value)) if isinstance(value, list) else set()


# --- what it may ------------------------------------------------------------------------------


def test_its_role_reaches_four_routes_and_no_other(gate: Running) -> None:
    served = {
        (method, path)
        for path, methods, role in route_roles(create_app(gate.services))
        for method in methods
        if role == "display"
    }
    reading = {("GET", HERE), ("GET", f"{HERE}/events"), ("GET", f"{HERE}/preview")}
    assert served == {*reading, ("POST", f"{HERE}/session")}


def test_no_other_role_is_a_display(gate: Running) -> None:
    for role in ("viewer", "operator", "admin"):
        with gate.client(role) as client:
            assert client.get(HERE).status_code == 403, role


def test_it_is_told_names_and_no_more_of_people(gate: Running, screen: httpx.Client) -> None:
    gate.services.board.add_decision(replace(decision(1), person=ADA, flags=("close_call",)))
    answer = screen.get(HERE)
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    newest = shown["decisions"][0]
    assert newest.keys() == {"number", "at", "outcome", "reason", "person"}
    assert newest["person"] == {"name": "Ada Byron"}
    for private in (ADA.personnel_code, ADA.uid, str(ADA.id), "close_call"):
        assert private not in answer.text
    assert _keys(shown) & {"personnel_code", "uid", "confidence", "snapshot_id", "detail"} == set()


def test_what_it_lists_is_bounded(gate: Running, screen: httpx.Client) -> None:
    for n in range(MOST_DECISIONS + 5):
        gate.services.board.add_decision(decision(n))
    found = screen.get(HERE).json()["decisions"]
    assert len(found) == MOST_DECISIONS
    assert found[0]["number"] > found[-1]["number"]


def test_who_is_inside_is_counted_and_named(gate: Running, screen: httpx.Client) -> None:
    fields = {"first_name": "Grace", "last_name": "Hopper", "personnel_code": "H-9"}
    made = done_by("test", gate.services.people.create, fields)
    given = {"person_id": made.id, "direction": "entry", "reason": "forgot"}
    with gate.client("operator") as operator:
        entered = operator.post("/api/attendance", json=given)
        assert entered.status_code == 201, entered.text
    inside = screen.get(HERE).json()["inside"]
    assert inside["count"] == 1
    assert [p["name"] for p in inside["people"]] == ["Grace Hopper"]
    assert inside["people"][0].keys() == {"name", "since"}


# --- its cookie -------------------------------------------------------------------------------


@pytest.fixture
def browser(gate: Running) -> Iterator[httpx.Client]:
    with gate.client() as client:
        yield client


def test_its_token_goes_into_a_cookie_of_its_own(
    screen: httpx.Client, browser: httpx.Client
) -> None:
    bearer = {"Authorization": screen.headers["Authorization"]}
    begun = browser.post(f"{HERE}/session", headers=bearer)
    assert begun.status_code == 204, begun.text
    cookie = begun.headers["Set-Cookie"]
    for part in ("gated_display=", "HttpOnly", "SameSite=strict", "Path=/api/display"):
        assert part in cookie
    assert browser.get(HERE).status_code == 200
    again = browser.post(f"{HERE}/session")
    assert (again.status_code, again.json()["code"]) == (403, "csrf")


def test_its_cookie_begins_anew_whenever_it_asks(
    screen: httpx.Client, browser: httpx.Client
) -> None:
    assert "Set-Cookie" not in screen.get(HERE).headers, "it came with its token"
    bearer = {"Authorization": screen.headers["Authorization"]}
    browser.post(f"{HERE}/session", headers=bearer)
    assert f"Max-Age={LONGEST_S}" in browser.get(HERE).headers["Set-Cookie"]


def test_somebody_may_sign_in_beside_it(screen: httpx.Client, browser: httpx.Client) -> None:
    bearer = {"Authorization": screen.headers["Authorization"]}
    browser.post(f"{HERE}/session", headers=bearer)
    given = {"username": "the-operator", "password": PASSWORD}
    csrf = browser.post("/api/auth/sign-in", json=given).json()["csrf_token"]
    assert browser.get("/api/auth/me").json()["username"] == "the-operator"
    assert browser.get(HERE).status_code == 200
    left = browser.delete("/api/auth/session", headers={"X-CSRF-Token": csrf})
    assert left.status_code == 204
    assert browser.get(HERE).status_code == 200


def test_no_cookie_counts_for_the_routes_of_the_other(
    gate: Running, screen: httpx.Client, browser: httpx.Client
) -> None:
    token = screen.headers["Authorization"].removeprefix("Bearer ")
    with gate.client("admin") as admin:
        session = admin.headers["Authorization"].removeprefix("Bearer ")

    def status(path: str, name: str, value: str) -> int:
        return browser.get(path, headers={"Cookie": f"{name}={value}"}).status_code

    assert status("/api/gate", "gated_session", session) == 200
    assert status("/api/gate", "gated_display", session) == 401
    assert status("/api/gate", "gated_session", token) == 403
    assert status("/api/displayed", "gated_display", token) == 404
    assert status(HERE, "gated_display", token) == 200
    assert status(HERE, "gated_session", token) == 401
    assert status(HERE, "gated_display", session) == 403


# --- its streams ------------------------------------------------------------------------------


def test_it_hears_what_changes(gate: Running, screen: httpx.Client) -> None:
    with screen.stream("GET", f"{HERE}/events") as answer:
        events = (data for kind, data, _ in told(answer) if kind == "state")
        first = next(events)
        assert first.keys() == screen.get(HERE).json().keys()
        gate.services.board.add_decision(replace(decision(9), person=ADA))
        newer = next(events)
        assert newer["decisions"][0]["person"] == {"name": "Ada Byron"}
        assert newer["denied"] == first["denied"] + 1


def _remove(gate: Running, screen: httpx.Client) -> None:
    with gate.client("admin") as admin:
        assert admin.delete(f"/api/devices/{screen.headers['X-Device']}").status_code == 204


def _renew(gate: Running, screen: httpx.Client) -> None:
    with gate.client("admin") as admin:
        place = f"/api/devices/{screen.headers['X-Device']}/token"
        assert admin.post(place).status_code == 200


@pytest.mark.parametrize("end", [_remove, _renew], ids=lambda f: f.__name__)
@pytest.mark.parametrize("path", ["events", "preview"])
def test_what_it_sees_ends_with_its_right(
    gate: Running, screen: httpx.Client, path: str, end: Any
) -> None:
    with screen.stream("GET", f"{HERE}/{path}") as answer:
        parts = answer.iter_raw()
        assert answer.status_code == 200
        assert next(parts)
        end(gate, screen)
        began = time.monotonic()
        for _ in parts:
            assert time.monotonic() - began < SOON_S
    assert time.monotonic() - began < SOON_S
    assert screen.get(HERE).status_code == 401
    assert eventually(lambda: gate.services.board.listening == 0)


def test_displays_leave_places_for_people(gate: Running) -> None:
    made = [
        done_by("test", gate.services.devices.add, f"wall-{time.monotonic_ns()}-{n}", "display")
        for n in range(DISPLAYS + 1)
    ]
    path = f"{gate.address}{HERE}/preview"
    with ExitStack() as opened, gate.client("operator") as operator:
        bearers = [{"Authorization": f"Bearer {token}"} for _, token in made]
        client = opened.enter_context(httpx.Client(timeout=20, trust_env=False))
        read = []  # a reader that is let go of closes its answer
        for bearer in bearers[:-1]:
            answer = opened.enter_context(client.stream("GET", path, headers=bearer))
            assert answer.status_code == 200
            read.append(answer.iter_raw())
            assert next(read[-1])
        with client.stream("GET", path, headers=bearers[-1]) as refused:
            assert refused.status_code == 503
            assert json.loads(refused.read())["code"] == "busy"
        for _ in range(PREVIEWS - DISPLAYS):
            seen = opened.enter_context(operator.stream("GET", "/api/gate/preview"))
            assert seen.status_code == 200


# --- the list of displays ---------------------------------------------------------------------


def test_the_list_says_when_it_was_seen_and_whether_it_watches(
    gate: Running, screen: httpx.Client
) -> None:
    before = _listed(gate, screen)
    assert (before["role"], before["last_seen_at"], before["watching"]) == ("display", None, False)
    asked = datetime.now(UTC)
    screen.get(HERE)
    seen = _listed(gate, screen)
    assert abs((datetime.fromisoformat(seen["last_seen_at"]) - asked).total_seconds()) < 60
    screen.get(HERE)
    again = _listed(gate, screen)
    assert again["last_seen_at"] == seen["last_seen_at"], "not written each time"
    assert again["updated_at"] == before["updated_at"], "nobody has changed it"
    with screen.stream("GET", f"{HERE}/events") as answer:
        parts = answer.iter_raw()
        assert next(parts)
        assert _listed(gate, screen)["watching"] is True
        assert next(parts)
    assert eventually(lambda: _listed(gate, screen)["watching"] is False)
