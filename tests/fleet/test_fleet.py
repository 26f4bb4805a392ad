"""A fleet of processes comes to rest: everybody is where the hub says, every row there once."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from gated.accounts.accounts import Accounts
from tests.assets import require_assets
from tests.databases import Server
from tests.fleet.simulation import simulation
from tests.people.people import entry


@pytest.mark.timeout(240)
def test_gates_without_a_hub(tmp_path: Path) -> None:
    """One of three is the hub of the others, and a gate all the while."""
    require_assets("default")
    with simulation(tmp_path, None, gates=2, hubs=1) as fleet:
        fleet.run(4)
        for act in (fleet.erase, fleet.decide, fleet.rule, fleet.keep_site, fleet.card):
            act()
        fleet.desk.journal.append([entry()])
        fleet.settle()
        assert fleet.problems() == []
        Accounts.of(fleet.desk).create("ada", "admin", "correct horse battery", actor="test")
        with httpx.Client(base_url=f"http://127.0.0.1:{fleet.hubs[0].port}", timeout=60) as client:
            form = {"username": "ada", "password": "correct horse battery"}
            token = client.post("/api/auth/login", data=form).json()["access_token"]
            signed_in = {"Authorization": f"Bearer {token}"}
            gate = client.get("/api/gate", headers=signed_in).json()
            told = client.get("/api/fleet/gates", headers=signed_in).json()
        assert (gate["role"], gate["people"]) == ("gate", len(fleet.staff))
        assert [(g["name"], g["state"]) for g in told] == [
            (g.hub_name, "joined") for g in fleet.gates
        ]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_fleet_of_twenty(tmp_path: Path, postgresql: Server) -> None:
    require_assets("default")
    with simulation(tmp_path, postgresql.migrated(), gates=20, hubs=2) as fleet:
        fleet.run(90)
        fleet.finish(300)
        assert fleet.problems() == []
        assert fleet.retired
