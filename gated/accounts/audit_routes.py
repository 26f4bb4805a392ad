"""Routes of the audit: who did what, when, to whom and from where."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from gated.accounts.dependencies import Services
from gated.accounts.schemas import AuditOut
from gated.http.answers import Route
from gated.http.callers import Auditor
from gated.http.problems import responses
from gated.http.schemas import SiteEnd, SiteMoment

router = APIRouter(prefix="/api/audit", tags=["audit"], route_class=Route)


@router.get("", responses=responses(404))
def list_(
    request: Request,
    response: Response,
    _auditor: Auditor,
    services: Services,
    kind: Annotated[str | None, Query(max_length=64, description="such as person_changed")] = None,
    actor: Annotated[str | None, Query(max_length=254, description="name of the account")] = None,
    person_id: Annotated[int | None, Query(description="whom it befell")] = None,
    from_: Annotated[SiteMoment | None, Query(alias="from")] = None,
    to: SiteEnd | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(max_length=400)] = None,
) -> list[AuditOut]:
    """Acts, newest first, at or after `from` and before `to`; `Link: rel="next"` leads on."""
    page = services.audit.page(
        kind=kind, actor=actor, person_id=person_id, from_=from_, to=to, limit=limit, cursor=cursor
    )
    if page.cursor is not None:
        following = request.url.include_query_params(cursor=page.cursor)
        response.headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
    return [AuditOut.model_validate(row) for row in page.rows]
