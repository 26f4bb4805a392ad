"""Passkeys and spent challenges, on both engines."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from gated.database import account_store, passkey_store
from gated.database.engine import Database
from gated.database.records import Passkey
from gated.errors import NotFound, Taken

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


def added(db: Database, name: str = "phone", count: int = 0) -> Passkey:
    """Add an account of this name with one passkey of this name."""
    with db.write() as session:
        account = account_store.add(session, name, "viewer", "hash")
        return passkey_store.add(
            session,
            account.id,
            name,
            credential_id=f"id-{name}",
            user_handle=f"of-{name}",
            public_key="key",
            sign_count=count,
        )


def test_a_passkey_belongs_to_one_account(db: Database) -> None:
    phone, key = added(db, "phone"), added(db, "key")
    with db.write() as session:
        assert passkey_store.find(session, "id-phone") == phone
        assert passkey_store.find(session, "id-other") is None
        assert passkey_store.list_(session, key.account_id) == [key]
        with pytest.raises(NotFound):
            passkey_store.get(session, key.account_id, phone.id)
        with pytest.raises(Taken):
            passkey_store.add(
                session,
                key.account_id,
                "twice",
                credential_id="id-phone",
                user_handle="h",
                public_key="k",
                sign_count=0,
            )
        account_store.delete(session, phone.account_id)
        assert passkey_store.find(session, "id-phone") is None
        assert passkey_store.find(session, "id-key") == key


@pytest.mark.parametrize(
    ("stored", "told", "counts"),
    [(0, 0, True), (0, 1, True), (5, 6, True), (5, 5, False), (5, 4, False), (5, 0, False)],
)
def test_the_count_of_an_authenticator_grows_or_stays_nought(
    db: Database, stored: int, told: int, counts: bool
) -> None:
    passkey = added(db, count=stored)
    with db.write() as session:
        assert passkey_store.used(session, passkey.id, told, NOW) is counts
        found = passkey_store.get(session, passkey.account_id, passkey.id)
    assert (found.sign_count, found.last_used_at) == ((told, NOW) if counts else (stored, None))


def test_a_challenge_is_spent_once_by_whoever_comes_first(db: Database) -> None:
    later = NOW + timedelta(minutes=5)

    def spend(_: int) -> bool:
        with db.write() as session:
            return passkey_store.spend(session, "digest", later, NOW)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(spend, range(8))) == [False] * 7 + [True]
    with db.write() as session:
        # a clock in doubt lets nothing be forgotten
        assert not passkey_store.spend(session, "digest", later, None)
        assert passkey_store.spend(session, "other", later, None)
        # what is over counts nowhere, and goes with the next one
        assert passkey_store.spend(session, "digest", later, later)
