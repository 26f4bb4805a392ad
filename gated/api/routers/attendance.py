"""The attendance log: lists, reports, corrections."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, tzinfo
from itertools import chain
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from gated.api.deps import Anyone, Operator, Services, Viewer
from gated.api.errors import responses
from gated.api.listing import JSON, json_list, json_parts
from gated.api.schemas import (
    AttendanceDetailOut,
    AttendanceOut,
    BreakOut,
    CorrectionIn,
    DayOut,
    Moment,
    OwnAttendanceOut,
    PunchIn,
    VersionOut,
    VisitOut,
)
from gated.core.model import Direction
from gated.services.accounts import Principal
from gated.services.attendance import Attendance, Correction, Page
from gated.services.reports import DAY_HEADER, LOG_HEADER, PeopleFilter, PersonDay, Reports
from gated.services.spreadsheet import Row, csv_bytes, xlsx_bytes

router = APIRouter(prefix="/api/attendance", tags=["attendance"])

T = TypeVar("T")

CHUNK = 250

CSV = "text/csv; charset=utf-8"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

From = Annotated[Moment | None, Query(alias="from")]
Name = Annotated[str | None, Query(max_length=200)]
Limit = Annotated[int | None, Query(ge=1, le=10_000)]
Cursor = Annotated[str | None, Query(max_length=64)]
FirstDay = Annotated[date | None, Query(alias="from", description="default: first of the month")]
LastDay = Annotated[date | None, Query(description="included; default: today")]
Format = Literal["csv", "xlsx"]
Bom = Annotated[bool, Query(description="mark a CSV file as UTF-8, for Excel")]
Way = Literal["entry", "exit"]
Status = Literal["granted", "granted_not_used", "denied", "void"]


async def log_filters(
    person_id: int | None = None,
    department: Name = None,
    gate_name: Name = None,
    direction: Way | None = None,
    status: Status | None = None,
    from_: From = None,
    to: Moment | None = None,
    raw: Annotated[bool, Query(description="with rows that were corrected later")] = False,
) -> dict[str, Any]:
    """What a list or an export of the log is narrowed down to."""
    return {
        "person_id": person_id,
        "department": department,
        "gate_name": gate_name,
        "direction": direction,
        "status": status,
        "from_": from_,
        "to": to,
        "raw": raw,
    }


Filters = Annotated[dict[str, Any], Depends(log_filters)]


@router.get("", response_model=list[AttendanceOut], responses=responses(401, 403, 422, 503))
def list_(
    request: Request,
    _viewer: Viewer,
    services: Services,
    filters: Filters,
    limit: Limit = None,
    cursor: Cursor = None,
) -> Response:
    """Entries and exits, newest first, at or after `from` and before `to`.

    With a limit, `Link: rel="next"` leads on; without one, everything is streamed.
    """
    return _listed(request, services.attendance, filters, limit, cursor, AttendanceOut)


@router.get("/me", response_model=list[OwnAttendanceOut], responses=responses(401, 403, 422, 503))
def own(
    request: Request,
    me: Anyone,
    services: Services,
    direction: Way | None = None,
    from_: From = None,
    to: Moment | None = None,
    limit: Limit = None,
    cursor: Cursor = None,
) -> Response:
    """My own entries and exits, newest first; none for an account that is nobody's."""
    filters = {"person_id": _myself(me), "direction": direction, "from_": from_, "to": to}
    return _listed(request, services.attendance, filters, limit, cursor, OwnAttendanceOut)


@router.get("/me/summary", response_model=list[DayOut], responses=responses(401, 403, 422, 503))
def own_summary(
    me: Anyone, services: Services, from_: FirstDay = None, to: LastDay = None
) -> Response:
    """My own days; see the summary of all."""
    reports, people = services.reports, PeopleFilter(person_id=_myself(me))
    return _days(reports, reports.days(reports.period(from_, to), people))


