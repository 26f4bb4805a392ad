"""What stands in the journal after each act over the API: kind, body, whom it is about, by whom."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fixtures.server import PASSWORD, Running, running

OTHER = "Another-horse-battery-8"
WEEK = [["08:00-17:00"]] * 5 + [[], []]
ANNA = {"first_name": "Anna", "last_name": "Arendt", "personnel_code": "E1", "email": "a@b.org"}
BERT = {"first_name": "Bert", "last_name": "Brecht", "personnel_code": "E2"}
CONSENT = {"notice_version": "2", "given_at": "2026-01-05T08:00:00Z", "method": "paper"}
MISSING = {"direction": "entry", "created_at": "2026-01-05T08:00:00Z", "reason": "forgot the card"}

UID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("state"), roles=("operator", "admin")) as server:
        yield server


class Rows:
    """Acts on a server, and reads what the journal says of each."""

    def __init__(self, server: Running) -> None:
        self._workspace = server.services.workspace
        self._seen = 0
        self._uids: dict[str, str] = {}
        self.told: list[str] = []
        self._new()

    def act(self, who: httpx.Client, method: str, path: str, body: Any = None) -> Any:
        """Do it; its rows are added to `told` behind a line that names the act."""
        answer = who.request(method, f"/api/{path}", json=body)
        assert answer.is_success, (method, path, answer.text)
        self.told.append(f"{method} {path}")
        self.told += [f"    {row}" for row in self._new()]
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        return answer.json() if answer.content and is_json else None

    def _new(self) -> list[str]:
        with self._workspace.database.read() as session:
            rows = session.connection().exec_driver_sql(
                f"SELECT seq, kind, body FROM journal WHERE seq > {self._seen} ORDER BY seq"  # noqa: S608
            )
            found = [(int(r[0]), str(r[1]), str(r[2])) for r in rows]
            parts = session.connection().exec_driver_sql(
                "SELECT seq, role, payload FROM journal_private ORDER BY seq, role DESC"
            )
            private = [(int(r[0]), str(r[1]), json.loads(r[2])) for r in parts]
        self._seen = max([self._seen, *(seq for seq, _, _ in found)])
        told = []
        for seq, kind, body in found:
            whose = " ".join(_private(role, p) for at, role, p in private if at == seq)
            told.append(f"{kind} {UID.sub(self._numbered, body)} {whose}".rstrip())
        return told

    def _numbered(self, found: re.Match[str]) -> str:
        return self._uids.setdefault(found[0], f"uid-{len(self._uids) + 1}")


def _private(role: str, payload: dict[str, Any]) -> str:
    if role == "subject":
        return f"of {' '.join(str(v) for k, v in payload.items() if k not in ('person_id', 'uid'))}"
    more = {k: v for k, v in payload.items() if k not in ("name", "address", "request", "uid")}
    return f"by {payload['name']} {more or ''}".rstrip()


def test_every_act_leaves_its_rows(server: Running) -> None:
    with server.client("operator") as operator, server.client("admin") as admin:
        at = Rows(server)
        everything(server, at, operator, admin)
    assert server.services.workspace.journal.verify().ok
    assert "\n".join(at.told) + "\n" == GOLDEN.read_text()


def everything(server: Running, at: Rows, op: httpx.Client, admin: httpx.Client) -> None:
    anna = at.act(op, "POST", "persons", ANNA)["id"]
    bert = at.act(op, "POST", "persons", BERT)["id"]
    at.act(op, "PUT", f"persons/{anna}", {"department": "North"})
    at.act(op, "PUT", f"persons/{anna}", {"department": "North"})
    at.act(op, "PATCH", f"persons/{anna}/toggle-active")
    at.act(op, "PATCH", f"persons/{anna}/activate")
    at.act(op, "PUT", f"persons/{anna}", {"leaves_on": "2020-01-01"})
    at.act(op, "PUT", f"persons/{anna}", {"leaves_on": None})
    at.act(op, "PATCH", f"persons/{anna}/activate")
    group = at.act(op, "POST", "groups", {"name": "Guards", "description": "at night"})["id"]
    at.act(op, "PUT", f"groups/{group}", {"description": None})
    at.act(op, "PUT", f"groups/{group}/members/{anna}")
    at.act(op, "PUT", f"groups/{group}/members/{anna}")
    at.act(op, "PUT", f"persons/{anna}/consent", CONSENT)
    at.act(op, "DELETE", f"persons/{anna}/consent")
    at.act(admin, "GET", f"persons/{anna}/export")
    schedule = at.act(op, "POST", "access/schedules", {"name": "Office", "week": WEEK})["id"]
    at.act(op, "PUT", f"access/schedules/{schedule}", {"name": "Office hours"})
    at.act(op, "PUT", f"access/schedules/{schedule}/exceptions/2026-12-24", {"hours": []})
    at.act(op, "DELETE", f"access/schedules/{schedule}/exceptions/2026-12-24")
    at.act(op, "PUT", "access/holidays/2026-12-25", {"name": "Christmas"})
    at.act(op, "DELETE", "access/holidays/2026-12-25")
    rules = [{"gate": None, "schedule_id": schedule}]
    at.act(op, "PUT", f"groups/{group}/access", rules)
    at.act(op, "PUT", f"persons/{anna}/access", {"two_factors": True})
    at.act(admin, "PUT", "access/rules", {"occupancy": 9, "timezone": "Europe/Berlin"})
    at.act(admin, "PUT", "access/rules?site=works", {"occupancy": 7})
    at.act(admin, "DELETE", "access/rules?site=works")
    card = {"kind": "card", "number": "04A1B2C3D4", "label": "blue"}
    given = at.act(op, "POST", f"persons/{anna}/credentials", card)["id"]
    at.act(op, "POST", "credentials/owner", {"number": "04A1B2C3D4"})
    at.act(op, "PUT", f"credentials/{given}", {"is_active": False})
    at.act(op, "DELETE", f"credentials/{given}")
    at.act(op, "POST", f"persons/{anna}/credentials", {"kind": "qr"})
    punch = at.act(op, "POST", "attendance", {"person_id": anna, **MISSING})["id"]
    change = {"direction": "exit", "reason": "the wrong way"}
    at.act(op, "POST", f"attendance/{punch}/corrections", change)
    made = at.act(admin, "POST", "accounts", account("anna", person_id=anna))["id"]
    with server.client() as own:
        signed = own.post("/api/auth/login", data={"username": "anna", "password": PASSWORD})
        own.headers["Authorization"] = f"Bearer {signed.json()['access_token']}"
        at.told += [f"    {row}" for row in at._new()]
        request = at.act(own, "POST", "correction-requests", MISSING)["id"]
        again = at.act(own, "POST", "correction-requests", MISSING)["id"]
        at.act(op, "POST", f"correction-requests/{request}/approve", {"reason": "seen by me"})
        at.act(op, "POST", f"correction-requests/{again}/refuse", {"reason": "twice the same"})
        at.act(own, "POST", "auth/password", {"current_password": PASSWORD, "new_password": OTHER})
    at.act(admin, "PATCH", f"accounts/{made}", {"role": "viewer", "is_active": False})
    at.act(admin, "PATCH", f"accounts/{made}", {"is_active": True})
    at.act(admin, "PUT", f"accounts/{made}/password", {"password": PASSWORD})
    spare = at.act(admin, "POST", "accounts", account("spare"))["id"]
    at.act(admin, "DELETE", f"accounts/{spare}")
    device = at.act(admin, "POST", "devices", {"name": "panel"})["id"]
    at.act(admin, "POST", f"devices/{device}/token")
    at.act(admin, "DELETE", f"devices/{device}")
    at.act(op, "DELETE", f"groups/{group}/members/{anna}")
    at.act(op, "DELETE", f"groups/{group}/members/{anna}")
    at.act(op, "DELETE", f"groups/{group}")
    at.act(op, "DELETE", f"access/schedules/{schedule}")
    at.act(admin, "DELETE", f"persons/{bert}?reason=asked for it&override=true")


def account(name: str, **more: Any) -> dict[str, Any]:
    return {"username": name, "role": "self", "password": PASSWORD, **more}


GOLDEN = Path(__file__).with_name("journal_rows.txt")
"""Of each act the rows; to be written anew only where a row is meant to be another one."""
