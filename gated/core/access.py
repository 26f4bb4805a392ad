"""The rules of access for an identified person: single rules, applied in a fixed order.

Rules that forbid come first, rules that only miss something (a second factor, a second person)
last. While the clock is not set, a rule that depends on the time refuses, or trusts the clock, as
the site is configured; people who may pass at any time are not affected. An exit gate never applies
schedules, dates, escorts or the limit of people: everybody inside may leave.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gated.core.messages import Decision
from gated.core.plan import AccessPlan, AntiPassback, Pass, UnsetClock, WithoutHub
from gated.core.presence import Passed, Presence, forgiven_before
from gated.core.schedule import ALWAYS
from gated.core.values import Direction, Instant, Method, PersonRef, Reason


class Need(StrEnum):
    """Things that a person still has to bring whom no rule forbids to pass."""

    FACE = "face"
    SECOND_FACTOR = "second_factor"
    ESCORT = "escort"
    SECOND_PERSON = "second_person"


MISSING: Mapping[Need, Reason] = {
    Need.FACE: Reason.FACE_MISSING,
    Need.SECOND_FACTOR: Reason.SECOND_FACTOR_MISSING,
    Need.ESCORT: Reason.ESCORT_MISSING,
    Need.SECOND_PERSON: Reason.SECOND_PERSON_MISSING,
}
"""Reason of the denial when it does not come in time."""

FACE_ONLY = frozenset({Method.FACE})


@dataclass(frozen=True, slots=True)
class Request:
    """A person's request to pass. factors: presented so far.

    leaving: this is an exit gate. extended: the person needs more time to go through. company:
    ids of people who pass together with them.
    """

    person: PersonRef
    direction: Direction = Direction.ENTRY
    factors: frozenset[Method] = FACE_ONLY
    active: bool = True
    leaving: bool = False
    extended: bool = False
    company: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer of the rules. need: no rule forbids it, but this is missing.

    rule: the deciding rule, with the name of its schedule or group if any. text: a sentence for the
    admin. Neither contains personal data. flags: for the row of the log.
    """

    reason: Reason = Reason.GRANTED
    rule: str = ""
    text: str = ""
    need: Need | None = None
    flags: tuple[str, ...] = ()

    @property
    def granted(self) -> bool:
        return self.reason is Reason.GRANTED


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request that waits for something until `until` (monotonic seconds).

    decision: the grant that it becomes when complete.
    """

    request: Request
    decision: Decision
    verdict: Verdict
    until: float


@dataclass(slots=True)
class AccessRules:
    """The rules and the memory that they need. A good match never overrides a denial."""

    cooldown_s: float = 3.0
    plan: AccessPlan = field(default_factory=AccessPlan)
    journal_available: bool = True
    presence: Presence = field(default_factory=Presence)
    site_heard: bool = True
    """This gate gets news of the other gates of its site; True for a site with one gate."""
    waiting: dict[int, Waiting] = field(default_factory=dict)
    """By person id."""
    escort_until: float = float("-inf")
    last_grant: dict[int, float] = field(default_factory=dict)

    def check(self, request: Request, now: Instant) -> Verdict:
        """Return GRANTED, or the verdict of the first rule that objects; changes nothing."""
        flags: tuple[str, ...] = ()
        for _, verdict in self.examine(request, now):
            if not verdict.granted:
                return verdict
            flags += verdict.flags
        return Verdict(flags=flags)

    def examine(self, request: Request, now: Instant) -> Iterator[tuple[str, Verdict]]:
        """Yield (name, verdict) of each rule, in order of precedence."""
        own = self.pass_of(request)
        for name, rule in RULES:
            yield name, rule(self, request, own, now) or Verdict(rule=name)

    def pass_of(self, request: Request) -> Pass:
        """Return the pass of a person; a default one for people without rules of their own."""
        return self.plan.people.get(request.person.id) or Pass(request.person)

    def granted(self, request: Request, now: Instant) -> Passed | None:
        """Remember a grant, and return the person's previous passage here.

        Forgets grants whose cooldown is over.
        """
        if len(self.last_grant) > 1024:
            self.last_grant = {
                p: t for p, t in self.last_grant.items() if now.mono - t < self.cooldown_s
            }
        id_ = request.person.id
        self.last_grant[id_] = now.mono
        self.waiting.pop(id_, None)
        if self.pass_of(request).may_escort:
            self.escort_until = now.mono + self.plan.rules.escort_s
        return self.presence.passed(id_, request.direction, now.utc)

    def forgive_by_time(self, now: Instant) -> int:
        """Forget entries that are forgiven by now, and return how many; none by a doubtful clock.

        Cheap enough to be called at every event.
        """
        if not self.presence or not now.sure:
            return 0
        return self.presence.forgive_before(forgiven_before(self.plan, now.utc))

    # --- the rules: a verdict when one objects, else None --------------------------------------

    def _active(self, request: Request, own: Pass, now: Instant) -> Verdict | None:
        if not (request.active and own.active):
            return Verdict(Reason.INACTIVE, "active", "the person is switched off")
        if own.leaves_at is not None and now.utc >= own.leaves_at:
            text = f"the last day was over {self.plan.wall(own.leaves_at):%Y-%m-%d %H:%M}"
            return Verdict(Reason.INACTIVE, "active", text)
        return None

    def _journal(self, request: Request, own: Pass, now: Instant) -> Verdict | None:
        if self.journal_available:
            return None
        return Verdict(Reason.LOG_UNAVAILABLE, "journal", "nothing can be recorded at the moment")

    def _hub(self, request: Request, own: Pass, now: Instant) -> Verdict | None:
        if self.plan.faces or Method.FACE not in request.factors:
            return None
        return Verdict(Reason.HUB_REVOKED, "hub", "the hub has revoked this gate: join it again")

    def _validity(self, request: Request, own: Pass, now: Instant) -> Verdict | None:
        if request.leaving or (own.valid_from is None and own.valid_until is None):
            return None
        if self._clock_is_unset(now):
            return _no_clock("validity")
        if own.valid_from is not None and now.utc < own.valid_from:
            begin = self.plan.wall(own.valid_from)
            return Verdict(Reason.NOT_YET_VALID, "validity", f"valid from {begin:%Y-%m-%d %H:%M}")
        if own.valid_until is not None and now.utc >= own.valid_until:
            end = f"{self.plan.wall(own.valid_until):%Y-%m-%d %H:%M}"
            if own.visitor:
                return Verdict(Reason.VISIT_OVER, "visitor", f"the visit ended {end}")
            return Verdict(Reason.EXPIRED, "validity", f"valid until {end}")
        return None

    def _schedule(self, request: Request, own: Pass, now: Instant) -> Verdict | None:
        plan, schedules = self.plan, self.plan.schedules_of(own)
        if request.leaving or ALWAYS in schedules:
            return None
        if not schedules:
            names = ", ".join(group.name for group in plan.groups_of(own)) or "none"
            text = f"no group of this person opens this door (groups: {names})"
            return Verdict(Reason.NO_ACCESS, f"group {names}", text)
        names = ", ".join(plan.name_of(id_) for id_ in schedules)
        if self._clock_is_unset(now):
            return _no_clock(f"schedule {names}")
        if any(plan.is_open(id_, now.utc) for id_ in schedules):
            return None
        text = f"closed at {plan.wall(now.utc):%A, %Y-%m-%d %H:%M}: {names}"
        return Verdict(Reason.OUTSIDE_SCHEDULE, f"schedule {names}", text)

    def _cooldown(self, request: Request, own: Pass, now: Instant) -> Verdict | None:
        last = self.last_grant.get(request.person.id)
        if last is None or now.mono - last >= self.cooldown_s:
            return None
        return Verdict(Reason.COOLDOWN, "cooldown", "was let through a moment ago")

    def _presence(self, request: Request, own: Pass, now: Instant) -> Verdict | None:
        if request.direction is Direction.EXIT or own.exempt:
            return None
        if self._unheard(WithoutHub.DENY) and self.plan.rules.refuse_by_presence:
            text = "no news from the hub, so it is unknown who is inside by other gates"
            return Verdict(Reason.PRESENCE_UNKNOWN, "presence", text)
        return None

    def _anti_passback(self, request: Request, own: Pass, now: Instant) -> Verdict | None:
        rules, since = self.plan.rules, self.presence.since(request.person.id)
        if request.direction is Direction.EXIT or since is None or own.exempt:
            return None
        mode, gate = rules.anti_passback, self.presence.entered_at(request.person.id)
        recent = 0.0 <= now.utc - since < rules.timed_s
        refused = mode is AntiPassback.HARD or (mode is AntiPassback.TIMED and recent)
        if mode is AntiPassback.SOFT or (refused and self._unheard(WithoutHub.SOFT)):
            return Verdict(rule="anti_passback", flags=("anti_passback",))
        if not refused:
            return None
        by = f", by {gate}" if gate else ""
        text = f"inside since {self.plan.wall(since):%Y-%m-%d %H:%M}{by}, without an exit"
        rule = f"anti_passback {mode}" + (f" at {gate}" if gate else "")
        return Verdict(Reason.ANTI_PASSBACK, rule, text)

    def _occupancy(self, request: Request, own: Pass, now: Instant) -> Verdict | None:
        limit, inside = self.plan.rules.occupancy, len(self.presence)
        known = self.presence.since(request.person.id) is not None
        if limit is None or request.direction is Direction.EXIT or known or own.exempt:
            return None
        # the first of two who enter together needs room for both
        room = 2 if self.plan.rules.two_person and not request.company else 1
        if inside + room <= limit:
            return None
        if self._unheard(WithoutHub.SOFT):
            return Verdict(rule="occupancy", flags=("occupancy",))
        text = f"{inside} of at most {limit} are inside"
        if elsewhere := self.presence.elsewhere_inside:
            text += f", {elsewhere} of them by other gates"
        return Verdict(Reason.OCCUPANCY, "occupancy", text)

    def _factors(self, request: Request, own: Pass, now: Instant) -> Verdict | None:
        with_face = Method.FACE in request.factors
        if with_face and not own.face:
            text = "this person is not to be recognised by face"
            return Verdict(Reason.FACE_NOT_ACCEPTED, "face", text)
        if not with_face and own.face and not self.plan.rules.credential_alone:
            return _missing(Need.FACE, "a card, PIN or badge is not enough: the face is missing")
        if len(request.factors) < 2 and self._two_factors(request, own, now):
            return _missing(Need.SECOND_FACTOR, "a second factor is demanded")
        return None

    def _two_factors(self, request: Request, own: Pass, now: Instant) -> bool:
        """Return whether a second factor is needed; with an unset clock, it is."""
        if request.leaving:
            return False
        schedule = self.plan.rules.two_factors
        if own.two_factors or schedule is None:
            return own.two_factors
        return self._clock_is_unset(now) or self.plan.is_open(schedule, now.utc)

    def _escort(self, request: Request, own: Pass, now: Instant) -> Verdict | None:
        if request.leaving or not own.needs_escort or now.mono < self.escort_until:
            return None
        people = self.plan.people
        for id_ in self._waiting_with(request, now, Need.SECOND_PERSON):
            if id_ in people and people[id_].may_escort:
                return None
        return _missing(Need.ESCORT, "an escort has to come along")

    def _second_person(self, request: Request, own: Pass, now: Instant) -> Verdict | None:
        if request.leaving or not self.plan.rules.two_person or request.company:
            return None
        needs = {Need.SECOND_PERSON, *((Need.ESCORT,) if own.may_escort else ())}
        if any(self._waiting_with(request, now, *needs)):
            return None
        return _missing(Need.SECOND_PERSON, "two people have to open this door together")

    def is_open(self, schedule_id: int, now: Instant) -> bool:
        """Return whether a schedule is open now; without a set clock only ALWAYS is."""
        if schedule_id != ALWAYS and self._clock_is_unset(now):
            return False
        return self.plan.is_open(schedule_id, now.utc)

    # --- helpers of the rules ------------------------------------------------------------------

    def _unheard(self, answer: WithoutHub) -> bool:
        """Return whether there is no news of other gates, and the site has this policy for it."""
        return not self.site_heard and self.plan.rules.without_hub is answer

    def _clock_is_unset(self, now: Instant) -> bool:
        return not now.clock_ok and self.plan.rules.unset_clock is UnsetClock.REFUSE

    def _waiting_with(self, request: Request, now: Instant, *needs: Need) -> Iterator[int]:
        """Yield the ids of other people who wait for one of these needs."""
        for id_, other in self.waiting.items():
            if id_ != request.person.id and now.mono < other.until and other.verdict.need in needs:
                yield id_


def _missing(need: Need, text: str) -> Verdict:
    return Verdict(MISSING[need], need.value, text, need)


def _no_clock(rule: str) -> Verdict:
    return Verdict(Reason.CLOCK_UNSET, rule, "the clock is not set, and this rule depends on it")


Rule = Callable[[AccessRules, Request, Pass, Instant], Verdict | None]

RULES: tuple[tuple[str, Rule], ...] = (
    ("active", AccessRules._active),
    ("journal", AccessRules._journal),
    ("hub", AccessRules._hub),
    ("validity", AccessRules._validity),
    ("schedule", AccessRules._schedule),
    ("cooldown", AccessRules._cooldown),
    ("presence", AccessRules._presence),
    ("anti_passback", AccessRules._anti_passback),
    ("occupancy", AccessRules._occupancy),
    ("factors", AccessRules._factors),
    ("escort", AccessRules._escort),
    ("second_person", AccessRules._second_person),
)
"""In order of precedence."""
