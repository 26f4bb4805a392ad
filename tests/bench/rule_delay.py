"""How long a rule that was changed on the hub takes to be stored at a gate that runs.

    python -m tests.bench.rule_delay --changes 100 [--postgresql]

A hub and a gate, each a process of its own, on this machine; the changes are made by a third one.
A running gate then looks five times a second for rules that changed.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from gated.access import site_store
from gated.access.rules import Access
from tests.changes import done_by
from tests.databases import postgresql_server
from tests.fleet.simulation import Simulation, simulation

PATIENCE_S = 60.0


def delays(fleet: Simulation, changes: int) -> Iterator[float]:
    """Seconds from the commit of each change on the hub to its commit at the gate."""
    rules = Access.of(fleet.desk)
    for number in range(1, changes + 1):
        done_by("bench", rules.set_site_rules, {"occupancy": number})
        began = time.monotonic()
        while _occupancy(fleet) != number:
            if time.monotonic() - began > PATIENCE_S:
                raise SystemExit(f"change {number} did not arrive")
            time.sleep(0.002)
        yield time.monotonic() - began
        # at no fixed place between two looks of hub and gate
        time.sleep(random.uniform(0.1, 0.5))


def _occupancy(fleet: Simulation) -> object:
    with fleet.gates[0].workspace.database.read() as session:
        return site_store.rules(session).values.get("occupancy")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=100)
    parser.add_argument("--postgresql", action="store_true", help="under the hub; else SQLite")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = f"sqlite:///{folder / 'hub.db'}"
        if given.postgresql:
            url = stack.enter_context(postgresql_server()).migrated()
        fleet = stack.enter_context(simulation(folder, url, gates=1, hubs=1))
        fleet.settle()
        found = sorted(delays(fleet, given.changes))
    print(f"median {statistics.median(found):.2f} s")
    print(f"95 %   {found[round(0.95 * (len(found) - 1))]:.2f} s")
    print(f"worst  {found[-1]:.2f} s")


if __name__ == "__main__":
    main()
