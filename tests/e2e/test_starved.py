"""A gate that is given a twentieth of a processor says that it cannot keep up."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import httpx
import pytest

from gated.bench.limits import limited
from tests.e2e.process import Process, demo_config


@pytest.mark.long
@pytest.mark.timeout(400)
def test_a_starved_gate_says_so_and_that_it_is_over(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    file = demo_config(tmp_path)
    file.write_text(file.read_text().replace("port: 0", f"port: {port}"))

    def problems(client: httpx.Client) -> list[str]:
        try:
            return list(client.get("/health").json()["problems"])
        except httpx.TimeoutException:
            return []

    def within(seconds: float, wanted: bool) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if ("vision_starved" in problems(client)) is wanted:
                return True
            time.sleep(2.0)
        return False

    url = f"http://127.0.0.1:{port}"
    with (
        Process("--config", file) as gate,
        httpx.Client(base_url=url, trust_env=False, timeout=30) as client,
    ):
        gate.wait_for("GRANTED", seconds=120)
        with limited(gate.pid, 0.05):
            assert within(150, wanted=True)
        assert within(150, wanted=False)
