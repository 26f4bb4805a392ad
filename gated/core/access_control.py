"""Decides whether an identified person is let in, and keeps requests that miss something waiting.

A recognised face, a card, a PIN or a badge makes a `Request`. The rules grant it, refuse it, or
name what is missing: the face that belongs to a card, a second factor, an escort, a second person.
Then the request waits for a limited time, with the factors presented so far, until a later request
completes it: of the same person with another factor, or of another person. Other people are let in
meanwhile.

Only `_let_in` opens the door to a person, and only the rules lead to `_let_in`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gated.core.access import AccessRules, Need, Request, Verdict, Waiting
from gated.core.attendance import DirectionRule
from gated.core.door_supervision import DoorSupervision
from gated.core.gallery import Gallery
from gated.core.messages import (
    Command,
    CredentialPresented,
    Decision,
    Forgive,
    LastPunches,
    Notice,
    PlanReplaced,
    PresenceHeard,
    RecordDecision,
    RecordEvent,
    RemotePresence,
    SetDoorMode,
)
from gated.core.pad import AttackMemory
from gated.core.passage import Passage
from gated.core.policy import GatePolicy
from gated.core.tailgating import Tailgating
from gated.core.values import (
    RETRYABLE,
    Direction,
    DoorMode,
    Instant,
    Method,
    Outcome,
    PersonRef,
    Reason,
)
from gated.core.visit import Visit, VisitInput, Visits

Learned = PlanReplaced | LastPunches | Forgive | RemotePresence | PresenceHeard

STEP_S = 1.0
"""Smaller steps of the clock are ignored: time services adjust it all the time."""

COMPANY = frozenset({Need.ESCORT, Need.SECOND_PERSON})
"""Needs that another person meets."""


class AccessControl:
    """Applies the rules of one gate, and keeps the waiting requests."""

    def __init__(
        self,
        policy: GatePolicy,
        entrance: DoorSupervision,
        visits: Visits,
        attacks: AttackMemory,
        followers: Tailgating,
    ) -> None:
        self.policy = policy
        self.access = AccessRules(policy.cooldown_s)
        self.directions = DirectionRule(
            policy.direction,
            policy.auto_reset_s,
            policy.double_punch_s,
            elsewhere=self.access.presence.elsewhere,
        )
        self._entrance = entrance
        self._visits = visits
        self._attacks = attacks
        self._followers = followers
        self._clock: float | None = None
        """UTC less monotonic seconds, as of the last event."""
        self._looks_at_clock: float | None = None
        """When to check whether the first-in hours are over; None: nobody has come in them."""
        self._freed = False
        """The door has been in free access ever since the first person came."""

    # --- requests -----------------------------------------------------------------------------

    def request(
        self, person: PersonRef, factor: Method, now: Instant, active: bool = True
    ) -> Request:
        """Make the request of a person who presents this factor, with factors presented before."""
        direction, _ = self.directions.next(person.id, now)
        leaving = self.policy.direction is Direction.EXIT
        waits = self.access.waiting.get(person.id)
        before = waits.request.factors if waits else frozenset()
        return Request(person, direction, before | {factor}, active, leaving)

    def check(self, request: Request, now: Instant) -> Verdict:
        """Return the verdict of door, camera and rules; changes nothing."""
        for _, verdict in self._check_entrance(request):
            if not verdict.granted:
                return verdict
        return self.access.check(request, now)

    def examine(self, request: Request, now: Instant) -> Iterator[tuple[str, Verdict]]:
        """Yield (name, verdict) of the door, the camera and each rule, in order of precedence."""
        yield from self._check_entrance(request)
        yield from self.access.examine(request, now)

    def _check_entrance(self, request: Request) -> Iterator[tuple[str, Verdict]]:
        door = self._entrance.door
        refusal = door.refusal()
        yield "door", Verdict(refusal, f"door {door.mode}") if refusal else Verdict(rule="door")
        distrusted = Method.FACE in request.factors and self._entrance.distrusts_camera
        reason = Reason.CAMERA_CHANGED if distrusted else Reason.GRANTED
        yield "camera", Verdict(reason, "camera")

    def ask(
        self, visit: Visit, request: Request, draft: Decision, now: Instant
    ) -> Iterator[Command]:
        """Let a person in, refuse them or let them wait. draft: the decision before the rules."""
        verdict = self.check(request, now)
        waits = self.access.waiting.get(request.person.id)
        if waits is not None and waits.decision.method is not Method.FACE:
            # the first factor, such as a card before the face, has identified the person
            draft = replace(draft, method=waits.decision.method)
        if verdict.need is not None:
            yield from self._wait(
                visit, Waiting(request, draft, verdict, now.mono + self.patience_s)
            )
        elif not verdict.granted:
            self.access.waiting.pop(request.person.id, None)
            yield from self.refuse(visit, _denied(draft, verdict, now), now)
        else:
            yield from self._let_in(visit, request, draft, verdict, now)

    def present(self, shown: CredentialPresented, now: Instant) -> Iterator[Command]:
        """Handle a card, a PIN or a badge that was presented."""
        own = self.access.plan.people.get(shown.person_id) if shown.person_id else None
        visit = self._visits.of_credential(shown, now.mono)
        draft = Decision(now, Outcome.GRANTED, Reason.GRANTED, method=shown.method)
        draft = replace(draft, visit=visit.number, person=own.person if own else None)
        if own is None:
            verdict = Verdict(Reason.UNKNOWN_CREDENTIAL, "credential")
            yield from self.refuse(visit, _denied(draft, verdict, now), now)
            return
        waits = self.access.waiting.get(own.person.id)
        if waits is not None and Method.FACE in waits.request.factors:
            if self._attacks.locks(own.person.id, now.mono):
                return
            visit, draft = self._visit_of(waits.decision), waits.decision
        yield from self.ask(visit, self.request(own.person, shown.method, now), draft, now)

    def needs(self, person_id: int | None) -> Need | None:
        """Return what this person's request waits for."""
        waits = self.access.waiting.get(person_id) if person_id is not None else None
        return waits.verdict.need if waits else None

    def waits_until(self, person_id: int) -> float | None:
        """Return until when this person's request waits; None: it does not."""
        waits = self.access.waiting.get(person_id)
        return waits.until if waits else None

    @property
    def waiting_visits(self) -> set[int]:
        """The visits with a waiting request."""
        return {waits.decision.visit for waits in self.access.waiting.values()}

    @property
    def patience_s(self) -> float:
        """The time that a request waits."""
        return self.access.plan.rules.partner_s

    # --- outcomes -----------------------------------------------------------------------------

    def may_refuse(self, visit: Visit, now: Instant) -> bool:
        """Return whether a refusal may be announced now: none was just now, and none was final."""
        recent = visit.denied_at is not None and (
            now.mono - visit.denied_at < self.policy.denial_interval_s
        )
        return not visit.final and not recent

    def refuse(
        self, visit: Visit, decision: Decision, now: Instant, advice: str = ""
    ) -> Iterator[Command]:
        """Announce and record a denial, unless the visit had one just now or for good."""
        if not self.may_refuse(visit, now):
            return
        reason = decision.reason
        self.pass_over(visit, reason, now)
        yield RecordDecision(replace(decision, flags=()))
        yield Notice(decision.track_id, reason, advice)
        yield from self._entrance.denied(reason, now)

    def pass_over(self, visit: Visit, reason: Reason, now: Instant) -> None:
        """Count a denial for the visit without announcing or recording it."""
        visit.denied_at, visit.reason = now.mono, reason
        visit.denials += 1
        retry = reason in RETRYABLE and visit.denials < self.policy.max_denials
        visit.take(VisitInput.REFUSED if retry else VisitInput.REFUSED_FINALLY)

    def _wait(self, visit: Visit, waiting: Waiting) -> Iterator[Command]:
        need = waiting.verdict.need
        before = self.access.waiting.get(waiting.request.person.id)
        if before is None or before.verdict.need is not need:
            self.access.waiting[waiting.request.person.id] = waiting
            yield Notice(waiting.decision.track_id, f"needs_{need}")
        visit.take(VisitInput.ASKED)

    def _let_in(
        self, visit: Visit, request: Request, draft: Decision, verdict: Verdict, now: Instant
    ) -> Iterator[Command]:
        person = request.person
        visit.take(VisitInput.GRANTED)
        visit.person_id = person.id
        direction, flags = self.directions.next(person.id, now)
        passed_at = replace(now, utc=self.access.presence.follows(person.id, now.utc))
        made_before = person.id in self.directions.made
        here_before = self.access.granted(request, passed_at)
        punch = self.directions.passed(person.id, direction, passed_at)
        factors = tuple(sorted(request.factors)) if len(request.factors) > 1 else ()
        yield RecordDecision(
            replace(
                draft, at=now, direction=direction, flags=(*flags, *verdict.flags), factors=factors
            )
        )
        extended = request.extended or self.access.pass_of(request).extended
        for_s = self.policy.extended_unlock_s if extended else self.policy.unlock_s
        passage = Passage(visit.number, person.id, passed_at.utc, punch, here_before, made_before)
        yield from self._entrance.admit(passage, for_s, now)
        self._followers.granted(visit.number, now.mono)
        yield Notice(draft.track_id, Reason.GRANTED, person.name)
        yield from self._company_of(person.id, now)
        yield from self._first_in(request, now)

    def _company_of(self, person_id: int, now: Instant) -> Iterator[Command]:
        """Let people in who have waited for company."""
        for waits in list(self.access.waiting.values()):
            locked = self._attacks.locks(waits.request.person.id, now.mono)
            if waits.verdict.need not in COMPANY or locked:
                continue
            request = replace(waits.request, company=frozenset({person_id}))
            verdict = self.check(request, now)
            if verdict.granted and self.access.waiting.get(request.person.id) is waits:
                visit = self._visit_of(waits.decision)
                yield from self._let_in(visit, request, waits.decision, verdict, now)

    def _first_in(self, request: Request, now: Instant) -> Iterator[Command]:
        """Unlock the door until the first-in hours end, when this is the first entry in them."""
        hours = self.access.plan.rules.first_in
        enters = request.direction is Direction.ENTRY and not request.leaving
        if hours is None or not enters or self._looks_at_clock is not None:
            return
        if self._entrance.door.mode is DoorMode.NORMAL and self.access.is_open(hours, now):
            self._looks_at_clock, self._freed = _next_minute(now), True
            free = SetDoorMode(DoorMode.FREE_ACCESS, "gate", "first in")
            yield from self._entrance.handle(free, now)

    def _hours_over(self, now: Instant) -> Iterator[Command]:
        """Lock again after the first-in hours, unless somebody has set the mode meanwhile."""
        by_hand = self._entrance.mode_end is not None
        free = self._entrance.door.mode is DoorMode.FREE_ACCESS
        self._freed = self._freed and free and not by_hand
        if self._looks_at_clock is None or now.mono < self._looks_at_clock:
            return
        hours = self.access.plan.rules.first_in
        if hours is not None and self.access.is_open(hours, now):
            self._looks_at_clock = _next_minute(now)
            return
        self._looks_at_clock = None
        if self._freed:
            self._freed = False
            normal = SetDoorMode(DoorMode.NORMAL, "gate", "the hours are over")
            yield from self._entrance.handle(normal, now)

    def settled(self, passage: Passage, used: bool) -> None:
        """Undo the passage of a person who did not go through."""
        id_, made = passage.person_id, passage.made_before
        if not used and self.directions.undo(id_, passage.at_utc, passage.before, made):
            self.access.presence.put_back(id_, passage.here_before, made)

    # --- rules and memory ---------------------------------------------------------------------

    def take(self, event: Learned, now: Instant) -> Iterator[Command]:
        """Apply new rules, passages from the log or the hub, or an operator's act."""
        match event:
            case PlanReplaced(plan):
                self.access.plan = plan
            case LastPunches(punches, complete_to, forgiven):
                self.directions.learn(punches, complete_to)
                self.access.presence.was_forgiven(forgiven)
                self.access.presence.learn(punches, complete_to)
                # not recorded: these had been forgiven before the start
                self.access.forgive_by_time(now)
            case RemotePresence():
                self.access.presence.apply_remote(event, now.utc, now.sure)
                self.access.forgive_by_time(now)
            case PresenceHeard(heard):
                yield from self._heard(heard, now)
            case Forgive(person, actor, cause):
                people = self.access.presence.forgive(person.id if person else None, now.utc)
                yield replace(_forgiven(now, "operator", people, actor, person), cause=cause)

    def _heard(self, heard: bool, now: Instant) -> Iterator[Command]:
        if heard == self.access.site_heard:
            return
        self.access.site_heard = heard
        rules = self.access.plan.rules
        if rules.count_people:
            kind = "presence_heard" if heard else "presence_unheard"
            yield RecordEvent(now, kind, {"without_hub": str(rules.without_hub)})

    def known(self, gallery: Gallery) -> None:
        """Drop waiting requests with a face that is not in the gallery any more."""
        with_face = [
            id_ for id_, w in self.access.waiting.items() if Method.FACE in w.request.factors
        ]
        if with_face:
            active = {m.person.id for m in gallery.members if m.active}
            for id_ in set(with_face) - active:
                del self.access.waiting[id_]

    def fire(self, now: Instant) -> Iterator[Command]:
        """Let everybody count as outside: in a fire people leave by any way."""
        yield from self._forgiven(self.access.presence.forgive(None, now.utc), "fire", now)

    def _forgiven(self, people: int, cause: str, now: Instant) -> Iterator[Command]:
        """Record that people count as outside, where a rule depends on who is inside."""
        if people and self.access.plan.rules.count_people:
            yield _forgiven(now, cause, people)

    # --- time ---------------------------------------------------------------------------------

    @property
    def deadline(self) -> float | None:
        """The time at which `advance` has something to do; None: never."""
        due = [w.until for w in self.access.waiting.values()]
        return min([*due, *([self._looks_at_clock] if self._looks_at_clock else [])], default=None)

    def advance(self, now: Instant) -> Iterator[Command]:
        """Refuse requests that have waited too long; forgive entries whose time is over."""
        self._follow_clock(now)
        for id_, waits in list(self.access.waiting.items()):
            if now.mono >= waits.until:
                del self.access.waiting[id_]
                visit = self._visit_of(waits.decision)
                yield from self.refuse(visit, _denied(waits.decision, waits.verdict, now), now)
        yield from self._forgiven(self.access.forgive_by_time(now), "time", now)
        yield from self._hours_over(now)

    def _follow_clock(self, now: Instant) -> None:
        """Move remembered times by the step by which the clock was set."""
        offset, before = now.utc - now.mono, self._clock
        if before is not None and abs(offset - before) <= STEP_S:
            return
        self._clock = offset
        if before is not None:
            self.access.presence.clock_set(offset - before)
            self.directions.clock_set(offset - before)
            self._entrance.passages.clock_set(offset - before)

    def _visit_of(self, decision: Decision) -> Visit:
        """Return the visit of a decision; a new one of its number when it was closed meanwhile."""
        return self._visits.get(decision.visit) or Visit(decision.visit)


def _next_minute(now: Instant) -> float:
    """Return the monotonic time just after the next full minute, when schedules begin and end."""
    return now.mono + 60.1 - now.utc % 60.0


def _denied(draft: Decision, verdict: Verdict, now: Instant) -> Decision:
    return replace(draft, at=now, outcome=Outcome.DENIED, reason=verdict.reason, rule=verdict.rule)


def _forgiven(
    now: Instant, cause: str, people: int, actor: str | None = None, whom: PersonRef | None = None
) -> RecordEvent:
    # `everybody`: otherwise a row whose person was erased would seem to concern everybody
    body = {"cause": cause, "people": people, "everybody": whom is None and cause != "time"}
    return RecordEvent(now, "presence_forgiven", body, actor=actor, subject=whom)
