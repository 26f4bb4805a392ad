"""Many rows at once, as one by one."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from gated.database import rows
from gated.database.engine import Database
from gated.database.tables import journal_private


def test_rows_that_name_their_columns_in_different_orders_are_stored_alike(db: Database) -> None:
    told = {"chain": "g/1", "seq": 1, "role": "actor", "salt": "00", "payload": "{}", "uid": None}
    other = dict(reversed({**told, "seq": 2, "payload": '{"a\\tb":"\\\\N"}'}.items()))
    with db.write() as session:
        rows.insert_many(session, journal_private, [told, other])
    with db.read() as session:
        found = session.execute(sa.select(journal_private).order_by("seq")).mappings()
        assert [dict(r) for r in found] == [told, other]


def test_a_row_that_is_there_already_is_told_as_one_by_one(db: Database) -> None:
    told = {"chain": "g/1", "seq": 1, "role": "actor", "salt": "00", "payload": "{}", "uid": None}
    with db.write() as session:
        rows.insert_many(session, journal_private, [told])
    with pytest.raises(sa.exc.IntegrityError), db.write() as session:
        rows.insert_many(session, journal_private, [told])
