"""The attendance log: lists, reports, corrections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import chain
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from gated.attendance.attendance import Attendance, Correction, Page
from gated.attendance.dependencies import Services
from gated.attendance.headings import Language, headings
from gated.attendance.payroll import DAY_COLUMNS, MONTH_COLUMNS, MonthTotals
from gated.attendance.reports import DAY_HEADER, LOG_HEADER, By, PeopleFilter, Period, PersonDay
from gated.attendance.schemas import (
    ArrivalsOut,
    AttendanceDetailOut,
    AttendanceOut,
    BreakOut,
    CorrectionIn,
    DayOut,
    MonthOut,
    OwnAttendanceOut,
    PunchIn,
    TotalsOut,
    VersionOut,
    VisitOut,
)
from gated.core.roles import Principal
from gated.core.values import Direction, Method, Reason
from gated.http.answers import Route
from gated.http.callers import Anyone, ChangeByOperator, Viewer
from gated.http.listing import JSON, json_list, json_parts
from gated.http.problems import responses
from gated.http.schemas import SiteEnd, SiteMoment
from gated.http.spreadsheet import Row, csv_bytes, xlsx_bytes

router = APIRouter(prefix="/api/attendance", tags=["attendance"], route_class=Route)

T = TypeVar("T")

CHUNK = 250

CSV = "text/csv; charset=utf-8"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

From = Annotated[SiteMoment | None, Query(alias="from")]
Name = Annotated[str | None, Query(max_length=200)]
Limit = Annotated[int | None, Query(ge=1, le=10_000)]
Cursor = Annotated[str | None, Query(max_length=64)]
FirstDay = Annotated[date | None, Query(alias="from", description="default: first of the month")]
LastDay = Annotated[date | None, Query(description="included; default: today")]
OneDay = Annotated[date | None, Query(description="default: today")]
Format = Literal["csv", "xlsx"]
SUMMARY_PAGE = 500
SummaryLimit = Annotated[int, Query(ge=1, le=10_000)]
Bom = Annotated[bool, Query(description="mark a CSV file as UTF-8, for Excel")]
Month = Annotated[
    str | None,
    Query(alias="from", pattern=r"^\d{4}-\d{2}$", description="such as 2026-10; default: the last"),
]
LastMonth = Annotated[
    str | None, Query(pattern=r"^\d{4}-\d{2}$", description="included; default: `from`")
]
InLanguage = Annotated[Language, Query(description="of headings and of the spreadsheet")]
InSomeLanguage = Annotated[
    Language | None,
    Query(description="of the spreadsheet that reads the table: headings, separator, encoding"),
]
InReadLanguage = Annotated[
    Language | None,
    Query(description="of the spreadsheet that reads a CSV file: separator, point and encoding"),
]
Way = Literal["entry", "exit"]
Status = Literal["granted", "granted_not_used", "denied", "void"]


async def log_filters(
    person_id: int | None = None,
    department: Name = None,
    gate_name: Annotated[Name, Query(description="the name that the gate had then")] = None,
    gate: Annotated[Name, Query(description="uid or name of the gate, now or then")] = None,
    direction: Way | None = None,
    status: Status | None = None,
    reason: Annotated[Reason | None, Query(description="why it went as it did")] = None,
    method: Annotated[Method | None, Query(description="how the person was identified")] = None,
    from_: From = None,
    to: SiteEnd | None = None,
    raw: Annotated[bool, Query(description="with rows that were corrected later")] = False,
) -> dict[str, Any]:
    """Read what a list or an export of the log is narrowed down to."""
    return {
        "person_id": person_id,
        "department": department,
        "gate_name": gate_name,
        "gate": gate,
        "direction": direction,
        "status": status,
        "reason": None if reason is None else str(reason),
        "method": None if method is None else str(method),
        "from_": from_,
        "to": to,
        "raw": raw,
    }


Filters = Annotated[dict[str, Any], Depends(log_filters)]


@router.get("", response_model=list[AttendanceOut])
def list_(
    request: Request,
    _viewer: Viewer,
    services: Services,
    filters: Filters,
    limit: Limit = None,
    cursor: Cursor = None,
) -> Response:
    """Entries and exits, newest first, at or after `from` and before `to`.

    A time without an offset is one of the site's clock; a day alone is included.
    With a limit, `Link: rel="next"` leads on; without one, everything is streamed.
    """
    return _listed(request, services.attendance, filters, limit, cursor, AttendanceOut)


@router.get("/me", response_model=list[OwnAttendanceOut])
def own(
    request: Request,
    me: Anyone,
    services: Services,
    direction: Way | None = None,
    from_: From = None,
    to: SiteEnd | None = None,
    limit: Limit = None,
    cursor: Cursor = None,
) -> Response:
    """My own entries and exits, newest first; none for an account that is nobody's."""
    filters = {"person_id": _myself(me), "direction": direction, "from_": from_, "to": to}
    return _listed(request, services.attendance, filters, limit, cursor, OwnAttendanceOut)


