"""A gate at work for a long time, watched: `python -m tests.bench.soak [MINUTES [SVG]]`.

The demo's people pass; meanwhile lists, exports, the live picture's state and changes of people are
asked for over the API, three people watch the live picture, a photo is enrolled each minute and
taken away again, and strangers hold connections that say nothing. Each second memory, descriptors,
threads, the log of changes and how long an answer took are noted. The slope of memory is that of
means of half minutes, with its interval of 95 %. Exit code 1 when something grows.
"""

from __future__ import annotations

import json
import os
import re
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.assets import require_assets
from tests.e2e.process import Process, demo_config, gated

PASSWORD = "Correct-horse-battery-9"
PHOTO = "obama2.jpg"
USERS = ("admin", "guard")
WATCHERS = ("admin", "guard", "guard")
"""Who looks at the live picture; one account may have two previews at a time."""

SIGNED_IN_S = 1200.0
"""After so long somebody signs in again; a token is good for half an hour."""

SILENT = 20
WARM_UP = 0.25
"""The first part of the time, in which what is needed is loaded, counts for nothing."""

BLOCK_S = 30.0
MOST_MB_AN_HOUR = 8.0
"""Memory grows when even the lower end of the interval is above this."""

READS = (
    *("/api/persons?limit=50", "/api/attendance?limit=50", "/api/gate", "/health"),
    *("/api/attendance/export?format=csv", "/api/alarms", "/metrics"),
)


@dataclass
class Sample:
    """How a gate is at one moment; MB, counts, milliseconds. door, service: of each process."""

    at: float
    door_mb: float
    service_mb: float
    descriptors: int
    threads: int
    log_kb: int
    answer_ms: float


@dataclass
class Soak:
    """What was seen, and how many answers were not as they should be."""

    samples: list[Sample] = field(default_factory=list)
    passages: int = 0
    requests: int = 0
    pictures: int = 0
    errors: list[str] = field(default_factory=list)

    def steady(self) -> list[Sample]:
        """The samples behind the warm-up."""
        end = self.samples[-1].at
        return [s for s in self.samples if s.at >= WARM_UP * end]


