"""No error of a database shows what a row holds, however it is formatted."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from gated.database import rows
from gated.database.engine import Database
from gated.database.tables import persons, settings, utcnow
from gated.errors import StorageError

NAME = "Quennell-Zarathustra"

_NOW = sa.func.current_timestamp()


def _values(**more: object) -> dict[str, object]:
    return {
        "uid": f"{NAME}-uid",
        "first_name": NAME,
        "last_name": NAME,
        "personnel_code": NAME,
        "email": f"{NAME}@example.org",
        "email_key": f"{NAME}@example.org".casefold(),
        "search": NAME,
        **more,
    }


def _twice(db: Database) -> None:
    for _ in range(2):
        with db.write() as session:
            rows.insert(session, persons, **_values())


def _wrong_statement(db: Database) -> None:
    with db.write() as session:
        session.execute(sa.text("SELECT * FROM nowhere WHERE a = :name"), {"name": NAME})


def _wrong_data(db: Database) -> None:
    with db.write() as session:
        session.execute(sa.text("SELECT CAST(:name AS date) + json(:name)"), {"name": NAME})


def _copied_twice(db: Database) -> None:
    value = {"key": NAME, "value": {"of": NAME}, "updated_at": utcnow()}
    with db.write() as session:
        rows.insert_many(session, settings, [value, value])


@pytest.mark.parametrize("mistake", [_twice, _wrong_statement, _wrong_data, _copied_twice])
def test_an_error_quotes_neither_statement_nor_values(
    db: Database,
    mistake: Callable[[Database], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises((sa.exc.DBAPIError, StorageError)) as raised:
        mistake(db)
    logging.getLogger("test").error("failed: %s", raised.value, exc_info=raised.value)
    lines = traceback.format_exception(raised.value)
    shown = "".join([*lines, caplog.text, repr(raised.value)]).casefold()
    assert NAME.casefold() not in shown
    for word in ("[sql", "parameters:", "values (", "detail:", "context:"):
        assert word not in shown
