"""A fleet of processes comes to rest: everybody is where the hub says, every row there once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.assets import require_assets
from tests.databases import Server
from tests.fleet.simulation import simulation


@pytest.mark.timeout(150)
def test_a_small_fleet(tmp_path: Path) -> None:
    """Two gates and a hub on SQLite, as where one of them is the hub of the others."""
    require_assets("default")
    with simulation(tmp_path, f"sqlite:///{tmp_path / 'hub.db'}", gates=2, hubs=1) as fleet:
        fleet.run(4)
        # whatever came by chance
        for act in (fleet.erase, fleet.decide, fleet.rule, fleet.keep_site, fleet.card):
            act()
        fleet.settle()
        assert fleet.problems() == []


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_fleet_of_twenty(tmp_path: Path, postgresql: Server) -> None:
    require_assets("default")
    with simulation(tmp_path, postgresql.migrated(), gates=20, hubs=2) as fleet:
        fleet.run(90)
        fleet.settle(300)
        assert fleet.problems() == []
