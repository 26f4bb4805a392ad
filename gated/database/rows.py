"""Share what all stores need: one row by a column, and changes that count versions."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.database.discreet import made_discreet
from gated.database.tables import utcnow
from gated.errors import ChangedMeanwhile

T = TypeVar("T")

LARGEST_ID = 2**63 - 1

AT_ONCE = 500
"""Values of one statement: SQLite takes 32,766 at most, and long lists are planned slowly."""


Versions = Collection[int] | None
"""Of which a row has to have one to be changed: those that somebody has read. None: whichever."""


def require_version(wanted: Versions, present: int) -> None:
    """Refuse to change what is not as it was read. Raises: ChangedMeanwhile."""
    if wanted is not None and present not in wanted:
        raise ChangedMeanwhile("it was changed meanwhile: read it again")


def in_parts(items: Sequence[T], size: int = AT_ONCE) -> Iterator[Sequence[T]]:
    """Yield a sequence in parts of so many items, each small enough for one statement."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def one(
    session: Session, table: sa.Table, columns: list[sa.Column[Any]], **where: Any
) -> sa.Row[Any] | None:
    """The row in which all the named columns have these values, or None."""
    if any(is_too_large(v) for v in where.values()):
        return None
    conditions = [table.c[k] == v for k, v in where.items()]
    return session.execute(sa.select(*columns).where(*conditions)).first()


def is_too_large(value: Any) -> bool:
    """Return whether the database could not even compare with this number."""
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


def insert_many(session: Session, table: sa.Table, values: Sequence[Mapping[str, Any]]) -> None:
    """Add rows that all name the same columns, and say nothing of defaults.

    IntegrityError, DataError; on PostgreSQL nothing can be done in the transaction then.
    """
    if not values:
        return
    if session.get_bind().dialect.name == "sqlite":
        session.execute(sa.insert(table), [dict(v) for v in values])
    else:
        _copy(session, table, values)


def _copy(session: Session, table: sa.Table, values: Sequence[Mapping[str, Any]]) -> None:
    """By COPY: a fifth of the processor time that INSERT takes, for us and for PostgreSQL."""
    import psycopg

    connection = session.connection()
    columns = [table.c[name] for name in values[0]]
    bound = [c.type.dialect_impl(connection.dialect) for c in columns]
    made = [t.bind_processor(connection.dialect) for t in bound]
    names = ", ".join(f'"{c.name}"' for c in columns)
    statement = f'COPY "{table.name}" ({names}) FROM STDIN'
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in values:
                # by name: two rows may name their columns in different orders
                cells = zip(made, (row[c.name] for c in columns), strict=True)
                copy.write_row([cell if make is None else make(cell) for make, cell in cells])
    except psycopg.Error as error:
        raise _classified(error, connection.dialect) from error


def _classified(error: Exception, dialect: sa.Dialect) -> BaseException:
    """The error of the driver as SQLAlchemy would have raised it."""
    import psycopg

    instance: Any = sa.exc.DBAPIError.instance
    wrapped: BaseException = instance(None, None, error, psycopg.Error, dialect=dialect)
    made_discreet(wrapped)  # COPY quotes the line that did not fit
    return wrapped


def insert_unless_there(
    session: Session, table: sa.Table, values: Mapping[str, Any], key: str
) -> None:
    """Add a row unless there is one with the same `key`; two who do so at a time are welcome."""
    statement = insert_for(session)(table).values(dict(values))
    session.execute(statement.on_conflict_do_nothing(index_elements=[key]))


def upsert(
    session: Session, table: sa.Table, values: Sequence[Mapping[str, Any]], keys: Sequence[str]
) -> None:
    """Add rows, or put them in the place of those with the same `keys`; all name all columns."""
    statement = insert_for(session)(table)
    others = {c: statement.excluded[c] for c in values[0].keys() - set(keys)}
    replaced = statement.on_conflict_do_update(index_elements=list(keys), set_=others)
    session.execute(replaced, [dict(v) for v in values])


def insert_for(session: Session) -> Any:
    """Return the `insert` of the session's engine, which knows what to do about a conflict."""
    if session.get_bind().dialect.name == "sqlite":
        from sqlalchemy.dialects.sqlite import insert
    else:
        from sqlalchemy.dialects.postgresql import insert  # type: ignore[assignment]
    return insert


def count(session: Session, statement: sa.Select[Any]) -> int:
    """Count what a statement would find, without its order."""
    inner = statement.order_by(None).subquery()
    return session.execute(sa.select(sa.func.count()).select_from(inner)).scalar_one()


def page(statement: sa.Select[Any], limit: int | None, offset: int) -> sa.Select[Any]:
    """The statement cut to one page."""
    statement = statement if limit is None else statement.limit(min(limit, LARGEST_ID))
    return statement.offset(min(offset, LARGEST_ID)) if offset else statement
