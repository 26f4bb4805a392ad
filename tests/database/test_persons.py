from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gated.database import account_store, stored_settings
from gated.database.engine import Database
from gated.enrollment import enrollment_store
from gated.errors import Conflict, NotFound
from gated.people import person_store
from tests.people.people import add_person, enroll


def test_a_person_comes_back_as_given(db: Database) -> None:
    with db.write() as session:
        made = add_person(
            session,
            first_name="Ada",
            last_name="Lovelace",
            personnel_code="7",
            department="Engines",
            position="Countess",
            email="Ada@Example.org",
            phone="+44 1",
        )
    with db.read() as session:
        person = person_store.get(session, made.id)
        assert person_store.by_code(session, "7") == person
        assert person_store.by_email(session, "ada@example.ORG") == person
        assert person_store.by_code(session, "8") is None
    assert person == made
    assert (person.name, person.email, person.is_active) == (
        "Ada Lovelace",
        "Ada@Example.org",
        True,
    )
    assert person.ref.personnel_code == "7"
    assert uuid.UUID(person.uid).version == 7
    assert person.created_at == person.updated_at
    assert person.created_at.tzinfo is UTC
    assert abs((datetime.now(UTC) - person.created_at).total_seconds()) < 60


@pytest.mark.parametrize("id_", [0, -1, 99, 2**63, 10**30])
def test_an_unknown_person_is_not_found(db: Database, id_: int) -> None:
    with db.write() as session:
        with pytest.raises(NotFound):
            person_store.get(session, id_)
        with pytest.raises(NotFound):
            person_store.update(session, id_, phone="1")
        with pytest.raises(NotFound):
            person_store.delete(session, id_)
        assert enrollment_store.list_(session, person_id=id_) == []


def test_codes_and_addresses_are_unique_and_the_transaction_goes_on(db: Database) -> None:
    with db.write() as session:
        ada = add_person(session, personnel_code="7", email="ada@example.org")
        eve = add_person(session, personnel_code="8")
        add_person(session, email="")  # no address is no conflict
        add_person(session, email=None)
        with pytest.raises(Conflict, match=f"code 7 already belongs to person {ada.id}"):
            add_person(session, personnel_code="7")
        with pytest.raises(Conflict, match=f"ADA@example.org already belongs to person {ada.id}"):
            add_person(session, email="ADA@example.org")
        with pytest.raises(Conflict, match=f"code 7 already belongs to person {ada.id}"):
            person_store.update(session, eve.id, personnel_code="7")
        with pytest.raises(Conflict, match=f"already belongs to person {ada.id}"):
            person_store.update(session, eve.id, email="Ada@Example.org")
        person_store.update(session, eve.id, personnel_code="9")
    with db.read() as session:
        assert person_store.list_(session)[1] == 4
        assert person_store.get(session, eve.id).personnel_code == "9"


def test_an_update_changes_what_it_names(db: Database) -> None:
    with db.write() as session:
        before = add_person(session, department="Engines", email="a@b")
        after = person_store.update(session, before.id, last_name="Byron", email="")
    assert (after.last_name, after.email, after.department) == ("Byron", None, "Engines")
    assert (after.uid, after.created_at) == (before.uid, before.created_at)
    assert after.version == before.version + 1
    assert after.updated_at >= before.updated_at
    with db.read() as session:
        assert [p.id for p in person_store.list_(session, q="byron")[0]] == [before.id]
        assert person_store.by_email(session, "a@b") is None


def test_a_stale_update_is_refused(db: Database) -> None:
    with db.write() as session:
        person = add_person(session)
        person_store.update(session, person.id, expected_version=person.version, phone="1")
        with pytest.raises(Conflict, match="changed meanwhile"):
            person_store.update(session, person.id, expected_version=person.version, phone="2")
        assert person_store.get(session, person.id).phone == "1"


def test_what_cannot_be_changed_is_a_mistake(db: Database) -> None:
    with db.write() as session:
        person = add_person(session)
        with pytest.raises(ValueError, match="uid"):
            person_store.update(session, person.id, uid="x")
        with pytest.raises(ValueError, match="sorted"):
            person_store.list_(session, sort="phone; DROP TABLE persons")


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("emile", ["1"]),
        ("ÉMILE", ["1"]),
        ("zola emi", ["1"]),
        ("strasse", ["2"]),
        ("o'neil", ["3"]),
        ("100%", ["4"]),
        ("%", ["4"]),
        ("_", ["5"]),
        ("\\", ["6"]),
        ("", ["1", "2", "3", "4", "5", "6"]),
        ("   ", ["1", "2", "3", "4", "5", "6"]),
        ("nobody", []),
    ],
)
def test_search_copes_with_accents_case_and_wildcards(
    db: Database, q: str, found: list[str]
) -> None:
    names = [
        ("Émile", "Zola"),
        ("Jo", "Straße"),
        ("Pat", "O'Neil"),
        ("Max", "100%"),
        ("a_b", "c"),
        ("a\\b", "c"),
    ]
    with db.write() as session:
        for n, (first, last) in enumerate(names, 1):
            add_person(session, first_name=first, last_name=last, personnel_code=str(n))
    with db.read() as session:
        assert [p.personnel_code for p in person_store.list_(session, q=q)[0]] == found


