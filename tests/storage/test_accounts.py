from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from gated.errors import Conflict, NotFound
from gated.storage import accounts
from gated.storage.engine import Database
from gated.storage.tables import utcnow
from tests.storage.people import add_person


def test_names_are_found_and_unique_in_any_case(db: Database) -> None:
    with db.write() as session:
        made = accounts.add(session, "Grace", "operator", "hash")
        assert accounts.by_username(session, "gRACE") == made
        with pytest.raises(Conflict, match="already an account"):
            accounts.add(session, "GRACE", "viewer", "hash")
        accounts.add(session, "ada", "viewer", "hash")
        assert [a.username for a in accounts.list_(session)] == ["ada", "Grace"]
        assert accounts.by_username(session, "nobody") is None


def test_an_account_may_belong_to_a_person(db: Database) -> None:
    with db.write() as session:
        person = add_person(session)
        made = accounts.add(session, "ada", "self", "hash", person.id)
        assert accounts.list_(session, person_id=person.id) == [made]
        with pytest.raises(NotFound):
            accounts.add(session, "eve", "self", "hash", person.id + 1)


@pytest.mark.parametrize(
    ("change", "ends"),
    [
        (lambda s, i: accounts.touch(s, i), True),
        (lambda s, i: accounts.set_password(s, i, "new"), True),
        (lambda s, i: accounts.set_active(s, i, False), True),
        (lambda s, i: accounts.set_role(s, i, "viewer"), True),
        (lambda s, i: accounts.set_password(s, i, "stronger hash", ends_sessions=False), False),
    ],
)
def test_changes_end_sessions_by_the_version(
    db: Database, change: Callable[[Session, int], object], ends: bool
) -> None:
    with db.write() as session:
        before = accounts.add(session, "ada", "operator", "hash")
        change(session, before.id)
        after = accounts.get(session, before.id)
    assert (after.version != before.version) is ends
    assert after != before


@pytest.mark.parametrize(
    "remove",
    [
        lambda s, i: accounts.delete(s, i),
        lambda s, i: accounts.set_active(s, i, False),
        lambda s, i: accounts.set_role(s, i, "operator"),
    ],
)
def test_the_last_admin_stays(db: Database, remove: Callable[[Session, int], object]) -> None:
    with db.write() as session:
        first = accounts.add(session, "first", "admin", "hash")
        accounts.add(session, "asleep", "admin", "hash", is_active=False)
        with pytest.raises(Conflict, match="last admin"):
            remove(session, first.id)
        accounts.set_role(session, first.id, "admin")
        accounts.set_active(session, first.id, True)
        second = accounts.add(session, "second", "admin", "hash")
        remove(session, first.id)
        with pytest.raises(Conflict, match="last admin"):
            remove(session, second.id)


def test_two_admins_cannot_remove_each_other_at_once(db: Database) -> None:
    def remove(id_: int) -> bool:
        try:
            with db.write() as session:
                accounts.delete(session, id_)
        except Conflict:
            return False
        return True

    with db.write() as session:
        ids = [accounts.add(session, f"admin {n}", "admin", "hash").id for n in range(2)]
    with ThreadPoolExecutor(1) as pool:
        with db.write() as session:
            accounts.delete(session, ids[0])
            other = pool.submit(remove, ids[1])
            wait([other], timeout=0.2)  # it must not decide before we have committed
        assert other.result() is False


def test_unknown_accounts_and_roles(db: Database) -> None:
    with db.write() as session:
        for use in (accounts.get, accounts.touch, accounts.delete):
            with pytest.raises(NotFound):
                use(session, 99)
        with pytest.raises(ValueError, match="god is no role"):
            accounts.add(session, "ada", "god", "hash")


def test_an_ended_session_is_known_until_it_would_have_expired(db: Database) -> None:
    now = utcnow()
    with db.write() as session:
        for _ in range(2):
            accounts.end_session(session, "one", now + timedelta(minutes=1), now)
        accounts.end_session(session, "other", now + timedelta(minutes=9), now)
        assert accounts.has_ended(session, "one")
        assert not accounts.has_ended(session, "none")
        later = now + timedelta(minutes=2)
        accounts.end_session(session, "third", now + timedelta(minutes=9), later)
        assert not accounts.has_ended(session, "one"), "it has expired: nobody needs to know"
        assert accounts.has_ended(session, "other")
