"""Schedules: weekly hours, holidays, single exceptions, in local time of the site.

When clocks are put back, the repeated hour is open or closed both times; when they are put forward,
the skipped hour never comes. Hours belong to the day on which they begin: a night shift of Friday
goes on into a Saturday that is a holiday.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

DAY = 24 * 60
"""Minutes of a day."""

ALWAYS = 0
"""The id of the schedule that never closes and needs no clock; stored ids begin with 1."""


@dataclass(frozen=True, slots=True)
class Hours:
    """Opening hours from `begin` to `end` (exclusive), in minutes after midnight.

    An end that is not after the begin is on the next day: 22:00 to 06:00 is a night shift.
    Raises: ValueError for values that are no time of day.
    """

    begin: int
    end: int

    def __post_init__(self) -> None:
        if not (0 <= self.begin < DAY and 0 <= self.end <= DAY):
            raise ValueError(f"there are no hours from minute {self.begin} to {self.end}")

    @staticmethod
    def parse(text: str) -> Hours:
        """Parse hours such as 08:00-17:00; midnight is 00:00 or 24:00. Raises: ValueError."""
        found = re.fullmatch(r"(\d\d):([0-5]\d)-(\d\d):([0-5]\d)", text)
        if found is None:
            raise ValueError(f"{text!r} are no hours such as 08:00-17:00")
        begin_h, begin_m, end_h, end_m = map(int, found.groups())
        return Hours(begin_h * 60 + begin_m, end_h * 60 + end_m)

    def cover(self, minute: int) -> bool:
        """Return whether they include a minute, counted from the midnight that began their day."""
        end = self.end if self.end > self.begin else self.end + DAY
        return self.begin <= minute < end

    def __str__(self) -> str:
        return f"{_clock(self.begin)}-{_clock(self.end)}"


Day = tuple[Hours, ...]
"""The opening hours of one day; empty: closed."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Hours of each weekday, Monday first.

    holiday: the hours of holidays; None: holidays are ordinary days. exceptions: the hours of
    single days, which override all others. Raises: ValueError when the week has not 7 days.
    """

    id: int
    name: str
    week: tuple[Day, ...]
    holiday: Day | None = ()
    exceptions: Mapping[date, Day] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.week) != 7:
            raise ValueError(f"schedule {self.name}: a week has 7 days, not {len(self.week)}")

    def hours_of(self, day: date, holidays: frozenset[date]) -> Day:
        """Return the opening hours of this day."""
        exception = self.exceptions.get(day)
        if exception is not None:
            return exception
        if self.holiday is not None and day in holidays:
            return self.holiday
        return self.week[day.weekday()]

    def is_open(self, wall: datetime, holidays: frozenset[date]) -> bool:
        """Return whether the schedule is open at this local time of the site."""
        today, minute = wall.date(), wall.hour * 60 + wall.minute
        if any(hours.cover(minute) for hours in self.hours_of(today, holidays)):
            return True
        yesterday = self.hours_of(today - timedelta(days=1), holidays)
        return any(hours.cover(minute + DAY) for hours in yesterday)


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
