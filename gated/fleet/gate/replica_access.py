"""On a gate: what persons of its hub may do, and the credentials that the hub gave them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.database import rows
from gated.database.tables import credentials, person_access, utcnow
from gated.fleet.wire.states import StoredPerson


def put_access(session: Session, people: Sequence[StoredPerson], ids: Mapping[str, int]) -> None:
    """Let these be what persons may do; None: as everybody. ids: by uid."""
    c, now = person_access.c, utcnow()
    wanted = {ids[p.uid]: p.access for p in people}
    found = sa.select(person_access).where(c.person_id.in_(list(wanted)))
    here = {row.person_id: row for row in session.execute(found)}
    gone = [row.id for id_, row in here.items() if wanted[id_] is None]
    if gone:
        session.execute(sa.delete(person_access).where(c.id.in_(gone)))
    new = []
    for id_, access in wanted.items():
        if access is None:
            continue
        values = access.fields()
        if (row := here.get(id_)) is None:
            new.append({"person_id": id_, **values, "created_at": now, "updated_at": now})
        elif any(row._mapping[name] != value for name, value in values.items()):
            rows.change(session, person_access, row.id, **values)
    if new:
        session.execute(sa.insert(person_access), new)


def put_credentials(
    session: Session, people: Sequence[StoredPerson], ids: Mapping[str, int]
) -> None:
    """Let persons have these credentials from the hub; those that were given here stay.

    A PIN takes the place of one that was given here. Wrong tries are counted here, and are
    forgiven when a credential is switched on. ids: by uid.
    """
    now = utcnow()
    given = {c.uid: (ids[p.uid], c) for p in people for c in p.credentials}
    here = _make_room(session, people, ids)
    new, changed = [], {}
    for uid, (person_id, credential) in given.items():
        values = credential.fields()
        if (row := here.get(uid)) is None:
            own = {"person_id": person_id, "from_hub": True}
            new.append({**own, **values, "created_at": now, "updated_at": now})
        elif any(row._mapping[name] != value for name, value in values.items()):
            forgiven = {"failures": 0} if credential.is_active and not row.is_active else {}
            changed[row.id] = {**values, **forgiven}
    if changed:  # two may have each other's card now
        c = credentials.c
        session.execute(sa.update(credentials).where(c.id.in_(changed)).values(digest=None))
    for id_, values in changed.items():
        rows.change(session, credentials, id_, **values)
    if new:
        session.execute(sa.insert(credentials), new)


def _make_room(
    session: Session, people: Sequence[StoredPerson], ids: Mapping[str, int]
) -> dict[str, sa.Row[tuple[object, ...]]]:
    """Remove what the hub does not give these persons any more, and what stands in the way.

    Return what is here of the hub's credentials of these persons, by uid.
    """
    c = credentials.c
    whose = [ids[p.uid] for p in people]
    uids = [x.uid for p in people for x in p.credentials]
    digests = [x.digest for p in people for x in p.credentials if x.digest]
    with_pin = [ids[p.uid] for p in people if any(x.kind == "pin" for x in p.credentials)]
    gone = sa.and_(c.person_id.in_(whose), c.from_hub, c.uid.not_in(uids))
    # a card may pass from one person to another, who comes later
    moved = sa.and_(c.from_hub, c.uid.not_in(uids), c.digest.in_(digests))
    own_pin = sa.and_(c.person_id.in_(with_pin), c.kind == "pin", ~c.from_hub)
    session.execute(sa.delete(credentials).where(sa.or_(gone, moved, own_pin)))
    left = sa.select(credentials).where(c.person_id.in_(whose), c.from_hub)
    return {row.uid: row for row in session.execute(left)}
