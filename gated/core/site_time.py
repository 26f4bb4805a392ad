"""Reads times as people write them: without an offset they are local to the site."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
WRITTEN = "a day such as 2026-12-24, or a time such as 2026-12-24T17:30 or 2026-12-24T17:30+01:00"


def is_complete(text: str) -> bool:
    """Return whether a time has an offset, so that no zone is needed. Raises: ValueError."""
    return not _DAY.fullmatch(text) and datetime.fromisoformat(text).tzinfo is not None


def read_time(text: str, zone: tzinfo, *, is_end: bool = False) -> datetime:
    """Read a time, and return it in UTC; without an offset it is local to the zone.

    A date alone means its begin, or (is_end) its end. Raises: ValueError.
    """
    if not _DAY.fullmatch(text):
        found = datetime.fromisoformat(text)
        return in_utc(found if found.tzinfo else found.replace(tzinfo=zone))
    day = date.fromisoformat(text)
    if is_end and day == date.max:
        raise ValueError("there is no day after this one")
    return begin_of(day + timedelta(days=1) if is_end else day, zone)


def begin_of(day: date, zone: tzinfo) -> datetime:
    """Return when a day begins in a zone, in UTC. Raises: ValueError."""
    return in_utc(datetime.combine(day, time(), zone))


def at_clock(text: str, now: datetime, zone: tzinfo) -> datetime:
    """Read HH:MM as a local time of today, in UTC; anything else as `read_time`.

    Raises: ValueError.
    """
    found = _TIME.fullmatch(text)
    if found is None:
        return read_time(text, zone, is_end=True)
    today = now.astimezone(zone).date()
    return in_utc(datetime.combine(today, time(int(found[1]), int(found[2])), zone))


def in_utc(at: datetime) -> datetime:
    """Return the same moment in UTC. Raises: ValueError for one outside of all years."""
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError("a year from 1 to 9999, also in UTC, is needed") from None
