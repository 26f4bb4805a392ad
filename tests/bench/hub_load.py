"""What one process of a hub on PostgreSQL takes in and gives out.

    python -m tests.bench.hub_load --gates 10 50 100 --rows 800 --persons 10000

For each number of gates, told apart by what a gate costs when:

    catching up   all send full batches at once, as after weeks without a network
    live          all send single rows at once, as they arise
    idle          all wait for changes and tell every ten seconds how they are
    a change      of one person, until the last of the waiting gates has been told

Requests are made and signed beforehand, so that the clients on this machine take little of it; one
connection does what both loops of a gate do. Beside them what PostgreSQL alone takes: the same rows
in the same tables by COPY, committed batch by batch on one connection.

Persons: one new gate takes its first snapshot, templates written and all.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from gated.services.people import People
from gated.services.sync.fleet import Fleet
from gated.storage.tables import journal, sync_chains
from tests.bench.light_gates import LightGate
from tests.databases import Server, postgresql_server
from tests.fleet.simulation import Simulation

MODEL = "m1/0"
ACTOR = "bench"
BATCH = 400
HEARTBEAT_S = 10.0
IDLE_S = 20.0
CHANGES = 5
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


class Spent:
    """Processor time of a process and of those that it started."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def seconds(self) -> float:
        own = _stat(self._pid)
        # of children that ended their parent has it
        return (sum(map(int, own[11:15])) + sum(_of_children(self._pid))) / TICKS


def _stat(pid: int | str) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _of_children(pid: int) -> Iterator[int]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                fields = _stat(folder.name)
            except OSError:
                continue
            if int(fields[1]) == pid:
                yield int(fields[11]) + int(fields[12])


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / (1 << 20)


@dataclass(slots=True)
class Cost:
    """What something took: seconds on the clock, and of processors by hub and PostgreSQL."""

    wall: float = 0.0
    hub: float = 0.0
    postgresql: float = 0.0


