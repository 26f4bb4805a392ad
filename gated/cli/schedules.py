"""gated schedules: hours of the week, single days, holidays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gated.cli.acting import changing, checked, given, open_state, show_rows
from gated.cli.common import CommandResult, config_option, json_option, reports, show_json
from gated.cli.groups import schedule_of

if TYPE_CHECKING:
    from gated.database.records import WeeklySchedule

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CLOSED = "closed"

_day = click.DateTime(["%Y-%m-%d"])
_hours = click.option(
    "--hours",
    multiple=True,
    metavar="DAYS=HOURS",
    help="Such as mon-fri=08:00-17:00 or sat=09:00-12:00,13:00-15:00; several times.",
)
_holiday = click.option(
    "--holiday", metavar="HOURS", help="Of holidays: hours, closed, or usual. Default: closed."
)


@click.group()
def schedules() -> None:
    """Hours in which groups pass, and holidays; on the clock of the site.

    \b
    Example: gated schedules list
    """


@schedules.command("list")
@json_option
@config_option
def list_(as_json: bool, config: Path | None) -> None:
    """List the schedules with their hours.

    \b
    Example: gated schedules list
    """
    from gated.access.rules import Access

    with open_state(config) as workspace:
        found = Access.of(workspace).schedules()
    if as_json:
        show_json([_record(s) for s in found])
        return
    rows = [
        (s.name, _in_words(s.week), "usual" if s.holiday is None else _text(s.holiday))
        for s in found
    ]
    nothing = "no schedules yet; add one: gated schedules add NAME --hours mon-fri=08:00-17:00"
    show_rows(("schedule", "hours", "holidays"), rows, nothing)


@schedules.command("add")
@click.argument("name")
@_hours
@_holiday
@config_option
@reports
def add(
    name: str, hours: tuple[str, ...], holiday: str | None, config: Path | None
) -> CommandResult:
    """Add a schedule; days that are not named are closed.

    \b
    Example: gated schedules add Weekdays --hours mon-fri=08:00-17:00
    """
    from gated.access.rules import Access
    from gated.access.schemas import ScheduleIn

    if not hours:
        raise click.UsageError("give --hours, such as mon-fri=08:00-17:00")
    values = {"name": name, "week": _week(hours), "holiday": _of_day(holiday or CLOSED)}
    body = checked(ScheduleIn, values).model_dump()
    with changing(config) as (workspace, change):
        added = Access.of(workspace).add_schedule(change, body)
    return CommandResult(_record(added), f"{added.name}: {_in_words(added.week)}")


@schedules.command("change")
@click.argument("name")
@click.option("--name", "new_name", help="Another name.")
@_hours
@_holiday
@config_option
@reports
def change(
    name: str,
    new_name: str | None,
    hours: tuple[str, ...],
    holiday: str | None,
    config: Path | None,
) -> CommandResult:
    """Change a schedule; --hours stand in the place of the whole week before.

    \b
    Example: gated schedules change Weekdays --hours mon-thu=08:00-17:00 --hours fri=08:00-14:00
    """
    from gated.access.rules import Access
    from gated.access.schemas import ScheduleChange

    values = given(name=new_name, week=_week(hours) if hours else None)
    if holiday is not None:
        values["holiday"] = _of_day(holiday)
    if not values:
        raise click.UsageError("name what changes, such as --hours")
    body = checked(ScheduleChange, values).model_dump(exclude_unset=True)
    with changing(config) as (workspace, change):
        id_ = schedule_of(workspace, name).id
        changed = Access.of(workspace).update_schedule(change, id_, body)
    return CommandResult(_record(changed), f"{changed.name}: {_in_words(changed.week)}")


@schedules.command("remove")
@click.argument("name")
@config_option
@reports
def remove(name: str, config: Path | None) -> CommandResult:
    """Remove a schedule that no group and no rule needs.

    \b
    Example: gated schedules remove Weekdays
    """
    from gated.access.rules import Access

    with changing(config) as (workspace, change):
        schedule = schedule_of(workspace, name)
        Access.of(workspace).delete_schedule(change, schedule.id)
    return CommandResult(_record(schedule), f"schedule {schedule.name} removed")


@schedules.command("day")
@click.argument("name")
@click.argument("day", type=_day, metavar="DAY")
@click.argument("hours")
@config_option
@reports
def day(name: str, day: datetime, hours: str, config: Path | None) -> CommandResult:
    """Give one DAY of a schedule HOURS of its own: hours, closed, or usual (as before).

    \b
    Example: gated schedules day Weekdays 2026-12-24 08:00-12:00
    """
    from gated.access.rules import Access
    from gated.access.schemas import HoursIn

    wanted = _of_day(hours)
    own = None if wanted is None else checked(HoursIn, {"hours": wanted}).hours
    with changing(config) as (workspace, change):
        schedule = schedule_of(workspace, name)
        Access.of(workspace).set_exception(change, schedule.id, day.date(), own)
    record = {"schedule": schedule.name, "day": f"{day:%Y-%m-%d}", "hours": own}
    return CommandResult(record, f"{schedule.name} on {day:%Y-%m-%d}: {hours}")


@schedules.command("holidays")
@json_option
@config_option
def holidays(as_json: bool, config: Path | None) -> None:
    """List the holidays.

    \b
    Example: gated schedules holidays
    """
    from gated.access.rules import Access

    with open_state(config) as workspace:
        found = Access.of(workspace).holidays()
    if as_json:
        show_json([asdict(h) for h in found])
        return
    rows = [(h.day, h.name, h.site or "everywhere") for h in found]
    show_rows(("day", "name", "site"), rows, "no holidays yet")


@schedules.command("holiday")
@click.argument("day", type=_day, metavar="DAY")
@click.argument("name", required=False)
@click.option("--remove", is_flag=True, help="A day like others again.")
@click.option("--site", default="", help="At this site only.")
@config_option
@reports
def holiday(
    day: datetime, name: str | None, remove: bool, site: str, config: Path | None
) -> CommandResult:
    """Make a DAY a holiday called NAME.

    \b
    Example: gated schedules holiday 2026-12-25 Christmas
    """
    from gated.access.rules import Access
    from gated.access.schemas import HolidayIn

    if (name is None) != remove:
        raise click.UsageError("give the holiday's name, or --remove")
    called = None if name is None else checked(HolidayIn, {"name": name}).name
    with changing(config) as (workspace, change):
        Access.of(workspace).set_holiday(change, day.date(), called, site=site)
    record = {"day": f"{day:%Y-%m-%d}", "name": called, "site": site}
    return CommandResult(record, f"{day:%Y-%m-%d} is {'no holiday' if remove else called}")


def _of_day(text: str) -> list[str] | None:
    """Read the hours of a day; None: as usual."""
    if text == "usual":
        return None
    return [] if text == CLOSED else text.split(",")


def _week(given_hours: tuple[str, ...]) -> list[list[str]]:
    week: list[list[str]] = [[] for _ in DAYS]
    for text in given_hours:
        days, equals, hours = text.partition("=")
        first, _, last = days.lower().partition("-")
        if not equals or first not in DAYS or (last or first) not in DAYS:
            raise click.BadParameter(f"{text!r} is not such as mon-fri=08:00-17:00")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        if end < begin:
            raise click.BadParameter(f"{text!r}: the week begins with mon")
        for n in range(begin, end + 1):
            week[n] = _of_day(hours) or []
    return week


def _in_words(week: Sequence[Sequence[str]]) -> str:
    """Write a week, days of the same hours together."""
    days = [_text(hours) for hours in week]
    parts, n = [], 0
    while n < len(days):
        end = n
        while end + 1 < len(days) and days[end + 1] == days[n]:
            end += 1
        name = DAYS[n] if end == n else f"{DAYS[n]}-{DAYS[end]}"
        if days[n] != CLOSED:
            parts.append(f"{name} {days[n]}")
        n = end + 1
    return "; ".join(parts) or CLOSED


def _text(hours: Sequence[str]) -> str:
    return ",".join(hours) or CLOSED


def _record(schedule: WeeklySchedule) -> dict[str, Any]:
    record = asdict(schedule)
    record["exceptions"] = {str(d): h for d, h in record["exceptions"].items()}
    return record
