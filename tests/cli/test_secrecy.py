"""Secrets that others can read: said by check-config and doctor, with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from gated.config import exposed, load
from gated.doctor import DoctorContext, bounded
from gated.doctor import _secrets as secrets_probe
from tests.cli.conftest import Gated

SECRET = "SECRET_KEY=a-very-long-and-quite-random-key-0123456789\n"
HARMLESS = "ACCESS_TOKEN_EXPIRE_MINUTES=30\n"


def told(config: Path) -> list[str]:
    return [str(e) for e in exposed(load(config, {}), config)]


def written(config: Path, name: str, text: str, mode: int) -> Path:
    file = config.parent / name
    file.write_text(text)
    file.chmod(mode)
    return file


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o666, 0o660])
def test_a_secret_that_others_can_read_is_told(gated: Gated, config: Path, mode: int) -> None:
    file = written(config, ".env", SECRET, mode)
    result = gated("check-config", config)
    assert result.code == 0
    assert str(file) in result.err
    assert "SECRET_KEY" in result.err
    assert f"chmod 600 {file}" in result.err
    assert "quite-random" not in result.err + result.out
    (finding,) = bounded(
        "secrets", secrets_probe, DoctorContext(load(config, {}), config=config), 5.0
    )
    assert (finding.state, "SECRET_KEY" in finding.message) == ("fail", True)


@pytest.mark.parametrize(("text", "mode"), [(SECRET, 0o600), (SECRET, 0o640), (HARMLESS, 0o644)])
def test_nothing_is_told_where_nothing_is_open(config: Path, text: str, mode: int) -> None:
    written(config, ".env", text, mode)
    assert told(config) == []


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("auth: {secret_key: a-very-long-and-quite-random-key-0123456789}\n", "auth.secret_key"),
        ("storage: {database_url: 'postgresql://g:hunter2@db/gated'}\n", "storage.database_url"),
    ],
)
def test_the_configuration_itself_may_hold_one(tmp_path: Path, line: str, named: str) -> None:
    config = written(tmp_path / "gate.yaml", "gate.yaml", line, 0o644)
    (found,) = (t for t in told(config) if t.startswith(f"{config} "))
    assert named in found
    assert "hunter2" not in found
    config.chmod(0o600)
    assert not any(t.startswith(f"{config} ") for t in told(config))


def test_keys_and_the_state_directory_are_looked_at(config: Path) -> None:
    state = load(config, {}).storage.state_dir
    (state / "keys").mkdir(parents=True)
    state.chmod(0o755)
    key = state / "keys" / "token.key"
    key.write_text("x")
    key.chmod(0o644)
    found = told(config)
    assert any(str(key) in f for f in found)
    assert any(f.startswith(f"{state} ") for f in found)
    key.chmod(0o600)
    state.chmod(0o700)
    assert told(config) == []
