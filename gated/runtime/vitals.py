"""Measure the process itself: its age, its memory, and how late the event loop is."""

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
    """Seconds since the process was started, to a hundredth; None where Linux does not say."""
    try:
        fields = (_SELF / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def resident_mb() -> int | None:
    """Memory that the process holds, in MiB; None where Linux does not say."""
    try:
        pages = int((_SELF / "statm").read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") // (1 << 20)


class LoopLag:
    """A heartbeat in the event loop, and how late it came at worst.

    A callback that does not return, or a thread that keeps the interpreter to itself, delays
    every answer by as much.
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
        """The longest delay since the last call, in milliseconds."""
        worst, self._worst = self._worst, 0.0
        return round(worst * 1000)
