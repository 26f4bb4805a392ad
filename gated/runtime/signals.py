"""Handles the signals that end the program, so that the door is locked at the end.

The default action of a signal ends a process at once: a closed SSH session (SIGHUP), Ctrl-\\, a
timer. The process that drives the relay handles all of them. A suspended process (Ctrl-Z) would
keep a released door released, so suspending is disabled meanwhile. Signals that were ignored before
the start (`nohup`) stay ignored. Not handled are SIGKILL and SIGSTOP, which cannot be, and faults
of the processor, after which nothing can be relied on: the unit's stop step locks.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType

FAULTS = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL})
SUSPEND = frozenset({signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU})
UNHANDLED = FAULTS | SUSPEND | {signal.SIGKILL, signal.SIGSTOP}
HARMLESS = frozenset({signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGCONT})
"""Their default action is none."""
ALWAYS = frozenset({signal.SIGTERM, signal.SIGINT})
"""Handled even if they were ignored before."""


def ending_signals() -> list[int]:
    """Return the numbers of the signals that would end this process now and can be handled."""
    return sorted(
        number
        for number in signal.valid_signals() - UNHANDLED - HARMLESS
        if number in ALWAYS or signal.getsignal(number) is signal.SIG_DFL
    )


def name_of(number: int) -> str:
    """Return a name such as `SIGHUP`; real-time signals have a number only."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


@contextlib.contextmanager
def ended_by_signals(loop: asyncio.AbstractEventLoop, end: Callable[[str], None]) -> Iterator[None]:
    """Call `end(name)` in the loop for each signal that ends the program, while the block runs."""
    numbers = ending_signals()
    for number in numbers:
        loop.add_signal_handler(number, end, name_of(number))
    with _unsuspended():
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)


@contextlib.contextmanager
def exit_on_signals() -> Iterator[None]:
    """Raise SystemExit (128 + number) in the main thread at the first signal; ignore later ones.

    The caller cleans up in `finally`, as for any exception.
    """
    numbers = ending_signals()
    before = {number: signal.getsignal(number) for number in numbers}

    def leave(number: int, frame: FrameType | None) -> None:
        for other in numbers:
            signal.signal(other, signal.SIG_IGN)
        sys.exit(128 + number)

    for number in numbers:
        signal.signal(number, leave)
    with _unsuspended():
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextlib.contextmanager
def _unsuspended() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SUSPEND}
    for number in SUSPEND:
        signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
