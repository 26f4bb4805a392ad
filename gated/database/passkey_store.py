"""Passkeys of accounts, and which of their challenges are spent. They stay in this database."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from gated.database import rows
from gated.database.records import Passkey, columns_of, record
from gated.database.tables import passkeys, spent_challenges
from gated.errors import NotFound, Taken

_COLUMNS = columns_of(Passkey, passkeys)


def add(
    session: Session,
    account_id: int,
    name: str,
    *,
    credential_id: str,
    user_handle: str,
    public_key: str,
    sign_count: int,
) -> Passkey:
    """Add a passkey of an account; all but the count are text, base64url. Raises: Taken."""
    try:
        id_ = rows.insert(
            session,
            passkeys,
            account_id=account_id,
            name=name,
            credential_id=credential_id,
            user_handle=user_handle,
            public_key=public_key,
            sign_count=sign_count,
        )
    except IntegrityError:
        raise Taken("this passkey is registered already") from None
    return get(session, account_id, id_)


def get(session: Session, account_id: int, id_: int) -> Passkey:
    """Return one passkey of an account. Raises: NotFound, for those of others, too."""
    row = rows.one(session, passkeys, _COLUMNS, id=id_, account_id=account_id)
    if row is None:
        raise NotFound(f"the account has no passkey {id_}")
    return record(Passkey, row)


def find(session: Session, credential_id: str) -> Passkey | None:
    """Return the passkey that an authenticator calls so, or None."""
    row = rows.one(session, passkeys, _COLUMNS, credential_id=credential_id)
    return row and record(Passkey, row)


def list_(session: Session, account_id: int) -> list[Passkey]:
    """Return the passkeys of an account, oldest first."""
    own = sa.select(*_COLUMNS).where(passkeys.c.account_id == account_id)
    return [record(Passkey, row) for row in session.execute(own.order_by(passkeys.c.id))]


def rename(session: Session, account_id: int, id_: int, name: str) -> Passkey:
    """Give a passkey of an account another name. Raises: NotFound, for those of others, too."""
    own = sa.and_(passkeys.c.id == id_, passkeys.c.account_id == account_id)
    session.execute(sa.update(passkeys).where(own).values(name=name))
    return get(session, account_id, id_)


def used(session: Session, id_: int, sign_count: int, at: datetime) -> bool:
    """Note that a passkey has signed; False, and nothing, where its count did not grow.

    Authenticators that do not count say 0 always. Decided by the row itself: of two answers with
    one count the second is refused.
    """
    grown = passkeys.c.sign_count < sign_count
    if sign_count == 0:
        grown = passkeys.c.sign_count == 0
    noted = (
        sa.update(passkeys)
        .where(passkeys.c.id == id_, grown)
        .values(sign_count=sign_count, last_used_at=at)
    )
    return session.execute(noted.returning(passkeys.c.id)).first() is not None


def remove(session: Session, id_: int) -> None:
    """Forget a passkey."""
    session.execute(sa.delete(passkeys).where(passkeys.c.id == id_))


def remove_all(session: Session, account_id: int) -> None:
    """Forget all passkeys of an account."""
    session.execute(sa.delete(passkeys).where(passkeys.c.account_id == account_id))


def spend(session: Session, digest: str, expires_at: datetime, now: datetime | None) -> bool:
    """Note that a challenge was answered; False where it was before.

    now: None while the time is not known: what is forgotten then could count again.
    """
    if now is not None:
        over = spent_challenges.c.expires_at <= now
        session.execute(sa.delete(spent_challenges).where(over))
    values = {"digest": digest, "expires_at": expires_at}
    try:
        with session.begin_nested():
            session.execute(sa.insert(spent_challenges).values(**values))
    except IntegrityError:
        return False
    return True
