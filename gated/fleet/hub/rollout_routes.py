"""Settings for the gates of this hub, and their roll-out in stages."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from gated.fleet.hub.dependencies import Services
from gated.fleet.hub.rollout_schemas import ConfigurationIn, ConfigurationOut, RolloutIn, RolloutOut
from gated.http.answers import Route
from gated.http.callers import Admin, Auditor, Viewer
from gated.http.listing import page_headers
from gated.http.problems import responses

router = APIRouter(prefix="/api/fleet", tags=["fleet"], route_class=Route)

READING = responses(404)
ACTING = responses(404, 409)
STARTING = responses(404, 409)

Limit = Annotated[int | None, Query(ge=1, le=1000)]
Offset = Annotated[int, Query(ge=0)]


@router.get("/configurations")
def configurations(
    request: Request,
    response: Response,
    _auditor: Auditor,
    services: Services,
    limit: Limit = None,
    offset: Offset = 0,
) -> list[ConfigurationOut]:
    """Revisions, newest first; their number is in X-Total-Count, the next page in Link."""
    found, total = services.rollouts.configurations(limit, offset)
    response.headers.update(page_headers(request, len(found), total, limit, offset))
    return [ConfigurationOut.model_validate(c) for c in found]


@router.post("/configurations", status_code=201)
def create(
    body: ConfigurationIn, response: Response, admin: Admin, services: Services
) -> ConfigurationOut:
    """Keep settings as the next revision, for good; each wrong or forbidden place is named."""
    rollouts, by = services.rollouts, admin.username
    if body.text is not None:
        made = rollouts.create_of(body.text, body.note, actor=by)
    else:
        made = rollouts.create(body.settings or {}, body.note, actor=by)
    response.headers["Location"] = f"/api/fleet/configurations/{made.id}"
    return ConfigurationOut.model_validate(made)


@router.get("/configurations/{id}", responses=READING)
def configuration(id: int, _auditor: Auditor, services: Services) -> ConfigurationOut:
    """One revision."""
    return ConfigurationOut.model_validate(services.rollouts.configuration(id))


@router.get("/rollouts")
def rollouts(
    request: Request,
    response: Response,
    _viewer: Viewer,
    services: Services,
    limit: Limit = None,
    offset: Offset = 0,
) -> list[RolloutOut]:
    """Roll-outs, newest first; their number is in X-Total-Count, the next page in Link."""
    found, total = services.rollouts.list_(limit, offset)
    response.headers.update(page_headers(request, len(found), total, limit, offset))
    return [RolloutOut.of(progress) for progress in found]


@router.post("/rollouts", status_code=201, responses=STARTING)
def start(body: RolloutIn, response: Response, admin: Admin, services: Services) -> RolloutOut:
    """Give a revision to the gates of the first stage; the others follow when those are well."""
    begun = services.rollouts.start(
        body.configuration,
        [stage.stage() for stage in body.stages],
        body.soak_s,
        automatic=body.automatic,
        actor=admin.username,
    )
    response.headers["Location"] = f"/api/fleet/rollouts/{begun.rollout.id}"
    return RolloutOut.of(begun)


@router.get("/rollouts/{id}", responses=READING)
def rollout(id: int, _viewer: Viewer, services: Services) -> RolloutOut:
    """One roll-out, and how each of its gates is."""
    return RolloutOut.of(services.rollouts.find(id))


@router.post("/rollouts/{id}/advance", responses=ACTING)
def advance(id: int, admin: Admin, services: Services) -> RolloutOut:
    """Go on to the next stage at once, also of one that was halted."""
    return RolloutOut.of(services.rollouts.advance(id, actor=admin.username))


@router.post("/rollouts/{id}/halt", responses=ACTING)
def halt(id: int, admin: Admin, services: Services) -> RolloutOut:
    """Reach no further gates; those that were reached keep what they have."""
    return RolloutOut.of(services.rollouts.halt(id, actor=admin.username))


@router.post("/rollouts/{id}/rollback", responses=ACTING)
def roll_back(id: int, admin: Admin, services: Services) -> RolloutOut:
    """Give every gate that was reached what it had before."""
    return RolloutOut.of(services.rollouts.roll_back(id, actor=admin.username))
