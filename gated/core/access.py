"""The rules of access for somebody who was identified: each rule on its own, in one order.

What forbids comes first, what is only missing (a second factor, a second person) last. A rule that
asks for the time is refused or trusted, as the site says, while nobody has set the clock; who may
pass at any time is not concerned. A gate that only leads out holds nobody back by schedule, dates,
escort or number of people: whoever is inside may leave.
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
    """Things that somebody to whom nothing is opposed still has to bring."""

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
"""What it comes to when it is not brought in time."""

FACE_ONLY = frozenset({Method.FACE})


@dataclass(frozen=True, slots=True)
class Request:
    """Somebody wants to pass. factors: what they have shown so far.

    leaving: the gate only leads out. extended: they need more time to go through. company: people
    who pass together with them.
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
    """The answer of the rules. need: nothing is opposed, but this is missing.

    rule: which one, with the name of the schedule or group where there is one. text: a sentence
    for the admin. Neither holds personal data. flags: for the row of the log.
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
    """Somebody of whom something is missing until `until` (monotonic seconds).

    decision: the one that would be a grant.
    """

    request: Request
    decision: Decision
    verdict: Verdict
    until: float


@dataclass(slots=True)
class AccessRules:
    """The rules and the memory they need. A denial here is never outvoted by a good match."""

    cooldown_s: float = 3.0
    plan: AccessPlan = field(default_factory=AccessPlan)
    journal_available: bool = True
    presence: Presence = field(default_factory=Presence)
    site_heard: bool = True
    """Whether this gate hears who passes at the other gates of the site; true where it has none."""
    waiting: dict[int, Waiting] = field(default_factory=dict)
    """By person id."""
    escort_until: float = float("-inf")
    last_grant: dict[int, float] = field(default_factory=dict)

    def check(self, request: Request, now: Instant) -> Verdict:
        """GRANTED, or what the first rule says that is against it; changes nothing."""
        flags: tuple[str, ...] = ()
        for _, verdict in self.examine(request, now):
            if not verdict.granted:
                return verdict
            flags += verdict.flags
        return Verdict(flags=flags)

    def examine(self, request: Request, now: Instant) -> Iterator[tuple[str, Verdict]]:
        """Return what each rule says, in the order in which they count; (name, verdict)."""
        own = self.pass_of(request)
        for name, rule in RULES:
            yield name, rule(self, request, own, now) or Verdict(rule=name)

    def pass_of(self, request: Request) -> Pass:
        """Return what this person may do; the rules of everybody for who has none of their own."""
        return self.plan.people.get(request.person.id) or Pass(request.person)

    def granted(self, request: Request, now: Instant) -> Passed | None:
        """Remember a grant; returns the person's last passage here before it.

        Forgets grants that no cooldown reaches any more.
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
        """Forget entries that the rules forgive by now; how many. A clock nobody set forgives none.

        Cheap enough to be asked at every event.
        """
        if not self.presence or not now.sure:
            return 0
        return self.presence.forgive_before(forgiven_before(self.plan, now.utc))

    # --- the rules, each with its verdict when something is against it -------------------------

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
            text = "the hub is not heard, and with it who is inside by other gates"
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
            return _missing(Need.FACE, "a card, PIN or badge alone does not open to who has a face")
        if len(request.factors) < 2 and self._two_factors(request, own, now):
            return _missing(Need.SECOND_FACTOR, "a second factor is demanded")
        return None

    def _two_factors(self, request: Request, own: Pass, now: Instant) -> bool:
        """An unset clock asks for more rather than less."""
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
        """Tell whether a schedule is open now; one that asks for the time is not without a
        clock."""
        if schedule_id != ALWAYS and self._clock_is_unset(now):
            return False
        return self.plan.is_open(schedule_id, now.utc)

    # --- what rules have in common -------------------------------------------------------------

    def _unheard(self, answer: WithoutHub) -> bool:
        """Tell whether the other gates are not heard of, and the site has this answer to that."""
        return not self.site_heard and self.plan.rules.without_hub is answer

    def _clock_is_unset(self, now: Instant) -> bool:
        return not now.clock_ok and self.plan.rules.unset_clock is UnsetClock.REFUSE

    def _waiting_with(self, request: Request, now: Instant, *needs: Need) -> Iterator[int]:
        """Other people who wait because of one of these."""
        for id_, other in self.waiting.items():
            if id_ != request.person.id and now.mono < other.until and other.verdict.need in needs:
                yield id_


def _missing(need: Need, text: str) -> Verdict:
    return Verdict(MISSING[need], need.value, text, need)


def _no_clock(rule: str) -> Verdict:
    return Verdict(Reason.CLOCK_UNSET, rule, "nobody has set the clock, and this rule asks for it")


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
"""In the order in which they are asked."""
