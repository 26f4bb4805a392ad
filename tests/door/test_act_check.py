"""Acts at the door where they act: nothing is believed that the API has asked already."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from gated.config import AuthSettings, DoorSettings, Settings
from gated.core.messages import (
    AlarmsAcknowledged,
    Condition,
    CredentialPresented,
    DoorEvent,
    Event,
    Expected,
    Forgive,
    JournalState,
    Noticed,
    OperatorUnlock,
    PresenceHeard,
    ResetFire,
    Restored,
    SetDoorMode,
    Silenced,
    Tick,
    Trigger,
)
from gated.core.values import DoorEventKind, DoorMode, Method
from gated.devices.clock import ManualClock
from gated.door.act_check import ALL_TOGETHER, PINS_AT_ONCE, ActCheck
from gated.errors import Conflict, GatedError, StorageError, TooMany
from gated.link.status_board import StatusBoard

SETTINGS = Settings(
    door=DoorSettings(driver="simulated", unlock_s=3, max_unlock_s=30),
    auth=AuthSettings(door_acts_per_minute=4),
)
UNLOCK = OperatorUnlock("olga", "a visitor", 5.0)


@dataclass
class Door:
    """A door whose gate takes every event."""

    board: StatusBoard = field(default_factory=StatusBoard)
    clock: ManualClock = field(default_factory=ManualClock)
    posted: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.check = ActCheck(SETTINGS, self.board, self.posted.append, self.clock)

    def takes(self, event: Event) -> bool:
        before = len(self.posted)
        try:
            self.check.take(event)
        except GatedError:
            assert len(self.posted) == before
            return False
        return len(self.posted) == before + 1


@pytest.fixture
def door() -> Door:
    door = Door()
    door.board.publish(door_mode="normal", door_state="locked", journal="available")
    return door


@pytest.mark.parametrize(
    ("asked", "given"),
    [(5.0, 5.0), (None, 3.0), (600.0, 30.0), (1e308 * 10, 3.0), (float("nan"), 3.0), (-1.0, 3.0)],
)
def test_no_act_holds_the_door_longer_than_it_may(
    door: Door, asked: float | None, given: float
) -> None:
    door.check.take(OperatorUnlock("olga", "a visitor", asked))
    assert door.posted == [OperatorUnlock("olga", "a visitor", given)]


@pytest.mark.parametrize("end", [-1.0, 0.0, 367 * 86_400.0, float("inf"), float("nan")])
@pytest.mark.parametrize("mode", [DoorMode.FREE_ACCESS, DoorMode.LOCKDOWN])
def test_a_mode_ends_in_the_future_and_within_a_year(
    door: Door, mode: DoorMode, end: float
) -> None:
    assert not door.takes(SetDoorMode(mode, "olga", "open day", door.clock.utc + end))
    assert door.takes(SetDoorMode(mode, "olga", "open day", door.clock.utc + 366 * 86_400))


def test_normal_has_no_end(door: Door) -> None:
    assert not door.takes(SetDoorMode(DoorMode.NORMAL, "olga", "over", door.clock.utc + 60))


def test_by_a_doubtful_clock_only_a_lockdown_is_taken_with_an_end(door: Door) -> None:
    door.clock.doubted = True
    for mode in (DoorMode.FREE_ACCESS, DoorMode.OUT_OF_SERVICE):
        assert not door.takes(SetDoorMode(mode, "olga", "open day", door.clock.utc + 60))
    assert door.takes(SetDoorMode(DoorMode.LOCKDOWN, "olga", "an attack", door.clock.utc - 60))


@pytest.mark.parametrize("mode", ["lockdown", "out_of_service"])
def test_a_door_that_lets_nobody_in_is_not_opened(door: Door, mode: str) -> None:
    door.board.publish(door_mode=mode)
    with pytest.raises(Conflict, match=mode):
        door.check.take(UNLOCK)
    assert door.posted == []


@pytest.mark.parametrize(
    "event",
    [
        UNLOCK,
        SetDoorMode(DoorMode.FREE_ACCESS, "olga", "open day"),
        SetDoorMode(DoorMode.NORMAL, "olga", "over"),
        ResetFire("olga", "a drill"),
        Forgive(None, "olga", "a drill"),
    ],
)
def test_what_cannot_be_recorded_is_not_done(door: Door, event: Event) -> None:
    door.board.publish(journal="unavailable", door_state="fire")
    with pytest.raises(StorageError):
        door.check.take(event)
    assert door.posted == []


@pytest.mark.parametrize(
    ("event", "posted"),
    [
        (OperatorUnlock("ol\x1b[2Jga", "a\nb\u202ec", 5.0), OperatorUnlock("ol[2Jga", "a bc", 5.0)),
        (
            SetDoorMode(DoorMode.LOCKDOWN, "olga\x07", "\x1b]0;x"),
            SetDoorMode(DoorMode.LOCKDOWN, "olga", "]0;x"),
        ),
        (Silenced("olga\u200b"), Silenced("olga")),
    ],
)
def test_names_and_reasons_steer_no_terminal(door: Door, event: Event, posted: Event) -> None:
    door.check.take(event)
    assert door.posted == [posted]


def test_a_name_of_which_nothing_is_seen_is_none(door: Door) -> None:
    assert not door.takes(OperatorUnlock("\u200b", "a visitor", 5.0))
    assert not door.takes(OperatorUnlock("olga", "\x1b", 5.0))


def test_a_lockdown_waits_for_nothing(door: Door) -> None:
    door.board.publish(journal="unavailable")
    lockdown = SetDoorMode(DoorMode.LOCKDOWN, "olga", "an attack")
    assert all(door.takes(lockdown) for _ in range(50))


@pytest.mark.parametrize(
    "event",
    [
        OperatorUnlock("", "a visitor"),
        OperatorUnlock("  ", "a visitor"),
        OperatorUnlock("olga", ""),
        OperatorUnlock("o" * 201, "a visitor"),
        OperatorUnlock("olga", "v" * 2001),
        SetDoorMode(DoorMode.LOCKDOWN, "", "an attack"),
        SetDoorMode(DoorMode.FREE_ACCESS, "olga", " "),
        ResetFire("olga", ""),
        Forgive(None, "", "x"),
        Silenced(""),
    ],
)
def test_nobody_acts_without_a_name_and_a_reason(door: Door, event: Event) -> None:
    door.board.publish(door_state="fire")
    with pytest.raises(Conflict):
        door.check.take(event)
    assert door.posted == []


def test_one_account_and_all_together_act_so_often(door: Door) -> None:
    assert [door.takes(UNLOCK) for _ in range(6)] == [True] * 4 + [False] * 2
    others = [door.takes(OperatorUnlock(f"o{n}", "x")) for n in range(20)]
    left = ALL_TOGETHER * 4 - 4
    assert sum(others) == left, "invented names help to nothing, refused acts cost others nothing"
    with pytest.raises(TooMany) as refusal:
        door.check.take(UNLOCK)
    door.clock.advance(refusal.value.retry_after)
    assert door.takes(UNLOCK)


def test_only_a_fire_release_is_reset(door: Door) -> None:
    assert not door.takes(ResetFire("olga", "a drill"))
    door.board.publish(door_state="fire")
    assert door.takes(ResetFire("olga", "a drill"))


@pytest.mark.parametrize("method", sorted(set(Method) - {Method.PIN}))
def test_only_pins_are_entered_through_the_service(door: Door, method: Method) -> None:
    assert not door.takes(CredentialPresented(method, 7))


def test_pins_come_so_often(door: Door) -> None:
    pin = CredentialPresented(Method.PIN, 7)
    taken = [door.takes(pin) for _ in range(PINS_AT_ONCE + 3)]
    assert taken == [True] * PINS_AT_ONCE + [False] * 3
    door.clock.advance(1.0)
    assert door.takes(pin)


@pytest.mark.parametrize(
    "event",
    [
        AlarmsAcknowledged("tamper"),
        Silenced("olga"),
        PresenceHeard(True),
        Condition("camera_changed", False, "accepted"),
        Noticed("pin_attempts", "alarm", {"failures": 5}),
    ],
)
def test_news_are_taken(door: Door, event: Event) -> None:
    assert door.takes(event)


@pytest.mark.parametrize(
    "event",
    [
        Tick(),
        Trigger("input"),
        Expected(7, 30.0),
        JournalState(True),
        Restored(DoorMode.FREE_ACCESS),
        DoorEvent(DoorEventKind.REX),
        Condition("camera_changed", True),
        Condition("disk_low", False),
        Noticed("door_forced", "alarm", {}),
    ],
)
def test_what_the_gate_notices_itself_is_not_taken_from_anybody(door: Door, event: Event) -> None:
    assert not door.takes(event)
