"""A real nginx between a gate and its hub, with a small limit for bodies."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from gated.fleet.gate.client import HubAddress, HubClient
from gated.fleet.gate.uplink import Uplink
from tests.fleet.sync.world import World
from tests.people.people import entry

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")

CONFIGURATION = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log {folder}/access.log;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port};
    client_max_body_size {limit};
    location / {{ proxy_pass {hub}; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""


@contextmanager
def nginx(hub: str, folder: Path, limit: str) -> Iterator[str]:
    """The address of one that hands requests on to a hub."""
    if NGINX is None:
        pytest.skip("nginx is not installed")
    folder.mkdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    file = folder / "nginx.conf"
    file.write_text(CONFIGURATION.format(folder=folder, port=port, limit=limit, hub=hub))
    process = subprocess.Popen(
        [NGINX, "-p", str(folder), "-c", str(file), "-e", str(folder / "error.log")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + 30
        while time.monotonic() < end and process.poll() is None:
            try:
                httpx.get(f"{url}/health", trust_env=False, timeout=60)
                break
            except httpx.TransportError:
                time.sleep(0.02)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def test_batches_are_halved_until_nginx_takes_them(world: World, tmp_path: Path) -> None:
    gate = world.gate("north")
    for _ in range(40):
        gate.workspace.journal.append([entry() for _ in range(5)])
    with nginx(world.hub.url, tmp_path / "nginx", "16k") as url:
        client = HubClient(HubAddress(url), gate.member.credentials)
        uplink = Uplink.of(gate.workspace, client)
        try:
            while uplink.send():
                pass
        finally:
            client.close()
        log = (tmp_path / "nginx" / "access.log").read_text()
    assert uplink.backlog() == 0
    assert 1 <= log.count(" 413 ") <= 12
    assert log.count("POST /api/sync/journal") > log.count(" 413 ")
    assert world.hub.workspace.journal.verify().ok
