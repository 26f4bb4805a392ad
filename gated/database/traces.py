"""Note erased data that is still in the write-ahead log, from the erasure until it is gone.

SQLite overwrites what is deleted in its file (`secure_delete`), but keeps the pages of before in
its log of changes until that is truncated, which a reader of an older state prevents. Whatever
deletes rows about people leaves the note, in the same transaction, so that a crash in between does
not lose it. On PostgreSQL nothing is noted: dead rows and the log belong to the server.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.database import stored_settings
from gated.database.tables import (
    accounts,
    consents,
    correction_requests,
    credentials,
    directory_people,
    edge_edits,
    enrollments,
    fleet_edits,
    group_members,
    journal_private,
    new_uid,
    person_access,
    persons,
    site_presence,
    snapshots,
    sync_quarantine_private,
    utcnow,
)

KEY = "erasure_traces"

PERSONAL = frozenset(
    t.name
    for t in (
        *(accounts, consents, correction_requests, credentials, edge_edits, enrollments),
        *(fleet_edits, group_members, journal_private, person_access, persons, site_presence),
        *(directory_people, snapshots, sync_quarantine_private),
    )
)
"""Tables whose rows say something about people."""


@dataclass(frozen=True, slots=True)
class Traces:
    """since: of the first erasure whose traces are left; mark: differs after each later one."""

    since: datetime
    mark: str


def is_erasure(statement: object, count: int) -> bool:
    """Return whether a statement that was executed has removed data about people."""
    if not isinstance(statement, sa.Delete) or str(statement.table) not in PERSONAL:
        return False
    # what it returns is not read yet, and then nobody has counted
    return count != 0 or bool(statement.exported_columns)


def note(session: Session) -> None:
    """Say that this transaction deletes what must not be found any more."""
    since = (stored_settings.get(session, KEY) or {}).get("since") or utcnow().isoformat()
    stored_settings.set_(session, KEY, {"since": since, "mark": new_uid()})


def left(session: Session) -> Traces | None:
    """Find the traces that are noted and not gone yet; None: nothing."""
    stored = stored_settings.get(session, KEY)
    return None if not stored else Traces(datetime.fromisoformat(stored["since"]), stored["mark"])


def gone(session: Session, mark: str) -> bool:
    """Say that the log was truncated after `mark` was read; False when more was erased since."""
    found = left(session)
    if found is None or found.mark != mark:
        return found is None
    stored_settings.set_(session, KEY, None)
    return True
