"""A gate that is asked for liveness and lacks the models: it says so everywhere, and opens to no
face."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from gated.vision.assets import AssetStore
from gated.vision.manifest import PAD_V1SE, PAD_V2
from tests.assets import require_assets
from tests.e2e.process import Process, gated, installed_with

CONFIG = """
gate: {{name: bare, demo: true}}
camera: {{driver: replay, source: demo}}
door: {{driver: simulated}}
liveness: {level}
storage: {{state_dir: {state}}}
api: {{port: 0}}
"""


@dataclass(frozen=True)
class Bare:
    """An installation whose shared models are all but those for liveness."""

    config: Path
    program: Sequence[str]


@pytest.fixture
def bare(tmp_path: Path) -> Bare:
    return installed(tmp_path, require_assets("default", "demo"))


def installed(
    folder: Path,
    assets: AssetStore,
    level: str = "normal",
    sets: frozenset[str] = frozenset({"default", "demo"}),
) -> Bare:
    config = folder / "gate.yaml"
    config.write_text(CONFIG.format(level=level, state=folder / "state"))
    return Bare(config, installed_with(folder, assets, sets))


def test_the_running_gate_says_so_and_denies_whom_it_knows(bare: Bare) -> None:
    with Process("--config", bare.config, program=bare.program) as gate:
        banner = gate.wait_for("liveness", "normal")
        assert "MODELS ARE MISSING" in banner
        assert "gated assets install pad" in banner
        address = re.search(r"http://[0-9.:]+", gate.wait_for("API"))
        assert address is not None
        health = httpx.get(f"{address[0]}/health", timeout=10).json()
        assert health == {"status": "degraded", "problems": ["liveness_models_missing"]}
        gate.wait_for("DENIED", "Barack Obama", "liveness_undecided")
        assert gate.end() == 0
    assert any("nobody is let in by face" in line for line in gate.lines)
    assert not any("GRANTED" in line for line in gate.lines)


def test_the_doctor_and_the_commands_say_so(bare: Bare) -> None:
    doctor = gated("doctor", "--json", "--config", bare.config, program=bare.program)
    assert doctor.returncode == 1
    missing = [f for f in json.loads(doctor.stdout) if "set pad" in f["message"]]
    assert [(f["state"], f["advice"]) for f in missing] == [("fail", "gated assets install pad")]
    manifest = bare.config.with_name("manifest.csv")
    manifest.write_text("path,species\nx.mp4,print\n")
    measured = gated("evaluate", "pad", manifest, "--config", bare.config, program=bare.program)
    assert measured.returncode == 4
    assert "gated assets install pad" in measured.stderr
    assert "Traceback" not in measured.stderr


@pytest.mark.long
def test_without_the_mesh_nobody_is_asked_for_movements_nor_let_in(tmp_path: Path) -> None:
    sets = frozenset({"default", "demo", "pad"})
    bare = installed(tmp_path, require_assets(*sets), "challenge", sets)
    with Process("--config", bare.config, program=bare.program) as gate:
        assert "gated assets install pad mesh" in gate.wait_for("liveness", "challenge")
        gate.wait_for("DENIED", "Barack Obama", "liveness_undecided")
        assert gate.end() == 0
    assert any("face_landmark.tflite is not installed" in line for line in gate.lines)
    doctor = gated("doctor", "--json", "--config", bare.config, program=bare.program)
    missing = [f for f in json.loads(doctor.stdout) if "set mesh" in f["message"]]
    assert [(f["state"], f["advice"]) for f in missing] == [("fail", "gated assets install mesh")]


@pytest.mark.long
def test_a_damaged_model_is_no_model(bare: Bare) -> None:
    models = bare.config.parent / "prefix" / "share" / "gated" / "models"
    for name in (PAD_V2, PAD_V1SE):
        (models / name).write_bytes(b"cut off")
    with Process("--config", bare.config, program=bare.program) as gate:
        assert "MODELS ARE MISSING" in gate.wait_for("liveness", "normal")
        assert gate.end() == 0
    assert any("is damaged" in line for line in gate.lines)
