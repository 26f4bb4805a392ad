"""Accounts: who may sign in. There is always an active admin once there was one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from gated.errors import Conflict, NotFound
from gated.storage import editors, rows
from gated.storage.records import ROLES, Account, columns_of, record
from gated.storage.tables import accounts, ended_sessions, gates, new_uid, persons, utcnow

NO_PASSWORD = "!"  # noqa: S105
"""Stands in place of a hash and fits no password."""

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

    Conflict when the name is taken in any case, NotFound for the person.
    """
    _require_role(role)
    if person_id is not None and not rows.one(session, persons, [persons.c.id], id=person_id):
        raise NotFound(f"there is no person {person_id}")
    try:
        id_ = rows.insert(
            session,
            accounts,
            username=username,
            username_key=username.casefold(),
            role=role,
            password_hash=password_hash,
            person_id=person_id,
            is_active=is_active,
            uid=uid or new_uid(),
        )
    except IntegrityError as e:
        raise Conflict(f"there is already an account {username}") from e
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
    """The account with this name in any case, or None."""
    row = rows.one(session, accounts, _COLUMNS, username_key=username.casefold())
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


def list_(session: Session, *, person_id: int | None = None) -> list[Account]:
    """All accounts by name, or those of one person."""
    conditions = [] if person_id is None else [accounts.c.person_id == person_id]
    statement = sa.select(*_COLUMNS).where(*conditions).order_by(accounts.c.username_key)
    return [record(Account, r) for r in session.execute(statement)]


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
    editors.note(session, id_)
    if not active:
        _require_another_admin(session, id_)
    return _change(session, id_, is_active=active)


def set_role(session: Session, id_: int, role: str) -> Account:
    """Give an account another role; NotFound, Conflict for the last admin."""
    _require_role(role)
    editors.note(session, id_)
    if role != "admin":
        _require_another_admin(session, id_)
    return _change(session, id_, role=role)


def touch(session: Session, id_: int) -> Account:
    """Make void every token given out before; NotFound."""
    return _change(session, id_)


def end_session(session: Session, token_id: str, expires_at: datetime, now: datetime) -> None:
    """Note that a token is void until it expires by itself; twice is as good as once."""
    session.execute(sa.delete(ended_sessions).where(ended_sessions.c.expires_at <= now))
    values = {"token_id": token_id, "expires_at": expires_at}
    rows.insert_unless_there(session, ended_sessions, values, "token_id")


def has_ended(session: Session, token_id: str) -> bool:
    """Whether this token was made void before its time."""
    where = {"token_id": token_id}
    return rows.one(session, ended_sessions, [ended_sessions.c.token_id], **where) is not None


def delete(session: Session, id_: int) -> None:
    """Remove an account; NotFound, Conflict for the last admin."""
    editors.remove(session, id_)
    _require_another_admin(session, id_)
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
    """Conflict when `id_` is the only active admin."""
    get(session, id_)
    # locked, as two admins could otherwise remove each other at the same time
    admins = session.execute(
        sa.select(accounts.c.id)
        .where(accounts.c.role == "admin", accounts.c.is_active)
        .with_for_update()
    ).scalars()
    if set(admins) == {id_}:
        raise Conflict("this is the last admin: make another one first")
