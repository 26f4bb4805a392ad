"""Many at once are entered as they would be one by one."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gated.storage import carried, mirror, newcomers, settings
from gated.storage import changes as feed
from gated.storage.carried import CarriedCredential, CarriedEnrollment
from gated.storage.engine import Database
from gated.storage.mirror import MirroredPerson
from gated.storage.tables import metadata
from tests.storage.people import add_person

LOCAL = frozenset({"id", "uid", "created_at", "updated_at", "version", "at", "seq"})
ACCESS = {
    "valid_from": None,
    "valid_until": datetime(2030, 1, 1, tzinfo=UTC),
    "visitor": True,
    "face": True,
    "two_factors": False,
    "needs_escort": False,
    "may_escort": False,
    "exempt": False,
}


def told(number: int, **fields: Any) -> MirroredPerson:
    given: dict[str, Any] = {
        "uid": f"p{number}",
        "version": 3,
        "first_name": "Ada",
        "last_name": f"Býron {number}",
        "personnel_code": f"c{number}",
        "department": "Engines",
        "position": None,
        "is_active": True,
        "leaves_on": date(2031, 2, 3),
        "extended_unlock": number == 1,
        "groups": {"g1": "staff"},
        "enrollments": [CarriedEnrollment(f"e{number}", "m1", 0.5, True, f"x{number}", None)],
        "access": ACCESS if number == 1 else None,
        "credentials": [
            CarriedCredential(f"k{number}", "card", 1, f"d{number}", None, True, None, None)
        ],
    }
    return MirroredPerson(**{**given, **fields})


def content(db: Database) -> dict[str, list[str]]:
    """What stands in the tables that persons hang on, whatever numbers and times it got."""
    found = {}
    with db.read() as session:
        for table in metadata.sorted_tables:
            columns = [c for c in table.c if c.name not in LOCAL]
            if columns:
                found[table.name] = sorted(map(repr, session.execute(sa.select(*columns))))
    del found["settings"], found["changes"]
    return found


def test_many_at_once_are_entered_as_one_by_one(sqlite: Database, tmp_path: Path) -> None:
    people = [told(n) for n in (1, 2, 3)]
    other = Database.open(f"sqlite:///{tmp_path / 'other.db'}")
    other.upgrade()
    with sqlite.write() as session:
        assert newcomers.put_all(session, people, 1) == []
    with other.write() as session:
        for person in people:
            mirror.put(session, person, 1)
    assert content(sqlite) == content(other)
    other.close()
    with sqlite.read() as session:
        noted = feed.since(session, 0, 100)
        assert {c.uid for c in noted if c.kind == feed.PERSON} == {"p1", "p2", "p3"}


def test_who_is_as_told_already_is_left_alone(sqlite: Database) -> None:
    people = [told(n) for n in (1, 2, 3)]
    with sqlite.write() as session:
        newcomers.put_all(session, people, 1)
    with sqlite.read() as session:
        stamp, end = settings.gallery_stamp(session), feed.head(session).seq
    with sqlite.write() as session:
        assert newcomers.put_all(session, people, 2) == []
        assert mirror.behind(session, 2) == [("group", "g1")]
    with sqlite.read() as session:
        assert (settings.gallery_stamp(session), feed.head(session).seq) == (stamp, end)


@pytest.mark.parametrize(
    "fields",
    [
        {"last_name": "Lovelace"},
        {"leaves_on": None},
        {"groups": {}},
        {"access": None},
        {"credentials": []},
        {"enrollments": [CarriedEnrollment("e1", "m1", 0.5, False, "x1", None)]},
    ],
)
def test_whoever_is_told_otherwise_becomes_so(sqlite: Database, fields: dict[str, Any]) -> None:
    changed = told(1, **fields)
    with sqlite.write() as session:
        newcomers.put_all(session, [told(1), told(2)], 1)
        newcomers.put_all(session, [changed, told(2)], 2)
        here = carried.present(session, ["p1"])["p1"]
    found = {name: getattr(here, name) for name in fields}
    if "groups" in found:
        found["groups"] = dict(found["groups"])
    if "access" in fields:
        assert here.access is None
    assert {k: list(v) if isinstance(v, tuple) else v for k, v in found.items()} == fields


def test_what_stands_in_the_way_of_some_is_dealt_with(sqlite: Database) -> None:
    """One is here already, one is known by the code, a code and a card pass to another."""
    with sqlite.write() as session:
        mine = add_person(session, personnel_code="c2")
        newcomers.put_all(session, [told(1), told(4)], 1)
    card = CarriedCredential("k9", "card", 1, "d4", None, True, None, None)
    page = [
        told(1, last_name="Lovelace"),
        told(2),
        told(3, personnel_code="c4", credentials=[card]),
    ]
    with sqlite.write() as session:
        assert newcomers.put_all(session, page, 1) == []
        people = sa.text("SELECT uid, id, last_name, personnel_code FROM persons")
        found = {row.uid: row for row in session.execute(people)}
        cards = session.execute(sa.text("SELECT uid, digest FROM credentials ORDER BY uid")).all()
    assert found["p1"].last_name == "Lovelace"
    assert found["p2"].id == mine.id
    assert found["p3"].personnel_code == "c4"
    assert found["p4"].personnel_code.startswith("c4~")
    assert [tuple(c) for c in cards] == [("k1", "d1"), ("k2", "d2"), ("k9", "d4")]
