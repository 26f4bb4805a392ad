"""What each process of a gate loads: no HTTP where the door is, no camera where the API is."""

from __future__ import annotations

import subprocess
import sys


def loaded(module: str) -> set[str]:
    """Everything that is loaded with a module, in a process that has loaded nothing else."""
    code = f"import sys, gated.cli.run, gated.cli.screen, {module}; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(found.stdout.split())


def test_the_door_process_speaks_no_http() -> None:
    found = loaded("gated.daemon.door_process")
    assert "gated.runtime.controller" in found
    assert found.isdisjoint({"fastapi", "starlette", "uvicorn", "h11", "httpx", "anyio"})
    assert not [name for name in found if name.startswith("gated.web")]


def test_the_service_process_holds_no_camera_and_no_relay() -> None:
    found = loaded("gated.daemon.service_process")
    assert {"fastapi", "uvicorn", "gated.web.app"} <= found
    assert found.isdisjoint({"gpiozero", "lgpio", "picamera2", "evdev"})
    its = ("gated.runtime.controller", "gated.runtime.capture", "gated.daemon.gate_runtime")
    assert found.isdisjoint(its)