class Bench:
    """One hub process on a server, and what is done to it."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.run = Simulation(folder, server.migrated(), gates=0, hubs=1, seed=1)
        self.run.start()
        process = self.run.hubs[0].process
        assert process is not None
        self.pid = process.pid
        self._server = server
        self._hub, self._postgresql = Spent(self.pid), Spent(server.pid)

    @contextmanager
    def costs(self) -> Iterator[Cost]:
        cost = Cost()
        began, hub, pg = time.monotonic(), self._hub.seconds(), self._postgresql.seconds()
        yield cost
        cost.wall = time.monotonic() - began
        cost.hub = self._hub.seconds() - hub
        cost.postgresql = self._postgresql.seconds() - pg

    def join(self, number: int) -> list[LightGate]:
        fleet, port = Fleet.of(self.run.desk), self.run.hubs[0].port
        names = [f"gate-{number}-{n}" for n in range(number)]
        return [LightGate(fleet, name, port) for name in names]

    def connections(self) -> int:
        """Of the hub process to PostgreSQL; the desk beside it has two of its own at most."""
        count = "SELECT count(*) FROM pg_stat_activity WHERE client_port IS NOT NULL"
        with self._server.admin.connect() as connection:
            return int(connection.exec_driver_sql(count).scalar_one())

    # --- rows ---------------------------------------------------------------------------------

    def send(self, gates: Sequence[LightGate], batches: int, rows: int) -> Cost:
        """Every gate sends so many batches, one after the other, all gates at once."""
        requests = [gate.sendings(batches, rows) for gate in gates]
        lines = [gate.connect() for gate in gates]

        async def all_at_once() -> None:
            async with asyncio.TaskGroup() as group:
                for line, mine in zip(lines, requests, strict=True):
                    group.create_task(line.ask_all(mine))

        with self.costs() as cost:
            asyncio.run(all_at_once())
        self._require_rows(gates)
        return cost

    def _require_rows(self, gates: Sequence[LightGate]) -> None:
        """Every row is there, once."""
        c = journal.c
        wanted = {gate.journal.end.chain: gate.journal.end.seq for gate in gates}
        found = sa.select(c.chain, sa.func.count()).where(c.chain.in_(wanted)).group_by(c.chain)
        ends = sa.select(sync_chains.c.chain, sync_chains.c.seq)
        with self.run.desk.database.read() as session:
            stored = dict(session.execute(found).all())
            acknowledged = dict(session.execute(ends).all())
        if stored != wanted or any(acknowledged[c] != n for c, n in wanted.items()):
            raise AssertionError("rows were lost or doubled")

    # --- waiting ------------------------------------------------------------------------------

    def idle(self, gates: Sequence[LightGate]) -> tuple[Cost, Cost, list[float]]:
        """Of waiting for `IDLE_S`, of `CHANGES` changes, and after how long each was everywhere."""
        return asyncio.run(self._idle(gates))

    async def _idle(self, gates: Sequence[LightGate]) -> tuple[Cost, Cost, list[float]]:
        async with asyncio.TaskGroup() as group:
            waiting = [Waiting(gate, group) for gate in gates]
            for w in waiting:
                await w.begin()
            await asyncio.sleep(3)
            with self.costs() as idle:
                await asyncio.sleep(IDLE_S)
            took = []
            with self.costs() as changed:
                for n in range(CHANGES):
                    took.append(await self._change(waiting, n))
            for w in waiting:
                w.end()
        return idle, changed, took

    async def _change(self, waiting: Sequence[Waiting], number: int) -> float:
        before = [w.told for w in waiting]
        fields = {
            "first_name": "Ada",
            "last_name": "N",
            "personnel_code": f"c{time.time()}{number}",
        }
        await asyncio.to_thread(People.of(self.run.desk).create, fields, actor=ACTOR)
        began = time.monotonic()
        while any(w.told == b for w, b in zip(waiting, before, strict=True)):
            await asyncio.sleep(0.005)
        return time.monotonic() - began


class Waiting:
    """A gate at rest: asks and waits, and tells how it is."""

    def __init__(self, gate: LightGate, group: asyncio.TaskGroup) -> None:
        self._gate = gate
        self._group = group
        self._tasks: list[asyncio.Task[None]] = []
        self.told = 0

    async def begin(self) -> None:
        line = self._gate.connect()
        first = self._gate.request("GET", f"/api/sync/snapshot?model={MODEL}&limit=1000")
        self._gate.cursor = (await line.ask(first))["cursor"]
        self._tasks.append(self._group.create_task(self._listen()))
        self._tasks.append(self._group.create_task(self._beat()))

    def end(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _listen(self) -> None:
        line = self._gate.connect()
        while True:
            page = await line.ask(self._gate.asking(25))
            self._gate.cursor = page["cursor"]
            self.told += bool(page["items"])

    async def _beat(self) -> None:
        line = self._gate.connect()
        await asyncio.sleep(HEARTBEAT_S * (hash(self._gate.keys.token) % 1000) / 1000)
        while True:
            await line.ask(self._gate.heartbeat())
            await asyncio.sleep(HEARTBEAT_S)


def main() -> int:
    """Measure by hand."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gates", type=int, nargs="*", default=[10, 50, 100])
    parser.add_argument("--rows", type=int, default=800, help="of each gate")
    parser.add_argument("--persons", type=int, default=10_000)
    given = parser.parse_args()
    with postgresql_server(durable=True) as server, tempfile.TemporaryDirectory() as folder:
        bench = Bench(server, Path(folder))
        try:
            for number in given.gates:
                gates = bench.join(number)
                batches = max(1, given.rows // BATCH)
                many = bench.send(gates, batches, BATCH)
                n = number * batches * BATCH
                print(
                    f"{number} gates: {n / many.wall:.0f} rows/s, hub {many.hub / n * 1e6:.0f} us/row, pg {many.postgresql / n * 1e6:.0f} us/row, {resident_mb(bench.pid):.0f} MB, {bench.connections()} connections",
                    flush=True,
                )
                one = bench.send(gates, 10, 1)
                n = number * 10
                print(
                    f"   single rows: {n / one.wall:.0f} /s, hub {one.hub / n * 1e3:.2f} ms, pg {one.postgresql / n * 1e3:.2f} ms",
                    flush=True,
                )
                idle, changed, took = bench.idle(gates)
                print(
                    f"   idle: hub {idle.hub / idle.wall / number * 1e3:.3f} ms/s a gate, pg {idle.postgresql / idle.wall / number * 1e3:.3f}; change: {statistics.median(took):.3f} s, max {max(took):.3f}, hub {changed.hub / CHANGES / number * 1e3:.2f} ms a gate, pg {changed.postgresql / CHANGES / number * 1e3:.2f}; {bench.connections()} connections",
                    flush=True,
                )
        finally:
            bench.run.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
