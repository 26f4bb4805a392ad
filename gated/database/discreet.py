"""Errors of databases without what they quote: statements, parameters, values of rows.

Whoever formats such an error, the program's log or a traceback, must not find a person's name in
it. PostgreSQL quotes values in its details, its context and, for data that does not fit, in the
first line; SQLAlchemy adds the statement and its parameters.
"""

from __future__ import annotations

from typing import Any

_QUOTES_VALUES = ("22", "23")
"""Classes of SQLSTATE: data that does not fit, and constraints."""


def made_discreet(error: BaseException) -> None:
    """Take what it quotes out of an error of a database, and out of all that led to it."""
    seen: set[int] = set()
    chain: list[BaseException | None] = [error]
    while chain:
        one = chain.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        chain += [one.__cause__, one.__context__, getattr(one, "orig", None)]
        if type(one).__module__.split(".")[0] in ("sqlalchemy", "psycopg", "sqlite3"):
            _strip(one)


def _strip(error: Any) -> None:
    if hasattr(error, "statement"):
        error.statement = error.params = None
        error.hide_parameters = True
    text = str(error.args[0]) if error.args else ""
    first = text.strip().split("\n", 1)[0]
    orig = getattr(error, "orig", None) or error
    state = getattr(orig, "sqlstate", None)
    if state and state[:2] in _QUOTES_VALUES:
        first = f"{type(orig).__name__} (SQLSTATE {state})"
    error.args = (first, *error.args[1:]) if error.args else ()
