"""Caches the last passages of everybody, so that each question only reads the new rows.

Rows of the log are never changed: a correction is a row with a higher number. So the last passage
of a person is still valid while no new row names them or replaces one of theirs. Any other
change (people, rules, a clock that was set back), and an age of five minutes, empties the cache.
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
"""Monotonic seconds after which the cache is read anew."""

MOST_CHANGED = 500
"""With more changed people than this the cache is read anew."""


@dataclass(slots=True)
class _Cached:
    stamp: tuple[object, ...]
    since: datetime
    read_at: float
    seen: int
    """The highest id of the log that was read."""
    passages: LoggedPassages
    people: dict[int, PersonRef] = field(default_factory=dict)


class PassageCache:
    """Last passages of one database; thread-safe."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._cached: _Cached | None = None

    def last(
        self,
        session: Session,
        since: datetime,
        *,
        own: bool,
        until: Mapping[str, int] | None,
        now: float,
    ) -> dict[int, Logged]:
        """Return `attendance_store.last_punches` of everybody."""
        with self._lock:
            passages = list(self._current(session, since, own, until).passages.items())
        from_ = since.timestamp()
        found = {}
        for id_, some in passages:
            one = some[0]
            if len(some) == 1 and one.utc <= now:  # nearly all
                if one.utc >= from_:
                    found[id_] = one
            elif (last := last_of([p for p in some if p.utc >= from_], now)) is not None:
                found[id_] = last
        return found

    def people(self, session: Session, ids: Collection[int]) -> dict[int, PersonRef]:
        """Return those of these persons that still exist, by id."""
        with self._lock:
            stamp = stored_settings.rules_stamp(session)
            cached = self._cached
            if cached is None or cached.stamp[0] != stamp:
                return person_store.refs(session, ids)
            new = [id_ for id_ in ids if id_ not in cached.people]
            cached.people |= person_store.refs(session, new)
            return {id_: cached.people[id_] for id_ in ids if id_ in cached.people}

    def _current(
        self, session: Session, since: datetime, own: bool, until: Mapping[str, int] | None
    ) -> _Cached:
        chains = None if until is None else tuple(sorted(until))
        stamp = (stored_settings.rules_stamp(session), own, chains)
        newest = session.execute(sa.select(sa.func.max(log.c.id))).scalar() or 0
        cached, now = self._cached, self._monotonic()
        if cached is not None and cached.stamp == stamp and now - cached.read_at < ANEW_S:
            if newest == cached.seen and since >= cached.since:
                return cached
            changed = _changed(session, cached.seen)
            if newest > cached.seen and since >= cached.since and changed is not None:
                again = attendance_store.last_rows(
                    session, cached.since, changed, own=own, until=until
                )
                for id_ in changed:
                    cached.passages.pop(id_, None)
                cached.passages |= again
                cached.seen = newest
                return cached
        passages = attendance_store.last_rows(session, since, own=own, until=until)
        self._cached = _Cached(stamp, since, now, newest, passages)
        return self._cached


def _changed(session: Session, seen: int) -> set[int] | None:
    """Return the ids of the people in new rows and in rows that new rows replace.

    None when too many, or unknown: with several writers a lower id may be committed later.
    """
    if session.get_bind().dialect.name != "sqlite":
        return None
    new = sa.select(log.c.person_id).where(log.c.id > seen).limit(MOST_CHANGED + 1)
    found = session.execute(new).scalars().all()
    if len(found) > MOST_CHANGED:
        return None
    corrected = sa.select(log.c.person_id).where(log.c.superseded_by > seen)
    return {id_ for id_ in (*found, *session.execute(corrected).scalars()) if id_ is not None}
