"""Measures the process itself: its age, its memory, and the lag of the event loop."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

_SELF = Path("/proc/self")

BEAT_S = 0.05


def age_s() -> float | None:
    """Return the seconds since the process was started, to a hundredth; None without /proc."""
    try:
        fields = (_SELF / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def resident_mb() -> int | None:
    """Return the resident memory of the process in MiB; None without /proc."""
    try:
        pages = int((_SELF / "statm").read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") // (1 << 20)


class LoopLag:
    """Measures the lag of the event loop by a heartbeat.

    A callback that does not return, or a thread that holds the interpreter, delays every answer by
    as much.
    """

    def __init__(self) -> None:
        self._worst = 0.0

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Beat in the running loop while the block runs."""
        loop, due = asyncio.get_running_loop(), 0.0
        beating: asyncio.TimerHandle

        def beat() -> None:
            nonlocal due, beating
            now = loop.time()
            self._worst = max(self._worst, now - due)
            due = now + BEAT_S
            beating = loop.call_at(due, beat)

        due = loop.time() + BEAT_S
        beating = loop.call_at(due, beat)
        try:
            yield
        finally:
            beating.cancel()

    def worst_ms(self) -> int:
        """Return the longest delay since the last call, in milliseconds."""
        worst, self._worst = self._worst, 0.0
        return round(worst * 1000)
