"""gated check-config, journal verify, door lock, db upgrade."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from gated.config import DoorSettings, Settings, StorageSettings
from gated.devices.contract import eventually
from gated.devices.last_wiring import keep_wiring, last_wiring
from gated.people.people import People
from gated.relays.simulated import SimulatedUsbRelay
from tests.changes import done_by
from tests.cli.conftest import Gated
from tests.workspaces import open_workspace

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted([*(ROOT / "config").glob("*.yaml"), ROOT / "gate.yaml"])


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda p: p.name)
def test_every_configuration_that_is_shipped_is_fine(gated: Gated, file: Path) -> None:
    result = gated("check-config", file)
    assert result.code == 0, result.err
    assert "is fine" in result.out
    assert set(gated("check-config", file, "--json").json) == set(Settings.model_fields)
    assert gated("check-config", "--config", file).out == result.out
    assert gated("check-config", file, "--config", file).code == 2


def test_the_examples_are_there() -> None:
    names = {file.name for file in EXAMPLES}
    assert names >= {"gate.reference.yaml", "entry-picamera2.yaml", "exit-usb.yaml", "rtsp.yaml"}


def test_secrets_are_not_shown(gated: Gated, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "a-very-long-and-quite-random-key-0123456789")
    monkeypatch.setenv("DATABASE_URL", "postgresql://gated:hunter2@localhost/gated")
    told = gated("check-config", config, "--json").out
    assert "hunter2" not in told
    assert "quite-random" not in told


def test_a_tolerance_is_explained_or_refused(
    gated: Gated, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACE_TOLERANCE", "0.55")
    assert "matches a stranger" in gated("check-config", config).out
    monkeypatch.setenv("FACE_TOLERANCE", "0.9")
    refused = gated("check-config", config)
    assert refused.code == 3
    assert "FACE_TOLERANCE" in refused.err


def state_of(config: Path) -> Path:
    """A state directory with a journal, as the configuration has it."""
    state = config.parent / "state"
    with open_workspace(Settings(storage=StorageSettings(state_dir=state))) as workspace:
        for code in ("E1", "E2", "E3"):
            done_by("eve", People.of(workspace).create, {"personnel_code": code})
    return state


def test_a_whole_journal_verifies(gated: Gated, config: Path) -> None:
    state_of(config)
    result = gated("journal", "verify", "--config", config)
    assert (result.code, result.out) == (0, "the journal is whole: 4 rows\n")
    told = gated("journal", "verify", "--json", "--config", config).json
    assert told == {"ok": True, "rows": 4, "first_problem": None, "notes": []}


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE journal SET body = replace(body, 'fields', 'fjelds') WHERE seq = 3",
        "DELETE FROM journal WHERE seq = 3",
    ],
    ids=["altered", "removed"],
)
def test_tampering_is_found_and_placed(gated: Gated, config: Path, tampering: str) -> None:
    with sqlite3.connect(state_of(config) / "attendance.db") as database:
        database.execute("PRAGMA foreign_keys = OFF")
        assert database.execute(tampering).rowcount == 1
    database.close()
    result = gated("journal", "verify", "--config", config)
    assert result.code == 1
    assert result.err.startswith("row 3 of chain ") or result.err.startswith("row 4 of chain ")
    told = gated("journal", "verify", "--json", "--config", config)
    assert told.code == 1
    assert told.json["ok"] is False
    assert set(told.json["first_problem"]) == {"chain", "seq", "what"}


def test_who_only_looks_makes_no_state(gated: Gated, config: Path) -> None:
    assert gated("journal", "verify", "--config", config).code == 5
    assert not (config.parent / "state").exists()


def test_a_simulated_door_has_nothing_to_lock(gated: Gated, config: Path) -> None:
    result = gated("door", "lock", "--config", config)
    assert (result.code, result.out) == (0, "door.driver is simulated: there is nothing to drive\n")


@pytest.mark.parametrize("named", [True, False], ids=["environment", "beside the file"])
def test_a_door_is_locked_though_its_configuration_is_being_edited(
    gated: Gated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    board = SimulatedUsbRelay(tmp_path / "board")
    wiring = DoorSettings(driver="usb-relay", relay_pin=2, options={"device": board.path})
    state = tmp_path / "state" if named else tmp_path
    state.mkdir(exist_ok=True)
    config = tmp_path / "gate.yaml"
    config.write_text("door: {driver: usb-relay, relay_pin:\n  recogn")
    if named:
        monkeypatch.setenv("GATED_STATE_DIR", str(state))
    assert gated("door", "lock", "--config", config).code == 3
    keep_wiring(state, wiring)
    board.move(2, True)
    result = gated("door", "lock", "--config", config)
    assert result.code == 0, result.err
    assert result.out.startswith(f"locked: relay 2 at {board.path} was switched off")
    assert result.out.endswith(", by the wiring of the gate's last start\n")
    assert "gate.yaml:" in result.err
    assert eventually(lambda: not board.relays[2])
    board.unplug()


def test_the_wiring_of_another_boot_or_of_no_door_is_not_taken(tmp_path: Path) -> None:
    boot = tmp_path / "boot_id"
    boot.write_text("one\n")
    wiring = DoorSettings(driver="usb-relay", relay_pin=2, options={"device": Path("/dev/x")})
    keep_wiring(tmp_path, wiring, boot)
    kept = last_wiring(tmp_path, boot)
    assert kept is not None
    assert (kept.driver, kept.relay_pin, kept.options) == ("usb-relay", 2, {"device": "/dev/x"})
    assert (tmp_path / "door.wiring").stat().st_mode & 0o777 == 0o600
    boot.write_text("two\n")
    assert last_wiring(tmp_path, boot) is None, "the wires may have been moved"
    assert last_wiring(tmp_path, tmp_path / "absent") is None
    boot.write_text("one\n")
    keep_wiring(tmp_path, DoorSettings(), boot)
    assert last_wiring(tmp_path, boot) is None
    (tmp_path / "door.wiring").write_text("[1")
    assert last_wiring(tmp_path, boot) is None
    keep_wiring(tmp_path / "absent", wiring, boot)
    (tmp_path / "file").touch()
    keep_wiring(tmp_path / "file", wiring, boot)
    keep_wiring(tmp_path, wiring, boot)
    odd = DoorSettings(driver="usb-relay", relay_pin=2, options={"key": b"\xff"})
    keep_wiring(tmp_path, odd, boot)
    assert last_wiring(tmp_path, boot) is None
    assert not list(tmp_path.glob(".door.wiring*")), "nothing is left behind"


def test_the_database_is_made_by_an_upgrade(gated: Gated, config: Path) -> None:
    for _ in range(2):
        result = gated("db", "upgrade", "--config", config)
        assert (result.code, result.out) == (0, "the database is up to date\n")
    assert (config.parent / "state" / "attendance.db").is_file()
