"""What the aggregates share: one row by a column, and changes that count versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.storage.tables import utcnow

LARGEST_ID = 2**63 - 1


def one(
    session: Session, table: sa.Table, columns: list[sa.Column[Any]], **where: Any
) -> sa.Row[Any] | None:
    """The row in which all the named columns have these values, or None."""
    if any(is_too_large(v) for v in where.values()):
        return None
    conditions = [table.c[k] == v for k, v in where.items()]
    return session.execute(sa.select(*columns).where(*conditions)).first()


def is_too_large(value: Any) -> bool:
    """Whether the database could not even compare with this number."""
    return isinstance(value, int) and not -LARGEST_ID <= value <= LARGEST_ID


def change(session: Session, table: sa.Table, id_: int, **values: Any) -> None:
    """Change a row, its version and `updated_at`; IntegrityError leaves all as it was."""
    with session.begin_nested():
        session.execute(
            sa.update(table)
            .where(table.c.id == id_)
            .values(**values, version=table.c.version + 1, updated_at=utcnow())
        )


def insert(session: Session, table: sa.Table, **values: Any) -> int:
    """Add a row and return its id; IntegrityError leaves the transaction usable."""
    now = utcnow()
    statement = sa.insert(table).values(**values, created_at=now, updated_at=now)
    with session.begin_nested():
        return int(session.execute(statement.returning(table.c.id)).scalar_one())


def insert_unless_there(
    session: Session, table: sa.Table, values: Mapping[str, Any], key: str
) -> None:
    """Add a row unless there is one with the same `key`; two who do so at a time are welcome."""
    if session.get_bind().dialect.name == "sqlite":
        from sqlalchemy.dialects.sqlite import insert
    else:
        from sqlalchemy.dialects.postgresql import insert  # type: ignore[assignment]
    statement = insert(table).values(dict(values))
    session.execute(statement.on_conflict_do_nothing(index_elements=[key]))


def page(statement: sa.Select[Any], limit: int | None, offset: int) -> sa.Select[Any]:
    """The statement cut to one page."""
    statement = statement if limit is None else statement.limit(min(limit, LARGEST_ID))
    return statement.offset(min(offset, LARGEST_ID)) if offset else statement
