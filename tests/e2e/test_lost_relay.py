"""A gate whose relay board is unplugged and comes back, as whoever watches it sees it."""

from __future__ import annotations

import time
from pathlib import Path

import httpx

from gated.relays.simulated import SimulatedUsbRelay
from tests.e2e.process import Process, demo_config, gated


def test_a_lost_relay_board_is_a_problem_until_it_is_back(tmp_path: Path) -> None:
    board = SimulatedUsbRelay(tmp_path / "board")
    file = demo_config(tmp_path)
    wiring = f"{{driver: usb-relay, relay_pin: 1, options: {{device: {board.path}}}}}"
    text = file.read_text().replace("{driver: simulated, unlock_s: 2}", wiring)
    # a recording never drives a real relay: this camera is not there
    text = text.replace(", demo: true", "").replace("replay, source: demo", "v4l2, device: 99")
    file.write_text(text)
    with Process("--config", file) as gate:
        url = gate.wait_for("http://").split("http://")[1].split()[0].rstrip("/.,")

        def asked(path: str) -> httpx.Response:
            return httpx.get(f"http://{url}{path}", timeout=20, trust_env=False)

        def within(seconds: float, wanted: bool) -> bool:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                if ("relay_lost" in asked("/health").json()["problems"]) is wanted:
                    return True
                time.sleep(0.2)
            return False

        assert within(60, wanted=False)
        board.unplug()
        assert within(30, wanted=True)
        assert "relay 1 at" in asked("/health").json()["details"]["relay_lost"]
        ready = asked("/health/ready")
        assert ready.status_code == 503
        assert "relay_lost" in ready.json()["reasons"]
        board.plug()
        assert within(30, wanted=False)
        assert "relay_lost" not in asked("/health/ready").json()["reasons"]
    # somebody was editing the file meanwhile
    file.write_text(text + "door: {")
    board.move(1, True)
    state = str(tmp_path / "state")
    end = time.monotonic() + 20
    while (done := gated("door", "lock", "-c", file, GATED_STATE_DIR=state)).returncode:
        assert time.monotonic() < end, done.stderr
        time.sleep(0.5)
    assert "by the wiring of the gate's last start" in done.stdout
    assert not board.relays[1]
    board.unplug()