@router.get("/me/summary", response_model=list[DayOut])
def own_summary(
    me: Anyone, services: Services, from_: FirstDay = None, to: LastDay = None
) -> Response:
    """My own days; see the summary of all."""
    reports, people = services.reports, PeopleFilter(person_id=_myself(me))
    return _days(reports.days(reports.period(from_, to), people))


@router.get("/summary/totals")
def totals(
    request: Request,
    response: Response,
    _viewer: Viewer,
    services: Services,
    person_id: int | None = None,
    department: Name = None,
    from_: FirstDay = None,
    to: LastDay = None,
    limit: SummaryLimit = SUMMARY_PAGE,
    after: Annotated[int, Query(ge=0, lt=2**63, description="id of the last person")] = 0,
) -> list[TotalsOut]:
    """The totals of each person over these days; `Link: rel="next"` leads on."""
    reports = services.reports
    period = reports.period(from_, to)
    people = PeopleFilter(person_id, department)
    found = reports.totals(period, people, limit=limit, after=after)
    if len(found) == limit:
        last = found[-1].person.id
        response.headers["Link"] = _next(request, period, after=last)
    return [
        TotalsOut(
            person_id=t.person.id,
            personnel_code=t.person.personnel_code,
            first_name=t.person.first_name,
            last_name=t.person.last_name,
            department=t.person.department,
            days=t.days,
            visits=t.visits,
            open_visits=t.open_visits,
            inside_s=round(t.inside.total_seconds()),
            break_s=round(t.away.total_seconds()),
        )
        for t in found
    ]


@router.get(
    "/summary",
    response_model=list[DayOut],
    responses={200: {"content": {CSV: {}, XLSX: {}}}},
)
def summary(
    request: Request,
    viewer: Viewer,
    services: Services,
    person_id: int | None = None,
    department: Name = None,
    from_: FirstDay = None,
    to: LastDay = None,
    format: Literal["json", "csv", "xlsx"] = "json",
    bom: Bom = False,
    language: InSomeLanguage = None,
    by: Annotated[By, Query(description="order of JSON: by person and day, or day and person")] = (
        "person"
    ),
    limit: SummaryLimit = SUMMARY_PAGE,
    cursor: Cursor = None,
) -> Response:
    """Days of people: first in, last out, time inside, breaks, open visits; tables are journaled.

    A day is one of the clock at the gate, and local times have its offset. Punches in the same
    direction within `attendance.double_punch_s` are one. A visit belongs to the day on which it
    began; one of which a punch was forgotten is open and counts no time. JSON comes in pages:
    `Link: rel="next"` leads on; tables have everything.
    """
    reports = services.reports
    people = PeopleFilter(person_id, department)
    period = reports.period(from_, to)
    if format == "json":
        page, following = reports.page(period, people, by=by, limit=limit, cursor=cursor)
        headers = {} if following is None else {"Link": _next(request, period, cursor=following)}
        return json_list([_day(found) for found in page], DayOut, headers)
    asked = {"person_id": person_id, "department": department}
    exported = {**asked, "from": str(period.first), "to": str(period.last)}
    reports.note_export("days", exported, actor=viewer.username)
    if language is not None:
        header, rows = headings(DAY_COLUMNS, language), services.payroll.day_table(period, people)
        return _table("days", header, rows, format, language=language)
    return _table("days", DAY_HEADER, reports.day_table(period, people), format, bom)


@router.get("/exceptions", response_model=list[DayOut])
def exceptions(
    request: Request,
    _viewer: Viewer,
    services: Services,
    person_id: int | None = None,
    department: Name = None,
    from_: FirstDay = None,
    to: LastDay = None,
    limit: SummaryLimit = SUMMARY_PAGE,
    cursor: Cursor = None,
) -> Response:
    """Days that want mending, the newest first: open visits, or a clock that was unset.

    `Link: rel="next"` leads on; a page may have fewer days than `limit`, or none, and yet not be
    the last.
    """
    reports = services.reports
    period = reports.period(from_, to)
    people = PeopleFilter(person_id, department)
    page, following = reports.exceptions(period, people, limit=limit, cursor=cursor)
    headers = {} if following is None else {"Link": _next(request, period, cursor=following)}
    return json_list([_day(found) for found in page], DayOut, headers)