def slope(samples: Sequence[Sample], name: str) -> tuple[float, float]:
    """Return how much a value grows in an hour, and half of the 95 % interval of that."""
    blocks: dict[int, list[Sample]] = {}
    for sample in samples:
        blocks.setdefault(int(sample.at // BLOCK_S), []).append(sample)
    points = [
        (
            statistics.mean(s.at for s in some) / 3600,
            statistics.mean(getattr(s, name) for s in some),
        )
        for some in blocks.values()
    ]
    if len(points) < 3:
        return 0.0, float("inf")
    xs, ys = [x for x, _ in points], [y for _, y in points]
    found = statistics.linear_regression(xs, ys)
    rest = [y - found.slope * x - found.intercept for x, y in points]
    spread = sum((x - statistics.mean(xs)) ** 2 for x in xs)
    error = (sum(r * r for r in rest) / (len(points) - 2) / spread) ** 0.5
    return found.slope, 2.1 * error


def growing(soak: Soak) -> list[str]:
    """List what grows without an end, as sentences."""
    found, steady = [], soak.steady()
    for name in ("door_mb", "service_mb"):
        rate, half = slope(steady, name)
        if rate - half > MOST_MB_AN_HOUR:
            found.append(f"{name} grows by {rate:.1f} ± {half:.1f} MB an hour")
    middle = len(steady) // 2
    for name, room in (("descriptors", 8), ("threads", 4), ("log_kb", 4096)):
        before = max(getattr(s, name) for s in steady[:middle])
        after = max(getattr(s, name) for s in steady[middle:])
        if after > before + room:
            found.append(f"{name}: {before} at most in the first half, {after} in the second")
    return found


def processes(door: int) -> list[int]:
    """The door process and its service."""
    found = [door]
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = stat.read_text().rpartition(")")[2].split()[1]
            service = b"service" in (stat.parent / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if parent == str(door) and service:
            found.append(int(stat.parent.name))
    return found


def sample(at: float, pids: Sequence[int], state: Path, answer_ms: float) -> Sample:
    resident, descriptors, threads = [], 0, 0
    for pid in pids:
        status = Path(f"/proc/{pid}/status").read_text()
        told = {
            k: v.split()[0]
            for k, _, v in (x.partition(":") for x in status.splitlines())
            if v.split()
        }
        resident.append(int(told["VmRSS"]) / 1024)
        threads += int(told["Threads"])
        descriptors += len(os.listdir(f"/proc/{pid}/fd"))
    wal = state / "attendance.db-wal"
    log_kb = wal.stat().st_size >> 10 if wal.exists() else 0
    return Sample(at, resident[0], resident[-1], descriptors, threads, log_kb, answer_ms)


class Visitor:
    """Asks the API for something each second, and now and then changes somebody."""

    def __init__(self, address: str, soak: Soak, username: str = "admin") -> None:
        self._client = httpx.Client(base_url=address, timeout=20, trust_env=False)
        self._username = username
        self._soak = soak
        self._turn = 0
        self._photo = require_assets("demo").path(PHOTO).read_bytes()
        self._sign_in()

    def _sign_in(self) -> None:
        form = {"username": self._username, "password": PASSWORD}
        answer = self._client.post("/api/auth/login", data=form).raise_for_status()
        self._client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        self._signed_in = time.monotonic()

    def _stay_signed_in(self) -> None:
        if time.monotonic() - self._signed_in > SIGNED_IN_S:
            self._sign_in()

    def turn(self) -> float:
        """Ask; returns the milliseconds that an ordinary question took."""
        self._turn += 1
        self._stay_signed_in()
        began = time.monotonic()
        self._ask("GET", READS[self._turn % len(READS)])
        took = (time.monotonic() - began) * 1000
        if self._turn % 10 == 0:
            body = {
                "first_name": "Soak",
                "last_name": "Test",
                "personnel_code": f"soak-{self._turn}",
            }
            made = self._ask("POST", "/api/persons", json=body)
            if made.status_code == 201:
                where = f"/api/persons/{made.json()['id']}"
                if self._turn % 60 == 0:
                    self._enroll(made.json()["id"])
                self._ask("DELETE", where)
        return took

    def _enroll(self, person_id: int) -> None:
        """Give a person a photo; the demo knows this face: an admin says why it is enrolled."""
        self._ask(
            "POST",
            "/api/enrollment",
            data={"person_id": person_id, "override": "a soak"},
            files={"file": ("face.jpg", self._photo, "image/jpeg")},
        )

    def _ask(self, method: str, path: str, **more: object) -> httpx.Response:
        answer = self._client.request(method, path, **more)  # type: ignore[arg-type]
        self._soak.requests += 1
        if answer.status_code >= 400:
            self._soak.errors.append(f"{method} {path}: {answer.status_code} {answer.text[:120]}")
        return answer

    def watch(self, end: threading.Event) -> None:
        """Look at the live picture until the end; each preview ends by itself before that."""
        while not end.is_set():
            self._stay_signed_in()
            with self._client.stream("GET", "/api/gate/preview") as answer:
                self._soak.requests += 1
                if answer.status_code != 200:
                    self._soak.errors.append(f"preview: {answer.status_code}")
                    end.wait(5)
                    continue
                for part in answer.iter_bytes():
                    self._soak.pictures += part.count(b"image/jpeg")
                    if end.is_set():
                        return

    def close(self) -> None:
        self._client.close()


def hold_silent(address: str, end: threading.Event) -> None:
    """Hold connections that say nothing, or half of a request; whoever was cut off comes again."""
    host, _, port = address.removeprefix("http://").partition(":")
    while not end.is_set():
        with ExitStack() as held:
            for number in range(SILENT):
                connection = held.enter_context(socket.create_connection((host, int(port)), 20))
                if number % 2:
                    connection.sendall(b"POST /api/persons HTTP/1.1\r\nContent-Length: 99")
            end.wait(60)


@contextmanager
def company(address: str, watchers: Sequence[Visitor]) -> Iterator[None]:
    """Let people watch the live picture, and strangers hold connections, meanwhile."""
    end = threading.Event()
    tasks = [threading.Thread(target=one.watch, args=(end,)) for one in watchers]
    tasks.append(threading.Thread(target=hold_silent, args=(address, end)))
    for task in tasks:
        task.start()
    try:
        yield
    finally:
        end.set()
        for task in tasks:
            task.join()


def soak(folder: Path, seconds: float) -> Soak:
    """Let a gate work for so long."""
    found, config = Soak(), demo_config(folder)
    for name in USERS:
        args = ("user", "add", name, "--role", "admin", "--password-stdin", "--config", config)
        assert gated(*args, stdin=PASSWORD + "\n").returncode == 0
    with Process("--config", config) as gate:
        address = re.search(r"http://[0-9.:]+", gate.wait_for("API"))
        assert address is not None
        visitor = Visitor(address[0], found)
        watchers = [Visitor(address[0], found, name) for name in WATCHERS]
        with company(address[0], watchers):
            began = time.monotonic()
            pids = processes(gate.pid)
            while (at := time.monotonic() - began) < seconds:
                found.samples.append(sample(at, pids, folder / "state", visitor.turn()))
                time.sleep(max(0.0, 1.0 - (time.monotonic() - began - at)))
        for one in (visitor, *watchers):
            one.close()
        assert gate.end() == 0
    found.passages = sum(" GRANTED " in line for line in gate.lines)
    verified = gated("journal", "verify", "--config", config)
    if verified.returncode != 0:
        found.errors.append(verified.stdout)
    return found


WIDTH, HEIGHT, MARGIN = 760, 150, 60
MOST_POINTS = 360
LINES = (
    ("door_mb", "door, MB", "#1f5fa8"),
    ("service_mb", "service, MB", "#a8501f"),
    ("log_kb", "log of changes, KB", "#4a7a2c"),
    ("answer_ms", "an answer, ms", "#7a2c6a"),
)


def _thinned(at: Sequence[float], values: Sequence[float]) -> Iterator[tuple[float, float]]:
    """Yield the highest of each group of neighbours, so that no peak is lost."""
    step = max(1, len(at) // MOST_POINTS)
    for start in range(0, len(at), step):
        yield at[start], max(values[start : start + step])


def as_svg(found: Soak) -> str:
    """Draw memory, log and answers over time."""
    parts = []
    for row, (name, title, colour) in enumerate(LINES):
        top = 30 + row * (HEIGHT + 40)
        values = [getattr(s, name) for s in found.samples]
        highest = max(*values, 1.0) * 1.1
        end = found.samples[-1].at
        points = " ".join(
            f"{MARGIN + at / end * WIDTH:.1f},{top + HEIGHT * (1 - value / highest):.1f}"
            for at, value in _thinned([s.at for s in found.samples], values)
        )
        parts += [
            f'<rect x="{MARGIN}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="none" '
            'stroke="#bbb"/>',
            f'<text x="{MARGIN}" y="{top - 8}">{title}; the highest {max(values):.0f}</text>',
            f'<text x="{MARGIN - 8}" y="{top + 12}" text-anchor="end">{highest:.0f}</text>',
            f'<text x="{MARGIN - 8}" y="{top + HEIGHT}" text-anchor="end">0</text>',
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.2"/>',
        ]
    height = 30 + len(LINES) * (HEIGHT + 40)
    parts.append(
        f'<text x="{MARGIN}" y="{height - 8}">{found.samples[-1].at / 60:.0f} minutes, '
        f"{found.passages} passages, {found.requests} requests</text>"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + 2 * MARGIN} {height}" '
        f'font-family="sans-serif" font-size="12">{"".join(parts)}</svg>\n'
    )


def main(minutes: float, picture: Path | None) -> int:
    with tempfile.TemporaryDirectory() as folder:
        found = soak(Path(folder), minutes * 60)
    if picture is not None:
        picture.write_text(as_svg(found))
    steady = found.steady()
    told: dict[str, object] = {"minutes": minutes, "passages": found.passages}
    told |= {"requests": found.requests, "pictures": found.pictures, "errors": found.errors[:10]}
    for name in ("door_mb", "service_mb"):
        rate, half = slope(steady, name)
        told[name] = f"{statistics.mean(getattr(s, name) for s in steady):.0f}"
        told[f"{name}_an_hour"] = f"{rate:+.2f} ± {half:.2f}"
    for name in ("descriptors", "threads", "log_kb"):
        told[name] = f"{getattr(steady[0], name)} .. {max(getattr(s, name) for s in steady)}"
    answers = sorted(s.answer_ms for s in steady)
    told["answer_ms"] = (
        f"median {answers[len(answers) // 2]:.0f}, 99 % {answers[-1 - len(answers) // 100]:.0f}"
    )
    told["grows"] = grows = growing(found)
    print(json.dumps(told, indent=1))
    return 1 if grows or found.errors else 0


if __name__ == "__main__":
    given = sys.argv[1:]
    sys.exit(main(float(given[0]) if given else 60.0, Path(given[1]) if given[1:] else None))
