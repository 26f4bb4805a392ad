"""Signals that end the program, all of which must find the door locked at the end.

A default action ends a process without a word to it: a closed SSH session (SIGHUP), Ctrl-\\, a
timer of somebody else. Whoever drives the relay takes all of them. A process that is merely
suspended (Ctrl-Z) would keep a released door released, so that is not possible meanwhile. What was
ignored before the start (`nohup`) stays ignored. Left alone are SIGKILL and SIGSTOP, which nobody
can take, and the processor's own faults, after which nothing can be relied on: the unit's stop step
locks.
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
UNTAKEN = FAULTS | SUSPEND | {signal.SIGKILL, signal.SIGSTOP}
HARMLESS = frozenset({signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGCONT})
"""Their default action is none."""
ASKED = frozenset({signal.SIGTERM, signal.SIGINT})
"""Taken whatever was there before."""


def ending_signals() -> list[int]:
    """Numbers of the signals that would end this process now and can be taken."""
    return sorted(
        number
        for number in signal.valid_signals() - UNTAKEN - HARMLESS
        if number in ASKED or signal.getsignal(number) is signal.SIG_DFL
    )


def name_of(number: int) -> str:
    """`SIGHUP`; real-time signals have a number only."""
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
    """SystemExit (128 + number) in the main thread at the first of these signals, others ignored.

    What is to be tidied up stands in `finally`, as for any exception.
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
