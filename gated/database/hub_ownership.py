"""On a gate: which things are its hub's, and so are not changed here."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.database import (
    change_feed,
    rows,
    stored_settings,
)
from gated.database.tables import (
    edge_edits,
    mirrored,
)
from gated.errors import BelongsToHub

OPEN_EDITS = ("waiting", "sent")
"""States of an edit that the hub has not decided on."""

MEMBERSHIP = "sync_membership"
"""The setting that says to which hub this gate belongs."""

FEED_PLACE = "sync_cursor"
"""The setting that says how far this gate is in what its hub tells, and when that was heard."""


def remember(
    session: Session, kind: str, uid: str, snapshot: int, version: int | None = None
) -> None:
    """Note that the hub has given a thing, in this snapshot or since."""
    moved = sa.update(mirrored).where(mirrored.c.kind == kind, mirrored.c.uid == uid)
    named = moved.values(snapshot=snapshot, version=version).returning(mirrored.c.uid)
    if session.execute(named).first() is None:
        given = {"kind": kind, "uid": uid, "snapshot": snapshot, "version": version}
        session.execute(sa.insert(mirrored).values(given))


def name_again(session: Session, kind: str, uid: str, snapshot: int) -> None:
    """Note that a snapshot names a thing that the hub has given before; nothing for others."""
    given = sa.update(mirrored).where(mirrored.c.kind == kind, mirrored.c.uid == uid)
    session.execute(given.values(snapshot=snapshot))


def forget(session: Session, kind: str, uid: str) -> bool:
    """Note that a thing is not the hub's any more; whether it was."""
    gone = sa.delete(mirrored).where(mirrored.c.kind == kind, mirrored.c.uid == uid)
    return session.execute(gone.returning(mirrored.c.uid)).first() is not None


def forget_all(session: Session, kind: str, uids: Sequence[str]) -> None:
    """Note that things are not the hub's any more; nothing for those that were not."""
    of_kind = mirrored.c.kind == kind
    for some in rows.in_parts(uids):
        session.execute(sa.delete(mirrored).where(of_kind, mirrored.c.uid.in_(some)))


def is_from_hub(session: Session, kind: str, uid: str) -> bool:
    """Return whether the hub has given a thing."""
    return rows.one(session, mirrored, [mirrored.c.uid], kind=kind, uid=uid) is not None


def heard_at(session: Session) -> str | None:
    """Return when the hub was last heard of (RFC 3339); None: never."""
    heard: str | None = stored_settings.get(session, FEED_PLACE, {}).get("heard")
    return heard


def has_hub(session: Session) -> bool:
    """Return whether this gate belongs to a hub."""
    return stored_settings.get(session, MEMBERSHIP) is not None


def belongs_to_hub(session: Session, kind: str, uid: str) -> bool:
    """Return whether a thing is changed on the hub only: given by it, or made for it by an edit.

    After leaving the hub all is the gate's own.
    """
    if not has_hub(session):
        return False
    edited = kind == change_feed.PERSON and _is_new(session, uid)
    return edited or is_from_hub(session, kind, uid)


def _is_new(session: Session, uid: str) -> bool:
    """Return whether a person was made here by an edit that the hub has not decided on."""
    e = edge_edits.c
    made = sa.and_(e.person == uid, e.kind == "create", e.state.in_(OPEN_EDITS))
    return session.execute(sa.select(e.id).where(made).limit(1)).first() is not None


def require_own(session: Session, kind: str, uid: str, what: str) -> None:
    """BelongsToHub for a thing, called `what`, that is the hub's."""
    if belongs_to_hub(session, kind, uid):
        raise BelongsToHub(what)


def version(session: Session, uid: str) -> int:
    """Return the version of a person on the hub that this gate has received; 0 for a new person."""
    row = rows.one(session, mirrored, [mirrored.c.version], kind=change_feed.PERSON, uid=uid)
    return row.version or 0 if row else 0


HERE = "all"
"""The uid under which the rules of the site are known to be the hub's."""