@router.get("/arrivals")
def arrivals(_viewer: Viewer, services: Services, day: OneDay = None) -> list[ArrivalsOut]:
    """Count who came for the first time on a day, by the hours of the clock at the gate."""
    found = services.reports.arrivals(services.reports.period(day, day).last)
    return [ArrivalsOut(hour=hour, people=found[hour]) for hour in sorted(found)]


@router.get(
    "/months",
    response_model=list[MonthOut],
    responses={200: {"content": {CSV: {}, XLSX: {}}}},
)
def months(
    request: Request,
    viewer: Viewer,
    services: Services,
    person_id: int | None = None,
    department: Name = None,
    from_: Month = None,
    to: LastMonth = None,
    format: Literal["json", "csv", "xlsx"] = "json",
    language: InLanguage = "en",
    limit: SummaryLimit = SUMMARY_PAGE,
    after: Annotated[int, Query(ge=0, lt=2**63, description="id of the last person")] = 0,
) -> Response:
    """Totals of each person and month for payroll, also of who never passed; tables are journaled.

    Planned are a fifth of the weekly hours of a group for each day from Monday to Friday that is no
    holiday. Visitors are left out. JSON has `limit` people a page; `Link: rel="next"` leads on.
    """
    payroll, people = services.payroll, PeopleFilter(person_id, department)
    period = payroll.period(from_, to)
    if format == "json":
        found, last = payroll.page(period, people, limit=limit, after=after)
        headers = {}
        if last is not None:
            same = {"from": f"{period.first:%Y-%m}", "to": f"{period.last:%Y-%m}"}
            following = request.url.include_query_params(**same, after=last)
            headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
        return json_list([_month(t) for t in found], MonthOut, headers)
    asked = {"person_id": person_id, "department": department, "language": language}
    exported = {**asked, "from": str(period.first), "to": str(period.last)}
    services.reports.note_export("months", exported, actor=viewer.username)
    header = headings(MONTH_COLUMNS, language)
    rows = payroll.month_table(period, people)
    return _table("months", header, rows, format, language=language)


@router.get(
    "/export",
    response_class=Response,
    responses={200: {"content": {CSV: {"schema": {"type": "string"}}, XLSX: {}}}},
)
def export(
    viewer: Viewer,
    services: Services,
    filters: Filters,
    format: Format = "csv",
    bom: Bom = False,
    language: InReadLanguage = None,
) -> Response:
    """The log as a table, newest first, with names and the local time at the gate; journaled.

    Its headings are the names of the fields, in any language.
    """
    rows = services.reports.log_table(**filters)
    services.reports.note_export("attendance", filters, actor=viewer.username)
    return _table("attendance", LOG_HEADER, rows, format, bom, language)


@router.get("/{id}", responses=responses(404))
def one(id: int, _viewer: Viewer, services: Services) -> AttendanceDetailOut:
    """One row, and every version of it with who corrected it and why."""
    row, versions = services.attendance.versions(id)
    return AttendanceDetailOut(
        **AttendanceOut.model_validate(row).model_dump(),
        versions=[
            VersionOut(
                id=v.row.id,
                kind=v.kind,
                made_at=v.made_at,
                author=v.author,
                cause=v.cause,
                person_id=v.row.person_id,
                created_at=v.row.created_at,
                direction=v.row.direction,
                status=v.row.status,
            )
            for v in versions
        ],
    )


@router.post("", status_code=201, responses=responses(404, 409))
def punch(
    body: PunchIn, response: Response, change: ChangeByOperator, services: Services
) -> AttendanceOut:
    """Put down a passage that the gate did not see, with the reason."""
    direction = Direction(body.direction)
    with change:
        row = services.attendance.punch(
            change, body.person_id, direction, body.created_at, cause=body.reason
        )
    response.headers["Location"] = f"/api/attendance/{row.id}"
    return AttendanceOut.model_validate(row)


@router.post(
    "/{id}/corrections",
    status_code=201,
    responses=responses(404, 409),
)
def correct(
    id: int, body: CorrectionIn, response: Response, change: ChangeByOperator, services: Services
) -> AttendanceOut:
    """Put a corrected row in the place of one, with the reason; the old one stays on record."""
    correction = Correction(
        person_id=body.person_id,
        passed_at=body.created_at,
        direction=body.direction and Direction(body.direction),
        status=body.status,
    )
    with change:
        row = services.attendance.correct(change, id, correction, cause=body.reason)
    response.headers["Location"] = f"/api/attendance/{row.id}"
    return AttendanceOut.model_validate(row)


