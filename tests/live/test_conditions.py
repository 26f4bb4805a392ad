from __future__ import annotations

from pathlib import Path

from gated.core.clock import Evidence, Known
from gated.core.messages import Condition
from gated.devices.clock import JudgedClock, ManualClock
from gated.live.health_checks import CLOCK_PATIENCE_S, LOW_DISK, HealthChecks, free_bytes

DIR = Path("/state")


def test_a_machine_that_is_well_has_nothing_to_tell() -> None:
    assert list(HealthChecks(DIR, ManualClock(), lambda _: 1 << 40).changes()) == []


def test_a_disk_that_fills_is_told_once_and_again_when_there_is_room() -> None:
    free = [LOW_DISK - 1]
    watch = HealthChecks(DIR, ManualClock(), lambda _: free[0])
    assert list(watch.changes()) == [
        Condition("disk_low", True, "255 MiB free", values={"free_mib": 255})
    ]
    free[0] = LOW_DISK + 1
    assert list(watch.changes()) == [], "a row more and it would begin again"
    free[0] = 2 * LOW_DISK
    assert list(watch.changes()) == [
        Condition("disk_low", False, "512 MiB free", values={"free_mib": 512})
    ]


def test_a_clock_has_some_time_to_be_set() -> None:
    clock = ManualClock(clock_ok=False)
    watch = HealthChecks(DIR, clock, lambda _: 1 << 40)
    clock.advance(CLOCK_PATIENCE_S - 1)
    assert list(watch.changes()) == []
    clock.advance(1)
    assert list(watch.changes()) == [
        Condition("clock_wrong", True, "not synchronised", values={"why": "clock_unset"})
    ]
    clock.clock_ok = True
    assert list(watch.changes()) == [Condition("clock_wrong", False, "")]


def test_a_clock_in_doubt_is_told_at_once() -> None:
    clock = ManualClock()
    judged = JudgedClock(clock)
    watch = HealthChecks(DIR, judged, lambda _: 1 << 40)
    judged.evidence = Evidence("boot", Known(clock.utc - 7200, clock.mono, "boot"))
    assert list(watch.changes()) == [
        Condition(
            "clock_wrong",
            True,
            "in doubt: gated clock show",
            values={"why": "clock_in_doubt"},
        )
    ]
    judged.evidence = Evidence("boot", Known(clock.utc, clock.mono, "boot"))
    assert list(watch.changes()) == [Condition("clock_wrong", False, "")]


def test_what_is_free_is_asked_of_the_file_system(tmp_path: Path) -> None:
    assert free_bytes(tmp_path) > 0
