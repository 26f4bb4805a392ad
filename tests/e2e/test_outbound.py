"""The program connects to nothing that its configuration does not name: the kernel's word."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.assets import require_assets
from tests.e2e.process import GATED, Process, demo_config

CALLS = "trace=connect,sendto,sendmsg,sendmmsg"
TARGET = re.compile(
    r"sa_family=AF_(INET6?|PACKET|VSOCK)"
    r"(?:, sin6?_port=htons\((\d+)\).*?(?:inet_addr|inet_pton)\((?:AF_INET6, )?\"([^\"]+)\")?"
)


def traced(file: Path) -> tuple[str, ...]:
    """What a program is run by, so that its connections and those of its children are noted."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("needs strace")
    done = subprocess.run([strace, "true"], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("nothing may be traced here")
    return strace, "-f", "-qq", "-I2", "-e", CALLS, "-o", str(file)


def targets(file: Path) -> set[tuple[str, int]]:
    """Address and port of whatever a program wanted to reach by a network."""
    found = set()
    for line in file.read_text(errors="replace").splitlines():
        if match := TARGET.search(line):
            found.add((match[3] or match[1], int(match[2] or 0)))
    return found


@contextmanager
def listening() -> Iterator[int]:
    """Somebody who accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    server.accept()[0].close()
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]


def test_what_is_traced_would_be_seen(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    with listening() as port:
        connect = f"import socket; socket.create_connection(('127.0.0.1', {port}))"
        subprocess.run([*traced(trace), sys.executable, "-c", connect], check=True, timeout=60)
    assert targets(trace) == {("127.0.0.1", port)}


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize("hooked", [False, True])
def test_a_gate_connects_to_what_is_configured_and_to_nothing_else(
    tmp_path: Path, hooked: bool
) -> None:
    require_assets("default", "demo")
    config, trace = demo_config(tmp_path), tmp_path / "trace"
    with listening() as port:
        if hooked:
            secret = tmp_path / "secret"
            secret.write_text("s" * 40)
            secret.chmod(0o600)
            config.write_text(config.read_text() + HOOK.format(port=port, secret=secret))
        program = (*traced(trace), *GATED)
        with Process("--config", config, program=program) as gate:
            gate.wait_for("API", seconds=200)
            gate.wait_for("GRANTED", "relay", seconds=200)
            gate.wait_for("DENIED", seconds=100)
            gate.wait_for("GRANTED", "relay", seconds=100)
            gate.end(seconds=60)
        assert targets(trace) == ({("127.0.0.1", port)} if hooked else set())


HOOK = """
webhooks:
  targets:
    - {{name: tests, url: "http://127.0.0.1:{port}/", private_network: true, secret_file: {secret}}}
"""
