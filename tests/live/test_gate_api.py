"""The gate's state and the attendance log over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gated.core.clock import Known
from gated.core.messages import Decision
from gated.core.values import Direction, Instant, Outcome, PersonRef, Reason
from gated.journal.clock_store import ClockRecord, put
from gated.journal.journal import decision_entry
from gated.link.status_board import view_of
from gated.live.clock_trust import ClockKeeper, status_fields
from tests.changes import done_by
from tests.fixtures.server import Running, running

NOW = 1_800_000_000.0
ROWS = 25


def decision(n: int, person: PersonRef | None) -> Decision:
    return Decision(
        at=Instant(1000.0 + n, NOW + n),
        outcome=Outcome.GRANTED if person else Outcome.DENIED,
        reason=Reason.GRANTED if person else Reason.NO_MATCH,
        person=person,
        confidence=0.5,
        direction=Direction.EXIT if n % 2 else Direction.ENTRY,
        visit=n,
        first_seen=999.0 + n,
    )


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("state")) as server:
        fields = {"first_name": "Anna", "last_name": "A", "personnel_code": "E1"}
        anna = done_by("test", server.services.people.create, fields).ref
        server.services.workspace.journal.append(
            [
                decision_entry(decision(n, anna if n % 5 else None), "north", "cam", "works")
                for n in range(ROWS)
            ]
        )
        yield server


@pytest.fixture
def client(filled: Running) -> Iterator[httpx.Client]:
    with filled.client("viewer") as client:
        yield client


def test_without_a_limit_everything_comes_newest_first(client: httpx.Client) -> None:
    answer = client.get("/api/attendance")
    rows = answer.json()
    assert [r["id"] for r in rows] == list(range(ROWS, 0, -1))
    assert "Link" not in answer.headers
    assert (
        rows[0]
        | {
            "gate_name": "north",
            "camera_name": "cam",
            "direction": "entry",
            "status": "granted",
            "reason": "granted",
            "confidence_score": 0.5,
            "created_at": "2027-01-15T08:00:24Z",
            "person_id": 1,
        }
        == rows[0]
    )
    assert (rows[4]["status"], rows[4]["person_id"]) == ("denied", None)


def test_a_long_list_is_streamed_in_chunks_without_a_seam(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = client.get("/api/attendance").json()
    for size in (1, 7, ROWS, ROWS + 1):
        monkeypatch.setattr("gated.attendance.routes.CHUNK", size)
        assert client.get("/api/attendance").json() == whole
    assert client.get("/api/attendance?person_id=77").json() == []


def test_pages_are_led_on_by_link(client: httpx.Client) -> None:
    whole = client.get("/api/attendance?direction=exit").json()
    address, seen, pages = "/api/attendance?limit=5&direction=exit", [], 0
    while True:
        answer = client.get(address)
        seen += answer.json()
        pages += 1
        if "next" not in answer.links:
            break
        address = answer.links["next"]["url"]
        assert address.startswith("/api/attendance?")
    assert seen == whole
    assert pages == 3


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("person_id=1", 20),
        ("status=denied", 5),
        ("direction=entry", 13),
        ("gate_name=north", 25),
        ("gate_name=south", 0),
        ("from=2027-01-15T08:00:20Z", 5),
        ("to=2027-01-15T08:00:20Z", 20),
        ("from=2027-01-15T09:00:20%2B01:00&to=2027-01-15T08:00:22Z", 2),
        ("status=denied&direction=exit", 2),
    ],
)
def test_filters(client: httpx.Client, query: str, count: int) -> None:
    assert len(client.get(f"/api/attendance?{query}").json()) == count


def test_the_gate_tells_its_state(filled: Running, client: httpx.Client) -> None:
    board = filled.services.board
    board.publish(camera="opened", door="locked", model="sface", pad_model="p", people=2)
    board.count("frames", 3)
    board.add_decision(view_of(decision(0, PersonRef(1, "u", "E1", "Anna A")), 1000.2))
    board.add_decision(view_of(decision(1, None), None))
    state = client.get("/api/gate").json()
    assert (state["name"], state["site"], state["role"]) == ("north", "works", "gate")
    assert (state["camera"], state["door"], state["people"]) == ("opened", "locked", 2)
    assert (state["liveness"], state["problems"]) == ("normal", [])
    assert state["counters"]["frames"] == 3
    last, first = state["decisions"]
    assert (last["outcome"], last["reason"], last["person"]) == ("denied", "no_match", None)
    assert first["person"] == {"id": 1, "uid": "u", "personnel_code": "E1", "name": "Anna A"}
    assert (first["decided_after_ms"], first["relay_after_ms"]) == (1000.0, 1200.0)
    board.publish(camera="lost")
    assert client.get("/api/gate").json()["problems"] == ["camera_lost"]
    health = client.get("/health")
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    assert health.json()["problems"] == ["camera_lost"]


def test_a_broken_database_is_a_503(tmp_path: Path) -> None:
    with running(tmp_path / "state") as server, server.client("viewer") as client:
        assert client.get("/api/attendance").status_code == 200
        server.services.workspace.database.close()
        for file in (tmp_path / "state").glob("attendance.db*"):
            file.write_bytes(b"not a database at all" * 300)
        answer = client.get("/api/attendance")
        assert (answer.status_code, answer.json()["code"]) == (503, "storage")
        health = client.get("/health")
        assert (health.status_code, health.json()["status"]) == (503, "unavailable")
        assert health.json()["problems"] == ["database_damaged"]


def test_an_admin_confirms_the_clock(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        keeper = ClockKeeper.of(server.services.workspace)
        now = server.services.workspace.clock.now()
        known = Known(now.utc - 7200, now.mono, server.services.workspace.journal.boot)
        with server.services.workspace.database.write() as session:
            put(session, ClockRecord(known))
        server.services.board.publish(**status_fields(keeper.look()))
        with server.client("viewer") as viewer, server.client("admin") as admin:
            state = viewer.get("/api/gate").json()
            assert (state["clock"], state["problems"]) == ("doubtful", ["clock_doubtful"])
            assert "2 hours" in state["clock_doubt"]
            assert (state["clock_reason"], round(state["clock_off_s"], -2)) == ("leapt", 7200)
            assert viewer.get("/health").json()["problems"] == ["clock_doubtful"]
            assert viewer.post("/api/gate/clock/confirm").status_code == 403
            confirmed = admin.post("/api/gate/clock/confirm")
            assert confirmed.json()["clock"] == "trusted"
            assert confirmed.json()["clock_doubt"] == confirmed.json()["clock_reason"] == ""
            assert viewer.get("/health").json()["problems"] == []
