"""gated attendance: the log of passages, corrections, days; gated inside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gated.cli.acting import (
    ACTOR,
    changing,
    checked,
    given,
    local,
    open_state,
    person_of,
    show_rows,
    site_time,
)
from gated.cli.common import CommandResult, config_option, json_option, one_line, reports, show_json
from gated.cli.output import OutputFile, output_file

if TYPE_CHECKING:
    from gated.attendance.headings import Language
    from gated.attendance.payroll import MonthTotals
    from gated.attendance.reports import PeopleFilter, Period, PersonDay, Reports
    from gated.database.records import AttendanceRow
    from gated.http.spreadsheet import Row
    from gated.workspace import Workspace

SUFFIXES = (".csv", ".xlsx")

_day = click.DateTime(["%Y-%m-%d"])
_from_day = click.option("--from", "first", type=_day, metavar="DAY", help="Default: the 1st.")
_to_day = click.option("--to", "last", type=_day, metavar="DAY", help="Included; default: today.")
_person = click.option("--person", metavar="CODE", help="Of this person only.")
_department = click.option("--department", help="Of this department only.")
_file = click.argument(
    "file", required=False, type=click.Path(path_type=Path, dir_okay=False, writable=False)
)
_reason = click.option(
    "--reason", callback=one_line, required=True, help="Why; stands in the journal."
)
_bom = click.option("--bom", is_flag=True, help="Mark a CSV file as UTF-8, for Excel.")
_language = click.option(
    "--language",
    type=click.Choice(["en", "de", "fr", "es", "fa", "ar"]),
    help="Of the spreadsheet: headings with units, separator, decimal point, encoding.",
)


@click.group()
def attendance() -> None:
    """The log of passages: who passed when; days, hours and files for payroll.

    A day or a time without an offset is one of the site's clock.

    \b
    Example: gated attendance list
    """


# --- the log ----------------------------------------------------------------------------------


def _filters(command: Any) -> Any:
    """Read what the log is narrowed down to, as options."""
    for option in (
        click.option("--raw", is_flag=True, help="With rows that were corrected later."),
        click.option("--to", "until", metavar="TIME", help="Before a time; a day is included."),
        click.option("--from", "since", metavar="TIME", help="At or after a time."),
        click.option("--gate", metavar="NAME", help="At this gate."),
        click.option(
            "--status", type=click.Choice(["granted", "granted_not_used", "denied", "void"])
        ),
        click.option("--direction", type=click.Choice(["entry", "exit"])),
        _department,
        _person,
    ):
        command = option(command)
    return command


def _wanted(
    workspace: Workspace, person: str | None, since: str | None, until: str | None, **more: Any
) -> dict[str, Any]:
    whom = None if person is None else person_of(workspace, person).id
    times = given(from_=site_time(workspace, since), to=site_time(workspace, until, is_end=True))
    return {**given(person_id=whom, **more), **times}


@attendance.command("list")
@_filters
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@json_option
@config_option
def list_(limit: int, as_json: bool, config: Path | None, **filters: Any) -> None:
    """List passages and refusals, newest first.

    \b
    Example: gated attendance list --person E17 --from 2026-11-01
    """
    from gated.attendance.attendance import Attendance

    with open_state(config) as workspace:
        found = Attendance(workspace).page(limit=limit, **_wanted(workspace, **filters)).rows
    if as_json:
        show_json([_record(row) for row in found])
        return
    rows = [_short(row) for row in found]
    head = ("row", "time", "code", "name", "way", "status", "reason")
    show_rows(head, rows, "nothing in that time")


def _record(row: AttendanceRow) -> dict[str, Any]:
    from gated.attendance.schemas import AttendanceOut

    return AttendanceOut.model_validate(row).model_dump(mode="json")


def _short(row: AttendanceRow) -> tuple[object, ...]:
    who = row.person
    return (
        row.id, f"{row.local_time:%Y-%m-%d %H:%M%z}", who and who.personnel_code,
        who.name if who else "-", row.direction, row.status, row.reason,
    )  # fmt: skip


@attendance.command("show")
@click.argument("row", type=int)
@json_option
@config_option
def show(row: int, as_json: bool, config: Path | None) -> None:
    """Show a row of the log with all that stood in its place, who changed it and why.

    \b
    Example: gated attendance show 1204
    """
    from gated.attendance.attendance import Attendance

    with open_state(config) as workspace:
        found, versions = Attendance(workspace).versions(row)
        times = [local(workspace, v.row.created_at) for v in versions]
    if as_json:
        show_json({**asdict(found), "versions": [asdict(v) for v in versions]})
        return
    click.echo("  ".join(str(cell or "-") for cell in _short(found)))
    rows = [
        (v.row.id, at, v.row.direction, v.row.status, v.author or "the gate", v.cause)
        for v, at in zip(versions, times, strict=True)
    ]
    show_rows(("row", "time", "way", "status", "by", "why"), rows, "")


@attendance.command("punch")
@click.argument("code")
@click.argument("direction", type=click.Choice(["entry", "exit"]))
@click.option("--at", metavar="TIME", help="When, such as 08:00 (today); default: now.")
@_reason
@config_option
@reports
def punch(
    code: str, direction: str, at: str | None, reason: str, config: Path | None
) -> CommandResult:
    """Put down a passage that the gate did not see.

    \b
    Example: gated attendance punch E17 exit --at 17:30 --reason "left by the garage"
    """
    from gated.attendance.attendance import Attendance
    from gated.attendance.schemas import PunchIn
    from gated.core.values import Direction

    with changing(config) as (workspace, change):
        person = person_of(workspace, code)
        when = site_time(workspace, at)
        wanted = {"person_id": person.id, "direction": direction, "reason": reason}
        body = checked(PunchIn, {**wanted, **given(created_at=when)})
        way = Direction(body.direction)
        log = Attendance(workspace, tell=_telling(workspace))
        made = log.punch(change, person.id, way, body.created_at, cause=body.reason)
    text = f"row {made.id}: {person.name} {direction} {made.local_time:%Y-%m-%d %H:%M%z}"
    return CommandResult(_record(made), text)


@attendance.command("correct")
@click.argument("row", type=int)
@click.option("--at", metavar="TIME", help="When it was.")
@click.option("--direction", type=click.Choice(["entry", "exit"]))
@click.option("--person", metavar="CODE", help="Whose it was.")
@click.option("--void", is_flag=True, help="It was no passage.")
@_reason
@config_option
@reports
def correct(
    row: int,
    at: str | None,
    direction: str | None,
    person: str | None,
    void: bool,
    reason: str,
    config: Path | None,
) -> CommandResult:
    """Put a corrected row in the place of one; the old one stays on record.

    \b
    Example: gated attendance correct 1204 --at 2026-11-03T17:30 --reason "clock at the gate"
    """
    from gated.attendance.attendance import Attendance, Correction
    from gated.attendance.schemas import CorrectionIn
    from gated.core.values import Direction

    with changing(config) as (workspace, change):
        whom = None if person is None else person_of(workspace, person).id
        wanted = given(
            person_id=whom, created_at=site_time(workspace, at), direction=direction,
            status="void" if void else None,
        )  # fmt: skip
        body = checked(CorrectionIn, {**wanted, "reason": reason})
        way = None if body.direction is None else Direction(body.direction)
        correction = Correction(body.person_id, body.created_at, way, body.status)
        log = Attendance(workspace, tell=_telling(workspace))
        made = log.correct(change, row, correction, cause=body.reason)
    return CommandResult(_record(made), f"row {made.id} in the place of {row}")


def _telling(workspace: Workspace) -> Any:
    """Let the gate that runs here know whose last passage is another one now; none runs: nobody."""
    from gated.errors import GatedError
    from gated.link.command import running_door

    def tell(event: Any) -> None:
        try:
            with running_door(workspace.settings.storage.state_dir) as gate:
                gate.ask(event)
        except GatedError:
            return  # a gate that starts reads the log

    return tell


@attendance.command("export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, writable=False))
@_filters
@_bom
@_language
@config_option
def export(
    file: Path, bom: bool, language: Language | None, config: Path | None, **filters: Any
) -> None:
    """Write the log into FILE (.csv or .xlsx), newest first; that is journaled.

    \b
    Example: gated attendance export november.csv --from 2026-11-01 --to 2026-11-30
    """
    from gated.attendance.reports import LOG_HEADER, Reports

    _require_suffix(file)
    with output_file(file) as out, open_state(config) as workspace:
        wanted, reports = _wanted(workspace, **filters), Reports(workspace)
        reports.note_export("attendance", wanted, actor=ACTOR)
        _write(out, LOG_HEADER, reports.log_table(**wanted), "attendance", bom, language)
    click.echo(f"{file} is written")


# --- reports ----------------------------------------------------------------------------------


@attendance.command("days")
@_file
@_from_day
@_to_day
@_person
@_department
@_bom
@_language
@json_option
@config_option
def days(
    file: Path | None,
    first: datetime | None,
    last: datetime | None,
    person: str | None,
    department: str | None,
    bom: bool,
    language: Language | None,
    as_json: bool,
    config: Path | None,
) -> None:
    """Show the days of people, or write them into FILE (.csv or .xlsx).

    \b
    Example: gated attendance days --person E17 --from 2026-11-01
    Example: gated attendance days november.csv --from 2026-11-01 --to 2026-11-30 --language de
    """
    from gated.attendance.headings import headings
    from gated.attendance.payroll import DAY_COLUMNS, Payroll
    from gated.attendance.reports import DAY_HEADER

    with _target(file) as out, open_state(config) as workspace:
        reports, period, people = _asked(workspace, first, last, person, department)
        if out is not None:
            reports.note_export("days", _exported(period, person, department), actor=ACTOR)
            if language is None:
                _write(out, DAY_HEADER, reports.day_table(period, people), "days", bom)
            else:
                table = Payroll(workspace).day_table(period, people)
                _write(out, headings(DAY_COLUMNS, language), table, "days", language=language)
            _say_written(file, as_json, period)
            return
        found = [day for some in reports.days(period, people) for day in some]
    if as_json:
        show_json([_day_record(day) for day in found])
        return
    head = ("date", "code", "name", "in", "out", "hours", "breaks", "open", "corr.")
    show_rows(head, [_day_row(day) for day in found], "nobody came in that time")


def _say_written(file: Path | None, as_json: bool, period: Period, about: str = "") -> None:
    if as_json:
        show_json({"file": str(file), "first": period.first, "last": period.last})
    else:
        click.echo(f"{file} is written{about}")


def _day_record(d: PersonDay) -> dict[str, Any]:
    return {
        "personnel_code": d.person.personnel_code, "date": d.day.date,
        "first_in": d.day.first_in, "last_out": d.day.last_out,
        "inside_s": round(d.day.inside.total_seconds()),
        "break_s": round(d.day.away.total_seconds()), "open_visits": d.day.open_visits,
        "corrections": d.corrections,
    }  # fmt: skip


def _day_row(d: PersonDay) -> tuple[object, ...]:
    return (
        d.day.date, d.person.personnel_code, d.person.name, _clock(d.day.first_in),
        _clock(d.day.last_out), _hours(d.day.inside), _hours(d.day.away),
        d.day.open_visits or "", d.corrections or "",
    )  # fmt: skip


@attendance.command("months")
@_file
@click.option("--from", "first", metavar="MONTH", help="Such as 2026-10; default: the last one.")
@click.option("--to", "last", metavar="MONTH", help="Included; default: that of --from.")
@_person
@_department
@_language
@json_option
@config_option
def months(
    file: Path | None,
    first: str | None,
    last: str | None,
    person: str | None,
    department: str | None,
    language: Language | None,
    as_json: bool,
    config: Path | None,
) -> None:
    """Show the totals of each person and month for payroll, or write them into FILE (.csv, .xlsx).

    Who never passed is there as well, visitors are not. Planned hours are those of a person's group
    (gated groups change NAME --planned-hours H), for each day from Monday to Friday that is no
    holiday.

    \b
    Example: gated attendance months
    Example: gated attendance months october.csv --from 2026-10 --language de
    Example: gated attendance months october.xlsx --from 2026-10
    """
    from gated.attendance.headings import headings
    from gated.attendance.payroll import MONTH_COLUMNS, Payroll
    from gated.attendance.reports import PeopleFilter, Reports

    with _target(file) as out, open_state(config) as workspace:
        payroll = Payroll(workspace)
        whom = None if person is None else person_of(workspace, person).id
        period, people = payroll.period(first, last), PeopleFilter(whom, department)
        if out is not None:
            Reports(workspace).note_export(
                "months", _exported(period, person, department), actor=ACTOR
            )
            head = headings(MONTH_COLUMNS, language or "en")
            table = payroll.month_table(period, people)
            _write(out, head, table, "months", language=language or "en")
            _say_written(file, as_json, period, f": {period.first:%Y-%m} to {period.last:%Y-%m}")
            return
        found = [totals for some in payroll.months(period, people) for totals in some]
    if as_json:
        show_json([_month_record(totals) for totals in found])
        return
    head = ("month", "code", "name", "days", "hours", "plan", "+/-", "breaks", "open", "corr.")
    show_rows(head, [_month_row(totals) for totals in found], "nobody is known here")


def _month_record(t: MonthTotals) -> dict[str, Any]:
    return {
        "month": f"{t.month:%Y-%m}", "personnel_code": t.person.personnel_code,
        "name": t.person.name, "days": t.days, "worked_s": _seconds(t.inside),
        "planned_s": _seconds(t.planned), "balance_s": _seconds(t.balance),
        "break_s": _seconds(t.away), "open_visits": t.open_visits,
        "corrections": t.corrections, "group": t.group,
    }  # fmt: skip


def _month_row(t: MonthTotals) -> tuple[object, ...]:
    return (
        f"{t.month:%Y-%m}", t.person.personnel_code, t.person.name, t.days, _hours(t.inside),
        _hours(t.planned), _hours(t.balance), _hours(t.away), t.open_visits or "",
        t.corrections or "",
    )  # fmt: skip


def _seconds(span: timedelta | None) -> int | None:
    return None if span is None else round(span.total_seconds())


def _asked(
    workspace: Workspace,
    first: datetime | None,
    last: datetime | None,
    person: str | None,
    department: str | None,
) -> tuple[Reports, Period, PeopleFilter]:
    from gated.attendance.reports import PeopleFilter, Reports

    reports = Reports(workspace)
    whom = None if person is None else person_of(workspace, person).id
    period = reports.period(_date(first), _date(last))
    return reports, period, PeopleFilter(whom, department)


def _date(day: datetime | None) -> date | None:
    return None if day is None else day.date()


def _exported(period: Period, person: str | None, department: str | None) -> dict[str, Any]:
    days = {"from": str(period.first), "to": str(period.last)}
    return {**days, "department": department, "personnel_code": person}


def _clock(at: datetime | None) -> str:
    return "" if at is None else f"{at:%H:%M%z}"


def _hours(span: timedelta | None) -> str:
    if span is None:
        return ""
    minutes = round(span.total_seconds() / 60)
    return f"{'-' if minutes < 0 else ''}{abs(minutes) // 60}:{abs(minutes) % 60:02}"


# --- files ------------------------------------------------------------------------------------


def _target(file: Path | None) -> Any:
    if file is None:
        return nullcontext()
    _require_suffix(file)
    return output_file(file)


def _require_suffix(file: Path) -> None:
    if file.suffix.lower() not in SUFFIXES:
        raise click.UsageError(f"{file}: call it .csv or .xlsx, after what it shall be")


def _write(
    out: OutputFile,
    head: Sequence[str],
    rows: Iterable[Row],
    name: str,
    bom: bool = False,
    language: Language | None = None,
) -> None:
    from gated.http.spreadsheet import csv_bytes, xlsx_bytes

    if out.path.suffix.lower() == ".csv":
        out.write(csv_bytes(head, rows, bom, language))
    else:
        out.write(xlsx_bytes(head, rows, name))


# --- now --------------------------------------------------------------------------------------


@click.command()
@json_option
@config_option
def inside(as_json: bool, config: Path | None) -> None:
    """Show who is inside now, in the order of entering, as far as the log knows.

    \b
    Example: gated inside
    """
    from gated.access.presence import inside as inside_

    with open_state(config) as workspace:
        found = inside_(workspace)
        since = [local(workspace, p.since) for p in found.people]
    if as_json:
        show_json(asdict(found))
        return
    rows = [
        (p.person.personnel_code, p.person.name, at, p.gate)
        for p, at in zip(found.people, since, strict=True)
    ]
    show_rows(("code", "name", "since", "gate"), rows, "nobody is inside")
    count = len(found.people) + found.others
    limit = "" if found.limit is None else f" of {found.limit}"
    click.echo(f"{count}{limit} inside")
