from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from gated.attendance import attendance_store
from gated.core.values import Direction, Instant
from gated.database.engine import Database
from gated.database.records import AttendanceRow, Person
from gated.errors import NotFound
from gated.journal.journal import Journal
from tests.people.people import add_person, entry

START = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)


def _at(minutes: float) -> Instant:
    return Instant(minutes * 60, (START + timedelta(minutes=minutes)).timestamp())


@pytest.fixture
def people(journal: Journal) -> list[Person]:
    """Two persons and a stranger, a minute apart, three times round."""
    with journal.db.write() as session:
        found = [add_person(session) for _ in range(2)]
    for n in range(9):
        who = [*(p.ref for p in found), None][n % 3]
        journal.append(
            [entry(who, _at(n), direction=Direction.EXIT if n >= 6 else Direction.ENTRY)]
        )
    return found


def _listed(db: Database, **how: Any) -> list[AttendanceRow]:
    with db.read() as session:
        return attendance_store.list_(session, **how)


def _minutes(rows: list[AttendanceRow]) -> list[int]:
    return [int((r.created_at - START).total_seconds() // 60) for r in rows]


@pytest.mark.usefixtures("people")
def test_the_newest_come_first(db: Database) -> None:
    assert _minutes(_listed(db)) == [8, 7, 6, 5, 4, 3, 2, 1, 0]


def test_filters(db: Database, people: list[Person]) -> None:
    assert _minutes(_listed(db, person_id=people[1].id)) == [7, 4, 1]
    assert _minutes(_listed(db, status="denied")) == [8, 5, 2]
    assert _minutes(_listed(db, direction="exit")) == [8, 7, 6]
    assert _minutes(_listed(db, direction="exit", status="granted")) == [7, 6]
    assert len(_listed(db, gate_name="front door")) == 9
    assert _listed(db, gate_name="back door") == []
    assert _listed(db, person_id=10**30) == []
    one, four = (START + timedelta(minutes=m) for m in (1, 4))
    assert _minutes(_listed(db, from_=one, to=four)) == [3, 2, 1]
    elsewhere = four.astimezone(tz=None)
    assert _minutes(_listed(db, from_=elsewhere)) == [8, 7, 6, 5, 4]


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("size", [1, 2, 4, 9, 20])
def test_pages_follow_each_other_without_gap_or_double(
    db: Database, journal: Journal, size: int
) -> None:
    journal.append([entry(at=_at(3)) for _ in range(4)])  # many at the same moment
    paged: list[AttendanceRow] = []
    after = None
    while rows := _listed(db, limit=size, after=after):
        paged += rows
        after = rows[-1].created_at, rows[-1].id
        journal.append([entry(at=_at(99))])  # newer rows do not shift the pages
    assert len(paged) == len({r.id for r in paged}) == 13
    assert paged == sorted(paged, key=lambda r: (r.created_at, r.id), reverse=True)


def test_rows_that_were_corrected_show_when_asked_for(db: Database, people: list[Person]) -> None:
    rows = _listed(db, person_id=people[0].id)
    with db.write() as session:
        hide = "UPDATE attendance_logs SET superseded_by = :n WHERE id = :o"
        session.execute(sa.text(hide), {"o": rows[0].id, "n": rows[1].id})
    assert _listed(db, person_id=people[0].id) == rows[1:]
    assert len(_listed(db, person_id=people[0].id, raw=True)) == 3


def test_last_punches(db: Database, people: list[Person]) -> None:
    ada, eve = people
    with db.read() as session:
        found = attendance_store.last_punches(session, START)
        assert {id_: (p.direction, p.utc) for id_, p in found.items()} == {
            ada.id: (Direction.EXIT, _at(6).utc),
            eve.id: (Direction.EXIT, _at(7).utc),
        }
        assert attendance_store.last_punches(session, START + timedelta(minutes=6.5)).keys() == {
            eve.id
        }
        assert attendance_store.last_punches(session, START + timedelta(hours=1)) == {}


def test_denials_are_no_punches(db: Database, journal: Journal, people: list[Person]) -> None:
    from gated.core.values import Outcome, Reason

    ada = people[0]
    journal.append(
        [entry(ada.ref, _at(30), outcome=Outcome.DENIED, reason=Reason.COOLDOWN)],
    )
    with db.read() as session:
        last = attendance_store.last_punches(session, START)[ada.id]
        assert (last.direction, last.utc) == (Direction.EXIT, _at(6).utc)


@pytest.mark.usefixtures("people")
def test_one_row(db: Database) -> None:
    newest = _listed(db, limit=1)[0]
    with db.read() as session:
        assert attendance_store.get(session, newest.id) == newest
        with pytest.raises(NotFound):
            attendance_store.get(session, 10**30)


def test_pages_use_an_index(sqlite: Database) -> None:
    """A million rows must not be sorted for a first page."""
    seen: list[str] = []
    sa.event.listen(
        sqlite.engine,
        "before_cursor_execute",
        lambda c, cur, statement, params, ctx, many: seen.append(_plan(cur, statement, params)),
    )
    now = datetime.now(UTC)
    filters: list[dict[str, Any]] = [
        {},
        {"person_id": 1},
        {"gate_name": "g"},
        {"status": "denied"},
        {"status": "granted"},
        {"direction": "exit"},
        {"gate_name": "g", "direction": "exit", "status": "granted"},
        {"after": (now, 7)},
        {"from_": now, "to": now},
        {"person_id": 1, "after": (now, 7), "from_": now},
    ]
    for how in filters:
        seen.clear()
        _listed(sqlite, limit=50, **how)
        plan = "".join(seen)
        assert "USING INDEX ix_attendance_logs_" in plan, (how, plan)
        assert "TEMP B-TREE" not in plan, (how, plan)


@pytest.mark.parametrize(
    ("how", "index"),
    [
        ({"person_id": 1, "status": "granted", "direction": "exit"}, "person_id_created_at_id"),
        ({"gate_name": "g", "direction": "exit"}, "gate_name_direction_created_at_id"),
        ({"gate_name": "g", "status": "granted"}, "gate_name_created_at_id"),
        ({"gate_name": "g", "status": "denied"}, "status_created_at_id_gate_name_direction"),
        ({"direction": "exit", "status": "granted"}, "direction_created_at_id"),
    ],
)
def test_the_index_is_that_of_the_rarer_value(
    sqlite: Database, how: dict[str, Any], index: str
) -> None:
    seen: list[str] = []
    sa.event.listen(
        sqlite.engine,
        "before_cursor_execute",
        lambda c, cur, statement, params, ctx, many: seen.append(_plan(cur, statement, params)),
    )
    _listed(sqlite, limit=50, **how)
    assert f"USING INDEX ix_attendance_logs_{index} " in "".join(seen)


def test_who_punched_and_when(db: Database, people: list[Person]) -> None:
    ada, eve = people
    begin, end = START, START + timedelta(hours=1)
    with db.read() as session:
        assert attendance_store.who_punched(session, begin, end, limit=9) == people
        assert attendance_store.who_punched(session, begin, end, limit=1) == [ada]
        assert attendance_store.who_punched(session, begin, end, after=ada.id, limit=9) == [eve]
        assert attendance_store.who_punched(session, begin, end, person_id=eve.id, limit=9) == [eve]
        assert attendance_store.who_punched(session, begin, end, department="none", limit=9) == []
        assert attendance_store.who_punched(session, begin, begin, limit=9) == []
        six = START + timedelta(minutes=6)
        found = attendance_store.punches(session, [ada.id, eve.id, 10**6], begin, six)
        minutes = {
            id_: [(p.at - START) // timedelta(minutes=1) for p in some]
            for id_, some in found.items()
        }
        assert minutes == {ada.id: [0, 3], eve.id: [1, 4], 10**6: []}
        assert attendance_store.names(session, [eve.id, 10**6]) == {
            eve.id: (eve.personnel_code, eve.last_name, eve.first_name, eve.department)
        }


def _plan(cursor: Any, statement: str, params: Any) -> str:
    if not statement.startswith("SELECT"):
        return ""
    cursor.execute(f"EXPLAIN QUERY PLAN {statement}", params)
    return " ".join(row[3] for row in cursor.fetchall())
