"""Anti-passback never loses a person: who is inside agrees with the journal, whatever happens.

An entry gate with a contact at its door; people leave elsewhere, and enter there too. What the gate
records is the journal, from which an oracle works out who is inside, knowing nothing of the gate's
own memory.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from gated.core.gate import Gate
from gated.core.messages import (
    Command,
    DoorEvent,
    Event,
    Forgive,
    LastPunches,
    Observation,
    PlanReplaced,
    RecordDecision,
    RecordEvent,
    RemotePassage,
    RemotePresence,
    Tick,
)
from gated.core.plan import AccessPlan, AntiPassback, Pass, SiteRules
from gated.core.values import Direction, DoorEventKind, Instant, Reason
from tests.core.policies import policy_with
from tests.core.scenes import ANN, BOB, CALIBRATION, CLEO, SURE, face, gallery, person

PEOPLE = (ANN, BOB, CLEO)
HOUR = 3600.0
FORGIVE_AFTER = 10 * HOUR
START = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
COUNTS: Counter[str] = Counter()

POLICY = policy_with(direction=Direction.ENTRY, contact=True, cooldown_s=0.0)
HARD = SiteRules(AntiPassback.HARD, forgive_after_s=FORGIVE_AFTER, forgive_at=3 * 60)


class Journal:
    """Who is inside, as far as the records tell, and the last punch of everybody."""

    def __init__(self) -> None:
        self.inside: dict[int, float] = {}
        self.last: dict[int, tuple[Direction, float]] = {}
        self.forgiven: dict[int | None, float] = {}
        self._before: dict[int, tuple[int, float | None]] = {}
        self._punch_before: dict[int, tuple[Direction, float] | None] = {}

    def read(self, command: Command) -> None:
        if isinstance(command, RecordDecision):
            decision = command.decision
            if decision.granted and decision.person is not None:
                id_ = decision.person.id
                self._before[decision.visit] = (id_, self.inside.get(id_))
                self._punch_before[decision.visit] = self.last.get(id_)
                self.entered(id_, decision.at.utc)
        elif isinstance(command, RecordEvent) and command.kind == "not_used":
            self._undo(command.body["visit"])
        elif isinstance(command, RecordEvent) and command.kind == "presence_forgiven":
            self._forgive(command)

    def entered(self, id_: int, utc: float) -> None:
        self.inside[id_] = utc
        self.last[id_] = (Direction.ENTRY, utc)

    def left(self, id_: int, utc: float) -> None:
        self.inside.pop(id_, None)
        self.last[id_] = (Direction.EXIT, utc)

    def _undo(self, visit: int) -> None:
        id_, since = self._before[visit]
        punch = self._punch_before[visit]
        self.inside.pop(id_, None)
        self.last.pop(id_, None)
        if since is not None:
            self.inside[id_] = since
        if punch is not None:
            self.last[id_] = punch

    def _forgive(self, record: RecordEvent) -> None:
        gone = set(self.inside)
        if record.subject is not None:
            gone &= {record.subject.id}
        elif record.body["cause"] == "time":
            cutoff = max(record.at.utc - FORGIVE_AFTER, last_three_oclock(record.at.utc))
            gone = {id_ for id_, since in self.inside.items() if since < cutoff}
        assert record.body["people"] == len(gone)
        if record.body["cause"] != "time":
            self.forgiven[record.subject.id if record.subject else None] = record.at.utc
        for id_ in gone:
            del self.inside[id_]


def last_three_oclock(utc: float) -> float:
    """The latest 03:00 UTC."""
    return (utc - 3 * HOUR) // (24 * HOUR) * 24 * HOUR + 3 * HOUR


class AnyDay(RuleBasedStateMachine):
    """People come and go at a gate with hard anti-passback."""

    def __init__(self) -> None:
        super().__init__()
        self.mono, self.frames = 1000.0, 0
        self.site, self.exempt = HARD, frozenset[int]()
        self.told: list[RemotePresence] = []
        self.journal = Journal()
        self.gate = self._new_gate()

    def _new_gate(self) -> Gate:
        gate = Gate(POLICY, gallery(PEOPLE), CALIBRATION)
        gate.handle(PlanReplaced(self._plan()), self.now)
        return gate

    def _plan(self) -> AccessPlan:
        passes = {n: Pass(person(n), exempt=n in self.exempt) for n in PEOPLE}
        return AccessPlan(people=passes, rules=self.site)

    @property
    def now(self) -> Instant:
        return Instant(self.mono, START + self.mono)

    def send(self, event: Event) -> list[Command]:
        commands = self.gate.handle(event, self.now)
        for command in commands:
            self.journal.read(command)
        return commands

    def pass_time(self, seconds: float) -> None:
        end = self.mono + seconds
        while (due := self.gate.deadline) is not None and due <= end:
            self.mono = due
            self.send(Tick())
        self.mono = end

    @rule(who=st.sampled_from(PEOPLE), opens=st.booleans())
    def somebody_wants_in(self, who: int, opens: bool) -> None:
        self.pass_time(10.0)
        self.send(Tick())
        inside = who in self.journal.inside and who not in self.exempt
        self.frames += 10
        commands: list[Command] = []
        for n in range(3):
            self.pass_time(0.1)
            seen = (face({who: SURE}, track=self.frames),)
            commands += self.send(Observation(self.frames + n, self.mono, 640, 480, seen))
        (decision,) = [c.decision for c in commands if isinstance(c, RecordDecision)]
        expected = (
            Reason.ANTI_PASSBACK
            if inside and self.site.anti_passback is AntiPassback.HARD
            else Reason.GRANTED
        )
        assert decision.reason is expected
        COUNTS[decision.reason] += 1
        self.send(Observation(self.frames + 3, self.mono, 640, 480, lost=(self.frames,)))
        if decision.granted and opens:
            self.send(DoorEvent(DoorEventKind.CONTACT_OPEN))
            self.send(DoorEvent(DoorEventKind.CONTACT_CLOSED))
        COUNTS["opened" if opens else "not opened"] += decision.granted
        self.pass_time(6.0)

    @rule(who=st.sampled_from(PEOPLE))
    def somebody_leaves_elsewhere(self, who: int) -> None:
        self.pass_time(1.0)
        self.journal.left(who, self.now.utc)
        self.send(LastPunches({who: (Direction.EXIT, self.now.utc)}))

    @rule(who=st.sampled_from(PEOPLE), direction=st.sampled_from(Direction), late=st.booleans())
    def somebody_passes_another_gate(self, who: int, direction: Direction, late: bool) -> None:
        """late: the gate hears of it twice, and then again of what came before."""
        self.pass_time(1.0)
        (self.journal.left if direction is Direction.EXIT else self.journal.entered)(
            who, self.now.utc
        )
        word = RemotePassage(len(self.told), direction, self.now.utc, "north")
        self.told.append(RemotePresence({who: word}))
        for told in [self.told[-1], *(self.told[-3:] if late else ())]:
            self.send(told)
        COUNTS["elsewhere"] += 1

    @rule(seconds=st.sampled_from([60.0, 5 * HOUR, 11 * HOUR]))
    def time_passes(self, seconds: float) -> None:
        self.pass_time(seconds)

    @rule(who=st.sampled_from([None, *PEOPLE]))
    def an_operator_forgives(self, who: int | None) -> None:
        self.send(Forgive(person(who) if who else None, "op", "why"))

    @rule()
    def there_is_a_fire(self) -> None:
        self.send(DoorEvent(DoorEventKind.FIRE))
        self.pass_time(60.0)
        self.send(DoorEvent(DoorEventKind.FIRE_CLEARED))
        assert not self.gate.admission.access.presence.inside

    @rule(
        mode=st.sampled_from([AntiPassback.HARD, AntiPassback.SOFT]),
        exempt=st.sets(st.sampled_from(PEOPLE)),
    )
    def the_rules_are_changed(self, mode: AntiPassback, exempt: set[int]) -> None:
        self.site, self.exempt = replace(HARD, anti_passback=mode), frozenset(exempt)
        self.send(PlanReplaced(self._plan()))

    @rule()
    def the_gate_is_restarted(self) -> None:
        """Its memory is made anew of the log."""
        self.send(Tick())
        self.gate = self._new_gate()
        self.send(LastPunches(dict(self.journal.last), forgiven=dict(self.journal.forgiven)))
        for told in self.told:
            self.send(told)

    @invariant()
    def the_gate_knows_who_is_inside(self) -> None:
        self.send(Tick())
        inside = self.gate.admission.access.presence.inside
        assert inside == self.journal.inside
        cutoff = max(self.now.utc - FORGIVE_AFTER, last_three_oclock(self.now.utc))
        assert all(since >= cutoff for since in inside.values()), "time has not forgiven"


def test_any_day() -> None:
    COUNTS.clear()
    few = settings(max_examples=2 * settings().max_examples, stateful_step_count=25)
    run_state_machine_as_test(AnyDay, settings=few)
    happenings = (Reason.GRANTED, Reason.ANTI_PASSBACK, "opened", "not opened", "elsewhere")
    for happened in happenings:
        assert COUNTS[happened], f"{happened} never happened"
