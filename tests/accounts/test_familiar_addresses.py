"""Addresses from which an account was signed in to are known after a restart, and not told."""

from __future__ import annotations

from pathlib import Path

import pytest

from gated.accounts.familiar_addresses import DAY_S, KEPT, KEPT_DAYS, KEY, FamiliarAddresses
from gated.config import Settings, StorageSettings
from gated.database import stored_settings
from gated.devices.clock import ManualClock
from tests.workspaces import open_workspace

HOME = "192.0.2.1"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(storage=StorageSettings(state_dir=tmp_path))


def test_an_address_is_known_after_a_restart_for_ninety_days(settings: Settings) -> None:
    clock = ManualClock()
    with open_workspace(settings) as workspace:
        familiar = FamiliarAddresses(workspace, clock)
        assert not familiar.knows("anna", HOME)
        familiar.add("anna", HOME)
        with workspace.database.read() as session:
            stored = stored_settings.get(session, KEY)
        assert list(stored.values()) == [int(clock.utc // DAY_S)]
        assert "anna" not in str(stored)
        assert HOME not in str(stored)
    with open_workspace(settings) as workspace:
        again = FamiliarAddresses(workspace, clock)
        assert again.knows("anna", HOME)
        assert not again.knows("bert", HOME)
        assert not again.knows("anna", "192.0.2.2")
        clock.advance(KEPT_DAYS * DAY_S)
        assert again.knows("anna", HOME)
        clock.advance(DAY_S)
        assert not again.knows("anna", HOME)
        clock.clock_ok = False  # a clock that is not right ends nothing
        assert again.knows("anna", HOME)


def test_the_newest_are_kept_and_written_once_a_day(settings: Settings) -> None:
    clock = ManualClock()
    with open_workspace(settings) as workspace:
        familiar = FamiliarAddresses(workspace, clock)
        with workspace.database.write() as session:
            many = {f"{n:032x}": int(clock.utc // DAY_S) - 1 for n in range(KEPT)}
            stored_settings.set_(session, KEY, many)
        familiar.add("anna", HOME)
        with workspace.database.read() as session:
            stored = stored_settings.get(session, KEY)
        assert len(stored) == KEPT
        assert familiar.knows("anna", HOME)
        before = workspace.database.data_version()
        familiar.add("anna", HOME)
        with workspace.database.read() as session:
            assert stored_settings.get(session, KEY) == stored
        assert workspace.database.data_version() == before
