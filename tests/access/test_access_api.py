"""Rules of access and credentials over HTTP, and PINs at the gate itself."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from gated.access.access_plan import load_plan
from gated.accounts.accounts import Accounts
from gated.accounts.devices import Devices
from gated.config import ApiSettings, GateSettings, Settings, StorageSettings
from gated.core.messages import CredentialPresented, Decision, Event, Forgive
from gated.core.plan import WithoutHub
from gated.core.values import Direction, Method, Outcome, Reason
from gated.database import hub_ownership
from gated.database import stored_settings as settings
from gated.devices.clock import SystemClock
from gated.journal.journal import decision_entry
from gated.link.running_gate import FrameTap, RunningGate
from gated.link.status_board import StatusBoard
from gated.people.people import People
from gated.vision import badges
from gated.web.app import create_app
from gated.web.server import ApiServer
from gated.web.services import api_services
from gated.workspace import Workspace
from tests.changes import done_by
from tests.fixtures.server import PASSWORD, Running, serving
from tests.workspaces import open_workspace

OFFICE = {"week": [["08:00-17:00"]] * 5 + [[], []]}

COUNT = iter(range(1, 1000))


@pytest.fixture
def client(server: Running) -> Iterator[httpx.Client]:
    with server.client("admin") as client:
        yield client


def person(workspace: Workspace) -> int:
    fields = {"personnel_code": f"C{next(COUNT)}", "first_name": "Ada", "last_name": "Byron"}
    return done_by("test", People.of(workspace).create, fields).id


def schedule(client: httpx.Client, **fields: Any) -> dict[str, Any]:
    name = f"Office {next(COUNT)}"
    answer = client.post("/api/access/schedules", json={"name": name, **OFFICE, **fields})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    assert answer.headers["Location"] == f"/api/access/schedules/{made['id']}"
    return made


def test_a_schedule_is_made_changed_and_removed(client: httpx.Client) -> None:
    made = schedule(client)
    at = f"/api/access/schedules/{made['id']}"
    assert made["holiday"] == []
    tag = client.get(at).headers["ETag"]
    answer = client.put(at, json={"holiday": None}, headers={"If-Match": tag})
    assert (answer.status_code, answer.json()["holiday"]) == (200, None)
    assert client.put(at, json={"holiday": []}, headers={"If-Match": tag}).status_code == 412
    read = f'"77", {client.get(at).headers["ETag"]}'
    assert client.put(at, json={"holiday": None}, headers={"If-Match": read}).status_code == 200
    for stale in (f'{tag}, "77"', 'W/"77"', "no tag"):
        answer = client.put(at, json={"holiday": []}, headers={"If-Match": stale})
        assert answer.status_code == 412, stale
    day = f"{at}/exceptions/2026-12-24"
    exceptions = client.put(day, json={"hours": ["08:00-12:00"]}).json()["exceptions"]
    assert exceptions == {"2026-12-24": ["08:00-12:00"]}
    assert client.delete(day).status_code == 204
    assert client.get(at).json()["exceptions"] == {}
    assert client.delete(at).status_code == 204
    assert client.get(at).status_code == 404


@pytest.mark.parametrize("hours", ["8-17", "08:00-25:00", "24:00-08:00", "08:60-09:00", ""])
def test_hours_that_no_clock_shows_are_refused(client: httpx.Client, hours: str) -> None:
    body = {"name": "Never", "week": [[hours]] + [[]] * 6}
    assert client.post("/api/access/schedules", json=body).status_code == 422


def test_a_week_has_seven_days(client: httpx.Client) -> None:
    made = schedule(client)
    answer = client.put(f"/api/access/schedules/{made['id']}", json={"week": [[]] * 6})
    assert answer.status_code == 422


def test_a_group_passes_in_its_schedule_which_stays_as_long(
    client: httpx.Client, server: Running
) -> None:
    made = schedule(client)
    group = client.post("/api/groups", json={"name": f"Staff {next(COUNT)}"}).json()["id"]
    rules = [{"gate": None, "schedule_id": made["id"]}, {"gate": "south", "schedule_id": None}]
    assert client.put(f"/api/groups/{group}/access", json=rules).json() == rules
    assert client.get(f"/api/groups/{group}/access").json() == rules
    assert load_plan(server.services.workspace).groups[group].schedules == (made["id"],)
    assert client.delete(f"/api/access/schedules/{made['id']}").status_code == 409
    wrong = [{"schedule_id": 999_999}]
    assert client.put(f"/api/groups/{group}/access", json=wrong).status_code == 404
    assert client.put(f"/api/groups/{group}/access", json=[]).json() == []
    assert client.delete(f"/api/access/schedules/{made['id']}").status_code == 204


def test_holidays_have_names(client: httpx.Client) -> None:
    assert client.put("/api/access/holidays/2026-12-25", json={"name": "Christmas"}).is_success
    christmas = {"day": "2026-12-25", "name": "Christmas", "site": ""}
    assert christmas in client.get("/api/access/holidays").json()
    assert client.delete("/api/access/holidays/2026-12-25").status_code == 204
    assert client.delete("/api/access/holidays/2026-12-25").status_code == 404
    assert client.put("/api/access/holidays/tomorrow", json={"name": "x"}).status_code == 422


def test_rules_of_the_site_are_an_admin_s(client: httpx.Client, server: Running) -> None:
    before = client.get("/api/access/rules")
    assert before.json()["anti_passback"] == "off"
    change = {"anti_passback": "soft", "forgive_at": "03:30", "without_hub": "deny"}
    with server.client("operator") as operator:
        assert operator.put("/api/access/rules", json=change).status_code == 403
    after = client.put(
        "/api/access/rules", json=change, headers={"If-Match": before.headers["ETag"]}
    )
    assert after.json() == {**before.json(), **change}
    rules = load_plan(server.services.workspace).rules
    assert (rules.forgive_at, rules.without_hub) == (210, WithoutHub.DENY)
    undone = {"anti_passback": "off", "forgive_at": None, "without_hub": "local"}
    back = client.put("/api/access/rules", json=undone)
    assert back.json() == before.json()


def test_a_site_has_a_time_zone(client: httpx.Client, server: Running) -> None:
    at, here = "/api/access/rules", {"site": server.services.settings.gate.site}
    assert client.get(at).json()["timezone"] is None
    assert client.put(at, json={"timezone": "Asia/Tokyo"}).json()["timezone"] == "Asia/Tokyo"
    before = client.get(at, params=here)
    assert (before.json()["timezone"], before.json()["own"]) == ("Asia/Tokyo", [])
    tag = {"If-Match": before.headers["ETag"]}
    body = {"timezone": "Europe/Berlin"}
    own = client.put(at, params=here, json=body, headers=tag).json()
    assert (own["timezone"], own["own"]) == ("Europe/Berlin", ["timezone"])
    assert client.put(at, params=here, json=body, headers=tag).status_code == 412
    assert str(load_plan(server.services.workspace).zone) == "Europe/Berlin"
    for name, meant in (("Berlin", "Europe/Berlin"), ("+02:00", "name a place")):
        wrong = client.put(at, params=here, json={"timezone": name})
        assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid")
        assert meant in wrong.text
    # rules of its own end; where a site lies stays
    assert client.delete(at, params=here).status_code == 204
    assert client.get(at, params=here).json()["timezone"] == "Europe/Berlin"
    client.put(at, params=here, json={"timezone": None})
    assert client.get(at, params=here).json()["timezone"] == "Asia/Tokyo"
    client.put(at, json={"timezone": None})
    assert str(load_plan(server.services.workspace).zone) == "UTC"
    assert server.services.workspace.journal.verify().ok


def test_one_site_has_rules_and_holidays_of_its_own(client: httpx.Client, server: Running) -> None:
    at, here = "/api/access/rules", {"site": server.services.settings.gate.site}
    everywhere = client.get(at).json()
    own = client.put(at, json={"occupancy": 5}, params=here)
    assert own.json() == {**everywhere, "occupancy": 5, "own": ["occupancy"]}
    assert client.get(at).json() == everywhere
    assert load_plan(server.services.workspace).rules.occupancy == 5
    tag = {"If-Match": client.get(at).headers["ETag"]}
    assert client.delete(at, params=here, headers=tag).status_code == 412
    tag = {"If-Match": own.headers["ETag"]}
    assert client.delete(at, params=here, headers=tag).status_code == 204
    assert client.get(at, params=here).json() == everywhere
    assert client.delete(at).status_code == 422
    assert client.get(at, params={"site": "moon"}).status_code == 404
    day = "/api/access/holidays/2026-12-31"
    assert client.put(day, json={"name": "Stocktaking"}, params=here).status_code == 204
    listed = client.get("/api/access/holidays", params=here).json()
    assert {"day": "2026-12-31", "name": "Stocktaking", **here} in listed
    assert client.delete(day).status_code == 404
    assert client.delete(day, params=here).status_code == 204


def test_what_belongs_to_the_hub_is_refused_with_a_code_that_says_so(
    client: httpx.Client, server: Running
) -> None:
    made = schedule(client)
    with server.services.workspace.database.write() as session:
        hub_ownership.remember(session, "schedule", made["uid"], 1)
        settings.set_(session, hub_ownership.MEMBERSHIP, "sealed")
    answer = client.delete(f"/api/access/schedules/{made['id']}")
    with server.services.workspace.database.write() as session:
        settings.set_(session, hub_ownership.MEMBERSHIP, None)
    assert (answer.status_code, answer.json()["code"]) == (409, "belongs_to_hub")
    assert "change it there" in answer.json()["detail"]


def test_what_a_person_may_do_is_changed_with_its_tag(
    client: httpx.Client, server: Running
) -> None:
    at = f"/api/persons/{person(server.services.workspace)}/access"
    first = client.get(at)
    assert (first.json()["face"], first.headers["ETag"]) == (True, '"0"')
    dates = {"valid_from": "2026-01-01T00:00:00Z", "valid_until": "2027-01-01T00:00:00+01:00"}
    answer = client.put(at, json={**dates, "visitor": True}, headers={"If-Match": '"0"'})
    assert answer.json()["valid_until"] == "2026-12-31T23:00:00Z"
    assert client.put(at, json={"visitor": False}, headers={"If-Match": '"0"'}).status_code == 412
    swapped = {"valid_from": dates["valid_until"], "valid_until": dates["valid_from"]}
    assert client.put(at, json=swapped).status_code == 422


def test_a_badge_is_shown_once_as_a_picture_that_can_be_read(
    client: httpx.Client, server: Running
) -> None:
    who = person(server.services.workspace)
    given = client.post(f"/api/persons/{who}/credentials", json={"kind": "qr", "label": "badge"})
    assert given.status_code == 201
    shown = given.json()
    png = base64.b64decode(shown["image"].removeprefix("data:image/png;base64,"))
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert badges.read(np.asarray(image, np.uint8)) == {shown["secret"]}
    assert server.services.credentials.whose("qr", shown["secret"]) == who
    listed = client.get(f"/api/persons/{who}/credentials")
    assert [c["label"] for c in listed.json()] == ["badge"]
    assert shown["secret"] not in listed.text
    assert shown["secret"] not in client.get(f"/api/credentials/{shown['id']}").text


def test_a_card_is_blocked_and_taken_away(client: httpx.Client, server: Running) -> None:
    who, other = person(server.services.workspace), person(server.services.workspace)
    card = {"kind": "card", "number": "0012346"}
    given = client.post(f"/api/persons/{who}/credentials", json=card)
    at = f"/api/credentials/{given.json()['id']}"
    assert "12" not in given.json()["kind"] + str(given.json()["label"])
    again = client.post(f"/api/persons/{other}/credentials", json={**card, "number": "12346"})
    assert again.status_code == 409
    blocked = client.put(at, json={"is_active": False}, headers={"If-Match": given.headers["ETag"]})
    assert blocked.json()["is_active"] is False
    assert server.services.credentials.whose("card", "12346") is None
    assert client.put(at, json={}, headers={"If-Match": given.headers["ETag"]}).status_code == 412
    assert client.delete(at).status_code == 204
    assert client.get(at).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "card"},
        {"kind": "card", "number": "12345", "next_card": True},
        {"kind": "pin", "next_card": True},
        {"kind": "qr", "next_card": True},
        {"kind": "pin", "number": "12345"},
        {"kind": "qr", "pin": "2580"},
        {"kind": "pin", "pin": "1234"},
        {"kind": "pin", "pin": "12x4"},
        {"kind": "key", "number": "12345"},
    ],
)
def test_what_is_no_credential_is_refused(
    client: httpx.Client, server: Running, body: dict[str, Any]
) -> None:
    who = person(server.services.workspace)
    answer = client.post(f"/api/persons/{who}/credentials", json=body)
    assert answer.status_code == 422
    assert body.get("pin", "none") not in answer.text
    assert client.get(f"/api/persons/{who}/credentials").json() == []


def test_no_card_can_be_held_where_there_is_no_reader(
    client: httpx.Client, server: Running
) -> None:
    body = {"kind": "card", "next_card": True}
    who = person(server.services.workspace)
    answer = client.post(f"/api/persons/{who}/credentials", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "no_card_reader")
    assert client.get("/api/gate").json()["card_reader"] is False
    assert client.post("/api/persons/987654/credentials", json=body).status_code == 404


def test_who_would_be_refused_is_told_the_rule_and_when_it_opens(
    client: httpx.Client, server: Running
) -> None:
    who = person(server.services.workspace)
    made = schedule(client)
    group = client.post("/api/groups", json={"name": f"Staff {next(COUNT)}"}).json()["id"]
    client.put(f"/api/groups/{group}/access", json=[{"schedule_id": made["id"]}])
    client.put(f"/api/groups/{group}/members/{who}")
    card = {"kind": "card", "number": f"77{next(COUNT):04}"}
    assert client.post(f"/api/persons/{who}/credentials", json=card).status_code == 201
    sunday = {"at": "2026-11-22T12:00:00Z", "with": ["face"]}
    told = client.get(f"/api/persons/{who}/explain", params=sunday).json()
    assert (told["outcome"], told["reason"]) == ("denied", "outside_schedule")
    assert told["rule"] == f"schedule {made['name']}"
    assert told["opens_at"].startswith("2026-11-23T08:00")
    monday = {"at": "2026-11-23T12:00:00Z", "with": ["card"]}
    assert client.get(f"/api/persons/{who}/explain", params=monday).json()["outcome"] == "granted"
    wrong = client.get(f"/api/persons/{who}/explain", params={"with": "smile"})
    assert wrong.status_code == 422


def test_who_came_in_is_inside_until_they_leave(client: httpx.Client, server: Running) -> None:
    workspace = server.services.workspace
    who = server.services.people.get(person(workspace)).ref
    now = SystemClock().now()

    def inside() -> list[str]:
        found = client.get("/api/access/presence").json()["people"]
        return [p["person"]["personnel_code"] for p in found]

    for direction, expected in ((Direction.ENTRY, [who.personnel_code]), (Direction.EXIT, [])):
        passed = Decision(now, Outcome.GRANTED, Reason.GRANTED, who, 1.0, direction=direction)
        workspace.journal.append([decision_entry(passed, "north", "camera", "works")])
        assert inside() == expected


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[tuple[Running, list[Event]]]:
    """A server with a gate behind it that takes events, and these events."""
    settings = Settings(
        gate=GateSettings(name="north"),
        storage=StorageSettings(state_dir=tmp_path),
        api=ApiSettings(port=0),
    )
    events: list[Event] = []
    with open_workspace(settings) as workspace:
        accounts = Accounts.of(workspace)
        _, token = done_by("test", Devices.of(workspace).add, "kiosk")
        live = RunningGate(FrameTap(), events.append)
        services = api_services(settings, workspace, accounts, StatusBoard(), live=live)
        with serving(ApiServer(create_app(services), settings.api)) as address:
            yield Running(services, address, {"device": token}), events


def test_a_pin_reaches_the_gate_and_the_answer_does_not_tell_whether_it_was_right(
    gate: tuple[Running, list[Event]],
) -> None:
    running, events = gate
    who = person(running.services.workspace)
    code = running.services.people.get(who).personnel_code
    running.services.credentials.add(who, "pin", "2580", {}, actor="test")
    with running.client("device") as kiosk:
        answers = [
            kiosk.post("/api/kiosk/pin", json={"personnel_code": code, "pin": pin})
            for pin in ("2580", "0852")
        ]
    assert [(a.status_code, a.text) for a in answers] == [(202, answers[0].text)] * 2
    assert events == [CredentialPresented(Method.PIN, who), CredentialPresented(Method.PIN, None)]


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"])
def test_a_pin_that_a_proxy_hands_on_is_refused(
    gate: tuple[Running, list[Event]], header: str
) -> None:
    running, events = gate
    with running.client("device") as kiosk:
        answer = kiosk.post(
            "/api/kiosk/pin",
            json={"personnel_code": "C1", "pin": "2580"},
            headers={header: "127.0.0.1"},
        )
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert events == []


def test_guessing_pins_is_throttled_with_the_time_to_wait(
    gate: tuple[Running, list[Event]],
) -> None:
    running, events = gate
    body = {"personnel_code": "nobody", "pin": "2580"}
    with running.client("device") as kiosk:
        answers = [kiosk.post("/api/kiosk/pin", json=body)]
        # each waits twice as long as the one before, until that is longer than a busy machine takes
        while answers[-1].status_code == 202 and len(answers) < 20:
            answers.append(kiosk.post("/api/kiosk/pin", json=body))
    assert answers[0].status_code == 202
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert set(events) == {CredentialPresented(Method.PIN, None)}


def test_forgiving_reaches_the_gate_with_who_and_why(gate: tuple[Running, list[Event]]) -> None:
    running, events = gate
    who = running.services.people.get(person(running.services.workspace)).ref
    running.services.accounts.create("the-operator", "operator", PASSWORD, actor="test")
    with running.client("operator") as operator:
        for body in ({"person_id": who.id, "reason": "climbed"}, {"reason": "party"}):
            assert operator.post("/api/access/forgive", json=body).status_code == 202
        nobody = {"person_id": 999_999, "reason": "climbed"}
        assert operator.post("/api/access/forgive", json=nobody).status_code == 404
    assert events == [
        Forgive(who, "the-operator", "climbed"),
        Forgive(None, "the-operator", "party"),
    ]


def test_the_owner_of_a_card_can_be_asked_for(client: httpx.Client, server: Running) -> None:
    who = person(server.services.workspace)
    card = {"kind": "card", "number": "0815-4711", "label": "blue"}
    assert client.post(f"/api/persons/{who}/credentials", json=card).status_code == 201
    told = client.post("/api/credentials/owner", json={"number": "815:4711"})
    assert (told.status_code, told.json()["person_id"]) == (200, who)
    assert told.json()["credential"]["label"] == "blue"
    assert "4711" not in told.text
    nobody = client.post("/api/credentials/owner", json={"number": "8154711"})
    assert (nobody.status_code, nobody.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("number", "rule", "limit"),
    [("0000", "card_easy", None), ("9" * 4, "card_easy", None), ("12" * 17, "card_length", "4–32")],
)
def test_numbers_of_no_card_are_refused(
    client: httpx.Client, server: Running, number: str, rule: str, limit: str | None
) -> None:
    who = person(server.services.workspace)
    card = {"kind": "card", "number": number}
    answer = client.post(f"/api/persons/{who}/credentials", json=card)
    assert (answer.status_code, answer.json()["code"]) == (422, "card_refused")
    (why,) = answer.json()["errors"]
    assert (why["at"], why["rule"], why.get("limit")) == ("body.number", rule, limit)
    assert number not in answer.text
