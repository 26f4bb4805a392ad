"""Times as people write them, on the clock of the site."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.core.site_time import at_clock, is_complete, read_time

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [
        ("2026-07-01", "2026-06-30T22:00Z", "2026-07-01T22:00Z"),
        ("2026-03-29", "2026-03-28T23:00Z", "2026-03-29T22:00Z"),  # a day of 23 hours
        ("2026-07-01T08:00", "2026-07-01T06:00Z", "2026-07-01T06:00Z"),
        ("2026-07-01 08:00:30", "2026-07-01T06:00:30Z", "2026-07-01T06:00:30Z"),
        ("2026-07-01T08:00-04:00", "2026-07-01T12:00Z", "2026-07-01T12:00Z"),
        ("2026-07-01T08:00Z", "2026-07-01T08:00Z", "2026-07-01T08:00Z"),
    ],
)
def test_what_is_written_is_meant_in_berlin(text: str, begin: str, end: str) -> None:
    assert read_time(text, BERLIN) == datetime.fromisoformat(begin)
    assert read_time(text, BERLIN, is_end=True) == datetime.fromisoformat(end)


def test_only_what_says_its_offset_needs_no_zone() -> None:
    assert is_complete("2026-07-01T08:00+02:00")
    assert not is_complete("2026-07-01T08:00")
    assert not is_complete("2026-07-01")


def test_a_clock_time_is_one_of_today_at_the_site() -> None:
    late = datetime(2026, 7, 2, 3, 0, tzinfo=UTC)  # still the first in New York
    assert at_clock("18:00", late, NEW_YORK) == datetime(2026, 7, 1, 22, 0, tzinfo=UTC)
    assert at_clock("2026-07-01", late, NEW_YORK) == datetime(2026, 7, 2, 4, 0, tzinfo=UTC)


@pytest.mark.parametrize("text", ["9999-12-31", "0001-01-01", "2026-02-30", "soon", "25:00", ""])
def test_what_is_no_time_is_refused(text: str) -> None:
    zone = BERLIN if text != "9999-12-31" else NEW_YORK
    with pytest.raises(ValueError, match=r"year|day|isoformat"):
        read_time(text, zone, is_end=text != "0001-01-01")


@given(st.datetimes().filter(lambda at: at.date() < date.max))
def test_every_time_is_read_and_none_ends_the_program(at: datetime) -> None:
    assert read_time(at.isoformat(), UTC) == at.replace(tzinfo=UTC)
    day = at.date().isoformat()
    assert read_time(day, UTC) < read_time(day, UTC, is_end=True)
