from __future__ import annotations

import asyncio
import gc
import mmap
import platform
import subprocess
import sys
import time

import pytest

from gated.runtime import heap, vitals
from gated.runtime.vitals import BEAT_S, LoopLag

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux's /proc")


def test_a_callback_that_blocks_the_loop_shows_as_lag_and_is_told_once() -> None:
    async def run() -> tuple[int, int]:
        lag = LoopLag()
        async with lag.watching():
            await asyncio.sleep(2 * BEAT_S)
            lag.worst_ms()
            time.sleep(BEAT_S + 0.2)
            await asyncio.sleep(BEAT_S)
            return lag.worst_ms(), lag.worst_ms()

    blocked, afterwards = asyncio.run(run())
    assert blocked >= 200
    assert afterwards < blocked


def test_the_heartbeat_ends_with_the_block() -> None:
    async def run() -> int:
        lag = LoopLag()
        async with lag.watching():
            await asyncio.sleep(2 * BEAT_S)
        lag.worst_ms()
        time.sleep(2 * BEAT_S)
        await asyncio.sleep(BEAT_S)
        return lag.worst_ms()

    assert asyncio.run(run()) == 0


@linux_only
def test_age_runs_from_the_start_of_the_process() -> None:
    program = "import time; time.sleep(0.3); from gated.runtime.vitals import age_s; print(age_s())"
    before = time.monotonic()
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert 0.29 <= float(told.stdout) <= time.monotonic() - before + 0.02


@linux_only
def test_resident_memory_follows_what_is_used() -> None:
    before = vitals.resident_mb()
    with mmap.mmap(-1, 100 << 20) as block:
        block[:: mmap.PAGESIZE] = b"x" * (len(block) // mmap.PAGESIZE)
        after = vitals.resident_mb()
    assert before is not None
    assert after is not None
    assert 90 <= after - before <= 110


@pytest.mark.skipif("glibc" not in platform.libc_ver(), reason="needs glibc")
def test_large_blocks_are_given_back_at_once() -> None:
    program = """
import ctypes
from gated.runtime.heap import LARGE, tune_malloc
from gated.runtime.vitals import resident_mb
assert tune_malloc()
first = bytearray(6 * LARGE)
del first
blocks = [bytearray(b"x" * 2 * LARGE) for _ in range(4)]
small = bytearray(100_000)
before = resident_mb()
blocks.clear()
print(before - resident_mb())
"""
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert int(told.stdout) >= 4 * 2 * heap.LARGE >> 20


def test_what_was_there_at_the_start_is_not_looked_through_again() -> None:
    gc.disable()
    try:
        heap.freeze_heap()
        assert gc.isenabled()
        assert gc.get_freeze_count() > 10_000
        assert not gc.get_objects(generation=2)
    finally:
        gc.enable()
        gc.unfreeze()
