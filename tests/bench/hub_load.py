"""What one process of a hub on PostgreSQL takes in and gives out.

    python -m tests.bench.hub_load --gates 10 50 100 --rows 800 --persons 10000

For each number of gates, told apart by what a gate costs when:

    catching up   all send full batches at once, as after weeks without a network
    live          all send single rows at once, as they arise
    idle          all wait for changes and tell every ten seconds how they are
    a change      of one person, until the last of the waiting gates has been told

Requests are made and signed beforehand, so that the clients on this machine take little of it.
PostgreSQL is a server of our own with its usual settings, on disk; beside it what it takes when the
same rows of the journal are inserted straight, batch by batch on one connection, and nothing else.

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
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gated.database.tables import journal, sync_chains
from gated.enrollment.gallery_cache import open_gallery
from gated.fleet.gate.client import HubClient
from gated.fleet.gate.downlink import Downlink
from gated.fleet.gate.membership import Membership
from gated.fleet.hub.fleet import Fleet
from gated.people.people import People
from gated.workspace import Workspace
from tests.bench.light_gates import LightGate, OwnJournal
from tests.bench.staff import hire
from tests.changes import done_by
from tests.databases import Server, postgresql_server
from tests.fleet.simulation import Simulation
from tests.people.people import entry

MODEL = "m1/0"
ACTOR = "bench"
BATCH = 400
HEARTBEAT_S = 10.0
IDLE_S = 20.0
CHANGES = 5
LIVE = 1000
BARE = 20_000
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
            stored: dict[str, int] = dict(session.execute(found).all())
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
        await asyncio.to_thread(done_by, ACTOR, People.of(self.run.desk).create, fields)
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
            page = await line.ask(self._gate.asking(50))
            self._gate.cursor = page["cursor"]
            self.told += bool(page["items"])

    async def _beat(self) -> None:
        line = self._gate.connect()
        await asyncio.sleep(HEARTBEAT_S * (hash(self._gate.keys.token) % 1000) / 1000)
        while True:
            await line.ask(self._gate.heartbeat())
            await asyncio.sleep(HEARTBEAT_S)


def first_snapshot(bench: Bench, persons: int) -> str:
    """What a new gate takes to have so many persons, on disk and in its gallery."""
    run = bench.run
    hire(run.desk, persons, MODEL)
    with ExitStack() as stack:
        workspace = stack.enter_context(Workspace(run.gate_settings("new")))
        _, code = Fleet.of(run.desk).invite("new", "works", {"everyone": True}, actor=ACTOR)
        membership = Membership.of(workspace)
        url = f"http://127.0.0.1:{run.hubs[0].port}"
        client: HubClient = membership.client(membership.join(url, code, actor=ACTOR))
        stack.callback(client.close)
        down = Downlink.of(workspace, client, MODEL)
        own = time.process_time()
        with bench.costs() as cost:
            while down.pull():
                pass
            gallery = open_gallery(workspace, MODEL, "cosine").load()
        own = time.process_time() - own
        if len(gallery) < persons:
            raise AssertionError("the gate has not everybody")
    return (
        f"{persons} persons to a new gate: {cost.wall:.1f} s; processor time of the gate"
        f" {own:.1f} s, the hub {cost.hub:.1f} s, PostgreSQL {cost.postgresql:.1f} s"
    )


@dataclass(frozen=True, slots=True)
class Figures:
    """One line of the table; us and ms are of processor time."""

    gates: int
    rows_per_s: float
    row_us: float
    row_pg_us: float
    live_per_s: float
    live_ms: float
    idle_ms: float
    change_ms: float
    change_s: float
    memory_mb: float
    connections: int

    def line(self) -> str:
        return (
            f"{self.gates:5} {self.rows_per_s:7.0f} {self.row_us:6.0f} {self.row_pg_us:6.0f}"
            f" {self.live_per_s:7.0f} {self.live_ms:7.1f} {self.idle_ms:8.2f}"
            f" {self.change_ms:9.1f} {self.change_s:8.2f} {self.memory_mb:6.0f}"
            f" {self.connections:5}"
        )


def bare_rows_per_s(server: Server, rows: int) -> float:
    """What PostgreSQL takes of as many rows without us, its one table and index aside."""
    names = [c.name for c in journal.columns]
    places = ", ".join(f"%({name})s" for name in names)
    statement = f"INSERT INTO bare ({', '.join(names)}) VALUES ({places})"  # noqa: S608
    told = OwnJournal()
    batches = [told.batch([entry()] * BATCH) for _ in range(rows // BATCH)]
    with server.admin.connect() as connection:
        driver: Any = connection.connection.driver_connection
        driver.execute("CREATE TABLE bare (LIKE journal INCLUDING INDEXES)")
        began = time.monotonic()
        for batch in batches:
            known = {"chain": batch["chain"], "prev": batch["after"]["hash"]}
            with driver.transaction(), driver.cursor() as cursor:
                cursor.executemany(statement, [{**row, **known} for row in batch["rows"]])
        took = time.monotonic() - began
        driver.execute("DROP TABLE bare")
    return len(batches) * BATCH / took


HEAD = """\
      | catching up           | live           | idle   | a change         | hub
gates  rows/s us/row  in PG  rows/s  ms/row  ms/s/gate  ms/gate s to all    MB  conn"""


def figures(bench: Bench, number: int, rows: int) -> Figures:
    """Measure with so many gates."""
    gates = bench.join(number)
    batches = max(1, rows // BATCH)
    many, all_rows = bench.send(gates, batches, BATCH), number * batches * BATCH
    single = max(5, LIVE // number)
    live, all_live = bench.send(gates, single, 1), number * single
    idle, changed, took = bench.idle(gates)
    return Figures(
        number,
        all_rows / many.wall,
        many.hub / all_rows * 1e6,
        many.postgresql / all_rows * 1e6,
        all_live / live.wall,
        live.hub / all_live * 1e3,
        idle.hub / idle.wall / number * 1e3,
        changed.hub / CHANGES / number * 1e3,
        statistics.median(took),
        resident_mb(bench.pid),
        bench.connections(),
    )


def main() -> int:
    """Measure by hand."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gates", type=int, nargs="*", default=[10, 50, 100])
    parser.add_argument("--rows", type=int, default=800, help="of each gate")
    parser.add_argument("--persons", type=int, default=10_000)
    given = parser.parse_args()
    try:
        measure(given)
    except pytest.skip.Exception as missing:
        print(f"the hub was not measured: {missing}")
    return 0


def measure(given: argparse.Namespace) -> None:
    """Print everything."""
    with postgresql_server(durable=True) as server, tempfile.TemporaryDirectory() as folder:
        bench = Bench(server, Path(folder))
        try:
            print(HEAD)
            for number in given.gates:
                found = figures(bench, number, given.rows)
                print(found.line(), flush=True)
                bare = bare_rows_per_s(server, BARE)
            if given.gates:
                ratio = found.rows_per_s / bare
                print(f"PostgreSQL alone: {bare:.0f} rows/s; the hub does {ratio:.2f} of that")
            if given.persons:
                print(first_snapshot(bench, given.persons))
        finally:
            bench.run.close()


if __name__ == "__main__":
    sys.exit(main())
