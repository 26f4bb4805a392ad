"""Scenarios of access rules as people write them, played to the real gate.

A scenario (tests/replay/access/*.yaml) names a gate, its rules and people, and then tells step by
step what happens when, and what the gate says to it. Times are those of the clock on the wall.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from gated.core.gallery import Gallery, GalleryPerson, Template
from gated.core.gate import Gate
from gated.core.messages import (
    Command,
    CredentialPresented,
    Decision,
    DoorEvent,
    Event,
    Forgive,
    LastPunches,
    Lock,
    Notice,
    Observation,
    PlanReplaced,
    PresenceHeard,
    RecordDecision,
    RecordEvent,
    RemotePassage,
    RemotePresence,
    SetDoorMode,
    Tick,
)
from gated.core.plan import (
    AccessGroup,
    AccessPlan,
    AntiPassback,
    Pass,
    SiteRules,
    UnsetClock,
    WithoutHub,
)
from gated.core.schedule import ALWAYS, Day, Hours, Schedule
from gated.core.values import Direction, DoorEventKind, DoorMode, Instant, Method, PersonRef
from tests.core.policies import policy_with
from tests.core.scenes import CALIBRATION, SURE, face, like

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HAPPENINGS = {
    "the door is opened": DoorEvent(DoorEventKind.CONTACT_OPEN),
    "the door falls shut": DoorEvent(DoorEventKind.CONTACT_CLOSED),
    "the fire alarm goes off": DoorEvent(DoorEventKind.FIRE),
    "the fire alarm is reset": DoorEvent(DoorEventKind.FIRE_CLEARED),
}


class Scenario:
    """One file: a gate with its rules and people."""

    def __init__(self, file: Path) -> None:
        told: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
        self.title: str = told.pop("title")
        gate = told.pop("gate", {})
        self.zone = ZoneInfo(gate.pop("timezone", "Europe/Berlin"))
        direction = gate.pop("direction", None)
        self.people = _people(told.get("people", {}))
        self.plan = self._plan(told)
        self.steps: list[dict[str, Any]] = told.pop("steps")
        assert not told, f"{file.name}: unknown {', '.join(told)}"
        policy = policy_with(direction=direction and Direction(direction), **gate)
        self.gate = Gate(policy, self._gallery(), CALIBRATION)
        self.clock_ok = True
        self._utc: float | None = None
        self._mono = 1000.0
        self._frame = 0
        self._words = 0

    def play(self) -> Iterator[tuple[str, list[str], list[str]]]:
        """(the step in words, what is expected, what the gate says) of each step."""
        for step in self.steps:
            told = dict(step)
            then = told.pop("then", [])
            expected = [then] if isinstance(then, str) else list(then)
            yield str(step), expected, list(self._say(self._step(told)))
            assert not told, f"unknown {', '.join(told)} in {step}"

    # --- building -----------------------------------------------------------------------------

    def _plan(self, told: dict[str, Any]) -> AccessPlan:
        schedules = [
            _schedule(number, name, week)
            for number, (name, week) in enumerate(told.pop("schedules", {}).items(), start=1)
        ]
        self.schedules = {"always": ALWAYS, **{s.name: s.id for s in schedules}}
        groups = [
            AccessGroup(number, name, tuple(self.schedules[s] for s in names))
            for number, (name, names) in enumerate(told.pop("groups", {}).items(), start=1)
        ]
        self.groups = {group.name: group.id for group in groups}
        everybody = told.pop("everybody", ["always"])
        return AccessPlan(
            self.zone,
            {s.id: s for s in schedules},
            frozenset(told.pop("holidays", [])),
            {g.id: g for g in groups},
            {p.person.id: p for p in self._passes(told.pop("people", {}))},
            tuple(self.schedules[name] for name in everybody),
            self._rules(told.pop("rules", {})),
        )

    def _passes(self, people: Mapping[str, dict[str, Any] | None]) -> Iterator[Pass]:
        for name, own in people.items():
            told = dict(own or {})
            told["groups"] = tuple(self.groups[group] for group in told.get("groups", ()))
            for bound in ("valid_from", "valid_until"):
                if bound in told:
                    told[bound] = self._moment(told[bound]).timestamp()
            yield Pass(self.people[name], **told)

    def _rules(self, told: dict[str, Any]) -> SiteRules:
        for name in ("two_factors", "first_in"):
            if name in told:
                told[name] = self.schedules[told[name]]
        if "forgive_at" in told:
            told["forgive_at"] = _minute(told["forgive_at"])
        if "anti_passback" in told:
            told["anti_passback"] = AntiPassback(told["anti_passback"])
        if "without_hub" in told:
            told["without_hub"] = WithoutHub(told["without_hub"])
        if "unset_clock" in told:
            told["unset_clock"] = UnsetClock(told["unset_clock"])
        return SiteRules(**told)

    def _gallery(self) -> Gallery:
        with_face = [p for p in self.people.values() if self.plan.people[p.id].face]
        members = [GalleryPerson(p) for p in with_face]
        templates = [Template(p.id, p.id, like({p.id: 1.0}), CALIBRATION.model) for p in with_face]
        return Gallery.build(CALIBRATION.model, "cosine", members, templates)

    # --- playing ------------------------------------------------------------------------------

    def _step(self, told: dict[str, Any]) -> list[Command]:
        commands = self._wait_until(told.pop("at", None))
        if "clock" in told:
            self.clock_ok = {"set": True, "not set": False}[told.pop("clock")]
        if self._mono == 1000.0:
            commands += self._send(PlanReplaced(self.plan))
        commands += [c for event in self._events(told) for c in self._send(event)]
        commands += self._looks(told.pop("face", None))
        return commands

    def _events(self, told: dict[str, Any]) -> Iterator[Event]:
        for method in (Method.CARD, Method.PIN, Method.QR):
            if method.value in told:
                whose = self.people.get(told.pop(method.value))
                yield CredentialPresented(method, whose.id if whose else None)
        if "happens" in told:
            yield HAPPENINGS[told.pop("happens")]
        if "forgive" in told:
            yield Forgive(self.people.get(told.pop("forgive")), "op", "asked for it")
        if "door" in told:
            yield SetDoorMode(DoorMode(told.pop("door")), "op", "asked for it")
        if "punched" in told:
            name, direction = told.pop("punched").split(": ")
            punch = (Direction(direction), self._now.utc)
            yield LastPunches({self.people[name].id: punch})
        if "elsewhere" in told:
            yield self._told(told.pop("elsewhere"), told.pop("ago", 0))
        if "hub" in told:
            yield PresenceHeard({"heard": True, "not heard": False}[told.pop("hub")])
        if "change" in told:
            yield PlanReplaced(self._changed(told.pop("change")))

    def _told(self, said: str, ago: float) -> RemotePresence:
        """`Ann: entry at north`, `Ann: nothing`, `Ann: forgiven`, or `3 others`; so long ago."""
        name, _, what = said.partition(": ")
        if not what:
            return RemotePresence(others=int(name.removesuffix(" others")))
        utc, person_id = self._now.utc - ago, self.people[name].id
        if what == "forgiven":
            return RemotePresence(forgiven={person_id: utc})
        self._words += 1
        way, _, gate = what.partition(" at ")
        direction = None if way == "nothing" else Direction(way)
        return RemotePresence({person_id: RemotePassage(self._words, direction, utc, gate)})

    def _changed(self, people: Mapping[str, dict[str, Any]]) -> AccessPlan:
        """The plan with other rules for these people."""
        changed = {p.person.id: p for p in self._passes(people)}
        plan = self.plan
        return AccessPlan(
            plan.zone,
            plan.schedules,
            plan.holidays,
            plan.groups,
            {**plan.people, **changed},
            plan.ungrouped,
            plan.rules,
        )

    def _looks(self, name: str | None) -> list[Command]:
        """Somebody looks at the camera for three frames, and goes."""
        if name is None:
            return []
        self._frame += 10
        looks = {self.people[name].id: SURE} if name in self.people else {}
        seen = face(looks, track=self._frame)
        commands: list[Command] = []
        for n in range(3):
            commands += self._pass(0.1)
            shown = Observation(self._frame + n, self._mono - 0.01, 640, 480, (seen,))
            commands += self._send(shown)
        gone = Observation(self._frame + 3, self._mono, 640, 480, lost=(self._frame,))
        return commands + self._send(gone)

    def _wait_until(self, at: Any) -> list[Command]:
        """An aware moment, or `+20s`, `+5m`, `+9h` after the step before."""
        if isinstance(at, str) and at.startswith("+"):
            return self._pass(float(at[1:-1]) * {"s": 1, "m": 60, "h": 3600}[at[-1]])
        moment = self._moment(at).timestamp()
        if self._utc is None:
            self._utc = moment
        assert moment >= self._utc, f"{at} is earlier than the step before"
        return self._pass(moment - self._utc)

    def _pass(self, seconds: float) -> list[Command]:
        """Let time pass with a tick at each deadline."""
        assert self._utc is not None, "the first step needs a date"
        end, commands = self._mono + seconds, list[Command]()
        while (due := self.gate.deadline) is not None and due <= end:
            self._utc, self._mono = self._utc + due - self._mono, due
            commands += self._send(Tick())
        self._utc, self._mono = self._utc + end - self._mono, end
        return commands

    @property
    def _now(self) -> Instant:
        assert self._utc is not None
        return Instant(self._mono, self._utc, self.clock_ok)

    def _send(self, event: Event) -> list[Command]:
        return self.gate.handle(event, self._now)

    def _moment(self, told: Any) -> datetime:
        """`2026-11-23 08:00`; an hour that comes twice is the second one after `again`."""
        text = str(told)
        fold = int(text.endswith(" again"))
        moment = datetime.fromisoformat(text.removesuffix(" again"))
        return moment.replace(tzinfo=self.zone, fold=fold)

    # --- in words -----------------------------------------------------------------------------

    def _say(self, commands: Iterable[Command]) -> Iterator[str]:
        for command in commands:
            match command:
                case RecordDecision(decision):
                    yield _in_words(decision)
                case Notice(code=code) if str(code).startswith("needs_"):
                    yield f"the gate asks: {code}"
                case RecordEvent(kind="presence_forgiven", body=body):
                    yield f"{body['people']} forgiven: {body['cause']}"
                case RecordEvent(kind="presence_heard"):
                    yield "the other gates are heard again"
                case RecordEvent(kind="presence_unheard", body=body):
                    yield f"the other gates are not heard: {body['without_hub']}"
                case RecordEvent(kind="not_used"):
                    yield "nobody went through"
                case RecordEvent(kind="door_mode", body=body):
                    yield f"the door is set to {body['mode']}"
                case Lock():
                    pass


def _in_words(decision: Decision) -> str:
    who = decision.person.name if decision.person else "somebody"
    with_ = " + ".join(decision.factors) or decision.method.value
    if decision.granted:
        flags = "".join(f", {flag}" for flag in decision.flags)
        return f"{who}: {decision.direction} by {with_}{flags}"
    rule = f" ({decision.rule})" if decision.rule else ""
    return f"{who}: {decision.reason}{rule}"


def _people(names: Iterable[str]) -> dict[str, PersonRef]:
    numbered = enumerate(names, start=1)
    return {name: PersonRef(n, f"uid-{n}", f"P{n}", name) for n, name in numbered}


def _schedule(number: int, name: str, told: Mapping[Any, Any]) -> Schedule:
    """`mon-fri: 08:00-17:00`, `sat: 09:00-12:00, 13:00-15:00`, `holiday: closed`, single dates."""
    week: list[Day] = [()] * 7
    holiday: Day | None = ()
    exceptions: dict[date, Day] = {}
    for when, hours in told.items():
        if isinstance(when, date):
            exceptions[when] = _hours(hours)
        elif when == "holiday":
            holiday = None if hours == "as usual" else _hours(hours)
        else:
            first, _, last = str(when).partition("-")
            days = range(WEEKDAYS.index(first), WEEKDAYS.index(last or first) + 1)
            for day in days:
                week[day] = _hours(hours)
    return Schedule(number, name, tuple(week), holiday, exceptions)


def _hours(told: str) -> Day:
    if told == "closed":
        return ()
    spans = (span.split("-") for span in told.split(", "))
    return tuple(Hours(_minute(begin), _minute(end)) for begin, end in spans)


def _minute(told: str) -> int:
    hour, minute = told.split(":")
    return int(timedelta(hours=int(hour), minutes=int(minute)).total_seconds() // 60)
