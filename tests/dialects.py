"""Dialects whose engines share what was compiled: every test has databases, and each an engine.

A program has one engine and compiles a statement once. Without this, a third of the statements of
a test are compiled anew, which takes as long as their execution.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import Engine
from sqlalchemy.util import LRUCache

COMPILED: LRUCache[Any, Any] = LRUCache(2000)


class _Shared:
    """What is compiled for one dialect serves each other that is set up as it is."""

    def _setup(self) -> tuple[Any, ...]:
        of: Any = self
        return (
            type(self),
            of.server_version_info,
            of._json_serializer,
            of._json_deserializer,
            of.default_schema_name,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Shared) and self._setup() == other._setup()

    def __hash__(self) -> int:
        return hash(type(self))

    @classmethod
    def engine_created(cls, engine: Engine) -> None:
        """Give a new engine the cache of all."""
        engine.update_execution_options(compiled_cache=COMPILED)


class SharedSqlite(_Shared, SQLiteDialect_pysqlite):
    """SQLite by Python's own driver."""

    supports_statement_cache = True


class SharedPostgresql(_Shared, PGDialect_psycopg):
    """PostgreSQL by psycopg."""

    supports_statement_cache = True


def share_compiled() -> None:
    """Let every engine that is created from now on take part."""
    registry.register("sqlite", __name__, SharedSqlite.__name__)
    registry.register("postgresql.psycopg", __name__, SharedPostgresql.__name__)
