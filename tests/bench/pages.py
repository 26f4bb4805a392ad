"""What each page asks of a gate with ten thousand people and a million rows, and what it costs.

    python -m tests.bench.pages FOLDER

FOLDER: where the gate's database lies; it is made there at the first call, by the journal itself.
All people came and went on fifty working days up to yesterday; one visit in fifty has no exit.
Every address that a page asks when it is opened is asked of the real daemon, which shows its demo
meanwhile: medians of five, processor time of the process that answers, less what it takes at rest,
and time on the clock until the last byte.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from pathlib import Path

import httpx
import sqlalchemy as sa

from gated.accounts.accounts import Accounts
from gated.config import load
from gated.core.messages import Decision
from gated.core.values import Direction, Instant, Outcome, PersonRef, Reason
from gated.database.tables import group_members, groups, persons
from gated.journal.journal import Entry, decision_entry
from gated.people import person_store
from gated.workspace import Workspace
from tests.e2e.process import Process, demo_config
from tests.fixtures.server import PASSWORD
from tests.ui.site import address_of
from tests.workspaces import open_workspace

PEOPLE, DAYS = 10_000, 50
FORGOTTEN = 0.02
AT_ONCE = 2000
TIMES = 5
QUIET_AFTER_S = 120
NAMES = ("Ada", "Émile", "Grace", "Anna", "Juan", "Amélie", "Jörg", "Leïla", "Tom", "Mia")
SURNAMES = ("Berg", "Byron", "Zátopek", "Hopper", "Núñez", "Müller", "Rossi", "Haddad", "Smith")


def fill(config: Path) -> None:
    """Let everybody come and go, as rows of the gate's own journal."""
    chance = random.Random(1)
    with open_workspace(load(config, {})) as workspace:
        Accounts.of(workspace).create("the-admin", "admin", PASSWORD, actor="bench")
        Accounts.of(workspace).create("the-auditor", "auditor", PASSWORD, actor="bench")
        people = _hire(workspace, chance)
        rows: list[Entry] = []
        for day in _working_days():
            for entry in _day(day, people, chance):
                rows.append(entry)
                if len(rows) == AT_ONCE:
                    _append(workspace, rows)
                    rows = []
        _append(workspace, rows)


def _hire(workspace: Workspace, chance: random.Random) -> list[PersonRef]:
    with workspace.database.write() as session:
        made = []
        for n in range(PEOPLE):
            fields = {
                "first_name": chance.choice(NAMES),
                "last_name": f"{chance.choice(SURNAMES)}-{n % 997}",
                "personnel_code": f"P-{n:05}",
                "department": f"Department {n % 40}",
            }
            made.append({**fields, "uid": f"bench-{n}", **person_store.derived(fields)})
        session.execute(sa.insert(persons), made)
        known = session.execute(sa.select(persons.c.id, persons.c.uid, persons.c.personnel_code))
        refs = [PersonRef(r.id, r.uid, r.personnel_code, "A B") for r in known]
        for n in range(20):
            session.execute(sa.insert(groups), {"name": f"Team {n}", "name_key": f"team {n}"})
        members = [{"group_id": r.id % 20 + 1, "person_id": r.id} for r in refs]
        session.execute(sa.insert(group_members), members)
    return refs


def _working_days() -> list[date]:
    today = datetime.now(UTC).date()
    days = (today - timedelta(days=n) for n in range(1, 2 * DAYS))
    return sorted([d for d in days if d.weekday() < 5][:DAYS])


def _day(day: date, people: list[PersonRef], chance: random.Random) -> Iterator[Entry]:
    """In between seven and nine, out between four and six; a few strangers and acts."""
    begin = datetime.combine(day, clock_time(), UTC).timestamp()
    passages = [(begin + chance.uniform(7, 9) * 3600, p, Direction.ENTRY) for p in people]
    passages += [
        (begin + chance.uniform(16, 18) * 3600, p, Direction.EXIT)
        for p in people
        if chance.random() > FORGOTTEN
    ]
    for number, (at, person, way) in enumerate(sorted(passages, key=lambda x: x[0])):
        instant = Instant(at, at)
        yield decision_entry(
            Decision(
                instant, Outcome.GRANTED, Reason.GRANTED, person, 0.9, visit=number, direction=way
            ),
            "demo", "demo", "",
        )  # fmt: skip
        if number % 50 == 0:
            refused = Decision(instant, Outcome.DENIED, Reason.NO_MATCH, confidence=0.1)
            yield decision_entry(refused, "demo", "demo", "")
        if number % 500 == 0:
            actor = {"name": "the-admin", "address": "192.0.2.1"}
            yield Entry(instant, "signed_in", {}, {"actor": actor})


def _append(workspace: Workspace, entries: list[Entry]) -> None:
    with workspace.database.write() as session:
        workspace.journal.append(entries, session)


