"""Partners that hang, beside the door: `python -m tests.bench.partners`.

Runs the demo in turns without partners and with a broker, a collector of logs and a web hook that
take every connection and answer nothing, and prints what that does to the door's way.
"""

from __future__ import annotations

import argparse
import re
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from tests.e2e.process import Process, demo_config, gated

PASSWORD = "Correct-horse-battery-9"


@contextmanager
def silent() -> Iterator[int]:
    """Take connections and say nothing; the port."""
    kept: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:

        def take() -> None:
            with suppress(OSError):
                while True:
                    kept.append(server.accept()[0])

        threading.Thread(target=take, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    for one in kept:
        one.close()


def partners(folder: Path, port: int) -> str:
    """Name the silent one as every partner."""
    (folder / "secret").write_text("0123456789abcdef")
    hook = f"{{name: hook, url: 'http://127.0.0.1:{port}', private_network: true, "
    return (
        f"mqtt: {{host: 127.0.0.1, port: {port}, tls: false}}\n"
        f"syslog: {{host: 127.0.0.1, port: {port}}}\n"
        f"webhooks: {{targets: [{hook}secret_file: {folder / 'secret'}}}]}}\n"
    )


def decisions(more: bool, seconds: float) -> list[float]:
    """Run the demo so long; milliseconds from the frame to each decision."""
    with tempfile.TemporaryDirectory() as place, silent() as port:
        folder = Path(place)
        config = demo_config(folder)
        args = ("user", "add", "admin", "--role", "admin", "--password-stdin", "--config", config)
        assert gated(*args, stdin=PASSWORD + "\n").returncode == 0
        if more:
            config.write_text(config.read_text() + partners(folder, port))
        with Process("--config", config) as gate:
            address = re.search(r"http://[0-9.:]+", gate.wait_for("API"))
            assert address is not None
            time.sleep(seconds)
            form = {"username": "admin", "password": PASSWORD}
            with httpx.Client(base_url=address[0], timeout=30) as api:
                token = api.post("/api/auth/login", data=form).json()["access_token"]
                head = {"Authorization": f"Bearer {token}"}
                told = api.get("/api/gate", headers=head).json()["decisions"]
            gate.end()
    return [d["frame_to_decision_ms"] for d in told if d["frame_to_decision_ms"] is not None]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60)
    asked = parser.parse_args()
    found: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(asked.turns):
        for more in (False, True):
            found[more] += decisions(more, asked.seconds)
    for more, values in found.items():
        name = "hanging partners" if more else "without partners"
        print(f"{name}: median {statistics.median(values):.1f} ms of {len(values)} decisions")
    print(f"ratio {statistics.median(found[True]) / statistics.median(found[False]):.2f}")


if __name__ == "__main__":
    main()
