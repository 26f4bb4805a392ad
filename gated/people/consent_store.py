"""Stores consents, one of each person at most; the earlier ones are in the journal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.database import rows
from gated.database.records import Consent, columns_of, record
from gated.database.tables import consents, enrollments

_COLUMNS = columns_of(Consent, consents)


def find(session: Session, person_id: int) -> Consent | None:
    """Return the consent of a person, or None."""
    row = rows.one(session, consents, _COLUMNS, person_id=person_id)
    return row and record(Consent, row)


def put(
    session: Session,
    person_id: int,
    *,
    notice_version: str,
    given_at: datetime,
    expires_at: datetime | None,
    method: str,
) -> Consent:
    """Store the consent of an existing person, in place of one before."""
    values = {
        "notice_version": notice_version,
        "given_at": given_at,
        "expires_at": expires_at,
        "method": method,
    }
    before = find(session, person_id)
    if before is None:
        rows.insert(session, consents, person_id=person_id, **values)
    else:
        rows.change(session, consents, before.id, **values)
    stored = find(session, person_id)
    assert stored is not None  # noqa: S101
    return stored


def delete(session: Session, person_id: int) -> bool:
    """Remove the consent of a person; return whether there was one."""
    gone = sa.delete(consents).where(consents.c.person_id == person_id).returning(consents.c.id)
    return session.execute(gone).first() is not None


def enrolled_without(
    session: Session, now: datetime, person_id: int | None = None
) -> Sequence[int]:
    """Return the ids of enrolled persons whose consent is missing or over.

    person_id: of this one only.
    """
    valid = sa.select(consents.c.id).where(
        consents.c.person_id == enrollments.c.person_id,
        consents.c.expires_at.is_(None) | (consents.c.expires_at > now),
    )
    found = sa.select(enrollments.c.person_id).distinct().where(~sa.exists(valid))
    if person_id is not None:
        found = found.where(enrollments.c.person_id == person_id)
    return session.execute(found.order_by(enrollments.c.person_id)).scalars().all()
