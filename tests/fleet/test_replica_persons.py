"""A page of persons ends as if they had come one by one, whatever stands in their way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gated.database import change_feed as feed
from gated.database import stored_settings
from gated.database.engine import Database
from gated.database.tables import accounts, metadata, persons
from gated.fleet.gate import replica, replica_persons
from gated.fleet.wire import person_states
from gated.fleet.wire.states import AccessState, CredentialState, StoredEnrollment, StoredPerson
from gated.people import person_store
from tests.people.people import add_person

LOCAL = frozenset({"id", "uid", "created_at", "updated_at", "version", "at", "seq"})
ACCESS = AccessState(
    valid_from=None,
    valid_until=datetime(2030, 1, 1, tzinfo=UTC),
    visitor=True,
    face=True,
    two_factors=False,
    needs_escort=False,
    may_escort=False,
    exempt=False,
)


def enrollment(uid: str, path: str, **fields: Any) -> StoredEnrollment:
    given = {"model": "m1", "confidence": 0.5, "is_active": True, "image_path": None}
    return StoredEnrollment(**{"uid": uid, "encoding_path": path, **given, **fields})


def card(uid: str, digest: str) -> CredentialState:
    return CredentialState(
        uid=uid, kind="card", key_count=1, digest=digest, pin_hash=None, is_active=True,
        valid_from=None, valid_until=None,
    )  # fmt: skip


def given(number: int, **fields: Any) -> StoredPerson:
    usual: dict[str, Any] = {
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
        "groups": [("g1", "staff")],
        "enrollments": (enrollment(f"e{number}", f"x{number}"),),
        "access": ACCESS if number == 1 else None,
        "credentials": (card(f"k{number}", f"d{number}"),),
    }
    return StoredPerson(**{**usual, **fields})


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


def apply(db: Database, *people: StoredPerson, snapshot: int = 1) -> list[str]:
    with db.write() as session:
        return replica_persons.apply(session, people, snapshot)


def here(db: Database, uid: str) -> StoredPerson:
    with db.read() as session:
        (found,) = person_states.read(session, persons.c.uid == uid, from_hub=True)
    return found.model_copy(update={"version": 3})


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(f"sqlite:///{tmp_path / 'other.db'}")
    database.upgrade()
    yield database
    database.close()


def changes_of(n: int) -> list[dict[str, Any]]:
    """What may change of the person of this number, one by one."""
    return [
        {"last_name": "Lovelace"},
        {"leaves_on": None},
        {"groups": []},
        {"groups": [("g1", "staff"), ("g2", "guests")]},
        {"access": None},
        {"access": ACCESS.model_copy(update={"visitor": False})},
        {"credentials": ()},
        {"credentials": (card(f"k{n}", f"d{n}0"),)},
        {
            "enrollments": (
                enrollment(f"e{n}", f"x{n}", is_active=False),
                enrollment(f"e{n}0", f"x{n}0"),
            )
        },
        {"personnel_code": f"c{n}0", "is_active": False},
    ]


NUMBERS = range(1, len(changes_of(0)) + 1)


def test_a_page_ends_as_if_persons_had_come_one_by_one(sqlite: Database, other: Database) -> None:
    first = [given(n) for n in NUMBERS]
    second = [given(n, **changes_of(n)[n - 1]) for n in NUMBERS]
    assert apply(sqlite, *first) == []
    unneeded = apply(sqlite, *second, given(500), snapshot=2)
    for person in first:
        apply(other, person)
    left = [path for person in (*second, given(500)) for path in apply(other, person, snapshot=2)]
    assert content(sqlite) == content(other)
    assert unneeded == left == []
    with sqlite.read() as session:
        noted = feed.since(session, 0, 100)
    assert {c.uid for c in noted if c.kind == feed.PERSON} == {p.uid for p in (*first, given(500))}


def test_a_person_who_is_here_as_given_is_left_alone(sqlite: Database) -> None:
    people = [given(n) for n in (1, 2, 3)]
    apply(sqlite, *people)
    with sqlite.read() as session:
        stamp, end = stored_settings.gallery_stamp(session), feed.head(session).seq
    newer = [p.model_copy(update={"version": 9}) for p in people]
    assert apply(sqlite, *newer, snapshot=2) == []
    with sqlite.read() as session:
        assert replica.behind(session, 2) == [("group", "g1")]
        assert (stored_settings.gallery_stamp(session), feed.head(session).seq) == (stamp, end)


def test_a_person_who_is_given_otherwise_becomes_so(sqlite: Database) -> None:
    for changes in changes_of(1):
        apply(sqlite, given(1), given(2))
        assert here(sqlite, "p1") == given(1)
        changed = given(1, **changes)
        apply(sqlite, changed, given(2), snapshot=2)
        assert here(sqlite, "p1") == changed
        assert here(sqlite, "p2") == given(2)


def test_cards_are_exchanged_within_a_page(sqlite: Database) -> None:
    apply(sqlite, given(1), given(2))
    swapped = [given(n, credentials=(card(f"k{n}", f"d{3 - n}"),)) for n in (1, 2)]
    apply(sqlite, *swapped, snapshot=2)
    assert [here(sqlite, p.uid) for p in swapped] == swapped


def test_files_of_photos_that_went_or_were_replaced_are_not_needed(sqlite: Database) -> None:
    apply(sqlite, given(1, enrollments=(enrollment("e1", "x1"), enrollment("e8", "x8"))), given(2))
    renewed = given(1, enrollments=(enrollment("e1", "x7", image_path="i7"),))
    assert sorted(apply(sqlite, renewed, given(2), snapshot=2)) == ["x1", "x8"]


def names(db: Database) -> dict[str, Any]:
    with db.read() as session:
        c = persons.c
        found = session.execute(sa.select(c.uid, c.id, c.last_name, c.personnel_code, c.code_key))
        return {row.uid: row for row in found}


def test_people_and_cards_that_stand_in_the_way_are_moved(sqlite: Database) -> None:
    """One is here already, one is known by the code, a code and a card pass to another."""
    with sqlite.write() as session:
        mine = add_person(session, personnel_code="C2")
    apply(sqlite, given(1), given(4))
    page = [
        given(1, last_name="Lovelace"),
        given(2),
        given(3, personnel_code="c4", credentials=(card("k9", "d4"),)),
    ]
    assert apply(sqlite, *page) == []
    found = names(sqlite)
    with sqlite.read() as session:
        cards = session.execute(sa.text("SELECT uid, digest FROM credentials ORDER BY uid")).all()
    assert found["p1"].last_name == "Lovelace"
    assert (found["p2"].id, found["p2"].personnel_code) == (mine.id, "c2")
    assert found["p3"].personnel_code == "c4"
    assert found["p4"].personnel_code.startswith("c4~")
    assert [tuple(c) for c in cards] == [("k1", "d1"), ("k2", "d2"), ("k9", "d4")]


def test_codes_are_exchanged_within_a_page(sqlite: Database) -> None:
    apply(sqlite, given(1), given(2), given(3))
    page = [given(n, personnel_code=f"c{n % 3 + 1}") for n in (1, 2, 3)]
    apply(sqlite, *page, snapshot=2)
    found = names(sqlite)
    assert {uid: (r.personnel_code, r.code_key) for uid, r in found.items()} == {
        "p1": ("c2", "c2"),
        "p2": ("c3", "c3"),
        "p3": ("c1", "c1"),
    }


def test_codes_that_differ_in_spelling_alone_are_kept(sqlite: Database) -> None:
    pair = [given(1, personnel_code="abc"), given(2, personnel_code="ABC")]
    apply(sqlite, *pair)
    # neither order nor being named alone gives the key to the other one
    apply(sqlite, *(p.model_copy(update={"position": "Clerk"}) for p in reversed(pair)))
    apply(sqlite, pair[1].model_copy(update={"position": "Chief"}))
    found = names(sqlite)
    assert (found["p1"].personnel_code, found["p1"].code_key) == ("abc", "abc")
    assert found["p2"].personnel_code == "ABC"
    assert found["p2"].code_key.endswith("p2")
    # the key is free once the first one has another code
    apply(sqlite, given(1, personnel_code="xyz"), given(2, personnel_code="ABC"))
    assert names(sqlite)["p2"].code_key == "abc"


def test_of_two_persons_with_one_code_both_are_entered(sqlite: Database) -> None:
    """A hub of an older version may have codes that differ in what cannot be seen."""
    apply(sqlite, given(1, personnel_code="abc"), given(2, personnel_code="abc"))
    codes = {uid: row.personnel_code for uid, row in names(sqlite).items()}
    assert codes == {"p1": "abc~p1", "p2": "abc"}


def test_of_a_person_who_goes_and_is_needed_only_the_name_stays(sqlite: Database) -> None:
    apply(sqlite, given(1, department="Engines", position="Clerk"))
    with sqlite.write() as session:
        whose = sa.select(persons.c.id).where(persons.c.uid == "p1").scalar_subquery()
        session.execute(
            sa.insert(accounts).values(
                username="ada", username_key="ada", role="self", password_hash="!", person_id=whose
            )
        )
        assert replica.drop(session, "p1") == ["x1"]
        row = session.execute(sa.select(persons)).mappings().one()
    assert "Ada" in row["first_name"]
    said = [row[name] for name in person_store.OPTIONAL_TEXTS]
    assert said == [None] * len(said)
    assert len(said) >= 4
    assert (row["department_key"], row["is_active"]) == (None, False)
    assert "engines" not in row["search"]
    assert "ada" in row["search"]
