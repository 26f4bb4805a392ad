"""Modes of the door with an end: by both clocks, over leaps and restarts."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from gated.core.clock import SETTLE_S
from gated.core.gate import Gate
from gated.core.messages import (
    Command,
    JournalState,
    Lock,
    Notice,
    RecordEvent,
    Restored,
    SetDoorMode,
    Tick,
    Unlock,
)
from gated.core.mode_end import ModeEnd
from gated.core.values import DoorMode, Reason
from gated.devices.clock import ManualClock
from tests.core.policies import policy_with
from tests.core.scenes import CALIBRATION, gallery

HOUR = 3600.0
FREE, LOCKDOWN, CLOSED = DoorMode.FREE_ACCESS, DoorMode.LOCKDOWN, DoorMode.OUT_OF_SERVICE
SHUT = pytest.mark.parametrize("mode", [LOCKDOWN, CLOSED])


@dataclass
class Door:
    """A gate whose two clocks go as they are told; ticks come at its deadlines."""

    clock: ManualClock = field(default_factory=ManualClock)
    gate: Gate = field(default_factory=lambda: Gate(policy_with(), gallery(), CALIBRATION))
    commands: list[Command] = field(default_factory=list)

    def send(self, event: object) -> list[Command]:
        commands = self.gate.handle(event, self.clock.now())  # type: ignore[arg-type]
        self.commands += commands
        return commands

    def set(self, mode: DoorMode, for_s: float | None = None) -> list[Command]:
        until = None if for_s is None else self.clock.utc + for_s
        return self.send(SetDoorMode(mode, "op", "why", until))

    def wait(self, seconds: float) -> None:
        end = self.clock.mono + seconds
        while (deadline := self.gate.deadline) is not None and deadline <= end:
            assert deadline >= self.clock.mono
            self.clock.advance(deadline - self.clock.mono)
            self.send(Tick())
            assert self.gate.deadline != deadline, "a tick at the deadline found nothing to do"
        self.clock.advance(end - self.clock.mono)

    @property
    def mode(self) -> DoorMode:
        return self.gate.state.mode

    def until(self) -> float | None:
        return self.gate.state.mode_until

    @property
    def rows(self) -> list[dict[str, object]]:
        return [
            dict(c.body)
            for c in self.commands
            if isinstance(c, RecordEvent) and c.kind == "door_mode"
        ]


@pytest.mark.parametrize("mode", [FREE, LOCKDOWN, CLOSED])
def test_a_mode_ends_by_itself_and_that_is_recorded(mode: DoorMode) -> None:
    door = Door()
    door.set(mode, HOUR)
    assert door.until() == door.clock.utc + HOUR
    door.wait(HOUR - 1)
    assert door.mode is mode
    door.wait(2)
    assert door.mode is DoorMode.NORMAL
    assert door.until() is None
    assert door.rows == [
        {"mode": mode, "before": "normal", "until": "2027-01-15T09:00:00+00:00"},
        {"mode": "normal", "before": mode, "cause": "until"},
    ]
    assert isinstance([c for c in door.commands if isinstance(c, Lock | Unlock)][-1], Lock)


@pytest.mark.parametrize("leap", [-30 * 86_400.0, -60.0, 60.0, 1800.0, 30 * 86_400.0])
def test_no_leap_of_the_clock_holds_free_access_longer(leap: float) -> None:
    door = Door()
    door.set(FREE, HOUR)
    door.wait(HOUR / 4)
    door.clock.step_utc(leap)
    door.clock.clock_ok = False
    door.wait(HOUR * 3 / 4 + 0.001)
    assert door.mode is DoorMode.NORMAL


@SHUT
@pytest.mark.parametrize("leap", [60.0, 1800.0, 30 * 86_400.0])
def test_no_leap_of_the_clock_ends_a_closed_door_early(mode: DoorMode, leap: float) -> None:
    door = Door()
    door.set(mode, HOUR)
    door.wait(HOUR / 4)
    door.clock.step_utc(leap)
    door.wait(HOUR * 3 / 4 - 1)
    assert door.mode is mode
    door.wait(2)
    assert door.mode is DoorMode.NORMAL


@SHUT
def test_a_clock_that_was_set_back_holds_a_closed_door_until_it_shows_the_end(
    mode: DoorMode,
) -> None:
    door = Door()
    door.set(mode, HOUR)
    door.clock.step_utc(-HOUR)
    door.wait(2 * HOUR - 1)
    assert door.mode is mode
    door.wait(2)
    assert door.mode is DoorMode.NORMAL


@pytest.mark.parametrize("wrong", ["unset", "doubted"])
def test_by_a_clock_that_may_be_wrong_a_lockdown_has_no_end_and_nothing_is_unlocked(
    wrong: str,
) -> None:
    door = Door()
    door.clock.clock_ok, door.clock.doubted = wrong != "unset", wrong == "doubted"
    assert door.set(FREE, HOUR) == [Notice(None, Reason.CLOCK_UNSET)]
    door.set(LOCKDOWN, HOUR)
    assert door.mode is LOCKDOWN
    assert door.until() is None
    assert door.rows == [{"mode": "lockdown", "before": "normal"}]


def test_another_end_is_news_and_the_same_is_none() -> None:
    door = Door()
    door.set(LOCKDOWN, HOUR)
    assert door.set(LOCKDOWN, HOUR) == []
    door.set(LOCKDOWN, 2 * HOUR)
    door.wait(1.5 * HOUR)
    assert door.mode is LOCKDOWN
    door.set(LOCKDOWN)
    assert door.until() is None
    door.wait(24 * HOUR)
    assert door.mode is LOCKDOWN
    assert len(door.rows) == 3


def test_what_somebody_sets_meanwhile_has_no_end_of_the_mode_before() -> None:
    door = Door()
    door.set(FREE, HOUR)
    door.set(DoorMode.NORMAL)
    door.set(LOCKDOWN)
    door.wait(2 * HOUR)
    assert door.mode is LOCKDOWN


def test_free_access_ends_also_while_nothing_can_be_recorded() -> None:
    door = Door()
    door.set(FREE, HOUR)
    door.send(JournalState(False))
    door.wait(HOUR)
    assert door.mode is DoorMode.NORMAL


@SHUT
def test_the_end_holds_over_a_restart_within_a_boot(mode: DoorMode) -> None:
    door = Door()
    end = ModeEnd.at(door.clock.utc + HOUR, door.clock.now())
    door.clock.step_utc(30 * 86_400.0)
    door.send(Restored(mode, end=end))
    door.wait(HOUR - 1)
    assert door.mode is mode, "the clock had leapt while the program was away"
    door.wait(2)
    assert door.mode is DoorMode.NORMAL


@SHUT
def test_a_mode_whose_end_passed_meanwhile_is_not_restored(mode: DoorMode) -> None:
    door = Door()
    door.send(Restored(mode, end=ModeEnd(door.clock.utc - 1, None)))
    assert door.mode is DoorMode.NORMAL
    assert door.rows == [{"mode": "normal", "before": mode, "cause": "until"}]


@SHUT
@pytest.mark.parametrize("wrong", ["unset", "doubted", "settling"])
def test_after_a_boot_only_a_sure_clock_ends_a_mode(mode: DoorMode, wrong: str) -> None:
    door = Door()
    door.clock.mono = 5.0 if wrong == "settling" else 1000.0
    door.clock.clock_ok, door.clock.doubted = wrong != "unset", wrong == "doubted"
    door.send(Restored(mode, end=ModeEnd(door.clock.utc - 1, None)))
    assert door.mode is mode
    door.wait(SETTLE_S - 10)
    assert door.mode is mode
    door.clock.clock_ok, door.clock.doubted = True, False
    door.wait(2 * 60.0)
    assert door.mode is DoorMode.NORMAL


def test_free_access_with_an_end_ends_with_the_program() -> None:
    door = Door()
    door.send(Restored(FREE, end=ModeEnd.at(door.clock.utc + HOUR, door.clock.now())))
    assert door.mode is DoorMode.NORMAL
