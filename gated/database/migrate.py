"""Alembic, driven by the program itself."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from gated.errors import SchemaTooNew

SCRIPTS = Path(__file__).parent / "migrations"


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's settings; commands work on `connection`, inside its transaction."""
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection) -> None:
    """Bring the schema to the newest revision inside the connection's transaction."""
    command.upgrade(configuration(connection), "head")


def require_known(revision: str, name: str) -> None:
    """SchemaTooNew unless a migration of this program made the revision."""
    known = {s.revision for s in ScriptDirectory.from_config(configuration()).walk_revisions()}
    if revision not in known:
        raise SchemaTooNew(
            f"{name} was written by a newer gated (schema {revision}): install that version or "
            "restore a backup made by this one"
        )
