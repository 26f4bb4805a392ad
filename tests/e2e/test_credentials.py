"""A running gate with a card reader: rules, cards and PINs as people at the door meet them."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from gated.access import site_store
from gated.access.credentials import Credentials
from gated.access.rules import Access, GroupRule
from gated.accounts.accounts import Accounts
from gated.accounts.devices import Devices
from gated.config import load
from gated.database import site_zones
from gated.devices.readers import swipe
from gated.live.demo import CODE
from gated.people.groups import Groups
from gated.people.people import People
from gated.workspace import Workspace
from tests.assets import require_assets
from tests.changes import done_by
from tests.e2e.process import Process, demo_config
from tests.workspaces import open_workspace

PASSWORD = "Correct-horse-battery-9"
CARD, CLOSED_CARD, UNKNOWN_CARD = "0012345678", "0087654321", "0055555555"
NEW_CARD = "0063917428"
PIN = "2580"


class Desk:
    """The API of a running gate, as its administrator and as its kiosk."""

    def __init__(self, address: str, kiosk: str) -> None:
        self.http = httpx.Client(base_url=address, timeout=20, trust_env=False)
        form = {"username": "admin", "password": PASSWORD}
        token = self.http.post("/api/auth/login", data=form).json()["access_token"]
        self.admin = {"Authorization": f"Bearer {token}"}
        self.kiosk = {"Authorization": f"Bearer {kiosk}"}

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.http.request(method, path, json=body, headers=self.admin)
        assert answer.is_success, answer.text
        return answer.json()

    def refuses(self, method: str, path: str, body: Any) -> str:
        """The code with which a request is refused as 422."""
        answer = self.http.request(method, path, json=body, headers=self.admin)
        assert answer.status_code == 422, answer.text
        return str(answer.json()["code"])

    def wait_for_problem(self, name: str, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while name not in self.http.get("/health").json()["problems"]:
            assert time.monotonic() < end, name
            time.sleep(0.05)

    def pin(self, code: str, pin: str) -> int:
        body = {"personnel_code": code, "pin": pin}
        return self.http.post("/api/kiosk/pin", json=body, headers=self.kiosk).status_code

    def log(self, **wanted: Any) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.ask("GET", "/api/attendance?limit=100")
        return [r for r in rows if all(r[k] == v for k, v in wanted.items())]

    def wait_for_row(self, seconds: float = 60, **wanted: Any) -> dict[str, Any]:
        """The newest row of the log with these values, which may be on its way."""
        end = time.monotonic() + seconds
        while not (found := self.log(**wanted)):
            assert time.monotonic() < end, (wanted, self.log())
            time.sleep(0.05)
        return found[0]


def prepare(config: Path) -> str:
    """People, rules and credentials: Ada and Bob have cards, Bob's at no hour; the demo person
    needs a PIN besides the face. Returns the kiosk's token."""
    with open_workspace(load(config, {})) as workspace:
        Accounts.of(workspace).create("admin", "admin", PASSWORD, actor="test")
        _, kiosk = done_by("test", Devices.of(workspace).add, "kiosk")
        cards, rules = Credentials.of(workspace), Access.of(workspace)
        ids = {}
        for code in ("Ada", "Bob", CODE):
            fields = {"first_name": code, "last_name": "Byron", "personnel_code": code}
            ids[code] = done_by("test", People.of(workspace).create, fields).id
        cards.add(ids["Ada"], "card", CARD, {}, actor="test")
        cards.add(ids["Bob"], "card", CLOSED_CARD, {}, actor="test")
        cards.add(ids[CODE], "pin", PIN, {}, actor="test")
        done_by("test", rules.set_of_person, ids[CODE], {"two_factors": True})
        done_by("test", rules.set_site_rules, {"partner_s": 4.0})
        never = done_by("test", rules.add_schedule, {"name": "Night", "week": [[]] * 7})
        guards = done_by("test", Groups.of(workspace).add, "Guards", None)
        done_by("test", Groups.of(workspace).join, guards.id, ids["Bob"])
        done_by("test", rules.set_rules_of_group, guards.id, [GroupRule(None, never.id)])
    return kiosk


