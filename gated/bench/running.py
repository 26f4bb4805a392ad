"""Measures the whole daemon in its own processes: start, memory, relay, still scene, API load."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from gated.bench.limits import limited
from gated.bench.load import Answers, Client
from gated.bench.site import USERNAME, Progress, Site

COMING_UP_S = 20.0
"""Time in which the service goes on loading after the door is ready: not yet a still scene."""

INSTALLED_NICE = 13
"""Of the service, beside a door at 0: by the kernel's table a share of 56 to 1024, as the units of
the packages have 50 to 1000 by their CPUWeight."""

RATE = 100.0
LISTS = ("/api/persons?limit=50", "/api/attendance?limit=50", "/api/enrollment?limit=50")

Line = dict[str, Any]


class Running:
    """Runs `gated run`, or the same daemon observed, while the block runs.

    With compiled bytecode, as in an installation, whatever the environment says.
    """

    def __init__(self, site: Site, *, observed: bool = True) -> None:
        module = ["gated.bench.observed"] if observed else ["gated", "run", "--config"]
        self.site = site
        self.began = time.monotonic()
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", *module, str(site.config)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"},
        )
        self.pid = self._process.pid
        self._lines: queue.Queue[Line | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            if line.startswith("{"):
                self._lines.put({**json.loads(line), "at": time.monotonic()})
        self._lines.put(None)

    def collect(self, seconds: float) -> list[Line]:
        """Collect the lines that it prints within `seconds`."""
        lines, end = [], time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            with suppress(queue.Empty):
                line = self._lines.get(timeout=left)
                if line is None:
                    raise RuntimeError("the gate that was measured has ended")
                lines.append(line)
        return lines

    def wait_ready(self) -> None:
        """Wait until it answers requests."""
        while not any(line["kind"] == "ready" for line in self.collect(0.05)):
            pass

    def weigh_as_installed(self) -> None:
        """Give the service the share of the processor that its unit has beside the door's."""
        for pid in self.processes[1:]:
            for task in Path(f"/proc/{pid}/task").iterdir():
                with suppress(OSError):
                    os.setpriority(os.PRIO_PROCESS, int(task.name), INSTALLED_NICE)

    @property
    def processes(self) -> list[int]:
        """Process ids of the door process and its children."""
        found = [self.pid]
        for file in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                if file.read_text().rpartition(")")[2].split()[1] == str(self.pid):
                    found.append(int(file.parent.name))
        return found

    @property
    def resident_mb(self) -> float:
        """Memory of all processes in MiB, shared memory counted once."""
        return sum(_proportional_kb(pid) for pid in self.processes) / 1024

    @property
    def door_mb(self) -> float:
        """Memory of the door process alone in MiB, shared memory included."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)

    @property
    def cpu_s(self) -> float:
        """Processor time of all processes in seconds."""
        return sum(_cpu_s(pid) for pid in self.processes)

    def end(self) -> list[Line]:
        """Stop it, and return the remaining lines."""
        self._process.send_signal(signal.SIGTERM)
        rest = list(iter(lambda: self._lines.get(timeout=30), None))
        self._process.wait(30)
        return rest

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def _proportional_kb(pid: int) -> int:
    """Return a process's proportional share of its memory (`Pss`) in KiB."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def _cpu_s(pid: int) -> float:
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def measure_start(site: Site, times: int) -> dict[str, float]:
    """Measure `gated run` to its first frame, best of `times`, and its memory with API requests.

    The age of the process at that frame comes from its counter `start.first_frame_ms`.
    """
    starts, memory, door = [], 0.0, 0.0
    for _ in range(times):
        with Running(site, observed=False) as gate:
            counters = asyncio.run(_first_counters(site))
            starts.append(counters["start.first_frame_ms"])
            memory = max(memory, gate.resident_mb)
            door = max(door, gate.door_mb)
            gate.end()
    return {"first_frame_ms": min(starts), "resident_mb": memory, "door_mb": door}


async def _first_counters(site: Site) -> dict[str, int]:
    client = Client(site.address)
    for _ in range(2400):
        with suppress(OSError):
            await client.sign_in(USERNAME, site.password)
            break
        await asyncio.sleep(0.05)
    for _ in range(60):
        for path in LISTS:
            await client.get(path)
        # 503 until the service has found the door
        with suppress(RuntimeError):
            counters: dict[str, int] = json.loads(await client.get("/api/gate"))["counters"]
            if "start.first_frame_ms" in counters:
                return counters
        await asyncio.sleep(0.25)
    raise RuntimeError("the gate that was measured saw no frame")


