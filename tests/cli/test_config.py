"""gated config show: each value, and where it comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gated.cli.main import cli
from gated.config import load
from gated.fleet.gate import assigned_config
from gated.fleet.gate.assigned_config import AssignedConfig, KeptConfig
from tests.workspaces import open_workspace

FILE = """
door: {{unlock_s: 4}}
storage: {{state_dir: {state}}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "gate.yaml"
    file.write_text(FILE.format(state=tmp_path / "state"))
    return file


def show(config: Path, *more: str, **environ: str) -> str:
    runner = CliRunner(env=environ)
    done = runner.invoke(cli, ["config", "show", "--config", str(config), *more])
    assert done.exit_code == 0, done.output
    return done.output


def test_each_value_says_where_it_comes_from(config: Path) -> None:
    values: dict[str, dict[str, Any]] = {
        "door": {"unlock_s": 9, "held_open_s": 44},
        "logging": {"level": "debug"},
    }
    with open_workspace(load(config, {})) as workspace, workspace.database.write() as session:
        assigned_config.store(session, KeptConfig(accepted=AssignedConfig("g1", 7, values)))
    told = json.loads(show(config, "--json", ACCESS_TOKEN_EXPIRE_MINUTES="9"))
    found = {row["key"]: row for row in told["settings"]}
    assert (told["revision"], told["overruled"]) == (7, ["door.unlock_s"])
    for key, value, source, set_by in (
        ("door.unlock_s", 4.0, "file", "runtime"),
        ("door.held_open_s", 44.0, "hub", "runtime"),
        ("logging.level", "debug", "hub", "runtime"),
        ("auth.access_token_expire_minutes", 9, "environment", "runtime"),
        ("door.relay_pin", None, "default", "file"),
    ):
        row = found[key]
        assert (row["value"], row["source"], row["set_by"]) == (value, source, set_by)
    text = show(config)
    assert "revision 7" in text
    assert "door.unlock_s: the hub's value does not hold here" in text
    assert "relay_pin" not in text
    assert "relay_pin" in show(config, "--all")


def test_who_has_left_the_hub_can_drop_its_settings(config: Path) -> None:
    with open_workspace(load(config, {})) as workspace, workspace.database.write() as session:
        assigned_config.store(
            session, KeptConfig(accepted=AssignedConfig("g1", 7, {"door": {"held_open_s": 44}}))
        )
    assert "held_open_s" in show(config)
    assert CliRunner().invoke(cli, ["config", "forget", "--config", str(config)]).exit_code == 0
    assert "held_open_s" not in show(config)


def test_a_gate_that_never_ran_has_its_file_only(config: Path) -> None:
    assert json.loads(show(config, "--json"))["revision"] == 0
    assert not (config.parent / "state").exists()
