"""Accounts: who may sign in. There is always an active admin once there was one."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from gated.core.text import clean_code, code_key, sort_key
from gated.database import editor_store, identity_store, passkey_store, rows
from gated.database.records import ROLES, Account, columns_of, record
from gated.database.tables import accounts, ended_sessions, gates, new_uid, persons, utcnow
from gated.errors import LastAdmin, NotFound, Taken

log = logging.getLogger(__name__)

NO_PASSWORD = "!"  # noqa: S105
"""Stands in place of a hash and fits no password."""

LAST_ADMIN = "this is the last admin: make another one first"

_COLUMNS = columns_of(Account, accounts)


def add(
    session: Session,
    username: str,
    role: str,
    password_hash: str,
    person_id: int | None = None,
    is_active: bool = True,
    uid: str | None = None,
) -> Account:
    """Add an account, of this uid or a new one.

    Conflict when the name is taken in any spelling, NotFound for the person; TextRefused.
    """
    _require_role(role)
    username = clean_code(username, "username")
    if person_id is not None and not rows.one(session, persons, [persons.c.id], id=person_id):
        raise NotFound(f"there is no person {person_id}")
    try:
        id_ = rows.insert(
            session,
            accounts,
            username=username,
            username_key=code_key(username),
            role=role,
            password_hash=password_hash,
            person_id=person_id,
            is_active=is_active,
            uid=uid or new_uid(),
        )
    except IntegrityError as e:
        raise Taken(f"there is already an account {username}") from e
    return get(session, id_)


def get(session: Session, id_: int) -> Account:
    """The account with this id, or NotFound."""
    row = rows.one(session, accounts, _COLUMNS, id=id_)
    if row is None:
        raise NotFound(f"there is no account {id_}")
    return record(Account, row)


def find(session: Session, id_: int) -> Account | None:
    """The account with this id, or None."""
    row = rows.one(session, accounts, _COLUMNS, id=id_)
    return row and record(Account, row)


def by_username(session: Session, username: str) -> Account | None:
    """The account with this name in any spelling, or None."""
    row = rows.one(session, accounts, _COLUMNS, username_key=code_key(username))
    return row and record(Account, row)


def by_uid(session: Session, uid: str) -> Account | None:
    """The account with this uid, or None."""
    row = rows.one(session, accounts, _COLUMNS, uid=uid)
    return row and record(Account, row)


def by_token_digest(session: Session, digest: str) -> Account | None:
    """The account whose long token has this digest, or None."""
    row = rows.one(session, accounts, _COLUMNS, token_digest=digest)
    return row and record(Account, row)


def set_token_digest(session: Session, id_: int, digest: str) -> Account:
    """Give an account another long token; the one before is void. NotFound."""
    return _change(session, id_, token_digest=digest)


def saw(session: Session, id_: int, at: datetime) -> None:
    """Note when an account was last there: nobody has changed it, so its version stays."""
    session.execute(sa.update(accounts).where(accounts.c.id == id_).values(last_seen_at=at))


def list_(session: Session, *, person_id: int | None = None) -> list[Account]:
    """All accounts by name, or those of one person."""
    conditions = [] if person_id is None else [accounts.c.person_id == person_id]
    statement = sa.select(*_COLUMNS).where(*conditions)
    found = [record(Account, r) for r in session.execute(statement)]
    return sorted(found, key=lambda a: (sort_key(a.username), a.id))


def set_password(
    session: Session, id_: int, password_hash: str, *, ends_sessions: bool = True
) -> Account:
    """Store another hash; tokens given out before are void unless the password stays. NotFound."""
    get(session, id_)
    if ends_sessions:
        return _change(session, id_, password_hash=password_hash)
    session.execute(
        sa.update(accounts).where(accounts.c.id == id_).values(password_hash=password_hash)
    )
    return get(session, id_)


def set_active(session: Session, id_: int, active: bool) -> Account:
    """Switch an account on or off; NotFound, Conflict for the last admin."""
    if not active:
        _require_another_admin(session, id_)
    editor_store.note(session, id_)
    return _change(session, id_, is_active=active)


def set_role(session: Session, id_: int, role: str) -> Account:
    """Give an account another role; NotFound, Conflict for the last admin."""
    _require_role(role)
    if role != "admin":
        _require_another_admin(session, id_)
    editor_store.note(session, id_)
    return _change(session, id_, role=role)


def touch(session: Session, id_: int) -> Account:
    """Make void every token given out before; NotFound."""
    return _change(session, id_)


def end_session(
    session: Session, token_id: str, expires_at: datetime, now: datetime | None
) -> None:
    """Note that a token is void until it expires by itself; twice is as good as once.

    now: None while the time is not known: what is forgotten then could come to life again.
    """
    if now is not None:
        session.execute(sa.delete(ended_sessions).where(ended_sessions.c.expires_at <= now))
    values = {"token_id": token_id, "expires_at": expires_at}
    rows.insert_unless_there(session, ended_sessions, values, "token_id")


def has_ended(session: Session, token_id: str) -> bool:
    """Return whether this token was made void before its time."""
    where = {"token_id": token_id}
    return rows.one(session, ended_sessions, [ended_sessions.c.token_id], **where) is not None


def delete(session: Session, id_: int) -> None:
    """Remove an account; NotFound, Conflict for the last admin."""
    _require_another_admin(session, id_)
    editor_store.remove(session, id_)
    identity_store.remove(session, id_)
    passkey_store.remove_all(session, id_)
    void = {"account_id": None, "revoked_at": utcnow()}
    session.execute(sa.update(gates).where(gates.c.account_id == id_).values(**void))
    session.execute(sa.delete(accounts).where(accounts.c.id == id_))


def _change(session: Session, id_: int, **values: Any) -> Account:
    get(session, id_)
    rows.change(session, accounts, id_, **values)
    return get(session, id_)


def _require_role(role: str) -> None:
    if role not in ROLES:
        raise ValueError(f"{role} is no role: use one of {', '.join(ROLES)}")


def _require_another_admin(session: Session, id_: int) -> None:
    """Conflict when `id_` is an admin, and no other one can sign in."""
    account = get(session, id_)
    if account.role == "admin" and account.is_active and not set(_admins(session)) - {id_}:
        raise LastAdmin(LAST_ADMIN)


def require_admin_beside(session: Session, person_id: int) -> None:
    """Conflict when nobody but this person could sign in as an admin."""
    if _has_last_admin(session, person_id):
        raise LastAdmin(LAST_ADMIN)


def keep_last_admin(session: Session, person_id: int) -> list[Account]:
    """Take the last admin's account from a person who is about to go; returns what was kept.

    Not for a request of somebody here, who can make another admin first: for what a date or
    the hub brings about, and cannot wait. The account stays as nobody's in particular.
    """
    if not _has_last_admin(session, person_id):
        return []
    kept = [a for a in list_(session, person_id=person_id) if a.role == "admin" and a.is_active]
    for account in kept:
        log.warning(
            "%s is the last admin: the account stays though its person goes; make another admin, "
            "then disable it",
            account.username,
        )
    return [_change(session, account.id, person_id=None) for account in kept]


def _has_last_admin(session: Session, person_id: int) -> bool:
    own = sa.select(accounts.c.id).where(
        accounts.c.person_id == person_id, accounts.c.role == "admin", accounts.c.is_active
    )
    if session.execute(own.limit(1)).first() is None:
        return False  # the lock is for those whom it concerns
    return not set(_admins(session).values()) - {person_id}


def _admins(session: Session) -> dict[int, int | None]:
    """id -> person of the admins who can sign in.

    Locked, as two admins could otherwise remove each other at the same time.
    """
    a = accounts.c
    found = sa.select(a.id, a.person_id).where(
        a.role == "admin", a.is_active, a.password_hash != NO_PASSWORD
    )
    locked = session.execute(found.order_by(a.id).with_for_update())
    admins = {row.id: row.person_id for row in locked}
    theirs = {p for p in admins.values() if p is not None}
    off = sa.select(persons.c.id).where(persons.c.id.in_(theirs), ~persons.c.is_active)
    gone = set(session.execute(off).scalars())
    return {id_: person for id_, person in admins.items() if person not in gone}
