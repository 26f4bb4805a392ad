"""`gated run` and the signals that would end it: it ends by itself, behind a locked door."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import termios
import time
from pathlib import Path

import pytest

from gated.runtime.signals import name_of
from tests.assets import require_assets
from tests.e2e.process import GATED, Process, demo_config, gated


@pytest.fixture
def config(tmp_path: Path) -> Path:
    require_assets("default", "demo")
    return demo_config(tmp_path)


# SIGTERM, SIGINT and SIGHUP are how the gates of test_demo end
@pytest.mark.long
@pytest.mark.parametrize(
    "number", [signal.SIGQUIT, signal.SIGUSR1, signal.SIGALRM, signal.SIGABRT], ids=name_of
)
def test_a_signal_ends_the_gate_in_an_orderly_way(config: Path, number: int) -> None:
    with Process("--config", config) as gate:
        gate.wait_for("Ctrl-C")
        assert gate.end(number) == 0
        assert gate.lines[-1] == "stopped, the door is locked"


@pytest.mark.long
def test_a_terminal_that_is_closed_ends_the_gate_in_an_orderly_way(config: Path) -> None:
    """As when an SSH session breaks: SIGHUP, and nothing can be printed any more."""
    ours, theirs = pty.openpty()

    def take_terminal() -> None:
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    gate = subprocess.Popen(
        [*GATED, "run", "--config", str(config)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=take_terminal,
        env={**os.environ, "TERM": "dumb"},
    )
    os.close(theirs)
    shown, end = b"", time.monotonic() + 60
    while b"Ctrl-C" not in shown and time.monotonic() < end:
        shown += os.read(ours, 4096)
    assert b"Ctrl-C" in shown
    os.close(ours)
    assert gate.wait(30) == 0
    assert gated("journal", "verify", "--config", config).returncode == 0


@pytest.mark.long
def test_a_walk_around_the_door_that_is_interrupted_says_so(config: Path) -> None:
    walk = subprocess.Popen(
        [*GATED, "door", "test", "--yes", "--config", str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert walk.stdout is not None
    assert walk.stdout.readline().startswith("ok")
    walk.send_signal(signal.SIGHUP)
    _, errors = walk.communicate(timeout=30)
    assert walk.returncode == 128 + signal.SIGHUP
    assert "Traceback" not in errors
    again = gated("door", "test", "--yes", "--config", config)
    assert again.returncode == 0, "the state directory was given back"
