"""Does in the machine what the tests outside ask for, over a serial port; records the pins.

A line in, a line out, each a JSON object with an `id`. Times are the machine's monotonic clock, in
seconds, which no clock leap moves.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

PORT = Path("/dev/virtio-ports/machine")
HEADER = Path("/run/header")
OUTPUTS = {5: "siren", 17: "relay"}
INPUTS = {22: "exit button", 23: "fire loop", 24: "box", 25: "other door", 27: "leaf"}
EMULATED = "emulated" in Path("/proc/cmdline").read_text()
STEP_S = 0.03 if EMULATED else 0.004
"""Interval of looks at the outputs; a short one would take half of an emulated processor."""


class Pins:
    """Every change of level since the start: (seconds, pin, level); level None: no such pin."""

    def __init__(self) -> None:
        self.changes: list[tuple[float, int, int | None]] = []
        self._changed = threading.Condition()

    def note(self, pin: int, level: int | None, at: float) -> None:
        with self._changed:
            self.changes.append((at, pin, level))
            self._changed.notify_all()

    def record(self) -> None:
        """Look at the outputs for ever."""
        files: dict[int, int] = {}
        levels: dict[int, int | None] = {}
        while True:
            for pin in OUTPUTS:
                try:
                    if pin not in files:
                        files[pin] = os.open(HEADER / f"sim_gpio{pin}/value", os.O_RDONLY)
                    level: int | None = int(os.pread(files[pin], 2, 0))
                except (OSError, ValueError):
                    level = None
                    if pin in files:
                        os.close(files.pop(pin))
                if pin not in levels or level != levels[pin]:
                    levels[pin] = level
                    self.note(pin, level, time.monotonic())
            time.sleep(STEP_S)

    def pull(self, pin: int, level: int) -> float:
        """Put an input to this level; when that was done."""
        at = time.monotonic()
        (HEADER / f"sim_gpio{pin}/pull").write_text("pull-up" if level else "pull-down")
        self.note(pin, level, at)
        return at

    def wait(self, pin: int, level: int | None, since: float, timeout: float) -> float | None:
        """When the pin first took the level after `since`; None if it does not in time."""
        end = time.monotonic() + timeout
        with self._changed:
            while True:
                for at, changed, value in self.changes:
                    if at >= since and changed == pin and value == level:
                        return at
                if (left := end - time.monotonic()) <= 0:
                    return None
                self._changed.wait(left)


def run(command: str, timeout: float) -> dict[str, Any]:
    """Run a command of the shell; its exit code and what it printed."""
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
            env={**os.environ, "HOME": "/root", "LC_ALL": "C.UTF-8"},
        )
    except subprocess.TimeoutExpired as late:
        return {"code": 124, "out": (late.output or b"").decode(errors="replace")}
    return {"code": done.returncode, "out": done.stdout.decode(errors="replace")}


def answer(pins: Pins, asked: dict[str, Any]) -> dict[str, Any]:
    """Do one thing."""
    match asked["do"]:
        case "run":
            return run(asked["command"], asked["timeout"])
        case "put":
            path = Path(asked["path"])
            path.write_bytes(base64.b64decode(asked["data"]))
            return {}
        case "pull":
            return {"at": pins.pull(asked["pin"], asked["level"])}
        case "wait":
            wanted = (asked["pin"], asked["level"], asked["since"], asked["timeout"])
            return {"at": pins.wait(*wanted)}
        case "now":
            return {
                "at": time.monotonic(),
                "boot": Path("/proc/sys/kernel/random/boot_id").read_text(),
            }
        case "pins":
            return {"changes": [c for c in list(pins.changes) if c[0] >= asked["since"]]}
    return {"error": f"cannot {asked['do']}"}


def serve(port: BinaryIO) -> None:
    """Answer for ever, each in a thread of its own."""
    pins, lock = Pins(), threading.Lock()
    threading.Thread(target=pins.record, daemon=True).start()

    def reply(asked: dict[str, Any]) -> None:
        try:
            said = answer(pins, asked)
        except Exception as error:
            said = {"error": repr(error)}
        line = json.dumps({**said, "id": asked["id"]}).encode() + b"\n"
        with lock:
            while line:
                line = line[port.write(line) :]

    received = b""
    while True:
        if not (part := port.read(65536)):
            time.sleep(0.05)  # nobody listens outside
            continue
        *lines, received = (received + part).split(b"\n")
        for line in lines:
            try:
                asked = json.loads(line)
            except ValueError:
                continue  # the end of what was on its way when this began
            threading.Thread(target=reply, args=(asked,), daemon=True).start()


if __name__ == "__main__":
    while not PORT.exists():
        time.sleep(0.1)
    with PORT.open("r+b", buffering=0) as opened:
        serve(opened)
