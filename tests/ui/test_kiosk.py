"""The screen at the gate."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from gated.core.values import PersonRef
from gated.link.status_board import DecisionView, GateStatus
from gated.live.kiosk import present, shown
from tests.e2e.process import Process
from tests.ui.site import Site, Visitor, address_of, running_site, violations

Visit = Callable[..., Visitor]
LATER_MS = 45_000
CALM = 'event: state\ndata: {"door": "locked", "mode": "normal", "fault": false}\n\n'
SCREEN = {"viewport": {"width": 800, "height": 1280}}
MACHINE = """async ({path, events}) => {
  const {BEGIN, next} = await import(path);
  let state = BEGIN;
  return events.map(([kind, data, at]) => (state = next(state, {kind, data}, at)).show);
}"""


def _open(visitor: Visitor, site: Site) -> Any:
    visitor.goto(f"kiosk#{site.token}")
    visitor.page.locator("html[data-state=idle], html[data-state=hint]").first.wait_for()
    return visitor.page


def _run(page: Any, events: list[tuple[str, Any, int]]) -> list[str]:
    script = page.locator("script[type=module]").get_attribute("src")
    path = script.replace("kiosk.js", "machine.js")
    shown: list[str] = page.evaluate(MACHINE, {"path": path, "events": events})
    return shown


def test_what_happens_leads_from_one_screen_to_the_next(visit: Visit) -> None:
    visitor = visit()
    visitor.goto("kiosk")
    fine = {"mode": "normal", "fault": False}
    events: list[tuple[str, Any, int]] = [
        ("state", fine, 0),
        ("notice", {"code": "too_small"}, 100),
        (
            "decision",
            {"outcome": "granted", "direction": "entry", "name": None, "released": True},
            200,
        ),
        ("notice", {"code": "look_here"}, 300),
        ("tick", None, 4100),
        ("tick", None, 4200),
        ("decision", {"outcome": "denied", "direction": "entry", "name": None}, 5000),
        ("notice", {"code": "look_here"}, 5500),
        ("notice", {"code": "look_here"}, 7500),
        ("tick", None, 11500),
        ("state", {"mode": "lockdown", "fault": False}, 12000),
        ("state", {"mode": "lockdown", "fault": True}, 12100),
        ("state", fine, 12200),
        ("lost", None, 13000),
        ("tick", None, 15900),
        ("tick", None, 16000),
        ("open", None, 16100),
        ("state", fine, 16200),
    ]
    assert _run(visitor.page, events) == [
        *("idle", "hint", "granted", "granted", "granted", "idle", "denied", "denied", "hint"),
        *("idle", "closed", "fault", "idle", "idle", "idle", "wait", "wait", "idle"),
    ]


def test_a_door_that_is_open_or_shut_for_all_alike_is_said_whoever_comes(visit: Visit) -> None:
    visitor = visit()
    visitor.goto("kiosk")
    calm = {"door": "locked", "fault": False}
    come: tuple[str, Any] = ("notice", {"code": "too_small"})
    denied: tuple[str, Any] = ("decision", {"outcome": "denied", "direction": "entry"})
    granted: tuple[str, Any] = (
        "decision",
        {"outcome": "granted", "direction": "entry", "name": None, "released": True},
    )
    for state, shows, admitted in (
        ({**calm, "mode": "lockdown"}, "closed", "granted"),
        ({**calm, "mode": "out_of_service"}, "closed", "granted"),
        ({**calm, "mode": "free_access"}, "free", "granted"),
        ({"door": "fire", "mode": "normal", "fault": True}, "fire", "fire"),
        ({"door": "fire", "mode": "lockdown", "fault": False}, "fire", "fire"),
    ):
        said = [("state", state), come, denied, granted]
        events = [(kind, data, 100 * at) for at, (kind, data) in enumerate(said)]
        assert _run(visitor.page, events) == [shows, shows, shows, admitted], state


def test_nobody_is_told_that_a_door_is_open_whose_relay_did_not_move(visit: Visit) -> None:
    visitor = visit()
    visitor.goto("kiosk")
    stuck = {"outcome": "granted", "direction": "entry", "name": None, "released": False}
    fine = {"door": "locked", "mode": "normal", "fault": False}
    events: list[tuple[str, Any, int]] = [
        ("state", fine, 0),
        ("decision", stuck, 100),
        ("tick", None, 5000),
        ("tick", None, 5100),
        ("decision", stuck, 6000),
        ("state", {**fine, "fault": True}, 6100),
        ("tick", None, 12000),
    ]
    shown = ["idle", "fault", "fault", "idle", "fault", "fault", "fault"]
    assert _run(visitor.page, events) == shown


def test_a_kiosk_keeps_its_token_where_no_script_reads_it(visit: Visit, site: Site) -> None:
    visitor = visit(**SCREEN)
    page = _open(visitor, site)
    assert "#" not in page.url
    assert page.evaluate("document.cookie") == ""
    page.reload()
    page.get_by_role("heading", level=1).wait_for()
    page.locator("canvas").wait_for()
    assert violations(page) == []


def test_decisions_reach_the_screen_without_names(visit: Visit, site: Site) -> None:
    page = _open(visit(**SCREEN), site)
    page.locator("html[data-state=granted], html[data-state=denied]").first.wait_for()
    assert "Obama" not in page.locator("body").inner_text()


def test_languages_and_the_pad(visit: Visit, site: Site) -> None:
    page = _open(visit(**SCREEN), site)
    page.get_by_role("button", name="فارسی").click()
    page.locator("html[lang=fa][dir=rtl]").wait_for()
    page.get_by_role("button", name="English").click()
    page.get_by_role("button", name="Enter PIN").click()
    pad = page.get_by_role("dialog")
    pad.get_by_label("Personnel code").fill("A-1")
    pad.get_by_role("textbox", name="PIN").focus()
    for digit in "1234":
        pad.get_by_role("button", name=digit, exact=True).click()
    assert pad.get_by_role("textbox", name="PIN").input_value() == "1234"
    assert violations(page) == []
    pad.get_by_role("button", name="Send").click()
    pad.wait_for(state="hidden")


def test_the_clock_of_the_screen_is_that_of_the_gate(visit: Visit, site: Site) -> None:
    visitor = visit(timezone_id="America/Lima", **SCREEN)
    visitor.page.route("**/api/meta", lambda route: _with(route, timezone="Asia/Kathmandu"))
    page = _open(visitor, site)
    there = ZoneInfo("Asia/Kathmandu")
    times = {f"{datetime.now(there) + timedelta(minutes=n):%H:%M}" for n in (-1, 0)}
    assert page.locator(".clock").inner_text() in times


def test_a_program_that_was_renewed_is_loaded_when_nobody_stands_there(
    visit: Visit, site: Site
) -> None:
    visitor = visit(**SCREEN)
    page = visitor.page
    tags = iter(('"old"', '"new"'))

    def shell(route: Any) -> None:
        if route.request.is_navigation_request():
            route.continue_()
        else:
            answer = route.fetch()
            route.fulfill(response=answer, headers={**answer.headers, "etag": next(tags, '"new"')})

    page.route("**/ui/kiosk", shell)
    closing = [{"status": 200, "content_type": "text/event-stream", "body": CALM}] * 2
    page.route(
        "**/api/kiosk/events",
        lambda route: route.fulfill(**closing.pop()) if closing else route.continue_(),
    )
    with page.expect_event("framenavigated", lambda frame: "#" not in frame.url):
        visitor.goto(f"kiosk#{site.token}")
    page.locator("canvas").wait_for(state="attached")
    page.evaluate("window.before = true")
    page.wait_for_function("() => window.before === undefined")
    page.unroute("**/api/kiosk/events")


def test_a_stream_that_died_without_a_word_is_begun_anew(browser: Any, site: Site) -> None:
    """As after a suspend: the browser takes the connection for open, and hears nothing."""
    with browser.new_context(**SCREEN) as context:  # whose clock nobody else needs
        page = context.new_page()
        page.clock.install()
        _open(Visitor(page, site), site)
        with page.expect_request("**/api/kiosk/events"):
            page.clock.fast_forward(LATER_MS)


def test_of_two_languages_the_last_chosen_stays(visit: Visit, site: Site) -> None:
    page = _open(visit(**SCREEN), site)
    held: list[Any] = []
    page.route("**/i18n/de.json", lambda route: held.append(route))
    page.get_by_role("button", name="Deutsch").click()
    page.get_by_role("button", name="Français").click()
    page.locator("html[lang=fr]").wait_for()
    held[0].continue_()
    page.wait_for_timeout(300)
    assert page.locator("html").get_attribute("lang") == "fr"


def test_a_token_is_kept_until_the_gate_has_looked_at_it(visit: Visit, site: Site) -> None:
    visitor = visit(**SCREEN)
    page = visitor.page
    busy = [{"status": 503, "json": {"code": "unavailable", "detail": ""}}]
    page.route(
        "**/api/kiosk/session",
        lambda route: route.fulfill(**busy.pop()) if busy else route.continue_(),
    )
    visitor.goto(f"kiosk#{site.token}")
    page.get_by_role("heading", name="Please wait").wait_for()
    assert "#" not in page.url
    page.locator("html[data-state=idle], html[data-state=hint]").first.wait_for()


@pytest.mark.parametrize(
    ("taken", "words"),
    [
        (("pin", "card", "badge"), "Please ask at the desk, or use card, PIN, or badge"),
        (("pin", "card"), "Please ask at the desk, or use card or PIN"),
        (("card",), "Please ask at the desk, or use card"),
        (("pin",), "Please ask at the desk, or use PIN"),
        ((), "Please ask at the desk"),
    ],
)
def test_what_the_gate_takes_is_named_and_nothing_else(
    visit: Visit, site: Site, taken: tuple[str, ...], words: str
) -> None:
    visitor = visit(**SCREEN, locale="en-US")
    page = visitor.page
    ways = {way: way in taken for way in ("pin", "card", "badge")}
    page.route("**/api/kiosk", lambda route: _with(route, **ways))
    told = CALM + 'event: decision\ndata: {"outcome": "denied", "direction": "entry"}\n\n'
    page.route(
        "**/api/kiosk/events",
        lambda route: route.fulfill(status=200, content_type="text/event-stream", body=told),
    )
    visitor.goto(f"kiosk#{site.token}")
    page.get_by_role("heading", name="Not admitted").wait_for()
    page.get_by_text(words, exact=True).wait_for()
    assert page.get_by_role("button", name="Enter PIN").count() == int("pin" in taken)


def test_while_the_door_is_shut_for_all_no_pin_is_asked_for(visit: Visit, site: Site) -> None:
    visitor = visit(viewport={"width": 1280, "height": 800})  # all in one row
    page = visitor.page
    page.route("**/api/kiosk", lambda route: _with(route, card=True))
    told = CALM.replace("normal", "lockdown")
    closed = [{"status": 200, "content_type": "text/event-stream", "body": told}]
    calm = {**closed[0], "body": CALM}
    page.route(
        "**/api/kiosk/events",
        lambda route: route.fulfill(**(closed.pop() if closed else calm)),
    )
    visitor.goto(f"kiosk#{site.token}")
    page.get_by_role("heading", name="Closed").wait_for()
    assert page.get_by_role("button", name="Enter PIN").is_disabled()
    assert page.get_by_text("Or hold your card").is_hidden()
    english = page.get_by_role("button", name="English")
    there = english.bounding_box()
    assert violations(page) == []
    page.get_by_role("heading", name="Look at the camera").wait_for()
    page.get_by_text("Or hold your card").wait_for()
    assert english.bounding_box() == there  # everything keeps its place


@pytest.mark.parametrize(
    ("mode", "later", "words"),
    [
        ("free_access", timedelta(0), r"The door is open until \d\d:\d\d"),
        ("out_of_service", timedelta(0), r"Out of service until \d\d:\d\d"),
        ("free_access", timedelta(days=40), r"The door is open until \d+ \w+ \d{4}, \d\d:\d\d"),
        ("lockdown", None, "Closed"),
    ],
)
def test_until_when_the_door_is_open_or_out_of_service_is_said(
    visit: Visit, site: Site, mode: str, later: timedelta | None, words: str
) -> None:
    visitor = visit(**SCREEN, locale="en-GB")
    page = visitor.page
    until = None if later is None else (datetime.now(UTC) + later).isoformat()
    state = {"door": "locked", "mode": mode, "fault": False, "until": until}
    told = f"event: state\ndata: {json.dumps(state)}\n\n"
    page.route(
        "**/api/kiosk/events",
        lambda route: route.fulfill(status=200, content_type="text/event-stream", body=told),
    )
    visitor.goto(f"kiosk#{site.token}")
    page.get_by_role("heading", name=re.compile(f"^{words}$")).wait_for()


def _with(route: Any, **values: Any) -> None:
    answer = route.fetch()
    route.fulfill(response=answer, json={**answer.json(), **values})


def test_a_stranger_sees_a_question_and_a_token_elsewhere_is_not_taken(
    visit: Visit, site: Site
) -> None:
    visitor = visit()
    visitor.goto("kiosk")
    visitor.page.get_by_label("Token of the device").wait_for()
    headers = {"Authorization": f"Bearer {site.token}", "X-Forwarded-For": "192.0.2.1"}
    answer = httpx.post(
        f"{site.address}/api/kiosk/session", headers=headers, trust_env=False, timeout=60
    )
    assert answer.status_code == 403


def test_the_screen_heals_after_the_gate_was_killed_and_what_was_typed_is_kept(
    browser: Any, tmp_path: Path
) -> None:
    with (
        browser.new_context(**SCREEN) as context,
        browser.new_context(locale="en-GB") as desk,
        running_site(tmp_path, killed=True) as site,
    ):
        page = _open(Visitor(context.new_page(), site), site)
        office = Visitor(desk.new_page(), site)
        office.sign_in("operator", "people")
        office.page.get_by_role("button", name="Add person").click()
        office.page.get_by_label("First name").fill("Half")
        site.process.end(signal.SIGKILL)
        page.locator("html[data-state=wait]").wait_for()
        office.page.get_by_text("No connection to the gate.").wait_for()
        port = re.search(r":(\d+)$", site.address)
        assert port is not None
        text = site.config.read_text().replace("port: 0", f"port: {port[1]}")
        site.config.write_text(text)
        with Process("--config", site.config) as again:
            assert address_of(again) == site.address
            page.locator("html[data-state=idle], html[data-state=hint]").first.wait_for()
            office.page.get_by_text("No connection to the gate.").wait_for(state="hidden")
            assert office.page.get_by_label("First name").input_value() == "Half"
            for label, text in (("Last name", "Typed"), ("Personnel code", "H-1")):
                office.page.get_by_label(label).fill(text)
            office.page.get_by_role("dialog").get_by_role("button", name="Add").click()
            office.page.get_by_role("heading", level=1, name="Half Typed").wait_for()
            assert again.end() == 0


@pytest.mark.parametrize("names", [True, False])
def test_the_screen_tells_those_behind_nothing(names: bool) -> None:
    view: dict[str, Any] = {
        "at": datetime.now(UTC),
        "reason": "no_match",
        "person": PersonRef(1, "u", "A-1", "Ada Byron"),
        "confidence": 0.9,
        "direction": "entry",
        "method": "face",
        "frames": 3,
        "pad": None,
        "visit": 1,
        "flags": (),
        "decided_after_ms": None,
        "relay_after_ms": None,
    }
    granted = shown(DecisionView(outcome="granted", **view), names)
    assert granted is not None
    assert granted[1]["name"] == ("Ada Byron" if names else None)
    assert granted[1]["released"] is True
    stuck = shown(DecisionView(outcome="granted", **view, released=False), names)
    assert stuck == ("decision", {**granted[1], "released": False})
    denied = shown(DecisionView(outcome="denied", **view), names)
    told = {"outcome": "denied", "direction": "entry", "released": False, "name": None}
    assert denied == ("decision", told)


@pytest.mark.parametrize(
    ("lacks", "fault"),
    [
        ({}, False),
        ({"camera": "lost"}, True),
        ({"journal": "unavailable"}, True),
        ({"room": "full"}, True),
    ],
)
def test_a_gate_that_cannot_work_is_out_of_order(lacks: dict[str, Any], fault: bool) -> None:
    status = GateStatus(datetime.now(UTC), camera="opened", journal="available")
    assert present(replace(status, **lacks))["fault"] is fault


@pytest.mark.parametrize(
    ("mode", "told"), [("free_access", True), ("out_of_service", True), ("lockdown", False)]
)
def test_when_a_lockdown_ends_is_not_told_at_the_door(mode: str, told: bool) -> None:
    six = "2026-12-24T18:00:00+00:00"
    status = GateStatus(datetime.now(UTC), door_mode=mode, door_mode_until=six)
    assert present(status)["until"] == (six if told else None)
