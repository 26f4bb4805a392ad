"""Notices what is wrong with the machine while the gate runs: the disk, the clock."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from gated.core.messages import Condition
from gated.ports import Clock

LOW_DISK = 256 << 20
CLOCK_PATIENCE_S = 600.0
"""After a start the clock may take so long to be set."""


def free_bytes(path: Path) -> int:
    """Return the bytes that are left on the file system of this path."""
    return shutil.disk_usage(path).free


class HealthChecks:
    """Tells when a condition begins and when it is over. free: bytes left below a path."""

    def __init__(
        self, state_dir: Path, clock: Clock, free: Callable[[Path], int] = free_bytes
    ) -> None:
        self._state_dir = state_dir
        self._clock = clock
        self._free = free
        self._present = {"disk_low": False, "clock_wrong": False}
        self._clock_right_at = clock.now().mono

    def changes(self) -> Iterator[Condition]:
        """The conditions that began or ended since the last look."""
        for name, (present, detail) in self._look().items():
            if present != self._present[name]:
                self._present[name] = present
                yield Condition(name, present, detail)

    def _look(self) -> dict[str, tuple[bool, str]]:
        free, now = self._free(self._state_dir), self._clock.now()
        # twice as much ends it, so that it does not begin again with the next row of the log
        bound = 2 * LOW_DISK if self._present["disk_low"] else LOW_DISK
        if now.clock_ok:
            self._clock_right_at = now.mono
        unset = now.mono - self._clock_right_at >= CLOCK_PATIENCE_S
        doubtful = now.clock_ok and now.doubted
        return {
            "disk_low": (free < bound, f"{free >> 20} MiB free"),
            "clock_wrong": (
                unset or doubtful,
                "not synchronised" if unset else "in doubt: gated clock show" if doubtful else "",
            ),
        }