def test_lists_are_filtered_sorted_and_paged(db: Database) -> None:
    with db.write() as session:
        for n in range(7):
            add_person(
                session,
                last_name="ABCDEFG"[n],
                department="x" if n % 2 else "y",
                is_active=n != 3,
            )

    def names(**how: Any) -> tuple[str, int]:
        with db.read() as session:
            rows, total = person_store.list_(session, **how)
        return "".join(p.last_name for p in rows), total

    assert names() == ("ABCDEFG", 7)
    assert names(sort="-last_name", limit=2) == ("GF", 7)
    assert names(limit=3, offset=5) == ("FG", 7)
    assert names(department="x") == ("BDF", 3)
    assert names(is_active=False) == ("D", 1)
    assert names(department="x", is_active=True, limit=1, offset=1) == ("F", 2)
    assert names(limit=0) == ("", 7)
    assert names(limit=10**30, offset=10**30) == ("", 7)


def test_deleting_takes_everything_along_and_ids_are_never_used_again(db: Database) -> None:
    with db.write() as session:
        keeper = add_person(session)
        kept = enroll(session, keeper)
        gone = add_person(session)
        photo = enroll(session, gone)
        account_store.add(session, "gone", "self", "hash", gone.id)
        assert sorted(person_store.delete(session, gone.id)) == sorted(photo.files)
        assert enrollment_store.known_files(session) == set(kept.files)
        assert account_store.by_username(session, "gone") is None
        assert add_person(session).id > gone.id


def test_the_last_admin_cannot_be_erased_with_the_person(db: Database) -> None:
    with db.write() as session:
        boss = add_person(session)
        account_store.add(session, "boss", "admin", "hash", boss.id)
        with pytest.raises(Conflict, match="last admin"):
            person_store.delete(session, boss.id)


def test_every_change_moves_the_gallery_stamp(db: Database) -> None:
    stamps = []
    with db.write() as session:

        def note() -> None:
            stamps.append(stored_settings.gallery_stamp(session))

        note()
        person = add_person(session)
        note()
        person_store.set_active(session, person.id, False)
        note()
        photo = enroll(session, person)
        note()
        enrollment_store.set_active(session, photo.id, False)
        note()
        enrollment_store.delete(session, photo.id)
        note()
        person_store.delete(session, person.id)
        note()
    assert stamps[0] is None
    assert len(set(stamps)) == 7


def test_of_many_who_add_the_same_code_one_wins(db: Database) -> None:
    def add(_: int) -> bool:
        try:
            with db.write() as session:
                add_person(session, personnel_code="wanted")
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(12) as pool:
        assert sum(pool.map(add, range(12))) == 1


def test_an_enrollment_comes_back_as_given(db: Database) -> None:
    with db.write() as session:
        person = add_person(session)
        photo = enroll(
            session, person, quality={"sharpness": 0.5, "flaws": ["blur"]}, image_sha256="ab"
        )
        assert enrollment_store.get(session, photo.id) == photo
        assert enrollment_store.list_(session, image_sha256="ab") == [photo]
        assert enrollment_store.list_(session, person_id=person.id, is_active=True) == [photo]
        assert enrollment_store.list_(session, is_active=False) == []
        changed = enrollment_store.update(session, photo.id, face_image_path=None, model="m2")
        assert changed.files == (photo.face_encoding_path,)
        with pytest.raises(ValueError, match="person_id"):
            enrollment_store.update(session, photo.id, person_id=7)
        with pytest.raises(NotFound):
            enroll(session, replace(person, id=person.id + 1000))
    assert photo.quality == {"sharpness": 0.5, "flaws": ["blur"]}


def test_gallery_rows_are_the_active_templates_of_one_model(db: Database) -> None:
    with db.write() as session:
        ada = add_person(session, first_name="Ada", last_name="L")
        eve = add_person(session, is_active=False)
        second, first = enroll(session, eve), enroll(session, ada)
        enroll(session, ada, is_active=False)
        enroll(session, ada, model="m2")
        enroll(session, ada, face_encoding_path=None)
        rows = enrollment_store.gallery_rows(session, "m1")
    assert [(r.enrollment_id, r.person_id, r.person_active) for r in rows] == [
        (first.id, ada.id, True),
        (second.id, eve.id, False),
    ]
    assert (rows[0].name, rows[0].person_uid, rows[0].personnel_code) == (
        "Ada L",
        ada.uid,
        ada.personnel_code,
    )
