"""JSON values by key, among them the stamp that changes whenever the gallery's source does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.database import rows
from gated.database.locks import RowLock, claim
from gated.database.tables import new_uid, settings, utcnow
from gated.errors import Unreadable

GALLERY_STAMP = "gallery_stamp"
RULES_STAMP = "rules_stamp"
ROLLOUTS = "rollouts"


def get(session: Session, key: str, default: Any = None) -> Any:
    """The value of a key, or `default`."""
    found = session.execute(sa.select(settings.c.value).where(settings.c.key == key)).first()
    return default if found is None else found[0]


def get_if_readable(session: Session, key: str) -> Any:
    """Return the value of a key; None without one, and where it is damaged and will be renewed."""
    try:
        return get(session, key)
    except Unreadable:
        return None


def fields_of(cls: type[Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a stored object is a field of a dataclass.

    A later version may have stored more before its update was undone.
    """
    return {name: stored[name] for name in cls.__dataclass_fields__ if name in stored}


def get_locked(session: Session, key: str) -> Any:
    """The value of a key that exists; others who ask for it so wait until we are done."""
    found = sa.select(settings.c.value).where(settings.c.key == key)
    return session.execute(found.with_for_update()).scalar_one()


def set_(session: Session, key: str, value: Any) -> None:
    """Store a JSON value under a key, replacing the one before."""
    create(session, key, value)
    statement = sa.update(settings).where(settings.c.key == key)
    session.execute(statement.values(value=value, updated_at=utcnow()))


def create(session: Session, key: str, value: Any) -> None:
    """Store a JSON value under a key unless there is one; two creators at a time are welcome."""
    rows.insert_unless_there(session, settings, {"key": key, "value": value}, "key")


def lock_rollouts(session: Session) -> None:
    """Wait until nobody else decides about roll-outs."""
    claim(session, RowLock.ROLLOUTS)
    create(session, ROLLOUTS, {})
    get_locked(session, ROLLOUTS)


def touch_gallery(session: Session) -> None:
    """Say that persons or enrollments changed; a random value, as numbers recur after a restore."""
    claim(session, RowLock.GALLERY)
    set_(session, GALLERY_STAMP, new_uid())


def lock_gallery(session: Session) -> None:
    """Wait until nobody else changes persons or photos; says of itself that nothing changed."""
    claim(session, RowLock.GALLERY)
    create(session, GALLERY_STAMP, new_uid())
    get_locked(session, GALLERY_STAMP)


def gallery_stamp(session: Session) -> str | None:
    """Changes with every change of persons and enrollments; None while there are none."""
    stamp: str | None = get(session, GALLERY_STAMP)
    return stamp


def touch_rules(session: Session) -> None:
    """Say that the rules of access changed, or whom they concern."""
    claim(session, RowLock.RULES)
    set_(session, RULES_STAMP, new_uid())


def lock_rules(session: Session) -> None:
    """Wait until nobody else changes rules, whom they concern or what they are asked with.

    The first thing in a transaction that does (but for the gallery stamp): what it reads then is
    what it changes, and locks of single rows are never waited for crosswise.
    """
    claim(session, RowLock.RULES)
    create(session, RULES_STAMP, new_uid())
    get_locked(session, RULES_STAMP)


def rules_stamp(session: Session) -> str:
    """Changes with every change of rules, credentials, memberships and persons."""
    return f"{get(session, RULES_STAMP)} {gallery_stamp(session)}"
