"""A gate whose relay board is unplugged and comes back, as whoever watches it sees it."""

from __future__ import annotations

import time
from pathlib import Path

import httpx

from gated.relays.simulated import SimulatedUsbRelay
from tests.e2e.process import Process, demo_config, gated
from tests.mqtt.broker import until


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

        def told(path: str, name: str, wanted: bool) -> httpx.Response:
            """The first answer that has, or has not, the relay lost, of a door that is there.

            A door that a busy machine has kept silent for seconds is away, and tells of nothing.
            """

            def looked_at() -> httpx.Response | None:
                answer = httpx.get(f"http://{url}{path}", timeout=60, trust_env=False)
                names = answer.json()[name]
                told = "gate_unavailable" not in names and ("relay_lost" in names) is wanted
                return answer if told else None

            found: httpx.Response = until(looked_at, f"relay_lost in {path}: {wanted}", 120)
            return found

        told("/health", "problems", wanted=False)
        board.unplug()
        lost = told("/health", "problems", wanted=True)
        assert "relay 1 at" in lost.json()["details"]["relay_lost"]
        assert told("/health/ready", "reasons", wanted=True).status_code == 503
        board.plug()
        told("/health", "problems", wanted=False)
        told("/health/ready", "reasons", wanted=False)
    # somebody was editing the file meanwhile
    file.write_text(text + "door: {")
    board.move(1, True)
    state = str(tmp_path / "state")
    end = time.monotonic() + 120
    while (done := gated("door", "lock", "-c", file, GATED_STATE_DIR=state)).returncode:
        assert time.monotonic() < end, done.stderr
        time.sleep(0.5)
    assert "by the wiring of the gate's last start" in done.stdout
    until(lambda: not board.relays[1], "the board does what it was told")
    board.unplug()