def addresses(client: httpx.Client) -> dict[str, list[str]]:
    """Page -> what it asks for when it is opened, as its module in `ui/static/js/screens` does."""
    rows = client.get("/api/persons?sort=last_name&limit=50").json()
    ids = ",".join(str(p["id"]) for p in rows)
    log = client.get("/api/attendance?limit=50").json()
    pictures = ",".join(str(r["id"]) for r in log)
    today = datetime.now(UTC).date()
    week = today - timedelta(days=today.weekday())
    last = today - timedelta(days=1 if today.weekday() else 3)
    month = today.replace(day=1)
    end = (month + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    at = f"from={today - timedelta(days=6)}T00:00:00Z&to={today + timedelta(days=1)}T00:00:00Z"
    someone = f"/api/persons/{rows[7]['id']}"
    whose = f"person_id={rows[7]['id']}"
    return {
        "Now": ["/api/gate", "/api/alarms?standing=true&limit=50", "/api/access/presence"],
        "People": [
            "/api/persons?sort=last_name&limit=50",
            f"/api/persons/overview?ids={ids}",
            "/api/groups",
        ],
        "People, search": ["/api/persons?q=byron&sort=last_name&limit=50"],
        "People, without photo": ["/api/persons?without_photo=true&sort=last_name&limit=50"],
        "People, consent missing": ["/api/persons?consent_missing=true&sort=last_name&limit=50"],
        "People, a group": ["/api/persons?group=Team 3&sort=last_name&limit=50"],
        "Person": [
            someone, f"{someone}/access", f"{someone}/credentials", f"{someone}/explain",
            f"/api/attendance/summary?{whose}&from={today - timedelta(days=13)}&to={today}",
        ],
        "Attendance, exceptions": [
            f"/api/attendance/exceptions?from={today - timedelta(days=6)}&to={last}&limit=50"
        ],
        "Attendance, a day": [
            f"/api/attendance/summary?from={last}&to={last}&by=day&limit=50",
            f"/api/attendance/arrivals?day={last}",
        ],
        "Attendance, the log": [
            f"/api/attendance?{at}&limit=50", f"/api/gate/pictures?ids={pictures}",
        ],
        "Attendance, months": [
            f"/api/attendance/summary/totals?from={month}&to={end}&limit=50"
        ],
        "Attendance, requests": ["/api/correction-requests?state=open&limit=200"],
        "A week of a person": [
            someone,
            f"/api/attendance/summary?{whose}&from={week}&to={week + timedelta(days=6)}",
            f"/api/attendance?{whose}&{at}&limit=500",
        ],
        "Rules": ["/api/groups", "/api/access/schedules", "/api/access/rules"],
        "Rules, holidays": ["/api/access/holidays"],
        "Alarms": ["/api/alarms?limit=500"],
        "Settings": ["/api/settings"],
        "Settings, accounts": ["/api/accounts", "/api/devices"],
        "Settings, audit": ["/api/audit?limit=50", "/api/audit?limit=50&kind=signed_in"],
        "Settings, jobs": ["/api/jobs"],
    }  # fmt: skip


def service_of(process: Process) -> int:
    """Return the process below the gate's that answers the API."""
    for thread in Path(f"/proc/{process.pid}/task").iterdir():
        for child in (thread / "children").read_text().split():
            if b"service" in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
    return process.pid


def cpu_of(pid: int) -> float:
    """Seconds of processor time of a process, to the microsecond."""
    waited = (Path(f"/proc/{pid}/task") / t / "schedstat" for t in os.listdir(f"/proc/{pid}/task"))
    return sum(int(one.read_text().split()[0]) for one in waited) / 1e9


def asked(client: httpx.Client, address: str, pid: int) -> tuple[float, float, int]:
    """Milliseconds of processor time and of the clock, and bytes; medians of `TIMES`."""
    cpu, wall, size = [], [], 0
    for _ in range(TIMES):
        rest = at_rest(pid, 0.2)
        before, began = cpu_of(pid), time.perf_counter()
        answer = client.get(address)
        took = time.perf_counter() - began
        cpu.append(max(0.0, cpu_of(pid) - before - rest * took) * 1000)
        wall.append(took * 1000)
        assert answer.status_code == 200, f"{address}: {answer.text}"
        size = len(answer.content)
    return statistics.median(cpu), statistics.median(wall), size


def at_rest(pid: int, seconds: float) -> float:
    """Which part of a core a process takes while nothing is asked of it."""
    before, began = cpu_of(pid), time.perf_counter()
    time.sleep(seconds)
    return (cpu_of(pid) - before) / (time.perf_counter() - began)


def measure(config: Path) -> None:
    """Run the gate and print the table."""
    with Process("--config", config) as process:
        given = {"username": "the-admin", "password": PASSWORD}
        with httpx.Client(base_url=address_of(process), trust_env=False, timeout=60) as client:
            token = client.post("/api/auth/login", json=given).json()["access_token"]
            client.headers["Authorization"] = f"Bearer {token}"
            pid = service_of(process)
            for _ in range(QUIET_AFTER_S):  # it reviews the journal after a start
                if (rest := at_rest(pid, 1)) < 0.05:
                    break
            print(f"at rest this process takes {rest:.2f} of a core")
            for page, wanted in addresses(client).items():
                for address in wanted:
                    cpu, wall, size = asked(client, address, pid)
                    shown = address if len(address) < 90 else f"{address[:87]}..."
                    print(f"| {page} | `{shown}` | {cpu:.0f} | {wall:.0f} | {size:,} |", flush=True)


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("folder", type=Path)
    folder = given.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "gate.yaml").exists():
        fill(demo_config(folder))
    measure(folder / "gate.yaml")


if __name__ == "__main__":
    main()
