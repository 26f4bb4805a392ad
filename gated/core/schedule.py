"""Schedules: weekly hours, holidays, one-off exceptions, on the clock of the site.

Schedules speak of the clock on the wall. Where it is put back, an hour that comes twice is open or
closed both times; where it is put forward, the hour that is left out never comes. Hours belong to
the day on which they begin: a night shift of Friday goes on into a Saturday that is a holiday.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

DAY = 24 * 60
"""Minutes of a day on the clock."""

ALWAYS = 0
"""The schedule that never closes and needs no clock; those of the site have other numbers."""


@dataclass(frozen=True, slots=True)
class Hours:
    """From a time of day until before another, in minutes after midnight.

    An end that is not after the begin lies on the next day: 22:00 to 06:00 is a night shift.
    ValueError for times that no clock shows.
    """

    begin: int
    end: int

    def __post_init__(self) -> None:
        if not (0 <= self.begin < DAY and 0 <= self.end <= DAY):
            raise ValueError(f"there are no hours from minute {self.begin} to {self.end}")

    @staticmethod
    def parse(text: str) -> Hours:
        """Hours written such as 08:00-17:00; midnight is 00:00 or 24:00. ValueError."""
        found = re.fullmatch(r"(\d\d):([0-5]\d)-(\d\d):([0-5]\d)", text)
        if found is None:
            raise ValueError(f"{text!r} are no hours such as 08:00-17:00")
        begin_h, begin_m, end_h, end_m = map(int, found.groups())
        return Hours(begin_h * 60 + begin_m, end_h * 60 + end_m)

    def cover(self, minute: int) -> bool:
        """Tell whether they are open so many minutes after the midnight that their day began
        with."""
        end = self.end if self.end > self.begin else self.end + DAY
        return self.begin <= minute < end

    def __str__(self) -> str:
        return f"{_clock(self.begin)}-{_clock(self.end)}"


Day = tuple[Hours, ...]
"""What is open of one day; nothing when empty."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Hours of each weekday, Monday first.

    holiday: the hours of holidays; None where a holiday is a day like others. exceptions: the
    hours of single days, which come before all others. ValueError when the week has not 7 days.
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
        """Return what is open of this day."""
        exception = self.exceptions.get(day)
        if exception is not None:
            return exception
        if self.holiday is not None and day in holidays:
            return self.holiday
        return self.week[day.weekday()]

    def is_open(self, wall: datetime, holidays: frozenset[date]) -> bool:
        """Tell whether it is open when the clock of the site shows this."""
        today, minute = wall.date(), wall.hour * 60 + wall.minute
        if any(hours.cover(minute) for hours in self.hours_of(today, holidays)):
            return True
        yesterday = self.hours_of(today - timedelta(days=1), holidays)
        return any(hours.cover(minute + DAY) for hours in yesterday)


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
