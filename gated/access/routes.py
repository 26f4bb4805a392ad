"""Routes of access: schedules, holidays, rules of groups, persons and the site."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from gated.access import presence
from gated.access.dependencies import Services
from gated.access.explain import explain
from gated.access.rules import GroupRule
from gated.access.schemas import (
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
from gated.core.values import Method
from gated.errors import Conflict, StorageError
from gated.http.answers import Route
from gated.http.callers import ChangeByAdmin, ChangeByOperator, Operator, Viewer
from gated.http.entity_tags import IfMatch, etag, versions_of
from gated.http.problems import responses
from gated.http.schemas import SiteMoment

router = APIRouter(prefix="/api/access", tags=["access"], route_class=Route)
of_others = APIRouter(prefix="/api", tags=["access"], route_class=Route)

OneDay = Annotated[date, Path()]

READING = responses(404)
Site = Annotated[
    str,
    Query(max_length=200, description="of a hub: what holds at this site; else at all of them"),
]
MOST_RULES = 1000


# --- schedules --------------------------------------------------------------------------------


@router.get("/schedules")
def schedules(_viewer: Viewer, services: Services) -> list[ScheduleOut]:
    """Return all schedules by name."""
    return [ScheduleOut.model_validate(s) for s in services.access.schedules()]


@router.get("/schedules/{id}", responses=READING)
def schedule(id: int, response: Response, _viewer: Viewer, services: Services) -> ScheduleOut:
    """Return one schedule."""
    found = services.access.schedule(id)
    response.headers["ETag"] = etag(found)
    return ScheduleOut.model_validate(found)


@router.post("/schedules", status_code=201, responses=responses(409))
def add_schedule(
    body: ScheduleIn, response: Response, change: ChangeByOperator, services: Services
) -> ScheduleOut:
    """Add a schedule: hours of each weekday and of holidays, on the clock of the site."""
    with change:
        added = services.access.add_schedule(change, body.model_dump())
    response.headers["Location"] = f"/api/access/schedules/{added.id}"
    response.headers["ETag"] = etag(added)
    return ScheduleOut.model_validate(added)


@router.put("/schedules/{id}", responses=responses(404, 409, 412))
def change_schedule(
    id: int,
    body: ScheduleChange,
    response: Response,
    change: ChangeByOperator,
    services: Services,
    if_match: IfMatch = None,
) -> ScheduleOut:
    """Change a schedule; what is left out stays. The gate obeys within a second."""
    fields, versions = body.model_dump(exclude_unset=True), versions_of(if_match)
    with change:
        changed = services.access.update_schedule(change, id, fields, versions=versions)
    response.headers["ETag"] = etag(changed)
    return ScheduleOut.model_validate(changed)


@router.delete("/schedules/{id}", status_code=204, responses=responses(404, 409))
def delete_schedule(id: int, change: ChangeByOperator, services: Services) -> None:
    """Remove a schedule; 409 while a group or a rule of the site needs it."""
    with change:
        services.access.delete_schedule(change, id)


@router.put(
    "/schedules/{id}/exceptions/{day}",
    responses=responses(404, 409),
)
def set_exception(
    id: int, day: OneDay, body: HoursIn, change: ChangeByOperator, services: Services
) -> ScheduleOut:
    """Give one day hours of its own, before those of its weekday or holiday."""
    with change:
        changed = services.access.set_exception(change, id, day, body.hours)
    return ScheduleOut.model_validate(changed)


@router.delete(
    "/schedules/{id}/exceptions/{day}",
    status_code=204,
    responses=responses(404, 409),
)
def end_exception(id: int, day: OneDay, change: ChangeByOperator, services: Services) -> None:
    """Let a day have its usual hours again."""
    with change:
        services.access.set_exception(change, id, day, None)


@router.get("/holidays", responses=READING)
def holidays(_viewer: Viewer, services: Services, site: Site = "") -> list[HolidayOut]:
    """Return the holidays by day, of all sites or as they are at one."""
    return [HolidayOut.model_validate(h) for h in services.access.holidays(site)]


@router.put(
    "/holidays/{day}",
    status_code=204,
    responses=responses(404, 409),
)
def set_holiday(
    day: OneDay, body: HolidayIn, change: ChangeByOperator, services: Services, site: Site = ""
) -> None:
    """Make a day a holiday, at all sites or at one."""
    with change:
        services.access.set_holiday(change, day, body.name, site=site)


@router.delete("/holidays/{day}", status_code=204, responses=responses(404, 409))
def end_holiday(day: OneDay, change: ChangeByOperator, services: Services, site: Site = "") -> None:
    """Make a holiday of all sites, or of one, a day like others."""
    with change:
        services.access.set_holiday(change, day, None, site=site)


# --- rules ------------------------------------------------------------------------------------


@router.get("/rules", responses=READING)
def rules(response: Response, _viewer: Viewer, services: Services, site: Site = "") -> SiteRulesOut:
    """Return rules for everybody, at all sites or at one."""
    found = services.access.site_rules(site)
    response.headers["ETag"] = etag(found)
    return SiteRulesOut.of(found)


@router.put("/rules", responses=responses(404, 409, 412))
def change_rules(
    body: SiteRulesChange,
    response: Response,
    change: ChangeByAdmin,
    services: Services,
    site: Site = "",
    if_match: IfMatch = None,
) -> SiteRulesOut:
    """Change what holds for everybody, at all sites or (before those) at one; what is left out
    stays. The gate obeys within a second."""
    versions = versions_of(if_match)
    with change:
        changed = services.access.set_site_rules(
            change, body.changes(), site=site, versions=versions
        )
    response.headers["ETag"] = etag(changed)
    return SiteRulesOut.of(changed)


@router.delete("/rules", status_code=204, responses=responses(404, 409, 412))
def end_rules(
    site: Annotated[str, Query(min_length=1, max_length=200)],
    change: ChangeByAdmin,
    services: Services,
    if_match: IfMatch = None,
) -> None:
    """Let what holds at all sites hold at this one as well."""
    with change:
        services.access.end_site_rules(change, site, versions=versions_of(if_match))


@of_others.get("/groups/{id}/access", responses=READING)
def rules_of_group(id: int, _viewer: Viewer, services: Services) -> list[GroupRuleOut]:
    """Return rules of where and when the members of a group pass; empty: the group has none."""
    return [GroupRuleOut.model_validate(r) for r in services.access.rules_of_group(id)]


@of_others.put("/groups/{id}/access", responses=responses(404, 409))
def set_rules_of_group(
    id: int, body: list[GroupRuleIn], change: ChangeByOperator, services: Services
) -> list[GroupRuleOut]:
    """Put these rules in the place of those before; the gates obey within a second."""
    if len(body) > MOST_RULES:
        text = f"a group has at most {MOST_RULES} rules"
        raise Conflict(text).named("most", str(MOST_RULES))
    wanted = [GroupRule(rule.gate, rule.schedule_id) for rule in body]
    with change:
        stored = services.access.set_rules_of_group(change, id, wanted)
    return [GroupRuleOut.model_validate(r) for r in stored]


@of_others.get("/persons/{id}/access", responses=READING)
def of_person(id: int, response: Response, _viewer: Viewer, services: Services) -> PersonAccessOut:
    """Rights of one person beyond the rules of the groups."""
    found = services.access.of_person(id)
    response.headers["ETag"] = etag(found)
    return PersonAccessOut.model_validate(found)


@of_others.put("/persons/{id}/access", responses=responses(404, 409, 412))
def change_of_person(
    id: int,
    body: PersonAccessChange,
    response: Response,
    change: ChangeByOperator,
    services: Services,
    if_match: IfMatch = None,
) -> PersonAccessOut:
    """Change dates, second factor, escort and the like; what is left out stays."""
    fields, versions = body.model_dump(exclude_unset=True), versions_of(if_match)
    with change:
        changed = services.access.set_of_person(change, id, fields, versions=versions)
    response.headers["ETag"] = etag(changed)
    return PersonAccessOut.model_validate(changed)


# --- who is inside, and why somebody would pass -----------------------------------------------


@router.get("/presence", response_model=InsideOut)
def presence_(_viewer: Viewer, services: Services) -> Response:
    """Return the people inside by the log, and how many may be."""
    found = InsideOut.model_validate(
        presence.inside(services.workspace, kept=services.passage_cache)
    )
    # there may be thousands: the schema has looked at each once already
    return Response(found.model_dump_json(), media_type="application/json")


@router.post("/forgive", status_code=202, responses=responses(404, 409))
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
    at: Annotated[SiteMoment | None, Query(description="now by default")] = None,
    shown: Annotated[
        list[Method] | None, Query(alias="with", description="what they have by default")
    ] = None,
) -> ExplanationOut:
    """Explain why a person would or would not be let in, by each rule that the gate asks."""
    code = services.people.get(id).personnel_code
    found = explain(services.workspace, code, at, shown or (), kept=services.passage_cache)
    return ExplanationOut.model_validate(found)
