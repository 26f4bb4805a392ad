"""Accounts that are signed in to at an identity provider: one for each of its subjects."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.database import rows
from gated.database.tables import identities


def add(session: Session, account_id: int, issuer: str, subject: str) -> None:
    """Note that an account is signed in to at a provider, by whom it calls so."""
    values = {"account_id": account_id, "issuer": issuer, "subject": subject}
    session.execute(sa.insert(identities).values(**values))


def account_of(session: Session, issuer: str, subject: str) -> int | None:
    """Return the id of the account of a provider's subject, or None."""
    found = rows.one(session, identities, [identities.c.account_id], issuer=issuer, subject=subject)
    return None if found is None else int(found.account_id)


def is_external(session: Session, account_id: int) -> bool:
    """Return whether an account is signed in to at a provider, and has no password here."""
    known = rows.one(session, identities, [identities.c.issuer], account_id=account_id)
    return known is not None


def remove(session: Session, account_id: int) -> None:
    """Forget of whom an account is."""
    session.execute(sa.delete(identities).where(identities.c.account_id == account_id))
