"""The time, and whether it can be believed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gated.devices.clock import ManualClock, SystemClock


def test_the_clocks_are_those_of_the_machine(tmp_path: Path) -> None:
    before = time.monotonic(), time.time()
    now = SystemClock(tmp_path / "none" / "synchronized").now()
    after = time.monotonic(), time.time()
    assert before[0] <= now.mono <= after[0]
    assert before[1] <= now.utc <= after[1]


@pytest.mark.parametrize(
    ("timesyncd", "synchronised", "believed"),
    [(True, False, False), (True, True, True), (False, False, True)],
    ids=["not yet", "synchronised", "another time service"],
)
def test_utc_is_believed_once_it_is_synchronised(
    tmp_path: Path, timesyncd: bool, synchronised: bool, believed: bool
) -> None:
    marker = tmp_path / "timesync" / "synchronized"
    if timesyncd:
        marker.parent.mkdir()
    if synchronised:
        marker.touch()
    assert SystemClock(marker).now().clock_ok is believed


def test_a_clock_that_was_never_set_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 86_400.0 * 365)
    assert not SystemClock(tmp_path / "none" / "synchronized").now().clock_ok


def test_the_manual_clock_moves_when_told() -> None:
    clock = ManualClock(mono=5.0, utc=1000.0, clock_ok=False)
    assert clock.now() == clock.now()
    clock.advance(2.5)
    clock.step_utc(3600.0)
    assert (clock.now().mono, clock.now().utc, clock.now().clock_ok) == (7.5, 4602.5, False)
