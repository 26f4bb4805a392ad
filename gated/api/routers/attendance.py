"""The attendance log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, TypeAdapter

from gated.api.deps import Services, Viewer
from gated.api.errors import responses
from gated.api.schemas import AttendanceOut
from gated.services.attendance import Attendance, Page

router = APIRouter(prefix="/api/attendance", tags=["attendance"])

CHUNK = 1000

_ROWS = TypeAdapter(list[AttendanceOut])


@router.get("", response_model=list[AttendanceOut], responses=responses(401, 403, 422, 503))
def list_(
    request: Request,
    _viewer: Viewer,
    services: Services,
    person_id: int | None = None,
    gate_name: str | None = None,
    direction: Literal["entry", "exit"] | None = None,
    status: Literal["granted", "granted_not_used", "denied", "void"] | None = None,
    from_: Annotated[AwareDatetime | None, Query(alias="from")] = None,
    to: AwareDatetime | None = None,
    raw: Annotated[bool, Query(description="with rows that were corrected later")] = False,
    limit: Annotated[int | None, Query(ge=1, le=10_000)] = None,
    cursor: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    """Entries and exits, newest first, at or after `from` and before `to`.

    With a limit, `Link: rel="next"` leads on; without one, everything is streamed.
    """
    filters: dict[str, Any] = {
        "person_id": person_id,
        "gate_name": gate_name,
        "direction": direction,
        "status": status,
        "from_": from_,
        "to": to,
        "raw": raw,
    }
    # the first page is read before the answer begins: what is wrong can still be said
    page = services.attendance.page(limit=limit or CHUNK, cursor=cursor, **filters)
    if limit is None:
        return StreamingResponse(
            _everything(services.attendance, page, filters), media_type="application/json"
        )
    headers = {}
    if page.cursor is not None:
        following = request.url.include_query_params(cursor=page.cursor)
        headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
    return Response(_json(page.rows), media_type="application/json", headers=headers)


def _everything(attendance: Attendance, page: Page, filters: dict[str, Any]) -> Iterator[bytes]:
    """The whole list as one JSON array, read a page at a time."""
    yield b"[" + _json(page.rows)[1:-1]
    while page.cursor is not None:
        page = attendance.page(limit=CHUNK, cursor=page.cursor, **filters)
        yield b"," + _json(page.rows)[1:-1]
    yield b"]"


def _json(rows: list[Any]) -> bytes:
    return _ROWS.dump_json(_ROWS.validate_python(rows, from_attributes=True))
