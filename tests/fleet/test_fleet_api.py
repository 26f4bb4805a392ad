"""The fleet as those see it who run it: gates, and what they are set to."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from gated.devices.clock import ManualClock
from gated.fleet.hub import gate_store
from gated.fleet.hub.collect import Collector
from tests.fixtures.server import Running, running

STATUS = {
    "version": "1.2.3",
    "people": 12,
    "templates": 13,
    "gallery": "ab" * 32,
    "clock_ok": True,
    "disk_free": 5_000_000_000,
    "backlog": 7,
    "alarms": [],
    "problems": [],
    "settings": {"revision": 3, "state": "refused", "reason": "x", "overruled": ["door.unlock_s"]},
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A hub of five gates: one is invited, one revoked, one silent, one troubled, one well."""
    with running(
        tmp_path_factory.mktemp("hub"), roles=("viewer", "admin", "auditor"), hub=True
    ) as server:
        fleet, now = server.services.fleet, time.time()
        for name in ("alpha", "bravo", "charlie", "delta", "echo"):
            site = "docks" if name == "alpha" else "works"
            fleet.invite(name, site, {"everyone": True}, actor="test")
        for name, at, told in (
            ("bravo", now, {**STATUS, "clock": now - 90}),
            ("charlie", now, {**STATUS, "problems": ["camera_lost"], "version": 5, "alarms": "x"}),
            ("delta", now - 3600, {}),
        ):
            gate = _joined(server, name)
            Collector(server.services.workspace, ManualClock(utc=at)).heard(gate, "m/0", told)
        _joined(server, "echo")
        fleet.revoke(fleet.by_name("echo").gate.id, actor="test")
        yield server


def _joined(server: Running, name: str) -> Any:
    services = server.services
    account = services.accounts.create(f"of-{name}", "viewer", "Correct-horse-1", actor="test")
    gate = services.fleet.by_name(name).gate
    with services.workspace.database.write() as session:
        return gate_store.update(
            session, gate.id, account_id=account.id, joined_at=datetime.now(UTC)
        )


@pytest.fixture
def admin(hub: Running) -> Iterator[httpx.Client]:
    with hub.client("admin") as client:
        yield client


def names(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [row["name"] for row in answer.json()]


def test_what_a_gate_said_is_told(admin: httpx.Client) -> None:
    found = {g["name"]: g for g in admin.get("/api/fleet/gates").json()}
    told = found["bravo"]["reported"]
    assert {k: told[k] for k in ("version", "people", "templates", "backlog")} == {
        "version": "1.2.3",
        "people": 12,
        "templates": 13,
        "backlog": 7,
    }
    assert told["clock_offset_s"] == pytest.approx(-90, abs=0.01)
    assert told["disk_free"] == 5_000_000_000
    assert told["gallery"] == "ab" * 32
    assert told["settings"] == STATUS["settings"]
    assert (found["bravo"]["troubled"], found["bravo"]["configuration"]) == (False, 0)
    nonsense = found["charlie"]["reported"]
    assert (nonsense["version"], nonsense["alarms"]) == (None, [])
    assert nonsense["problems"] == ["camera_lost"]
    assert found["alpha"]["reported"]["people"] is None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["alpha", "bravo", "charlie", "delta", "echo"]),
        ("state=invited", ["alpha"]),
        ("state=joined", ["bravo", "charlie", "delta"]),
        ("state=revoked", ["echo"]),
        ("state=silent", ["delta"]),
        ("state=troubled", ["charlie"]),
        ("site=docks", ["alpha"]),
        ("q=LT", ["delta"]),
        ("sort=-name&limit=2", ["echo", "delta"]),
        ("sort=-seen_at&limit=2&state=joined&offset=2", ["delta"]),
        ("sort=site", ["alpha", "bravo", "charlie", "delta", "echo"]),
    ],
)
def test_gates_are_found_among_many(admin: httpx.Client, query: str, expected: list[str]) -> None:
    assert names(admin.get(f"/api/fleet/gates?{query}")) == expected


def test_a_page_leads_to_the_next_one(admin: httpx.Client) -> None:
    answer, found = admin.get("/api/fleet/gates?limit=2"), []
    while True:
        assert answer.headers["X-Total-Count"] == "5"
        found += names(answer)
        if "next" not in answer.links:
            break
        answer = admin.get(answer.links["next"]["url"])
    assert found == ["alpha", "bravo", "charlie", "delta", "echo"]
    assert admin.get("/api/fleet/gates?state=lost").status_code == 422


