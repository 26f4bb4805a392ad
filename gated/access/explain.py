"""Explains why somebody would or would not pass, by the same rules and memory as the gate."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gated.access import credential_store
from gated.access.access_plan import load_plan
from gated.access.last_punches import last_punches
from gated.access.other_gates import known_presence
from gated.access.passage_cache import PassageCache
from gated.config.gate_policy import gate_policy
from gated.core.access import Request, Verdict
from gated.core.access_control import AccessControl
from gated.core.door_supervision import DoorSupervision
from gated.core.messages import PlanReplaced
from gated.core.pad import AttackMemory
from gated.core.plan import AccessPlan, Pass
from gated.core.tailgating import Tailgating
from gated.core.values import Instant, Method, PersonRef, Reason
from gated.core.visit import Visits
from gated.door.alarms import before_restart
from gated.enrollment import enrollment_store
from gated.errors import NotFound
from gated.people import person_store
from gated.ports import Clock
from gated.workspace import Workspace

AHEAD = timedelta(days=8)
"""Search range for the next opening: a week of hours and a holiday."""

STORED = {Method.FACE: "photo", Method.CARD: "card", Method.PIN: "PIN", Method.QR: "badge"}
"""The stored thing that each factor is compared with."""


@dataclass(frozen=True, slots=True)
class RuleSays:
    """The verdict of one rule.

    outcome: `passed`, `refused`, or `missing` (one more factor helps).
    """

    rule: str
    outcome: str
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The gate's answer to a person at a time, in the zone of the site.

    outcome: `granted`, `denied`, or `waits` for what `text` names. shown: the factors presented.
    lacks: a sentence on factors that are not stored, without which the gate cannot recognise this
    person. opens_at: the next opening of one of the person's schedules.
    """

    person: PersonRef
    at: datetime
    direction: str
    shown: tuple[str, ...]
    outcome: str
    reason: str
    rule: str
    text: str
    flags: tuple[str, ...]
    groups: tuple[str, ...]
    schedules: tuple[str, ...]
    lacks: str
    opens_at: datetime | None
    rules: tuple[RuleSays, ...]


def explain(
    workspace: Workspace,
    code: str,
    at: datetime | None = None,
    shown: Collection[Method] = (),
    clock: Clock | None = None,
    kept: PassageCache | None = None,
) -> Explanation:
    """Ask the rules about the person with this personnel code. Raises: NotFound.

    at: now by default; a time without a zone is local to the site, and the clock is assumed to be
    set. Who is inside follows from the log as it is now. shown: by default what this person has.
    kept: cache of passages, shared between questions.
    """
    now = (clock or workspace.clock).now()
    with workspace.database.read() as session:
        person = person_store.by_code(session, code)
        if person is None:
            raise NotFound(f"there is no person with personnel code {code}")
        faces = enrollment_store.list_(session, person_id=person.id, is_active=True)
        has = {c.kind for c in credential_store.list_(session, person.id) if c.is_active}
    has |= {Method.FACE.value} if faces else set()
    plan = load_plan(workspace, person.id)
    if at is not None:
        moment = at if at.tzinfo else at.replace(tzinfo=plan.zone)
        utc = moment.timestamp()
        now = Instant(now.mono + max(0.0, utc - now.utc), utc)
    own = plan.people.get(person.id) or Pass(person.ref)
    factors = frozenset(shown) or _usual(own, has)
    # other people only matter where the number of people inside is limited
    whom = None if plan.rules.occupancy is not None else [person.id]
    admission = admission_of(workspace, plan, now, whom, kept)
    request = _request(admission, own.person, factors, now, person.is_active)
    lacks = " or ".join(name for method, name in STORED.items() if method in factors - has)
    return _explained(admission, request, own, now, lacks and f"this person has no {lacks}")


def _usual(own: Pass, has: Collection[str]) -> frozenset[Method]:
    """Return the factors that a person who knows the rules would present."""
    others = [m for m in (Method.CARD, Method.QR, Method.PIN) if m.value in has]
    if own.face:
        return frozenset({Method.FACE, *(others[:1] if own.two_factors else ())})
    return frozenset(others[: 2 if own.two_factors else 1]) or frozenset({Method.CARD})


def admission_of(
    workspace: Workspace,
    plan: AccessPlan,
    now: Instant,
    whom: Collection[int] | None = None,
    kept: PassageCache | None = None,
) -> AccessControl:
    """Build access control with the memory of a gate that starts now.

    whom: load the passages of these people only. kept: cache of passages of everybody.
    """
    policy = gate_policy(workspace.settings)
    entrance = DoorSupervision(policy, lambda passage, used: None)
    attacks = AttackMemory(policy.lockout_s, policy.alarm_attacks, policy.alarm_window_s)
    admission = AccessControl(policy, entrance, Visits(), attacks, Tailgating(policy.unlock_s))
    for event in (
        PlanReplaced(plan),
        last_punches(workspace, now, whom, kept),
        *known_presence(workspace),
    ):
        list(admission.take(event, now))
    list(entrance.handle(before_restart(workspace, closely=False), now))
    return admission


def _request(
    admission: AccessControl,
    person: PersonRef,
    factors: frozenset[Method],
    now: Instant,
    active: bool,
) -> Request:
    first = admission.request(person, min(factors), now, active)
    return Request(first.person, first.direction, factors, active=active, leaving=first.leaving)


def _explained(
    admission: AccessControl, request: Request, own: Pass, now: Instant, lacks: str
) -> Explanation:
    plan, verdict = admission.access.plan, admission.check(request, now)
    schedules = plan.schedules_of(own)
    closed = verdict.reason is Reason.OUTSIDE_SCHEDULE
    return Explanation(
        person=own.person,
        at=plan.wall(now.utc),
        direction=request.direction.value,
        shown=tuple(sorted(request.factors)),
        outcome=_outcome(verdict, "granted", "denied", "waits"),
        reason=verdict.reason.value,
        rule=verdict.rule,
        text=verdict.text,
        flags=verdict.flags,
        groups=tuple(group.name for group in plan.groups_of(own)),
        schedules=tuple(plan.name_of(id_) for id_ in schedules),
        lacks=lacks,
        opens_at=_opens_at(plan, schedules, now.utc) if closed else None,
        rules=tuple(
            RuleSays(name, _outcome(v, "passed", "refused", "missing"), v.reason.value, v.text)
            for name, v in admission.examine(request, now)
        ),
    )


def _outcome(verdict: Verdict, granted: str, denied: str, waits: str) -> str:
    if verdict.need is not None:
        return waits
    return granted if verdict.granted else denied


def _opens_at(plan: AccessPlan, schedules: Collection[int], utc: float) -> datetime | None:
    """Return the next minute in which one of these schedules is open; None beyond AHEAD."""
    minute = datetime.fromtimestamp(utc, UTC).replace(second=0, microsecond=0)
    end = minute + AHEAD
    while (minute := minute + timedelta(minutes=1)) < end:
        if any(plan.is_open(id_, minute.timestamp()) for id_ in schedules):
            return minute.astimezone(plan.zone)
    return None