def measure_still(site: Site, seconds: float, spans: int = 3) -> float:
    """Measure the share of one core while nothing moves; the median of several spans."""
    shares = []
    with Running(site) as gate:
        gate.wait_ready()
        gate.collect(COMING_UP_S)
        for _ in range(spans):
            before, began = gate.cpu_s, time.monotonic()
            gate.collect(seconds / spans)
            shares.append((gate.cpu_s - before) / (time.monotonic() - began))
        gate.end()
    return statistics.median(shares)


def measure_throughput(site: Site, seconds: float) -> float:
    """Measure the frames analysed a second when the camera delivers more."""
    with Running(site) as gate:
        gate.wait_ready()
        gate.collect(seconds)
        (stopped,) = (line for line in gate.end() if line["kind"] == "stopped")
    return float(stopped["frames"] / stopped["seconds"])


def measure_limited(site: Site, fraction: float, seconds: float) -> dict[str, Any]:
    """Measure the relay's delays with the process limited to a fraction of one core."""
    with Running(site) as gate:
        gate.wait_ready()
        with limited(gate.pid, fraction) as how:
            gate.collect(1.0)
            lines = gate.collect(seconds)
        gate.end()
    return {"fraction": fraction, "how": how, **relay_delays(lines)}


def measure_relay_and_load(
    site: Site, phase_s: float, phases: int, progress: Progress
) -> dict[str, dict[str, Any]]:
    """Measure relay delays alone, and decisions under a hundred requests a second.

    Phases alone and under load alternate, so that other load on the machine affects both.
    """
    with Running(site) as gate:
        gate.wait_ready()
        client = Client(site.address)
        asyncio.run(client.sign_in(USERNAME, site.password))
        gate.collect(2.0)
        alone: list[Line] = []
        loaded: list[Line] = []
        answers: list[Answers] = []
        lag_ms = 0
        for number in range(phases):
            progress(f"walk-ups through the whole daemon, alone, {number + 1} of {phases}")
            alone += gate.collect(phase_s)
            lag_ms = max(lag_ms, asyncio.run(_lag(client)))
            progress(f"and with {RATE:.0f} lists a second, {number + 1} of {phases}")
            answers.append(asyncio.run(client.ask(LISTS, RATE, phase_s)))
            loaded += gate.collect(0.1)
        gate.end()
    return {
        "relay": {**relay_delays(alone), "loop_lag_max_ms": lag_ms},
        "load": _load(alone, loaded, answers),
    }


async def _lag(client: Client) -> int:
    counters = json.loads(await client.get("/api/gate"))["counters"]
    return int(counters["loop.lag_max_ms"])


def relay_delays(lines: Sequence[Line]) -> dict[str, Any]:
    """Return ms from the first and the third usable frame to the relay's edge, and their number."""
    granted = [t for t in lines if t["kind"] == "decision" and t["edge"] and len(t["usable"]) > 2]
    return {
        "grants": len(granted),
        "first_usable_ms": spread([(t["edge"] - t["usable"][0]) * 1e3 for t in granted]),
        "third_usable_ms": spread([(t["edge"] - t["usable"][2]) * 1e3 for t in granted]),
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return p50, p95, p99 and max; empty without values."""
    if not values:
        return {}
    ranked = sorted(values)

    def quantile(q: float) -> float:
        return ranked[min(len(ranked) - 1, int(q * len(ranked)))]

    return {
        "p50": statistics.median(ranked),
        "p95": quantile(0.95),
        "p99": quantile(0.99),
        "max": ranked[-1],
    }


def _load(
    alone: Sequence[Line], loaded: Sequence[Line], answers: Sequence[Answers]
) -> dict[str, Any]:
    took = [ms for part in answers for ms in part.took_ms]
    before, after = frame_to_decision(alone), frame_to_decision(loaded)
    frames = [ms for t in alone if t["kind"] == "decision" for ms in t["took_ms"]]
    loaded_frames = [ms for t in loaded if t["kind"] == "decision" for ms in t["took_ms"]]
    return {
        "requests": len(took),
        "answer_ms": spread(took),
        "asking_cpu_ms": statistics.mean(part.cpu_ms for part in answers),
        "decisions": [len(before), len(after)],
        "decision_alone_ms": spread(before),
        "decision_loaded_ms": spread(after),
        "decision_growth": decision_growth(before, after),
        "frames": [len(frames), len(loaded_frames)],
        "frame_growth": decision_growth(frames, loaded_frames),
    }


def frame_to_decision(lines: Sequence[Line]) -> list[float]:
    """Return the milliseconds from the capture of the deciding frame to the decision."""
    decisions = (t for t in lines if t["kind"] == "decision" and t["captured"] is not None)
    return [(t["decided"] - t["captured"]) * 1e3 for t in decisions]


def decision_growth(before: Sequence[float], after: Sequence[float]) -> float | None:
    """Return the ratio of the medians; None without values."""
    if not before or not after:
        return None
    return statistics.median(after) / statistics.median(before)
