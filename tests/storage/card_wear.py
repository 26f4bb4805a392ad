"""Counts what a gate writes to its card: `python -m tests.storage.card_wear [MINUTES]`.

An idle gate, and a thousand passages one after another. Bytes are the pages of 4 KiB that differ at
each sync, as the kernel gathers what is written between two; a card writes no less.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from gated.core.messages import RecordDecision, RecordEvent
from gated.enrollment.models import INSTALLED
from gated.live.recording import Recorder
from gated.workspace import Workspace
from tests.e2e.process import Process, gated
from tests.people.people import NOW, grant
from tests.storage.disk import library, steps
from tests.storage.writer import settings

PAGE = 4096

IDLE = """
gate: {{name: idle}}
camera: {{driver: replay, source: {video}, fps: 2}}
door: {{driver: simulated}}
liveness: {{level: "off"}}
vision: {{assets_dir: {assets}}}
storage: {{state_dir: {state}}}
api: {{port: 0}}
"""


@dataclass(frozen=True)
class Written:
    """What a program wrote: bytes in whole pages, syncs; and by file."""

    bytes: int
    syncs: int
    by_file: Counter[str]

    def __str__(self) -> str:
        files = ", ".join(f"{name} {n >> 10} KiB" for name, n in self.by_file.most_common(4))
        return f"{self.bytes / 1e6:.2f} MB in {self.syncs} syncs ({files})"


def written(log: Path, skip: int = 0) -> Written:
    """Count the changes in a log behind its first so many steps."""
    by_file: Counter[str] = Counter()
    dirty: dict[str, set[int]] = {}
    syncs = 0

    def flush(path: str) -> None:
        name = Path(path).name
        pages = len(dirty.pop(path, ()))
        by_file["journal.head" if "journal.head" in name else name] += pages * PAGE

    for i, step in enumerate(steps(log)):
        if i < skip:
            continue
        if step.op == "w":
            last = (step.at + step.size - 1) // PAGE
            dirty.setdefault(step.path, set()).update(range(step.at // PAGE, last + 1))
        elif step.op == "s":
            syncs += 1
            flush(step.path)
    for path in list(dirty):
        flush(path)
    return Written(by_file.total(), syncs, +by_file)


def shim(folder: Path, state: Path) -> dict[str, str]:
    """The environment of a program whose changes below `state` are noted in `folder`/log."""
    state.mkdir(exist_ok=True)
    return {
        "LD_PRELOAD": str(library(folder)),
        "DISK_UNDER": str(state),
        "DISK_LOG": str(folder / "log"),
    }


def idle(folder: Path, seconds: float) -> Written:
    """Let a gate run before which nobody stands; what it wrote in that time, its start aside."""
    config, state = folder / "gate.yaml", folder / "state"
    config.write_text(
        IDLE.format(state=state, assets=INSTALLED, video=_empty_hall(folder, seconds))
    )
    # once before: what a first start makes is made once in a gate's life
    gated("run", "--config", config, "--exit-after", "20")
    with Process("--config", config, **shim(folder, state)) as gate:
        gate.wait_for("API")
        time.sleep(30)
        before = sum(1 for _ in steps(folder / "log"))
        time.sleep(seconds)
        found = written(folder / "log", before)
        gate.end()
    return found


def _empty_hall(folder: Path, seconds: float) -> Path:
    """A video of nobody, with the noise of a camera, that does not repeat itself."""
    file, chance = folder / "hall.avi", np.random.default_rng(1)
    video = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"MJPG"), 2, (160, 120))
    for _ in range(round(2 * (seconds + 120))):
        video.write(chance.integers(110, 140, (120, 160, 3), np.uint8))
    video.release()
    return file


def passages(folder: Path, count: int) -> Written:
    """Let so many people pass, one after another, each with the events of the door."""
    state = folder / "state"
    subprocess.run(
        [sys.executable, "-m", "tests.storage.card_wear", "--pass", str(state), str(count)],
        env={**os.environ, **shim(folder, state)},
        check=True,
    )
    return written(folder / "log")


def _let_pass(state: Path, count: int) -> None:
    with Workspace(settings(state)) as workspace:
        append = Recorder(workspace, workspace.settings).append
        for _ in range(count):
            append([RecordDecision(grant(None))])
            append([RecordEvent(NOW, "door_opened", {}, "info")])
            append([RecordEvent(NOW, "door_relocked", {}, "info")])


def main(minutes: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        told = idle(Path(folder), minutes * 60)
        a_day = told.bytes / minutes * 1440 / 1e6
        print(f"idle, {minutes:g} minutes: {told}; a day: {a_day:.0f} MB")
    with tempfile.TemporaryDirectory() as folder:
        print(f"1,000 passages: {passages(Path(folder), 1000)}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--pass"]:
        _let_pass(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main(float(sys.argv[1]) if sys.argv[1:] else 10.0)