def test_settings_are_kept_in_revisions_and_rolled_out(hub: Running, admin: httpx.Client) -> None:
    settings = {"recognition": {"frames": 4}}
    made = admin.post("/api/fleet/configurations", json={"settings": settings, "note": "stricter"})
    assert made.status_code == 201
    revision = made.json()["id"]
    assert admin.get(made.headers["Location"]).json()["settings"] == settings
    body = {
        "configuration": revision,
        "stages": [{"gates": ["bravo"]}, {"everyone": True}],
        "soak_s": 60,
        "automatic": False,
    }
    begun = admin.post("/api/fleet/rollouts", json=body)
    assert begun.status_code == 201, begun.text
    place = begun.headers["Location"]
    assert admin.post("/api/fleet/rollouts", json=body).status_code == 409
    told = admin.get(place).json()
    assert (told["state"], told["stage"], told["begun_by"]) == ("running", 1, "the-admin")
    assert told["waiting_for"] == ["bravo"]
    assert told["gates"][0]["state"] == "waiting"
    assert admin.get("/api/fleet/gates?q=bravo").json()[0]["configuration"] == revision
    assert admin.post(f"{place}/advance").json()["stage"] == 2
    assert admin.post(f"{place}/halt").json()["state"] == "halted"
    assert admin.post(f"{place}/rollback").json()["state"] == "rolled_back"
    assert admin.post(f"{place}/advance").status_code == 409
    assert admin.get("/api/fleet/gates?q=bravo").json()[0]["configuration"] == 0
    with hub.client("auditor") as auditor:
        assert auditor.get("/api/fleet/configurations").headers["X-Total-Count"] == "1"
        kinds = [a["kind"] for a in auditor.get("/api/audit?limit=5").json()]
    assert "rollout_rolled_back" in kinds
    with hub.client("viewer") as viewer:
        assert len(viewer.get("/api/fleet/rollouts").json()) == 1


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ('{"settings": {"door": {"relay_pin": 4}, "x": {"y": 1}}}', {"door.relay_pin", "x"}),
        ('{"settings": {"vision": {"min_eye_distance": Infinity}}}', {"vision.min_eye_distance"}),
        ('{"settings": {"gate": {"name": "a"}}}', {"gate.name"}),
        ('{"settings": {"recognition": {"frames": {"a": []}}}}', {"recognition.frames"}),
        ('{"settings": {"\\ud800": {"a": 1}}}', None),
        ('{"settings": {"door": 5}}', {"body.settings.door"}),
    ],
)
def test_wrong_and_forbidden_keys_are_named(
    admin: httpx.Client, body: str, wrong: set[str] | None
) -> None:
    json = {"Content-Type": "application/json"}
    answer = admin.post("/api/fleet/configurations", content=body, headers=json)
    assert answer.status_code in ({422} if wrong else {400, 422}), answer.text
    if wrong:
        assert {e["at"] for e in answer.json()["errors"]} == wrong


def test_settings_are_taken_as_a_text_with_the_places_of_what_is_wrong(
    admin: httpx.Client,
) -> None:
    def post(**body: str) -> httpx.Response:
        return admin.post("/api/fleet/configurations", json=body)

    made = post(text="# stricter\ndoor: {held_open_s: 20}\nliveness: off\n", note="as a file")
    assert made.status_code == 201, made.text
    assert made.json()["settings"] == {"door": {"held_open_s": 20}, "liveness": {"level": "off"}}
    wrong = post(text="door:\n  held_open_s: soon\n  relay_pin: 4\nmode: x\n")
    assert (wrong.status_code, wrong.json()["code"]) == (422, "settings_refused")
    assert [e["at"] for e in wrong.json()["errors"]] == ["line:2", "line:3", "line:4"]
    assert "door.relay_pin: is set in the file" in wrong.json()["errors"][1]["detail"]
    assert [e["rule"] for e in wrong.json()["errors"]] == ["number", "file_only", "unknown"]
    (no_yaml,) = post(text="door: [").json()["errors"]
    assert (no_yaml["at"].startswith("line:1"), no_yaml["rule"]) == (True, "yaml")
    assert post(text="just words").json()["code"] == "settings_refused"
    assert post().status_code == post(text="x" * 65_537).status_code == 422
    both = {"text": "door: {}", "settings": {}}
    assert admin.post("/api/fleet/configurations", json=both).status_code == 422


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"configuration": 99}, 404),
        ({"stages": []}, 422),
        ({"stages": [{}]}, 422),
        ({"stages": [{"gates": ["nowhere"]}]}, 404),
        ({"soak_s": -1}, 422),
    ],
)
def test_a_rollout_that_makes_no_sense_is_refused(
    admin: httpx.Client, change: dict[str, Any], status: int
) -> None:
    made = admin.post("/api/fleet/configurations", json={"settings": {}}).json()
    body = {"configuration": made["id"], "stages": [{"everyone": True}], **change}
    assert admin.post("/api/fleet/rollouts", json=body).status_code == status
