"""How long until one gate of a site knows who passed by another, with a hub process between.

    python -m tests.bench.presence_delay --passages 300

From the decision at one gate until the news is in the inbox of the other; both gates run here, from
the card to the relay, the hub in a process of its own, on SQLite and on PostgreSQL. Nothing else
happens: a passage every half second on average.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from gated.core.messages import RemotePresence
from gated.core.plan import AntiPassback, SiteRules
from gated.core.values import Direction
from gated.fleet.gate.downlink import Downlink
from gated.fleet.gate.hub_loops import HEARTBEAT_S
from gated.fleet.gate.membership import Membership
from gated.fleet.hub.fleet import Fleet
from gated.people.people import People
from gated.workspace import Workspace
from tests.changes import done_by
from tests.core.policies import policy_with
from tests.databases import postgresql_server
from tests.fleet.simulation import Simulation
from tests.fleet.sync.lane import Lane, within

ACTOR = "bench"
SOFT = SiteRules(anti_passback=AntiPassback.SOFT)
IN = policy_with(direction=Direction.ENTRY, cooldown_s=0.0, denial_interval_s=0.0)


def joined(run: Simulation, stack: ExitStack, name: str) -> Workspace:
    """A gate that has joined the hub of a simulation and has its people."""
    workspace = stack.enter_context(Workspace(run.gate_settings(name)))
    _, code = Fleet.of(run.desk).invite(name, "works", {"everyone": True}, actor=ACTOR)
    membership = Membership.of(workspace)
    member = membership.join(f"http://127.0.0.1:{run.hubs[0].port}", code, actor=ACTOR)
    client = membership.client(member)
    stack.callback(client.close)
    downlink = Downlink.of(workspace, client, "m1/0")
    while downlink.pull():
        pass
    return workspace


def delays(run: Simulation, passages: int) -> list[float]:
    """Seconds from each of so many passages until the other gate hears of it."""
    chance, found = random.Random(1), []
    fields = {"first_name": "Ada", "last_name": "Byron", "personnel_code": "ada"}
    uid = done_by(ACTOR, People.of(run.desk).create, fields).uid
    with ExitStack() as stack:
        north, south = (joined(run, stack, name) for name in ("north", "south"))
        a = stack.enter_context(Lane(north, IN, SOFT).running())
        b = stack.enter_context(Lane(south, IN, SOFT).running())
        time.sleep(HEARTBEAT_S + 2)  # by then both know that somebody waits
        for _ in range(passages):
            heard = len(b.heard)
            a.shows_card(uid)
            passed_at = a.decisions[-1].at.mono
            assert within(lambda heard=heard: len(b.heard) > heard)  # type: ignore[misc]
            event, at = b.heard[heard]
            assert isinstance(event, RemotePresence)
            found.append(at - passed_at)
            time.sleep(chance.uniform(0.0, 1.0))
    return sorted(found)


def line(engine: str, found: list[float]) -> str:
    """The figures of one engine in words."""
    p50, p95 = found[len(found) // 2], found[len(found) * 95 // 100]
    return (
        f"{engine}: {len(found)} passages, median {p50 * 1000:.0f} ms, 95 % below "
        f"{p95 * 1000:.0f} ms, longest {found[-1] * 1000:.0f} ms"
    )


def measure(engine: str, url: str, folder: Path, passages: int) -> None:
    folder.mkdir()
    run = Simulation(folder, url, gates=0, hubs=1, seed=1)
    try:
        run.start()
        print(line(engine, delays(run, passages)), flush=True)
    finally:
        run.close()


def main() -> int:
    """Measure by hand."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passages", type=int, default=300)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measure("SQLite", f"sqlite:///{folder / 'hub.db'}", folder / "sqlite", given.passages)
        with postgresql_server(durable=True) as server:
            url = server.migrated()
            measure("PostgreSQL", url, folder / "postgresql", given.passages)
    return 0


if __name__ == "__main__":
    sys.exit(main())
