"""Cards, PINs and badges of persons; their secrets never leave this module in clear or as hash."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from gated.database import change_feed as feed
from gated.database import limits, rows
from gated.database.records import Credential, columns_of, record
from gated.database.stored_settings import touch_rules
from gated.database.tables import credentials, new_uid, persons, utcnow
from gated.errors import CardTaken, NotFound, PinExists
from gated.people import person_store as persons_

CHANGEABLE = frozenset({"label", "is_active", "valid_from", "valid_until"})

TAKEN = "this card belongs to somebody already: look up whose card it is"

_COLUMNS = columns_of(Credential, credentials)


@dataclass(frozen=True, slots=True)
class NewCredential:
    """A credential to be stored. digest: of a card or badge; pin_hash: of a PIN.

    key_count: how many keys of this machine the digest or hash was made with. uid: by default a
    new one.
    """

    kind: str
    uid: str | None = None
    key_count: int = 1
    digest: str | None = None
    pin_hash: str | None = None
    label: str | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None


def add(session: Session, person_id: int, new: NewCredential) -> Credential:
    """Give a person a credential.

    Raises: NotFound, CardTaken when somebody has the card, PinExists, LimitReached.
    """
    persons_.get(session, person_id)
    if new.kind == "pin" and of_pin(session, person_id) is not None:
        raise PinExists("there is a PIN already: remove it first")
    limits.CREDENTIALS.require_room(session, person_id)
    values = {**asdict(new), "uid": new.uid or new_uid(), "person_id": person_id}
    try:
        id_ = rows.insert(session, credentials, **values)
    except IntegrityError as e:
        raise CardTaken(TAKEN) from e
    _changed(session, person_id)
    return get(session, id_)


def get(session: Session, id_: int) -> Credential:
    """Return the credential with this id. Raises: NotFound."""
    row = rows.one(session, credentials, _COLUMNS, id=id_)
    if row is None:
        raise NotFound(f"there is no credential {id_}")
    return record(Credential, row)


def list_(session: Session, person_id: int) -> list[Credential]:
    """Return the credentials of a person by id. Raises: NotFound."""
    persons_.get(session, person_id)
    wanted = sa.select(*_COLUMNS).where(credentials.c.person_id == person_id)
    return [record(Credential, r) for r in session.execute(wanted.order_by(credentials.c.id))]


def by_digest(session: Session, kind: str, *digests: str) -> Credential | None:
    """Return the card or badge with one of these digests, the hub's first, or None."""
    c = credentials.c
    found = sa.select(*_COLUMNS).where(c.kind == kind, c.digest.in_(digests))
    row = session.execute(found.order_by(c.from_hub.desc(), c.id)).first()
    return None if row is None else record(Credential, row)


def of_pin(session: Session, person_id: int) -> tuple[Credential, str] | None:
    """Return the PIN of a person and its hash, or None."""
    of_them = {"person_id": person_id, "kind": "pin"}
    row = rows.one(session, credentials, _COLUMNS, **of_them)
    if row is None:
        return None
    secret = rows.one(session, credentials, [credentials.c.pin_hash], **of_them)
    return record(Credential, row), "" if secret is None else str(secret[0])


def update(session: Session, id_: int, **changes: Any) -> Credential:
    """Change the named columns; activating it resets the wrong tries. Raises: NotFound."""
    if unknown := changes.keys() - CHANGEABLE:
        raise ValueError(f"{', '.join(sorted(unknown))} cannot be changed")
    person_id = get(session, id_).person_id
    forgiven = {"failures": 0} if changes.get("is_active") else {}
    rows.change(session, credentials, id_, **changes, **forgiven)
    _changed(session, person_id)
    return get(session, id_)


def count_failure(session: Session, id_: int, failures: int) -> None:
    """Store how many wrong tries there were since the last right one; no change of rules."""
    session.execute(sa.update(credentials).where(credentials.c.id == id_).values(failures=failures))


def delete(session: Session, id_: int) -> None:
    """Remove a credential. Raises: NotFound."""
    person_id = get(session, id_).person_id
    session.execute(sa.delete(credentials).where(credentials.c.id == id_))
    _changed(session, person_id)


def rekey(session: Session, key_count: int, digest: Callable[[str], str]) -> tuple[int, int]:
    """Digest the cards and badges with `key_count` keys of this machine once more.

    PINs cannot be digested again without being typed. Returns the number of cards and badges, and
    of PINs that stay behind.
    """
    touch_rules(session)
    c = credentials.c
    ours = sa.and_(~c.from_hub, c.key_count == key_count, c.digest.is_not(None))
    owners = sa.select(persons.c.uid).where(persons.c.id.in_(sa.select(c.person_id).where(ours)))
    uids = session.execute(owners).scalars().all()
    found = session.execute(sa.select(c.id, c.digest).where(ours)).all()
    if found:
        one = sa.update(credentials).where(c.id == sa.bindparam("of"))
        made = {"digest": sa.bindparam("made"), "key_count": key_count + 1}
        changed = one.values(**made, version=c.version + 1, updated_at=utcnow())
        session.execute(changed, [{"of": row.id, "made": digest(row.digest)} for row in found])
    feed.note(session, feed.PERSON, uids)
    left = sa.select(sa.func.count()).where(~c.from_hub, c.pin_hash.is_not(None))
    return len(found), int(session.execute(left.where(c.key_count <= key_count)).scalar_one())


def _changed(session: Session, person_id: int) -> None:
    touch_rules(session)
    feed.note_person(session, person_id)
