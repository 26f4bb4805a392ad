from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import date, timedelta

import pytest
from sqlalchemy.orm import Session

from gated.database import account_store
from gated.database.engine import Database
from gated.database.records import Person
from gated.database.tables import utcnow
from gated.errors import Conflict, NotFound
from gated.people import person_store
from tests.people.people import add_person


def test_names_are_found_and_unique_in_any_case(db: Database) -> None:
    with db.write() as session:
        made = account_store.add(session, "Grace", "operator", "hash")
        assert account_store.by_username(session, "gRACE") == made
        with pytest.raises(Conflict, match="already an account"):
            account_store.add(session, "GRACE", "viewer", "hash")
        account_store.add(session, "ada", "viewer", "hash")
        assert [a.username for a in account_store.list_(session)] == ["ada", "Grace"]
        assert account_store.by_username(session, "nobody") is None


def test_an_account_may_belong_to_a_person(db: Database) -> None:
    with db.write() as session:
        person = add_person(session)
        made = account_store.add(session, "ada", "self", "hash", person.id)
        assert account_store.list_(session, person_id=person.id) == [made]
        with pytest.raises(NotFound):
            account_store.add(session, "eve", "self", "hash", person.id + 1)


@pytest.mark.parametrize(
    ("change", "ends"),
    [
        (lambda s, i: account_store.touch(s, i), True),
        (lambda s, i: account_store.set_password(s, i, "new"), True),
        (lambda s, i: account_store.set_active(s, i, False), True),
        (lambda s, i: account_store.set_role(s, i, "viewer"), True),
        (
            lambda s, i: account_store.set_password(s, i, "stronger hash", ends_sessions=False),
            False,
        ),
    ],
)
def test_changes_end_sessions_by_the_version(
    db: Database, change: Callable[[Session, int], object], ends: bool
) -> None:
    with db.write() as session:
        before = account_store.add(session, "ada", "operator", "hash")
        change(session, before.id)
        after = account_store.get(session, before.id)
    assert (after.version != before.version) is ends
    assert after != before


@pytest.mark.parametrize(
    "remove",
    [
        lambda s, i: account_store.delete(s, i),
        lambda s, i: account_store.set_active(s, i, False),
        lambda s, i: account_store.set_role(s, i, "operator"),
    ],
)
def test_the_last_admin_stays(db: Database, remove: Callable[[Session, int], object]) -> None:
    with db.write() as session:
        first = account_store.add(session, "first", "admin", "hash")
        account_store.add(session, "asleep", "admin", "hash", is_active=False)
        with pytest.raises(Conflict, match="last admin"):
            remove(session, first.id)
        account_store.set_role(session, first.id, "admin")
        account_store.set_active(session, first.id, True)
        second = account_store.add(session, "second", "admin", "hash")
        remove(session, first.id)
        with pytest.raises(Conflict, match="last admin"):
            remove(session, second.id)


def _admin(session: Session, name: str) -> Person:
    person = person_store.add(session, first_name=name, last_name="", personnel_code=name)
    account_store.add(session, name, "admin", "hash", person.id)
    return person


def test_the_person_of_the_last_admin_stays_too(db: Database) -> None:
    def refuse_all(person: Person) -> None:
        with pytest.raises(Conflict, match="last admin"):
            person_store.set_active(session, person.id, False)
        with pytest.raises(Conflict, match="last admin"):
            person_store.update(session, person.id, leaves_on=date(2099, 1, 1))
        with pytest.raises(Conflict, match="last admin"), session.begin_nested():
            person_store.delete(session, person.id)

    with db.write() as session:
        anna = _admin(session, "anna")
        refuse_all(anna)
        # neither counts: nobody can sign in by them
        account_store.add(session, "nobody", "admin", account_store.NO_PASSWORD)
        carl = _admin(session, "carl")
        person_store.set_active(session, carl.id, False)
        refuse_all(anna)
        account = account_store.by_username(session, "anna")
        assert account is not None
        for remove in (
            lambda: account_store.delete(session, account.id),
            lambda: account_store.set_active(session, account.id, False),
            lambda: account_store.set_role(session, account.id, "operator"),
        ):
            with pytest.raises(Conflict, match="last admin"):
                remove()
        person_store.set_active(session, carl.id, True)
        person_store.set_active(session, anna.id, False)
        refuse_all(carl)


def test_an_account_outlasts_its_person_only_where_it_is_the_last_admins(db: Database) -> None:
    with db.write() as session:
        anna, carl = _admin(session, "anna"), _admin(session, "carl")
        assert account_store.keep_last_admin(session, anna.id) == []
        person_store.delete(session, anna.id)
        (kept,) = account_store.keep_last_admin(session, carl.id)
        assert (kept.username, kept.person_id) == ("carl", None)
        person_store.delete(session, carl.id)
        assert [a.username for a in account_store.list_(session)] == ["carl"]


def test_two_admins_cannot_remove_each_other_at_once(db: Database) -> None:
    def remove(id_: int) -> bool:
        try:
            with db.write() as session:
                account_store.delete(session, id_)
        except Conflict:
            return False
        return True

    with db.write() as session:
        ids = [account_store.add(session, f"admin {n}", "admin", "hash").id for n in range(2)]
    with ThreadPoolExecutor(1) as pool:
        with db.write() as session:
            account_store.delete(session, ids[0])
            other = pool.submit(remove, ids[1])
            wait([other], timeout=0.2)  # it must not decide before we have committed
        assert other.result() is False


def test_unknown_accounts_and_roles(db: Database) -> None:
    with db.write() as session:
        for use in (account_store.get, account_store.touch, account_store.delete):
            with pytest.raises(NotFound):
                use(session, 99)
        with pytest.raises(ValueError, match="god is no role"):
            account_store.add(session, "ada", "god", "hash")


def test_an_ended_session_is_known_until_it_would_have_expired(db: Database) -> None:
    now = utcnow()
    with db.write() as session:
        for _ in range(2):
            account_store.end_session(session, "one", now + timedelta(minutes=1), now)
        account_store.end_session(session, "other", now + timedelta(minutes=9), now)
        assert account_store.has_ended(session, "one")
        assert not account_store.has_ended(session, "none")
        later = now + timedelta(minutes=2)
        account_store.end_session(session, "third", now + timedelta(minutes=9), later)
        assert not account_store.has_ended(session, "one"), "it has expired: nobody needs to know"
        assert account_store.has_ended(session, "other")
