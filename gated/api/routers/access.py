"""Who may pass when: schedules, holidays, rules of groups, persons and the site."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response

from gated.api.deps import Admin, Operator, Services, Viewer
from gated.api.errors import responses
from gated.api.schemas import Moment
from gated.api.schemas_access import (
    ExplanationOut,
    ForgiveIn,
    GroupRuleIn,
    GroupRuleOut,
    HolidayIn,
    HolidayOut,
    HoursIn,
    InsideOut,
    PersonAccessChange,
    PersonAccessOut,
    ScheduleChange,
    ScheduleIn,
    ScheduleOut,
    SiteRulesChange,
    SiteRulesOut,
)
from gated.api.tags import etag, version_of
from gated.core.model import Method
from gated.errors import Conflict, StorageError
from gated.services import presence
from gated.services.access import GroupRule
from gated.services.explain import explain

router = APIRouter(prefix="/api/access", tags=["access"])
of_others = APIRouter(prefix="/api", tags=["access"])

IfMatch = Annotated[str | None, Header(description="ETag of what was read", max_length=200)]
OneDay = Annotated[date, Path()]

READING = responses(401, 403, 404, 422, 503)
Site = Annotated[
    str,
    Query(max_length=200, description="of a hub: what holds at this site; else at all of them"),
]
MOST_RULES = 1000


# --- schedules --------------------------------------------------------------------------------


@router.get("/schedules", responses=responses(401, 403, 503))
def schedules(_viewer: Viewer, services: Services) -> list[ScheduleOut]:
    """All schedules by name."""
    return [ScheduleOut.model_validate(s) for s in services.access.schedules()]


@router.get("/schedules/{id}", responses=READING)
def schedule(id: int, response: Response, _viewer: Viewer, services: Services) -> ScheduleOut:
    """One schedule."""
    found = services.access.schedule(id)
    response.headers["ETag"] = etag(found)
    return ScheduleOut.model_validate(found)


@router.post("/schedules", status_code=201, responses=responses(400, 401, 403, 409, 413, 422, 503))
def add_schedule(
    body: ScheduleIn, response: Response, operator: Operator, services: Services
) -> ScheduleOut:
    """Add a schedule: hours of each weekday and of holidays, on the clock of the site."""
    added = services.access.add_schedule(body.model_dump(), actor=operator.username)
    response.headers["Location"] = f"/api/access/schedules/{added.id}"
    response.headers["ETag"] = etag(added)
    return ScheduleOut.model_validate(added)


@router.put("/schedules/{id}", responses=responses(400, 401, 403, 404, 409, 412, 413, 422, 503))
def change_schedule(
    id: int,
    body: ScheduleChange,
    response: Response,
    operator: Operator,
    services: Services,
    if_match: IfMatch = None,
) -> ScheduleOut:
    """Change a schedule; what is left out stays. The gate obeys within a second."""
    changed = services.access.update_schedule(
        id,
        body.model_dump(exclude_unset=True),
        actor=operator.username,
        version=version_of(if_match),
    )
    response.headers["ETag"] = etag(changed)
    return ScheduleOut.model_validate(changed)


@router.delete(
    "/schedules/{id}", status_code=204, responses=responses(401, 403, 404, 409, 422, 503)
)
def delete_schedule(id: int, operator: Operator, services: Services) -> None:
    """Remove a schedule; 409 while a group or a rule of the site needs it."""
    services.access.delete_schedule(id, actor=operator.username)


@router.put(
    "/schedules/{id}/exceptions/{day}",
    responses=responses(400, 401, 403, 404, 409, 413, 422, 503),
)
def set_exception(
    id: int, day: OneDay, body: HoursIn, operator: Operator, services: Services
) -> ScheduleOut:
    """Give one day hours of its own, before those of its weekday or holiday."""
    changed = services.access.set_exception(id, day, body.hours, actor=operator.username)
    return ScheduleOut.model_validate(changed)


@router.delete(
    "/schedules/{id}/exceptions/{day}",
    status_code=204,
    responses=responses(401, 403, 404, 409, 422, 503),
)
def end_exception(id: int, day: OneDay, operator: Operator, services: Services) -> None:
    """Let a day have its usual hours again."""
    services.access.set_exception(id, day, None, actor=operator.username)


@router.get("/holidays", responses=READING)
def holidays(_viewer: Viewer, services: Services, site: Site = "") -> list[HolidayOut]:
    """The holidays by day, of all sites or as they are at one."""
    return [HolidayOut.model_validate(h) for h in services.access.holidays(site)]


@router.put(
    "/holidays/{day}",
    status_code=204,
    responses=responses(400, 401, 403, 404, 409, 413, 422, 503),
)
def set_holiday(
    day: OneDay, body: HolidayIn, operator: Operator, services: Services, site: Site = ""
) -> None:
    """Make a day a holiday, at all sites or at one."""
    services.access.set_holiday(day, body.name, actor=operator.username, site=site)


@router.delete(
    "/holidays/{day}", status_code=204, responses=responses(401, 403, 404, 409, 422, 503)
)
def end_holiday(day: OneDay, operator: Operator, services: Services, site: Site = "") -> None:
    """Make a holiday of all sites, or of one, a day like others."""
    services.access.set_holiday(day, None, actor=operator.username, site=site)


# --- rules ------------------------------------------------------------------------------------


@router.get("/rules", responses=READING)
def rules(response: Response, _viewer: Viewer, services: Services, site: Site = "") -> SiteRulesOut:
    """What holds for everybody, at all sites or at one."""
    found = services.access.site_rules(site)
    response.headers["ETag"] = etag(found)
    return SiteRulesOut.of(found)


@router.put("/rules", responses=responses(400, 401, 403, 404, 409, 412, 413, 422, 503))
def change_rules(
    body: SiteRulesChange,
    response: Response,
    admin: Admin,
    services: Services,
    site: Site = "",
    if_match: IfMatch = None,
) -> SiteRulesOut:
    """Change what holds for everybody, at all sites or (before those) at one; what is left out
    stays. The gate obeys within a second."""
    changed = services.access.set_site_rules(
        body.changes(), actor=admin.username, site=site, version=version_of(if_match)
    )
    response.headers["ETag"] = etag(changed)
    return SiteRulesOut.of(changed)


@router.delete("/rules", status_code=204, responses=responses(401, 403, 404, 409, 412, 422, 503))
def end_rules(
    site: Annotated[str, Query(min_length=1, max_length=200)],
    admin: Admin,
    services: Services,
    if_match: IfMatch = None,
) -> None:
    """Let what holds at all sites hold at this one as well."""
    services.access.end_site_rules(site, actor=admin.username, version=version_of(if_match))


@of_others.get("/groups/{id}/access", responses=READING)
def rules_of_group(id: int, _viewer: Viewer, services: Services) -> list[GroupRuleOut]:
    """Where and when the members of a group pass; empty: the group says nothing about it."""
    return [GroupRuleOut.model_validate(r) for r in services.access.rules_of_group(id)]


@of_others.put("/groups/{id}/access", responses=responses(400, 401, 403, 404, 409, 413, 422, 503))
def set_rules_of_group(
    id: int, body: list[GroupRuleIn], operator: Operator, services: Services
) -> list[GroupRuleOut]:
    """Put these rules in the place of those before; the gates obey within a second."""
    if len(body) > MOST_RULES:
        raise Conflict(f"a group has at most {MOST_RULES} rules")
    wanted = [GroupRule(rule.gate, rule.schedule_id) for rule in body]
    stored = services.access.set_rules_of_group(id, wanted, actor=operator.username)
    return [GroupRuleOut.model_validate(r) for r in stored]


@of_others.get("/persons/{id}/access", responses=READING)
def of_person(id: int, response: Response, _viewer: Viewer, services: Services) -> PersonAccessOut:
    """What one person may do beyond the rules of the groups."""
    found = services.access.of_person(id)
    response.headers["ETag"] = etag(found)
    return PersonAccessOut.model_validate(found)


@of_others.put(
    "/persons/{id}/access", responses=responses(400, 401, 403, 404, 409, 412, 413, 422, 503)
)
def change_of_person(
    id: int,
    body: PersonAccessChange,
    response: Response,
    operator: Operator,
    services: Services,
    if_match: IfMatch = None,
) -> PersonAccessOut:
    """Change dates, second factor, escort and the like; what is left out stays."""
    changed = services.access.set_of_person(
        id,
        body.model_dump(exclude_unset=True),
        actor=operator.username,
        version=version_of(if_match),
    )
    response.headers["ETag"] = etag(changed)
    return PersonAccessOut.model_validate(changed)


# --- who is inside, and why somebody would pass -----------------------------------------------


@router.get("/presence", responses=responses(401, 403, 503))
def presence_(_viewer: Viewer, services: Services) -> InsideOut:
    """Who is inside by the log, and how many may be."""
    return InsideOut.model_validate(presence.inside(services.workspace))


@router.post(
    "/forgive", status_code=202, responses=responses(400, 401, 403, 404, 409, 413, 422, 503)
)
def forgive(body: ForgiveIn, operator: Operator, services: Services) -> None:
    """Let a person, or everybody, count as outside; who and why goes into the journal."""
    live = services.running_gate()
    if services.board.snapshot().journal == "unavailable":
        raise StorageError("what cannot be recorded is not done")
    actor = operator.username
    live.post(presence.forgiving(services.workspace, body.person_id, actor, body.reason))


@of_others.get("/persons/{id}/explain", responses=READING)
def explain_(
    id: int,
    _viewer: Viewer,
    services: Services,
    at: Annotated[Moment | None, Query(description="now by default")] = None,
    shown: Annotated[
        list[Method] | None, Query(alias="with", description="what they have by default")
    ] = None,
) -> ExplanationOut:
    """Why a person would or would not be let in, rule by rule, by the rules that the gate asks."""
    code = services.people.get(id).personnel_code
    return ExplanationOut.model_validate(explain(services.workspace, code, at, shown or ()))