@contextmanager
def running(folder: Path) -> Iterator[Desk]:
    """A gate with a simulated reader."""
    config = demo_config(folder)
    reader = f"credentials: {{reader: simulated, device: {folder / 'reader'}}}\n"
    config.write_text(config.read_text() + reader)
    kiosk = prepare(config)
    with Process("--config", config) as gate:
        address = re.search(r"http://[0-9.:]+", gate.wait_for("API"))
        assert address is not None
        desk = Desk(address[0], kiosk)
        with contextlib.closing(desk.http):
            yield desk
        assert gate.end() == 0


def test_cards_open_as_the_rules_say(tmp_path: Path) -> None:
    require_assets("default", "demo")
    reader = tmp_path / "reader"
    with running(tmp_path) as desk:
        people = {p["personnel_code"]: p["id"] for p in desk.ask("GET", "/api/persons")}
        swipe(reader, CARD)
        row = desk.wait_for_row(person_id=people["Ada"])
        assert (row["method"], row["status"]) == ("card", "granted")
        swipe(reader, CLOSED_CARD)
        row = desk.wait_for_row(person_id=people["Bob"])
        assert (row["reason"], row["rule"]) == ("outside_schedule", "schedule Night")
        swipe(reader, UNKNOWN_CARD)
        row = desk.wait_for_row(reason="unknown_credential")
        assert (row["person_id"], row["method"]) == (None, "card")

        # a card is given by holding it to the reader, where it opens nothing; whose it is, is known
        given = partial(desk.http.post, f"/api/persons/{people['Bob']}/credentials")
        asked = {"json": {"kind": "card", "next_card": True}, "headers": desk.admin}
        with ThreadPoolExecutor() as pool:
            for card, status in ((NEW_CARD, 201), (CARD, 409)):
                waiting = pool.submit(given, **asked)
                while not waiting.done():
                    swipe(reader, card)
                    time.sleep(0.5)
                answer = waiting.result()
                assert answer.status_code == status, answer.text
                assert card not in answer.text
        before = len(desk.log(person_id=people["Bob"]))
        swipe(reader, NEW_CARD)
        until = time.monotonic() + 60
        while len(desk.log(person_id=people["Bob"])) == before:
            assert time.monotonic() < until
            time.sleep(0.05)

        # what is changed holds a second later
        guards = desk.ask("GET", "/api/groups")[0]["id"]
        desk.ask("PUT", f"/api/groups/{guards}/access", [{"schedule_id": None}])
        time.sleep(1.0)
        swipe(reader, CLOSED_CARD)
        desk.wait_for_row(person_id=people["Bob"], status="granted")

        # a rule that only a hub would give to this gate, as it cannot be kept here
        assert desk.refuses("PUT", "/api/access/rules", {"anti_passback": "hard"}) == "rule_misfit"
        with Workspace(load(tmp_path / "gate.yaml", {})) as gate, gate.database.write() as session:
            site_store.set_rules(session, site_zones.ALL, {"anti_passback": "hard"})
        desk.wait_for_problem("rule_misfit")


@pytest.mark.long
def test_the_face_waits_for_the_pin_and_the_pin_for_the_face(tmp_path: Path) -> None:
    require_assets("default", "demo")
    with running(tmp_path) as desk:
        people = {p["personnel_code"]: p["id"] for p in desk.ask("GET", "/api/persons")}
        # the face alone is not enough, nor with a wrong PIN
        assert desk.pin(CODE, "0852") == 202
        desk.wait_for_row(reason="unknown_credential", method="pin")
        desk.wait_for_row(person_id=people[CODE], reason="second_factor_missing", seconds=60)
        assert not desk.log(person_id=people[CODE], status="granted")
        # the demo person comes again and again: a PIN waits for the face
        while not desk.log(person_id=people[CODE], status="granted"):
            assert desk.pin(CODE, PIN) == 202
            with contextlib.suppress(AssertionError):
                desk.wait_for_row(person_id=people[CODE], status="granted", seconds=4)
        assert desk.log(person_id=people[CODE], status="granted")[0]["method"] == "pin"
