"""Signals that end a program which drives a relay: a real process, pins that outlive it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gated.runtime.signals import FAULTS, HARMLESS, SUSPEND, ending_signals, name_of
from tests.devices.kernel_pins import RELAY, levels

pytest.importorskip("gpiozero.pins.mock", reason="gpiozero (extra pi) is missing")

LOOP = """
import asyncio, sys
from contextlib import ExitStack
from pathlib import Path
from gated.runtime.signals import ended_by_signals
from tests.devices.kernel_pins import door

async def main():
    over = asyncio.Event()
    told = lambda name: (print(name, flush=True), over.set())
    with ended_by_signals(asyncio.get_running_loop(), told), ExitStack() as stack:
        opened = door(Path(sys.argv[1]))
        stack.callback(opened.close)
        # the end takes its time: whatever else arrives meanwhile must not cut it short
        stack.callback(lambda: __import__("time").sleep(0.3))
        opened.unlock(600)
        print("released", flush=True)
        await over.wait()

asyncio.run(main())
"""

PLAIN = """
import sys, time
from pathlib import Path
from gated.runtime.signals import exit_on_signals
from tests.devices.kernel_pins import door

with exit_on_signals():
    opened = door(Path(sys.argv[1]))
    try:
        opened.unlock(600)
        print("released", flush=True)
        time.sleep(600)
    finally:
        time.sleep(0.3)
        opened.close()
"""

SIGNALS = [
    *(signal.SIGHUP, signal.SIGUSR1),
    *(
        pytest.param(number, marks=pytest.mark.long)
        for number in (
            *(signal.SIGQUIT, signal.SIGTERM, signal.SIGINT, signal.SIGUSR2, signal.SIGALRM),
            *(signal.SIGABRT, signal.SIGPWR, signal.SIGRTMIN + 3),
        )
    ),
]


def released(code: str, file: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(file)],
        stdout=subprocess.PIPE,
        text=True,
        # as a terminal has it, also where the tests run under nohup
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "released\n"
    assert levels(file) == {RELAY: 1}
    return process


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    said, _ = process.communicate(timeout=10)
    return process.returncode, said


@pytest.mark.parametrize("number", SIGNALS, ids=name_of)
def test_a_signal_ends_the_loop_behind_a_locked_door(tmp_path: Path, number: int) -> None:
    file = tmp_path / "pins.json"
    process = released(LOOP, file)
    process.send_signal(number)
    assert process.stdout is not None
    assert process.stdout.readline() == f"{name_of(number)}\n"
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 0
    assert levels(file) == {RELAY: 0}


@pytest.mark.parametrize(
    "number",
    [signal.SIGHUP, pytest.param(signal.SIGTERM, marks=pytest.mark.long)],
    ids=name_of,
)
def test_a_command_that_holds_the_door_tidies_up(tmp_path: Path, number: int) -> None:
    file = tmp_path / "pins.json"
    process = released(PLAIN, file)
    process.send_signal(number)
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 128 + number
    assert levels(file) == {RELAY: 0}


@pytest.mark.parametrize(
    "code", [LOOP, pytest.param(PLAIN, marks=pytest.mark.long)], ids=["loop", "command"]
)
def test_ctrl_z_does_not_suspend_a_released_door(tmp_path: Path, code: str) -> None:
    file = tmp_path / "pins.json"
    process = released(code, file)
    for number in SUSPEND:
        process.send_signal(number)
    time.sleep(0.2)
    state = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
    assert state in "SR", "neither stopped nor gone"
    process.send_signal(signal.SIGTERM)
    ended(process)
    assert levels(file) == {RELAY: 0}


def test_what_nohup_ignores_stays_ignored(tmp_path: Path) -> None:
    file = tmp_path / "pins.json"
    ignoring = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    process = released(ignoring + LOOP, file)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    assert ended(process) == (0, "SIGTERM\n")


def test_every_signal_is_taken_but_those_that_cannot_be() -> None:
    untaken = FAULTS | SUSPEND | HARMLESS | {signal.SIGKILL, signal.SIGSTOP}
    default: Callable[[int], bool] = lambda n: signal.getsignal(n) is signal.SIG_DFL  # noqa: E731
    expected = {n for n in signal.valid_signals() if default(n)} - untaken
    assert set(ending_signals()) >= expected
