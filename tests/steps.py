"""Counts the work of a database: it is the same on a machine that is busy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from gated.database.engine import Database

EVERY = 100


def steps_of(database: Database, run: Callable[[], Any]) -> int:
    """Return how many steps SQLite's machine took meanwhile, in whatever sessions of a database."""
    taken = 0

    def count() -> None:
        nonlocal taken
        taken += EVERY

    def begun(connection: Any, *_: Any) -> None:
        connection.connection.dbapi_connection.set_progress_handler(count, EVERY)

    _listening(database, begun, run)
    return taken


def statements_of(database: Database, run: Callable[[], Any]) -> list[str]:
    """Return the statements that were executed meanwhile."""
    asked: list[str] = []

    def begun(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    _listening(database, begun, run)
    return asked


def _listening(database: Database, begun: Callable[..., None], run: Callable[[], Any]) -> None:
    with database.read() as session:
        engine = session.get_bind()
    sa.event.listen(engine, "before_cursor_execute", begun)
    try:
        run()
    finally:
        sa.event.remove(engine, "before_cursor_execute", begun)
