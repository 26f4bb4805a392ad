"""A real gate keeps what happens, and decides it again."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.assets import require_assets
from tests.e2e.process import Process, demo_config, gated


@pytest.mark.long
def test_what_a_gate_decided_is_exported_and_decided_again(tmp_path: Path) -> None:
    require_assets("default", "demo")
    config, file = demo_config(tmp_path), tmp_path / "door.incident"
    began = datetime.now(UTC) - timedelta(seconds=2)
    with Process("--config", config) as gate:
        gate.wait_for("GRANTED", "relay")
        gate.wait_for("DENIED")
        gate.wait_for("GRANTED", "relay")
        assert gate.end() == 0
    span = began.isoformat(), (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    made = gated("incident", "export", *span, "-o", file, "--config", config)
    assert made.returncode == 0, made.stderr
    shown = sum(bool(re.search(r" (GRANTED|DENIED) ", line)) for line in gate.lines)
    assert f"{shown} decisions" in made.stdout
    again = gated("replay", file)
    assert (again.returncode, again.stderr) == (0, "")
    assert f"{shown} decisions then, {shown} now, 0 differences" in again.stdout
    stricter = tmp_path / "stricter.yaml"
    stricter.write_text(config.read_text().replace('level: "off"', "level: normal"))
    other = gated("replay", file, "--config", stricter)
    assert other.returncode == 1, other.stdout + other.stderr
    assert "then: " in other.stdout
    assert "granted granted P1" in other.stdout
