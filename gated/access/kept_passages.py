"""Last passages of everybody, kept from question to question: what is new is all that is read.

Rows of the log are never changed: whatever becomes of a passage is a row with a higher number. So
who is in no new row, and in none whose place a new row has taken, has passed last as before. What
else could differ (people, rules, a clock that was set back) lets everything be read anew, and so do
five minutes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.attendance import attendance_store
from gated.attendance.attendance_store import LoggedPassages
from gated.core.attendance import Logged, last_of
from gated.core.values import PersonRef
from gated.database import stored_settings
from gated.database.tables import attendance_logs as log
from gated.people import person_store

ANEW_S = 300.0
"""Monotonic seconds after which everything is read again, whatever was kept."""

MOST_CHANGED = 500
"""Of more people at once everything is read again."""


@dataclass(slots=True)
class _Kept:
    stamp: tuple[object, ...]
    since: datetime
    read_at: float
    seen: int
    """The highest number of a row of the log."""
    told: LoggedPassages
    people: dict[int, PersonRef] = field(default_factory=dict)


class KeptPassages:
    """Last passages of one database; any thread may ask."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._kept: _Kept | None = None

    def last(
        self,
        session: Session,
        since: datetime,
        *,
        own: bool,
        until: Mapping[str, int] | None,
        now: float,
    ) -> dict[int, Logged]:
        """`attendance_store.last_punches` of everybody."""
        with self._lock:
            kept = self._current(session, since, own, until)
            told = list(kept.told.items())
        from_ = since.timestamp()
        found = {}
        for id_, some in told:
            one = some[0]
            if len(some) == 1 and one.utc <= now:  # nearly all
                if one.utc >= from_:
                    found[id_] = one
            elif (last := last_of([p for p in some if p.utc >= from_], now)) is not None:
                found[id_] = last
        return found

    def people(self, session: Session, ids: Collection[int]) -> dict[int, PersonRef]:
        """Those of these persons that are still there."""
        with self._lock:
            stamp = stored_settings.rules_stamp(session)
            kept = self._kept
            if kept is None or kept.stamp[0] != stamp:
                return person_store.refs(session, ids)
            new = [id_ for id_ in ids if id_ not in kept.people]
            kept.people |= person_store.refs(session, new)
            return {id_: kept.people[id_] for id_ in ids if id_ in kept.people}

    def _current(
        self, session: Session, since: datetime, own: bool, until: Mapping[str, int] | None
    ) -> _Kept:
        chains = None if until is None else tuple(sorted(until))
        stamp = (stored_settings.rules_stamp(session), own, chains)
        newest = session.execute(sa.select(sa.func.max(log.c.id))).scalar() or 0
        kept, now = self._kept, self._monotonic()
        if kept is not None and kept.stamp == stamp and now - kept.read_at < ANEW_S:
            if newest == kept.seen and since >= kept.since:
                return kept
            changed = _changed(session, kept.seen)
            if newest > kept.seen and since >= kept.since and changed is not None:
                again = attendance_store.last_rows(
                    session, kept.since, changed, own=own, until=until
                )
                for id_ in changed:
                    kept.told.pop(id_, None)
                kept.told |= again
                kept.seen = newest
                return kept
        told = attendance_store.last_rows(session, since, own=own, until=until)
        self._kept = _Kept(stamp, since, now, newest, told)
        return self._kept


def _changed(session: Session, seen: int) -> set[int] | None:
    """Of whom there are new rows, and whose rows these have taken the place of.

    None when it cannot be told: with several writers a row may come after one of a higher number.
    """
    if session.get_bind().dialect.name != "sqlite":
        return None
    new = sa.select(log.c.person_id).where(log.c.id > seen).limit(MOST_CHANGED + 1)
    found = session.execute(new).scalars().all()
    if len(found) > MOST_CHANGED:
        return None
    corrected = sa.select(log.c.person_id).where(log.c.superseded_by > seen)
    return {id_ for id_ in (*found, *session.execute(corrected).scalars()) if id_ is not None}
