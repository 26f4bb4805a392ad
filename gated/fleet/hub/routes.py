"""The gates of this hub, for those who run them."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request, Response

from gated.core.roles import Role
from gated.errors import NotAllowed
from gated.fleet.hub.dependencies import Services
from gated.fleet.hub.fleet import FleetGate
from gated.fleet.hub.schemas import (
    AcceptIn,
    FleetEditOut,
    FleetEditState,
    FleetErasureOut,
    FleetGateChange,
    FleetGateIn,
    FleetGateOut,
    FleetOperatorIn,
    FleetOperatorOut,
    InvitationOut,
    RefuseIn,
    SetApartOut,
)
from gated.http.answers import Route
from gated.http.callers import Admin, Auditor, Operator, Viewer
from gated.http.listing import page_headers
from gated.http.problems import responses

router = APIRouter(prefix="/api/fleet", tags=["fleet"], route_class=Route)

State = Literal["invited", "joined", "revoked", "silent", "troubled"]
Sort = Literal["name", "site", "seen_at", "-name", "-site", "-seen_at"]
AccountName = Annotated[str, Path(max_length=100)]
DECIDING = responses(404, 409)
CHANGING = responses(404)


@router.get("/gates")
def list_(
    request: Request,
    response: Response,
    _viewer: Viewer,
    services: Services,
    state: State | None = None,
    site: Annotated[str | None, Query(max_length=200)] = None,
    q: Annotated[str | None, Query(max_length=200, description="part of the name")] = None,
    limit: Annotated[int | None, Query(ge=1, le=10_000)] = None,
    offset: Annotated[int, Query(ge=0)] = 0,
    sort: Sort = "name",
) -> list[FleetGateOut]:
    """Gates; their number is in X-Total-Count, the next page in Link.

    `silent`: joined, and not heard of for five minutes; `troubled`: joined, and it tells of alarms
    or problems.
    """
    found, total = services.fleet.list_(
        state=state, site=site, q=q, sort=sort, limit=limit, offset=offset
    )
    response.headers.update(page_headers(request, len(found), total, limit, offset))
    return [FleetGateOut.of(g) for g in found]


@router.post("/gates", status_code=201, responses=responses(404, 409))
def invite(
    body: FleetGateIn, response: Response, admin: Admin, services: Services
) -> InvitationOut:
    """Add a gate; the code by which it joins is in this answer and nowhere else, for a day."""
    wanted = body.model_dump(include={"groups", "everyone", "photos", "edits"})
    found, code = services.fleet.invite(body.name, body.site, wanted, actor=admin.username)
    response.headers["Location"] = f"/api/fleet/gates/{found.gate.id}"
    return _invitation(found, code)


@router.get("/gates/{id}", responses=CHANGING)
def one(id: int, _viewer: Viewer, services: Services) -> FleetGateOut:
    """One gate."""
    return FleetGateOut.of(services.fleet.get(id))


@router.patch("/gates/{id}", responses=responses(404, 409))
def change(id: int, body: FleetGateChange, admin: Admin, services: Services) -> FleetGateOut:
    """Change name, site, groups, everyone, photos or edits; the gate is given everything anew."""
    changes = body.model_dump(exclude_unset=True)
    return FleetGateOut.of(services.fleet.update(id, changes, actor=admin.username))


@router.post("/gates/{id}/replace", responses=CHANGING)
def replace(id: int, admin: Admin, services: Services) -> InvitationOut:
    """Void the gate's credentials; other hardware takes its place with the code in this answer."""
    return _invitation(*services.fleet.replace(id, actor=admin.username))


@router.post("/gates/{id}/revoke", responses=CHANGING)
def revoke(id: int, admin: Admin, services: Services) -> FleetGateOut:
    """Void the gate's credentials at once, as of one that was stolen."""
    return FleetGateOut.of(services.fleet.revoke(id, actor=admin.username))


@router.get("/gates/{id}/set-apart", responses=CHANGING)
def set_apart(
    id: int,
    _auditor: Auditor,
    services: Services,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[SetApartOut]:
    """Rows of a gate's journal that fit into none: why, and whom they name; newest first."""
    return [SetApartOut.model_validate(s) for s in services.collector.set_apart(id, limit)]


@router.get("/erasures/{uid}", responses=CHANGING)
def erasure(
    uid: Annotated[str, Path(max_length=64)], _auditor: Auditor, services: Services
) -> FleetErasureOut:
    """Return how far the erasure of a person is: when each gate has confirmed it, which have
    not."""
    return FleetErasureOut.model_validate(services.erasures.receipt(uid))


@router.get("/edits")
def edits(
    _operator: Operator,
    services: Services,
    state: FleetEditState | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[FleetEditOut]:
    """Edits that gates have sent: pending ones oldest first, others newest first."""
    found = services.review.list_(limit=limit, state=state)
    return [FleetEditOut.of(edit) for edit in found]


@router.get("/edits/{id}", responses=CHANGING)
def edit(id: int, _operator: Operator, services: Services) -> FleetEditOut:
    """One edit; while it is pending what it wants, and what is there now."""
    return FleetEditOut.of(services.review.get(id))


@router.get(
    "/edits/{id}/image",
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}},
        **CHANGING,
    },
)
def edit_image(id: int, operator: Operator, services: Services) -> Response:
    """The photo of a pending edit; each look at it is journaled."""
    jpeg = services.review.image(id, actor=operator.username)
    return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


@router.post("/edits/{id}/accept", responses=DECIDING)
def accept(id: int, body: AcceptIn, operator: Operator, services: Services) -> FleetEditOut:
    """Let an edit count for all gates."""
    if body.override is not None and not operator.role.includes(Role.ADMIN):
        raise NotAllowed("only an admin may override the check for duplicates")
    actor = operator.username
    return FleetEditOut.of(
        services.review.accept(id, actor=actor, anyway=body.anyway, override=body.override)
    )


@router.post("/edits/{id}/refuse", responses=DECIDING)
def refuse(id: int, body: RefuseIn, operator: Operator, services: Services) -> FleetEditOut:
    """Let an edit not count: the gate undoes it, and its operator reads the reason."""
    if body.erase and not operator.role.includes(Role.ADMIN):
        raise NotAllowed("only an admin may erase somebody")
    actor = operator.username
    return FleetEditOut.of(
        services.review.refuse(id, actor=actor, reason=body.reason, erase=body.erase)
    )


@router.get("/operators")
def operators(_viewer: Viewer, services: Services) -> list[FleetOperatorOut]:
    """Accounts that may edit people at gates, and whose."""
    return [FleetOperatorOut.of(e) for e in services.operators.list_()]


@router.put("/operators/{username}", responses=responses(404, 409))
def allow(
    username: AccountName, body: FleetOperatorIn, admin: Admin, services: Services
) -> FleetOperatorOut:
    """Let an account edit people at gates, from its next sign-in here; a right before is over."""
    found = services.operators.allow(
        username, body.groups, everyone=body.everyone, actor=admin.username
    )
    return FleetOperatorOut.of(found)


@router.delete("/operators/{username}", status_code=204, responses=responses(404, 409))
def forbid(username: AccountName, admin: Admin, services: Services) -> None:
    """Let an account edit at gates no more; its sessions there end."""
    services.operators.forbid(username, actor=admin.username)


def _invitation(found: FleetGate, code: str) -> InvitationOut:
    until = found.gate.invite_until
    assert until is not None  # noqa: S101
    return InvitationOut(id=found.gate.id, name=found.gate.name, code=code, valid_until=until)
