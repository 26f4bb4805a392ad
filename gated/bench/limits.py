"""Limits a process to a fraction of one core, as a model of a smaller machine.

By a cgroup's quota where permitted, else by stopping the process for the rest of each twentieth of
a second (SIGSTOP, SIGCONT), which needs no rights.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PERIOD_S = 0.05
_ROOT = Path("/sys/fs/cgroup")


@contextmanager
def limited(pid: int, fraction: float) -> Iterator[str]:
    """Limit a process to this fraction of a core while the block runs; yield the method."""
    group = _cgroup(pid, fraction)
    if group is not None:
        try:
            yield "cgroup"
        finally:
            with suppress(OSError):
                (group.parent / "cgroup.procs").write_text(str(pid))
            with suppress(OSError):
                group.rmdir()
        return
    done = threading.Event()
    stopper = threading.Thread(target=_throttle, args=(pid, fraction, done), daemon=True)
    stopper.start()
    try:
        yield "signals"
    finally:
        done.set()
        stopper.join()


def _cgroup(pid: int, fraction: float) -> Path | None:
    """Put the process into a new cgroup (version 2); return None where that is not permitted."""
    if not (_ROOT / "cgroup.controllers").exists():
        return None
    group = _ROOT / f"gated-bench-{os.getpid()}"
    period = round(PERIOD_S * 1e6)
    try:
        group.mkdir()
        (group / "cpu.max").write_text(f"{round(fraction * period)} {period}")
        (group / "cgroup.procs").write_text(str(pid))
    except OSError:
        with suppress(OSError):
            group.rmdir()
        return None
    return group


def _throttle(pid: int, fraction: float, done: threading.Event) -> None:
    try:
        while not done.wait(fraction * PERIOD_S):
            os.kill(pid, signal.SIGSTOP)
            done.wait((1 - fraction) * PERIOD_S)
            os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        pass
