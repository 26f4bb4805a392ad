"""A real gate in a process of its own, with a state directory of its own."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from gated.accounts.accounts import Accounts
from gated.config import load
from gated.enrollment.models import INSTALLED
from gated.vision.assets import AssetStore
from tests.workspaces import open_workspace

GATED = (sys.executable, "-m", "gated")

DEMO = """
gate: {{name: demo, demo: true}}
camera: {{driver: replay, source: demo}}
door: {{driver: simulated, unlock_s: 2}}
liveness: {{level: "off"}}
vision: {{assets_dir: {assets}}}
storage: {{state_dir: {state}}}
api: {{port: 0}}
"""


def demo_config(folder: Path) -> Path:
    """A demo configuration whose state lies in the folder and whose port is free."""
    file = folder / "gate.yaml"
    file.write_text(DEMO.format(assets=INSTALLED, state=folder / "state"))
    return file


def add_accounts(config: Path, password: str, **roles: str) -> None:
    """Create accounts, each with a role, in the state of a gate that does not run.

    As `gated user add` does, without a process for each.
    """
    with open_workspace(load(config, {})) as workspace:
        for name, role in roles.items():
            Accounts.of(workspace).create(name, role, password, actor="test")


def gated(
    *args: str | Path, stdin: str = "", program: Sequence[str] = GATED, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [*program, *map(str, args)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        env=surroundings(**environ),
        check=False,
    )


def surroundings(**more: str) -> dict[str, str]:
    """The environment of a program: its bytecode is kept, as in an installation."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, **more}


PROGRAM = "import sys; sys.prefix = {prefix!r}; from gated.__main__ import main; main()"


def installed_with(folder: Path, assets: AssetStore, sets: frozenset[str]) -> Sequence[str]:
    """The program as installed in the folder, with the models of these sets and no others."""
    models = folder / "prefix" / "share" / "gated" / "models"
    models.mkdir(parents=True)
    for status in assets.status():
        if status.set in sets and status.path is not None:
            (models / status.name).symlink_to(status.path)
    return (sys.executable, "-c", PROGRAM.format(prefix=str(folder / "prefix")))


class Process:
    """`gated run` with its output as lines."""

    def __init__(self, *args: str | Path, program: Sequence[str] = GATED, **environ: str) -> None:
        self._process = subprocess.Popen(
            [*program, "run", *map(str, args)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=surroundings(COLUMNS="200", PYTHONUNBUFFERED="1", **environ),
        )
        self.lines: list[str] = []
        self._queue: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._queue.put(line.rstrip("\n"))
        self._queue.put(None)

    def wait_for(self, *parts: str, seconds: float = 120) -> str:
        """The next line that holds all parts; AssertionError with the output when there is none."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                line = self._queue.get(timeout=left)
            except queue.Empty:
                break
            if line is None:
                break
            self.lines.append(line)
            if all(part in line for part in parts):
                return line
        raise AssertionError(f"no line with {parts} in:\n" + "\n".join(self.lines))

    def ended(self, seconds: float = 120) -> int:
        """The exit code of a program that ends by itself."""
        return self._process.wait(seconds)

    def end(self, number: int = signal.SIGTERM, seconds: float = 120) -> int:
        """Send the signal and return the exit code; what was printed meanwhile is in `lines`."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        code = self._process.wait(seconds)
        while (line := self._queue.get(timeout=10)) is not None:
            self.lines.append(line)
        return code

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()
