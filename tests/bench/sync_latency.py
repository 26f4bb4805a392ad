"""Whether a gate decides as fast while it takes in thousands of people.

    python -m tests.bench.sync_latency --persons 10000
    python -m tests.bench.sync_latency --persons 10000 --as-hub

A whole gate, before whose camera people walk up, and its hub, each in a process of its own. Spans
in which nothing comes take turns with spans in which the hub tells everything anew; first comes the
first sync of all. What both share, this machine, shows in both.

As hub: the gate is itself the hub, on SQLite, and tells everything to another gate.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gated.bench.running import Line, Running
from gated.bench.site import Site, brisk_walk_ups, film
from gated.bench.walkups import walker_kit
from gated.database import change_feed
from gated.database import stored_settings as settings_store
from gated.enrollment.models import INSTALLED
from gated.fleet.gate.membership import Membership
from gated.fleet.hub.feed import Feed
from gated.fleet.hub.fleet import Fleet
from gated.vision.assets import AssetStore
from gated.workspace import Workspace
from tests.bench.staff import hire
from tests.databases import postgresql_server
from tests.e2e.process import Process
from tests.fleet.simulation import Simulation

ACTOR = "bench"
SPAN_S = 20.0
LOOK_S = 0.25


@dataclass
class Span:
    """What the gate told during one kind of time."""

    told: list[Line] = field(default_factory=list)
    seconds: float = 0.0
    cpu_s: float = 0.0
    """Processor time of the gate."""

    @property
    def frames(self) -> list[float]:
        """ms from the capture of each frame with evidence to the end of its analysis."""
        return [ms for t in self.told if t["kind"] == "decision" for ms in t["took_ms"]]

    @property
    def decisions(self) -> list[float]:
        """ms from the capture of the deciding frame to the decision."""
        found = (t for t in self.told if t["kind"] == "decision" and t["captured"] is not None)
        return [(t["decided"] - t["captured"]) * 1e3 for t in found]


class Measured:
    """A gate that runs, a hub, and whom the hub tells: that gate, or another one."""

    def __init__(self, hub: Workspace, told: Workspace, gate: Running) -> None:
        self._hub = hub
        self._workspace = told
        self._gate = gate

    def is_behind(self) -> bool:
        """Whether the hub has told more than the gate has applied."""
        with self._hub.database.read() as session:
            head = change_feed.head(session)
        with self._workspace.database.read() as session:
            cursor = settings_store.get(session, "sync_cursor", {}).get("cursor") or "..."
        feed, _, seq, _ = cursor.split(".")
        return (feed, seq) != (head.feed, str(head.seq))

    def alone(self, span: Span, seconds: float = SPAN_S) -> None:
        with self._counted(span):
            span.told += self._gate.collect(seconds)

    @contextmanager
    def _counted(self, span: Span) -> Iterator[None]:
        began, cpu = time.monotonic(), self._gate.cpu_s
        yield
        span.seconds += time.monotonic() - began
        span.cpu_s += self._gate.cpu_s - cpu

    def told_all(self, span: Span, longest: float = 300.0) -> float:
        """Collect until the gate has everything; seconds."""
        began = time.monotonic()
        with self._counted(span):
            while self.is_behind():
                if time.monotonic() - began > longest:
                    raise AssertionError("the gate does not come to an end")
                span.told += self._gate.collect(LOOK_S)
        return time.monotonic() - began

    def anew(self, span: Span) -> float:
        """Let the hub tell everything anew, and collect until the gate has it."""
        Feed.of(self._hub).renew(actor=ACTOR)
        return self.told_all(span)


def measure_as_hub(folder: Path, persons: int, rounds: int) -> Iterator[str]:
    """Lines of the report of a gate that tells another one."""
    site, model = walked_up(folder)
    run = Simulation(folder, f"sqlite:///{folder / 'unused.db'}", gates=0, hubs=0, seed=1)
    own, other = Workspace(site.settings), Workspace(run.gate_settings("other"))
    hire(own, persons, model)
    with Running(site) as gate:
        gate.wait_ready()
        _, code = Fleet.of(own).invite("other", "works", {"everyone": True}, actor=ACTOR)
        Membership.of(other).join(site.address, code, actor=ACTOR)
        with Process("--config", folder / "other.yaml"):
            alone, telling = Span(), Span()
            measured = Measured(own, other, gate)
            took = measured.told_all(Span())
            yield f"{persons} persons to the other gate: {took:.1f} s; {gate.resident_mb:.0f} MB"
            for _ in range(rounds):
                gate.collect(3.0)
                measured.alone(alone)
                measured.anew(telling)
        gate.end()
    for workspace in (own, other):
        workspace.close()
    run.close()
    yield compared("hub of another gate that is told anew / at rest", telling, alone)


def walked_up(folder: Path) -> tuple[Site, str]:
    """A gate before which people whom it knows walk up, and its model."""
    assets = AssetStore([INSTALLED])
    with walker_kit(assets, 2) as kit:
        walk = film(brisk_walk_ups(kit), folder / "walk.avi")
        site = Site(folder / "gate", assets, {"source": str(walk)})
        site.enroll_walkers(kit)
        return site, kit.model


def measure(folder: Path, url: str, persons: int, rounds: int) -> Iterator[str]:
    """Lines of the report."""
    site, model = walked_up(folder)
    run = Simulation(folder, url, gates=0, hubs=1, seed=1)
    try:
        run.start()
        _, code = Fleet.of(run.desk).invite("gate", "works", {"everyone": True}, actor=ACTOR)
        with Workspace(site.settings) as workspace:
            Membership.of(workspace).join(f"http://127.0.0.1:{run.hubs[0].port}", code, actor=ACTOR)
        with Running(site) as gate, Workspace(site.settings) as own:
            gate.wait_ready()
            measured = Measured(run.desk, own, gate)
            empty, first, alone, again = Span(), Span(), Span(), Span()
            measured.told_all(Span())
            gate.collect(2.0)
            measured.alone(empty)
            hire(run.desk, persons, model)
            took = measured.told_all(first)
            yield f"{persons} persons, first time: {took:.1f} s; gate {gate.resident_mb:.0f} MB"
            gate.collect(3.0)
            for _ in range(rounds):
                measured.alone(alone)
                took = measured.anew(again)
                yield f"told anew: {took:.1f} s; gate {gate.resident_mb:.0f} MB"
                gate.collect(3.0)
            measured.alone(alone)
            gate.end()
    finally:
        run.close()
    yield compared("first sync / before it", first, empty)
    if rounds:
        yield compared("told anew / at rest with as many", again, alone)


def compared(what: str, loaded: Span, alone: Span) -> str:
    """Medians, 95th percentiles and their ratios."""
    return (
        f"{what}: frame to decision {_ratio(loaded.decisions, alone.decisions)}; "
        f"frames {_ratio(loaded.frames, alone.frames)}; processor "
        f"{loaded.cpu_s / loaded.seconds:.2f} / {alone.cpu_s / alone.seconds:.2f}"
    )


def _ratio(loaded: Sequence[float], alone: Sequence[float]) -> str:
    if len(loaded) < 2 or len(alone) < 2:
        return "too few"
    found = []
    for name, q in (("p50", 50), ("p95", 95)):
        a, b = (statistics.quantiles(x, n=100, method="inclusive")[q - 1] for x in (loaded, alone))
        found.append(f"{name} {a:.1f} / {b:.1f} ms = {a / b:.2f}")
    return f"({len(loaded)}, {len(alone)}) {', '.join(found)}"


def main() -> int:
    """Measure by hand."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--as-hub", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.as_hub:
            report(measure_as_hub(Path(folder), given.persons, given.rounds))
        else:
            with postgresql_server(durable=True) as server:
                report(measure(Path(folder), server.migrated(), given.persons, given.rounds))
    return 0


def report(lines: Iterator[str]) -> None:
    for line in lines:
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