def _myself(me: Principal) -> int:
    """The person whose account it is; ids begin with 1, so nobody is 0."""
    return 0 if me.person_id is None else me.person_id


# --- lists ------------------------------------------------------------------------------------


def _listed(
    request: Request,
    attendance: Attendance,
    filters: dict[str, Any],
    limit: int | None,
    cursor: str | None,
    schema: type[BaseModel],
) -> Response:
    """A page with a link to the next one, or everything."""
    # the first page is read before the answer begins: what is wrong can still be said
    page = attendance.page(limit=limit or CHUNK, cursor=cursor, **filters)
    if limit is None:
        parts = (p.rows for p in _pages(attendance, page, filters))
        return StreamingResponse(json_parts(parts, schema), media_type=JSON)
    headers = {}
    if page.cursor is not None:
        following = request.url.include_query_params(cursor=page.cursor)
        headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
    return json_list(page.rows, schema, headers)


def _pages(attendance: Attendance, page: Page, filters: dict[str, Any]) -> Iterator[Page]:
    """This page and all that follow, read one at a time."""
    yield page
    while page.cursor is not None:
        page = attendance.page(limit=CHUNK, cursor=page.cursor, **filters)
        yield page


# --- reports ----------------------------------------------------------------------------------


def _next(request: Request, period: Period, **place: str | int) -> str:
    """Return the link to the next page, of the same days also when the day changes meanwhile."""
    same = {"from": period.first.isoformat(), "to": period.last.isoformat()}
    following = request.url.include_query_params(**same, **place)
    return f'<{following.path}?{following.query}>; rel="next"'


def _month(t: MonthTotals) -> MonthOut:
    person = t.person
    return MonthOut(
        month=t.month,
        person_id=person.id,
        personnel_code=person.personnel_code,
        first_name=person.first_name,
        last_name=person.last_name,
        department=person.department,
        days=t.days,
        visits=t.visits,
        open_visits=t.open_visits,
        worked_s=round(t.inside.total_seconds()),
        break_s=round(t.away.total_seconds()),
        group=t.group,
        planned_s=None if t.planned is None else round(t.planned.total_seconds()),
        balance_s=None if t.balance is None else round(t.balance.total_seconds()),
        corrections=t.corrections,
        clock_unset=t.clock_unset,
    )


def _days(parts: Iterator[list[PersonDay]]) -> Response:
    shown = ([_day(found) for found in part] for part in _begun(parts))
    return StreamingResponse(json_parts(shown, DayOut), media_type=JSON)


def _day(found: PersonDay) -> DayOut:
    person, day = found.person, found.day
    return DayOut(
        date=day.date,
        person_id=person.id,
        personnel_code=person.personnel_code,
        first_name=person.first_name,
        last_name=person.last_name,
        department=person.department,
        first_in=day.first_in,
        last_out=day.last_out,
        inside_s=round(day.inside.total_seconds()),
        break_s=round(day.away.total_seconds()),
        breaks=[BreakOut(begin=begin, end=end) for begin, end in day.breaks],
        visits=[
            VisitOut(
                entry=v.entry.local if v.entry else None,
                exit=v.exit.local if v.exit else None,
                present=v.present,
                open=v.open,
                seconds=round(v.duration.total_seconds()),
            )
            for v in day.visits
        ],
        open_visits=day.open_visits,
        corrections=found.corrections,
        late_s=None if found.late is None else round(found.late.total_seconds()),
        clock_unset=day.clock_unset,
    )


def _table(
    name: str,
    header: Sequence[str],
    rows: Iterator[Row],
    format_: Format,
    bom: bool = False,
    language: Language | None = None,
) -> Response:
    """A file to save."""
    rows = _begun(rows)
    content = (
        csv_bytes(header, rows, bom, language)
        if format_ == "csv"
        else xlsx_bytes(header, rows, name)
    )
    return StreamingResponse(
        content,
        media_type=CSV if format_ == "csv" else XLSX,
        headers={"Content-Disposition": f'attachment; filename="{name}.{format_}"'},
    )


def _begun(parts: Iterator[T]) -> Iterator[T]:
    """The same, its first part read: what is wrong can still be said before the answer begins."""
    first = next(parts, None)
    return parts if first is None else chain([first], parts)
