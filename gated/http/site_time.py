"""Times of requests that say no offset: they are those of the clock of the site.

A body or a query is read before a route has its services. So whoever serves a request says here
how the zone is found, and it is looked up for those times only that need it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, tzinfo
from typing import Any

from gated.core.site_time import is_complete, read_time

ZoneOf = Callable[[], tzinfo]


def _utc() -> tzinfo:
    return UTC


_zone: ContextVar[ZoneOf] = ContextVar("zone of the site", default=_utc)


@contextmanager
def times_of(zone_of: ZoneOf) -> Iterator[None]:
    """Read times inside by this zone where they say no offset."""
    token = _zone.set(zone_of)
    try:
        yield
    finally:
        _zone.reset(token)


def completed(value: Any) -> Any:
    """Give a text that is a day, or a time without an offset, the site's; its begin for a day."""
    return _completed(value, is_end=False)


def completed_end(value: Any) -> Any:
    """The same for an end: a day alone is included."""
    return _completed(value, is_end=True)


def _completed(value: Any, *, is_end: bool) -> Any:
    if not isinstance(value, str):
        return value
    try:
        if is_complete(value):
            return value
        return read_time(value, _zone.get()(), is_end=is_end)
    except ValueError:
        return value  # pydantic says what is wrong with it
