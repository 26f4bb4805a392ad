"""Generators make clients of the description that load, type-check and work against a gate.

They are installed apart from gated, in one folder: `python3 -m venv DIR && DIR/bin/pip install
--require-hashes -r tests/web/clients/generators.lock`, then `cp tests/web/clients/package*.json DIR
&& npm ci --prefix DIR`; then `GATED_GENERATORS=DIR`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.fixtures.server import PASSWORD, Running, running

FOLDER = os.environ.get("GATED_GENERATORS")
OURS = Path(__file__).with_name("clients")
WITHIN_S = 600.0

pytestmark = [
    pytest.mark.timeout(2 * WITHIN_S),
    pytest.mark.skipif(FOLDER is None, reason="GATED_GENERATORS names no folder of generators"),
]


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "state") as server:
        yield server


def test_a_python_client_loads_type_checks_and_works(gate: Running, tmp_path: Path) -> None:
    programs = Path(FOLDER or "") / "bin"
    description = _description(gate, tmp_path)
    made = _run(
        tmp_path,
        programs / "openapi-python-client",
        *("generate", "--path", description, "--meta", "none"),
        *("--output-path", tmp_path / "gated_client", "--config", OURS / "config.yml"),
    )
    assert "WARNING parsing" not in made
    shutil.copy(OURS / "walk.py", tmp_path)
    _run(tmp_path, programs / "mypy", "gated_client", "walk.py")
    said = _run(tmp_path, programs / "python", "walk.py", gate.address, PASSWORD)
    assert said.strip() == "went well"


def test_a_typescript_client_compiles_and_works(gate: Running, tmp_path: Path) -> None:
    modules = Path(FOLDER or "") / "node_modules"
    if not (modules / ".bin" / "tsc").exists():
        pytest.skip("GATED_GENERATORS holds no openapi-typescript and typescript")
    description = _description(gate, tmp_path)
    (tmp_path / "node_modules").symlink_to(modules)
    (tmp_path / "package.json").write_text(json.dumps({"type": "module"}))
    types = tmp_path / "gated.d.ts"
    _run(tmp_path, modules / ".bin" / "openapi-typescript", description, "-o", types)
    shutil.copy(OURS / "walk.ts", tmp_path)
    options = "--strict --module nodenext --target es2022 --lib es2022,dom,dom.iterable"
    _run(tmp_path, modules / ".bin" / "tsc", *options.split(), "--types", "node", "walk.ts")
    said = _run(tmp_path, "node", "walk.js", gate.address, PASSWORD)
    assert said.strip() == "went well"


def _description(gate: Running, folder: Path) -> Path:
    file = folder / "openapi.json"
    file.write_text(
        httpx.get(f"{gate.address}/openapi.json", timeout=WITHIN_S, trust_env=False).text
    )
    return file


def _run(folder: Path, *command: str | Path) -> str:
    ended = subprocess.run(
        list(map(str, command)), cwd=folder, capture_output=True, text=True, timeout=WITHIN_S
    )
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-4000:]
    return ended.stdout + ended.stderr
