"""What every process of the program does at its end."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import ExitStack
from pathlib import Path

from gated.cli.screen import Silent
from gated.config import Settings
from gated.daemon.process import Part, Process


class EndedWhileItCloses(Part):
    """A part that wants a new start, and whose closing somebody interrupts with a signal."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def build(self, stack: ExitStack) -> None:
        stack.callback(os.kill, os.getpid(), signal.SIGTERM)
        self._process.start_again()


def test_a_signal_while_it_closes_for_a_new_start_ends_it_for_good(tmp_path: Path) -> None:
    settings = Settings.model_validate({"storage": {"state_dir": str(tmp_path / "state")}})
    process = Process(settings, Silent())
    process.parts.append(EndedWhileItCloses(process))
    assert asyncio.run(process.run()) == 0
    assert not process.again