@router.get(
    "/summary",
    response_model=list[DayOut],
    responses=responses(401, 403, 422, 503) | {200: {"content": {CSV: {}, XLSX: {}}}},
)
def summary(
    viewer: Viewer,
    services: Services,
    person_id: int | None = None,
    department: Name = None,
    from_: FirstDay = None,
    to: LastDay = None,
    format: Literal["json", "csv", "xlsx"] = "json",
    bom: Bom = False,
) -> Response:
    """Days of people: first in, last out, time inside, breaks, open visits; tables are journaled.

    Days are those of the site's time zone. Punches in the same direction within
    `attendance.double_punch_s` are one. A visit belongs to the day on which it began; one of which
    a punch was forgotten is open and counts no time.
    """
    reports = services.reports
    people = PeopleFilter(person_id, department)
    period = reports.period(from_, to)
    if format == "json":
        return _days(reports, reports.days(period, people))
    asked = {"person_id": person_id, "department": department}
    told = {**asked, "from": str(period.first), "to": str(period.last)}
    reports.note_export("days", told, actor=viewer.username)
    return _table("days", DAY_HEADER, reports.day_table(period, people), format, bom)


@router.get(
    "/export",
    response_class=Response,
    responses=responses(401, 403, 422, 503)
    | {200: {"content": {CSV: {"schema": {"type": "string"}}, XLSX: {}}}},
)
def export(
    viewer: Viewer,
    services: Services,
    filters: Filters,
    format: Format = "csv",
    bom: Bom = False,
) -> Response:
    """The log as a table, newest first, with names and the site's local time; journaled."""
    rows = services.reports.log_table(**filters)
    services.reports.note_export("attendance", filters, actor=viewer.username)
    return _table("attendance", LOG_HEADER, rows, format, bom)


@router.get("/{id}", responses=responses(401, 403, 404, 422, 503))
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


@router.post("", status_code=201, responses=responses(400, 401, 403, 404, 409, 413, 422, 503))
def punch(
    body: PunchIn, response: Response, operator: Operator, services: Services
) -> AttendanceOut:
    """Put down a passage that the gate did not see, with the reason."""
    row = services.attendance.punch(
        body.person_id,
        Direction(body.direction),
        body.created_at,
        actor=operator.username,
        cause=body.reason,
    )
    response.headers["Location"] = f"/api/attendance/{row.id}"
    return AttendanceOut.model_validate(row)


@router.post(
    "/{id}/corrections",
    status_code=201,
    responses=responses(400, 401, 403, 404, 409, 413, 422, 503),
)
def correct(
    id: int, body: CorrectionIn, response: Response, operator: Operator, services: Services
) -> AttendanceOut:
    """Put a corrected row in the place of one, with the reason; the old one stays on record."""
    correction = Correction(
        person_id=body.person_id,
        passed_at=body.created_at,
        direction=body.direction and Direction(body.direction),
        status=body.status,
    )
    row = services.attendance.correct(id, correction, actor=operator.username, cause=body.reason)
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


def _days(reports: Reports, parts: Iterator[list[PersonDay]]) -> Response:
    shown = ([_day(found, reports.zone) for found in part] for part in _begun(parts))
    return StreamingResponse(json_parts(shown, DayOut), media_type=JSON)


def _day(found: PersonDay, zone: tzinfo) -> DayOut:
    person, day = found.person, found.day

    def local(at: datetime | None) -> datetime | None:
        return at and at.astimezone(zone)

    return DayOut(
        date=day.date,
        person_id=person.id,
        personnel_code=person.personnel_code,
        first_name=person.first_name,
        last_name=person.last_name,
        department=person.department,
        first_in=local(day.first_in),
        last_out=local(day.last_out),
        inside_s=round(day.inside.total_seconds()),
        break_s=round(day.away.total_seconds()),
        breaks=[BreakOut(begin=a.astimezone(zone), end=b.astimezone(zone)) for a, b in day.breaks],
        visits=[
            VisitOut(
                entry=local(v.entry.at if v.entry else None),
                exit=local(v.exit.at if v.exit else None),
                present=v.present,
                open=v.open,
                seconds=round(v.duration.total_seconds()),
            )
            for v in day.visits
        ],
        open_visits=day.open_visits,
    )


def _table(
    name: str, header: tuple[str, ...], rows: Iterator[Row], format_: Format, bom: bool
) -> Response:
    """A file to save."""
    rows = _begun(rows)
    content = csv_bytes(header, rows, bom) if format_ == "csv" else xlsx_bytes(header, rows, name)
    return StreamingResponse(
        content,
        media_type=CSV if format_ == "csv" else XLSX,
        headers={"Content-Disposition": f'attachment; filename="{name}.{format_}"'},
    )


def _begun(parts: Iterator[T]) -> Iterator[T]:
    """The same, its first part read: what is wrong can still be said before the answer begins."""
    first = next(parts, None)
    return parts if first is None else chain([first], parts)
