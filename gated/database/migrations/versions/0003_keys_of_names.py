"""Keys by which codes and names are compared, searched and sorted, and text without what is hidden.

Of two that were different before and are one code or name now both stay: the older one has the key,
the other a key apart. `gated doctor` names them.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Text

from gated.core.text import code_key, scrubbed, search_key, sort_key

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

log = logging.getLogger(__name__)

key_type = Text().with_variant(Text(collation="C"), "postgresql")

_NEW = {
    "persons": ("code_key", "first_name_key", "last_name_key", "department_key"),
    "sites": ("name_key",),
    "gates": ("search",),
}
_SEARCHED = ("first_name", "last_name", "personnel_code", "email", "department", "position")
_APART = "\x01"


def upgrade() -> None:
    """Add the keys and fill them."""
    for table, columns in _NEW.items():
        for column in columns:
            op.add_column(table, sa.Column(column, key_type))
    connection = op.get_bind()
    _persons(connection)
    for table, name in (
        ("accounts", "username"), ("groups", "name"), ("schedules", "name"),
        ("sites", "name"), ("gates", "name"),
    ):  # fmt: skip
        _named(connection, table, name)
    op.create_index("ix_persons_code_key", "persons", ["code_key"], unique=True)
    op.create_index("ix_persons_department_key", "persons", ["department_key"])
    op.create_index("ix_sites_name_key", "sites", ["name_key"], unique=True)


def downgrade() -> None:
    """Drop the keys; what was compared before is there still."""
    for index, table in (
        ("ix_persons_code_key", "persons"), ("ix_persons_department_key", "persons"),
        ("ix_sites_name_key", "sites"),
    ):  # fmt: skip
        op.drop_index(index, table)
    for table, columns in _NEW.items():
        for column in columns:
            op.drop_column(table, column)


def _persons(connection: sa.Connection) -> None:
    table = _table("persons", *_SEARCHED, "search", "email_key", *_NEW["persons"])
    found = connection.execute(sa.select(table).order_by(table.c.id)).mappings().all()
    codes = _Unique("personnel code", (str(row["personnel_code"]) for row in found))
    emails = _Unique("e-mail address", ())
    values = []
    for row in found:
        cleaned = {k: scrubbed(row[k]) if row[k] else row[k] for k in _SEARCHED}
        cleaned["personnel_code"] = codes.spelling(row["personnel_code"])
        email, department = cleaned["email"] or None, cleaned["department"]
        cleaned["email"] = email
        values.append(
            {
                "of": row["id"],
                **cleaned,
                "search": search_key(" ".join(v for v in cleaned.values() if v)),
                "email_key": emails.key(email, row["id"]) if email else None,
                "code_key": codes.key(cleaned["personnel_code"], row["id"]),
                "first_name_key": sort_key(cleaned["first_name"]),
                "last_name_key": sort_key(cleaned["last_name"]),
                "department_key": None if department is None else sort_key(department),
            }
        )
    # the old keys go first: what one row gives up another may take
    connection.execute(sa.update(table).values(email_key=None))
    _write(connection, table, values)


def _named(connection: sa.Connection, name_of: str, column: str) -> None:
    key = f"{column}_key"
    more = ("search",) if name_of == "gates" else ()
    table = _table(name_of, column, key, *more)
    found = connection.execute(sa.select(table).order_by(table.c.id)).mappings().all()
    names = _Unique(name_of, (str(row[column]) for row in found))
    values = []
    for row in found:
        # a site is named by what gates have written: it keeps its spelling
        name = row[column] if name_of == "sites" else names.spelling(row[column])
        cleaned = {"of": row["id"], column: name, key: names.key(name, row["id"])}
        values.append({**cleaned, **({"search": search_key(name)} if more else {})})
    if name_of != "sites":
        blank = sa.literal(_APART).concat(sa.cast(table.c.id, Text))
        connection.execute(sa.update(table).values({key: blank}))
    _write(connection, table, values)


class _Unique:
    """Hands out keys, each once, and says which names are alike."""

    def __init__(self, what: str, spelt: Iterable[str]) -> None:
        self._what = what
        self._spelt = set(spelt)
        self._keys: dict[str, str] = {}

    def spelling(self, name: str) -> str:
        """The name without what is hidden, where no other one is spelt so."""
        clean = scrubbed(name)
        if not clean or (clean != name and clean in self._spelt):
            return name
        self._spelt.add(clean)
        return clean

    def key(self, name: str, id_: int) -> str:
        """The key of a name; a key apart where an older one has it."""
        key = code_key(name)
        if key in self._keys:
            log.warning("%s %r and %r differ in spelling alone", self._what, self._keys[key], name)
            return f"{key}{_APART}{id_}"
        self._keys[key] = name
        return key


def _table(name: str, *columns: str) -> sa.TableClause:
    return sa.table(name, sa.column("id"), *(sa.column(c) for c in columns))


def _write(connection: sa.Connection, table: Any, values: list[dict[str, Any]]) -> None:
    if not values:
        return
    columns: dict[str, Callable[..., Any] | Any] = {
        name: sa.bindparam(name) for name in values[0] if name != "of"
    }
    connection.execute(
        sa.update(table).where(table.c.id == sa.bindparam("of")).values(columns), values
    )
