"""What one process of a hub on PostgreSQL takes in and gives out.

    python -m tests.bench.hub_load --gates 10 50 100 --rows 400 --persons 10000

Rows: that many gates send batches of a real journal at once, each over a connection of its own.
Persons: one new gate takes its first snapshot, templates written and all.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from gated.core.model import PersonRef
from gated.errors import HubError
from gated.services.people import People
from gated.services.sync.client import HubClient
from gated.services.sync.downlink import Downlink
from gated.services.sync.fleet import Fleet
from gated.services.sync.membership import Membership
from gated.services.sync.uplink import Uplink
from gated.services.workspace import Workspace
from gated.storage import enrollments
from tests.databases import Server, postgresql_server
from tests.fleet.simulation import Simulation
from tests.storage.people import entry

MODEL = "m1/0"
ACTOR = "bench"


def joined(run: Simulation, stack: ExitStack, name: str) -> tuple[Workspace, HubClient]:
    """A gate in this process, that has joined without a relay between."""
    workspace = stack.enter_context(Workspace(run.gate_settings(name)))
    wanted = {"everyone": True}
    _, code = Fleet.of(run.desk).invite(name, "works", wanted, actor=ACTOR)
    membership = Membership.of(workspace)
    client = membership.client(
        membership.join(f"http://127.0.0.1:{run.hubs[0].port}", code, actor=ACTOR)
    )
    stack.callback(client.close)
    return workspace, client


def rows_per_second(run: Simulation, number: int, rows: int) -> float:
    """Rows that the hub acknowledges in a second, sent by so many gates at once."""
    with ExitStack() as stack:
        uplinks = []
        for n in range(number):
            workspace, client = joined(run, stack, f"rows-{number}-{n}")
            ref = PersonRef(1, "0190aaaa-0000-7000-8000-000000000001", "P1", "Ada Byron")
            for _ in range(rows // 100):
                workspace.journal.append([entry(None if i % 4 else ref) for i in range(100)])
            uplinks.append(Uplink.of(workspace, client))
        total = sum(u.backlog() for u in uplinks)
        ready = threading.Barrier(number + 1)
        threads = [threading.Thread(target=_send, args=(u, ready)) for u in uplinks]
        for thread in threads:
            thread.start()
        ready.wait()
        began = time.monotonic()
        for thread in threads:
            thread.join()
        took = time.monotonic() - began
        if left := sum(u.backlog() for u in uplinks):
            raise AssertionError(f"{left} rows were not taken")
    return total / took


def _send(uplink: Uplink, ready: threading.Barrier) -> None:
    ready.wait()
    going_on = True
    while going_on:
        try:
            going_on = uplink.send()
        except HubError as error:  # busy: come again as a gate would
            time.sleep(random.uniform(0.5, 1.0) * (error.retry_after or 1.0))


def first_snapshot(run: Simulation, persons: int) -> float:
    """Seconds until a new gate has so many persons."""
    rng = np.random.default_rng(1)
    for n in range(persons):
        fields = {"first_name": "Ada", "last_name": f"N{n}", "personnel_code": f"bench-{n}"}
        person = People.of(run.desk).create(fields, actor=ACTOR)
        vector = rng.normal(size=128).astype(np.float32)
        path = run.desk.files.save_encoding(vector, MODEL)
        with run.desk.database.write() as session:
            enrollments.add(
                session,
                person_id=person.id,
                face_encoding_path=path,
                face_image_path=None,
                confidence_score=0.9,
                model=MODEL,
            )
    with ExitStack() as stack:
        workspace, client = joined(run, stack, "new")
        down = Downlink.of(workspace, client, MODEL)
        began = time.monotonic()
        while down.pull():
            pass
        took = time.monotonic() - began
        if len(workspace.gallery(MODEL, "cosine").load()) != persons:
            raise AssertionError("the gate has not everybody")
    return took


def measure(server: Server, counts: list[int], rows: int, persons: int) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        run = Simulation(Path(folder), server.migrated(), gates=0, hubs=1, seed=1)
        try:
            run.start()
            for number in counts:
                rate = rows_per_second(run, number, rows)
                print(f"{number:4} gates at once: {rate:8.0f} rows/s")
            if persons:
                took = first_snapshot(run, persons)
                print(f"{persons} persons to a new gate: {took:.1f} s")
        finally:
            run.close()
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
        print(f"largest process started, the hub or PostgreSQL: {peak} MB")


def main() -> int:
    """Measure by hand."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gates", type=int, nargs="*", default=[10, 50, 100])
    parser.add_argument("--rows", type=int, default=400, help="of each gate")
    parser.add_argument("--persons", type=int, default=10_000)
    given = parser.parse_args()
    with postgresql_server() as server:
        measure(server, given.gates, given.rows, given.persons)
    return 0


if __name__ == "__main__":
    sys.exit(main())
