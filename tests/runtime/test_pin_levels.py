"""What the pins show while the gate works: levels and times, for both locks and both polarities."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gated.config import DoorSettings
from gated.core.gate import Gate
from gated.core.messages import Event, GateState, Observation, RecordEvent, Tick
from gated.devices.clock import SystemClock
from gated.devices.doors import open_door
from gated.ports import Door
from gated.runtime.controller import Controller, GateListeners
from gated.runtime.inbox import BoundedInbox
from gated.runtime.journal_writer import JournalWriter, Record
from tests.core.policies import door_rules, policy_with
from tests.core.scenes import ANN, BOB, CALIBRATION, face, gallery
from tests.devices.waiting import eventually

RELAY, CONTACT = 17, 22
UNLOCK_S = 0.4
HELD_S = 0.3
EARLY_S, LATE_S = 0.02, 0.5
"""The time counts from the decision, a little before the pin moves; a busy machine may be late."""

POLICY = policy_with(
    frames=1,
    unlock_s=UNLOCK_S,
    contact=True,
    door=door_rules(relock="deadline", held_open_s=HELD_S, held_warning_s=0.1),
)


class Jammed(JournalWriter):
    """A journal that breaks the controller once it is told to."""

    broken = False

    def offer(self, record: Record) -> bool:
        if self.broken:
            raise RuntimeError("a mistake in the controller's own code")
        return super().offer(record)


class Bench:
    """A gate whose door is a set of mock pins; `locked` is the level of the relay at rest."""

    def __init__(self, lock_type: Any, active_high: bool) -> None:
        mock = pytest.importorskip("gpiozero.pins.mock", reason="gpiozero (extra pi) is missing")

        class WiredPin(mock.MockPin):  # type: ignore[misc, name-defined]
            """A pin that something is wired to: the pull resistor does not move it."""

            def _set_pull(self, value: str) -> None:
                self._pull = value

        self.factory = mock.MockFactory(pin_class=WiredPin)
        self.settings = DoorSettings(
            driver="gpiozero",
            relay_pin=RELAY,
            contact_pin=CONTACT,
            lock_type=lock_type,
            relay_active_high=active_high,
            unlock_s=UNLOCK_S,
            debounce_s=0.01,
            accept_boot_glitch=True,
        )
        self.locked = int((lock_type == "maglock") == active_high)
        self.clock = SystemClock()
        self.inbox = BoundedInbox()
        self.states: list[GateState] = []
        self.events: list[str] = []
        self.crashed: list[str] = []
        self.relay = self.factory.pin(RELAY)
        self.leaf(False)
        self.start()

    def start(self) -> None:
        """The program starts, on the pins as they are."""
        self.door: Door = open_door(self.settings, self.inbox.post, self.clock, self.factory)
        self.journal = Jammed(lambda batch: None, 64, self._crash)
        self.controller = Controller(
            Gate(POLICY, gallery([ANN, BOB]), CALIBRATION),
            self.inbox,
            self.door,
            self.journal,
            self.clock,
            GateListeners(on_event=self._recorded, on_state=self.states.append),
            self._crash,
        )
        self.controller.start()

    def stop(self) -> None:
        self.stop_controller()
        self.door.close()

    def stop_controller(self) -> None:
        self.controller.stop()
        self.post(Tick())  # it need not wait for something to happen
        self.controller.join(60)

    def _crash(self, name: str, error: BaseException) -> None:
        self.crashed.append(name)

    def _recorded(self, event: RecordEvent) -> None:
        self.events.append(event.kind)

    def post(self, event: Event) -> None:
        self.inbox.post(event)

    def see(self, who: int, track: int) -> None:
        """Somebody whom the gate knows stands before the camera."""
        now = self.clock.now().mono
        self.post(Observation(track, now, 640, 480, (face({who: 0.9}, track=track),)))

    def leaf(self, is_open: bool) -> None:
        pin = self.factory.pin(CONTACT)
        if is_open:
            pin.drive_high()
        else:
            pin.drive_low()

    def levels(self) -> list[bool]:
        """Since the start, each change of the relay: whether it is at its releasing level."""
        # the first entry is the level of the pin before anybody drove it
        return [bool(s.state) != bool(self.locked) for s in self.relay.states[1:]]

    def times(self) -> list[float]:
        """How long the relay had stood before each change."""
        return [float(s.timestamp) for s in self.relay.states[1:]]

    def rested(self) -> bool:
        """The relay was released and has locked again."""
        return self.levels()[-2:] == [True, False]


@pytest.fixture(
    params=[(t, h) for t in ("strike", "maglock") for h in (True, False)],
    ids=lambda p: f"{p[0]}-{'high' if p[1] else 'low'}",
)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    made = Bench(*request.param)
    yield made
    made.stop()


def test_nothing_moves_at_boot_and_at_stop(bench: Bench) -> None:
    assert True not in bench.levels()
    assert bench.relay.state == bench.locked
    bench.relay.clear_states()
    bench.stop_controller()
    assert bench.levels() == []


def test_a_grant_releases_for_its_time(bench: Bench) -> None:
    bench.relay.clear_states()
    bench.see(ANN, track=1)
    assert eventually(bench.rested)
    assert bench.levels() == [True, False]
    assert UNLOCK_S - EARLY_S <= bench.times()[1] < UNLOCK_S + LATE_S


def test_overlapping_grants_are_one_release_that_ends_with_the_later(bench: Bench) -> None:
    bench.relay.clear_states()
    bench.see(ANN, track=1)
    assert eventually(lambda: bench.door.unlocked)
    began = bench.clock.now().mono
    assert eventually(lambda: bench.clock.now().mono - began >= UNLOCK_S / 2)
    bench.see(BOB, track=2)
    assert eventually(bench.rested)
    assert bench.levels() == [True, False]
    assert 1.5 * UNLOCK_S - EARLY_S <= bench.times()[1] < 1.5 * UNLOCK_S + LATE_S


def test_a_door_held_open_is_an_alarm_behind_a_locked_relay(bench: Bench) -> None:
    bench.relay.clear_states()
    bench.see(ANN, track=1)
    assert eventually(lambda: bench.door.unlocked)
    bench.leaf(True)
    assert eventually(lambda: "door_held_open" in bench.events)
    assert bench.levels() == [True, False]
    assert bench.events.index("passed") < bench.events.index("door_held_warning")
    bench.leaf(False)
    assert eventually(lambda: bench.states[-1].door == "locked")


def test_a_forced_door_moves_no_relay(bench: Bench) -> None:
    bench.relay.clear_states()
    bench.leaf(True)
    assert eventually(lambda: "door_forced" in bench.events)
    assert bench.states[-1].alarms == {"door_forced": "alarm"}
    assert bench.levels() == []


def test_a_crash_locks_and_a_restart_moves_nothing(bench: Bench) -> None:
    bench.relay.clear_states()
    bench.see(ANN, track=1)
    assert eventually(lambda: bench.door.unlocked)
    bench.journal.broken = True
    bench.leaf(True)
    assert eventually(lambda: bench.crashed == ["controller"])
    assert bench.levels() == [True, False]
    assert bench.times()[1] < UNLOCK_S, "it did not wait for the lease to end"
    bench.door.close()
    bench.relay.clear_states()
    bench.start()
    assert True not in bench.levels()
    assert bench.relay.state == bench.locked
