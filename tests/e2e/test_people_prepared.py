"""A gate opens for nobody until its service has brought the people up to date."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from gated.config import load
from gated.database.tables import enrollments
from gated.workspace import Workspace
from tests.assets import require_assets
from tests.e2e.process import Process, demo_config
from tests.e2e.test_rollout import Site


def models_of(config: Path) -> set[str]:
    """The models of the templates that the state holds."""
    with Workspace(load(config, {})) as workspace, workspace.database.read() as session:
        return set(session.execute(sa.select(enrollments.c.model)).scalars())


def told_so_far(process: Process, seconds: float) -> str:
    """What it prints within that time."""
    with pytest.raises(AssertionError, match="no line with"):
        process.wait_for("a line that never comes", seconds=seconds)
    return "\n".join(process.lines)


def test_the_service_makes_templates_of_another_model_anew(tmp_path: Path) -> None:
    require_assets("default", "demo")
    config = demo_config(tmp_path)
    with Process("--config", config) as gate:
        gate.wait_for("granted")
        assert gate.end() == 0
    (model,) = models_of(config)
    with Workspace(load(config, {})) as workspace, workspace.database.write() as session:
        session.execute(sa.update(enrollments).values(model="another/1"))
    with Process("--config", config) as gate:
        gate.wait_for("granted")
        assert gate.end() == 0
    assert models_of(config) == {model}


def test_the_door_of_a_gate_with_a_hub_waits_for_its_service(tmp_path: Path) -> None:
    """As two units: what the hub has told meanwhile is known before anybody is let in."""
    require_assets("default")
    site = Site(tmp_path)
    with Process("--config", site.hub) as hub:
        hub.wait_for("ready")
        config = site.gate("north")
        with Process("door", "--config", config) as door:
            waiting = told_so_far(door, 6)
            assert "camera" not in waiting, waiting
            with Process("service", "--config", config) as service:
                door.wait_for("camera")
                assert "goes on with the people known here" not in "\n".join(door.lines)
                assert service.end() == 0
            assert door.end() == 0
        assert hub.end() == 0


def test_the_door_of_a_gate_on_its_own_waits_for_nobody(tmp_path: Path) -> None:
    require_assets("default", "demo")
    config = demo_config(tmp_path)
    config.write_text(config.read_text().replace("demo: true", "demo: false"))
    with Process("door", "--config", config) as door:
        door.wait_for("camera")
        assert door.end() == 0
