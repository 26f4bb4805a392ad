"""On a gate: what one person may do and shows, as the hub tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.storage import access, rows
from gated.storage.carried import CarriedCredential
from gated.storage.tables import credentials, person_access, utcnow


def put_access(session: Session, person_id: int, told: Mapping[str, Any] | None) -> None:
    """Let a person's access be as told, field by field; None: as everybody's."""
    if told is None:
        gone = sa.delete(person_access).where(person_access.c.person_id == person_id)
        session.execute(gone)
        return
    before = access.of_person(session, person_id)
    if not before.version or any(getattr(before, name) != v for name, v in told.items()):
        access.set_of_person(session, person_id, told)


def put_credentials(session: Session, person_id: int, told: Sequence[CarriedCredential]) -> None:
    """Let a person have these credentials from the hub; those that were given here stay.

    A PIN takes the place of one that was given here. Wrong tries are counted here, and are
    forgiven when a credential is switched on.
    """
    c = credentials.c
    theirs = sa.select(c.id, c.uid, c.is_active).where(c.person_id == person_id, c.from_hub)
    there = {row.uid: row for row in session.execute(theirs)}
    _make_room(session, person_id, told)
    for x in told:
        values = asdict(x)
        if (row := there.get(x.uid)) is None:
            rows.insert(session, credentials, person_id=person_id, from_hub=True, **values)
        else:
            forgiven = {"failures": 0} if x.is_active and not row.is_active else {}
            rows.change(session, credentials, row.id, **values, **forgiven)


def add_credentials(session: Session, told: Sequence[tuple[int, CarriedCredential]]) -> None:
    """Give persons, by id, who have none yet these credentials from the hub."""
    if not told:
        return
    c, now = credentials.c, utcnow()
    uids, digests = [x.uid for _, x in told], [x.digest for _, x in told if x.digest]
    moved = sa.delete(credentials).where(c.from_hub, c.uid.not_in(uids), c.digest.in_(digests))
    session.execute(moved)
    given = {"from_hub": True, "created_at": now, "updated_at": now}
    rows_ = [{"person_id": id_, **given, **asdict(x)} for id_, x in told]
    session.execute(sa.insert(credentials), rows_)


def _make_room(session: Session, person_id: int, told: Sequence[CarriedCredential]) -> None:
    """Remove what the hub does not give this person any more, and what stands in the way."""
    c = credentials.c
    uids, digests = [x.uid for x in told], [x.digest for x in told if x.digest]
    gone = sa.and_(c.person_id == person_id, c.from_hub, c.uid.not_in(uids))
    # a card may pass from one person to another, who is told of later
    moved = sa.and_(c.from_hub, c.uid.not_in(uids), c.digest.in_(digests))
    unneeded = [gone, moved]
    if any(x.kind == "pin" for x in told):
        unneeded.append(sa.and_(c.person_id == person_id, c.kind == "pin", ~c.from_hub))
    session.execute(sa.delete(credentials).where(sa.or_(*unneeded)))
