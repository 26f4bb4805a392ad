"""Watches the machine while the gate runs: free disk space, the clock."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from gated.core.messages import Condition
from gated.ports import Clock

LOW_DISK = 256 << 20
CLOCK_PATIENCE_S = 600.0
"""Time after a start in which the clock may still be set."""


def free_bytes(path: Path) -> int:
    """Return the free bytes on the file system of this path."""
    return shutil.disk_usage(path).free


class HealthChecks:
    """Reports when a condition begins and ends. free: returns the free bytes of a path."""

    def __init__(
        self, state_dir: Path, clock: Clock, free: Callable[[Path], int] = free_bytes
    ) -> None:
        self._state_dir = state_dir
        self._clock = clock
        self._free = free
        self._present = {"disk_low": False, "clock_wrong": False}
        self._clock_right_at = clock.now().mono

    def changes(self) -> Iterator[Condition]:
        """Yield the conditions that began or ended since the last call."""
        for name, (present, detail, values) in self._look().items():
            if present != self._present[name]:
                self._present[name] = present
                yield Condition(name, present, detail, values=values)

    def _look(self) -> dict[str, tuple[bool, str, dict[str, int | str]]]:
        free, now = self._free(self._state_dir), self._clock.now()
        # hysteresis: the next row of the log must not make it begin again
        bound = 2 * LOW_DISK if self._present["disk_low"] else LOW_DISK
        if now.clock_ok:
            self._clock_right_at = now.mono
        unset = now.mono - self._clock_right_at >= CLOCK_PATIENCE_S
        doubtful = now.clock_ok and now.doubted
        return {
            "disk_low": (free < bound, f"{free >> 20} MiB free", {"free_mib": free >> 20}),
            "clock_wrong": (
                unset or doubtful,
                "not synchronised" if unset else "in doubt: gated clock show" if doubtful else "",
                {"why": "clock_unset"} if unset else {"why": "clock_in_doubt"} if doubtful else {},
            ),
        }
