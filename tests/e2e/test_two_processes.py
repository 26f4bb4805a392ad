"""Door and service in processes of their own: each may die, hang and come again."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from gated.link.client import SILENT_S
from gated.link.server import STALLED_S
from tests.assets import require_assets
from tests.e2e.process import Process, add_accounts, demo_config, gated

PASSWORD = "Correct-horse-battery-9"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    require_assets("default", "demo")
    file = demo_config(tmp_path)
    add_accounts(file, PASSWORD, admin="admin")
    return file


def child_of(pid: int) -> int | None:
    """The service that a door process has started."""
    for other in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = other.read_text().rpartition(")")[2].split()
            command = (other.parent / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if fields[1] == str(pid) and b"service" in command:
            return int(other.parent.name)
    return None


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.05)


class Api:
    """The service as a client sees it."""

    def __init__(self, line: str) -> None:
        found = re.search(r"http://[0-9.:]+", line)
        assert found is not None
        self._client = httpx.Client(base_url=found[0], timeout=20)
        form = {"username": "admin", "password": PASSWORD}
        token = self._client.post("/api/auth/login", data=form).json()["access_token"]
        self._client.headers["Authorization"] = f"Bearer {token}"

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str) -> tuple[int, str]:
        """Status and code of an answer; 0 while nobody listens."""
        try:
            answer = self._client.get(path)
        except httpx.TransportError:
            return 0, ""
        body = answer.json()
        return answer.status_code, body.get("code", "") if isinstance(body, dict) else ""

    def open_door(self) -> int:
        return self._client.post("/api/gate/open", json={"reason": "a parcel"}).status_code

    def device(self) -> str:
        """Add a device; return its token."""
        made = self._client.post("/api/devices", json={"name": "screen"}).json()
        return str(made["token"])

    def watch(self, path: str, token: str | None = None) -> float:
        """Follow a stream until its end; return how long that took."""
        began = time.monotonic()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with self._client.stream("GET", path, headers=headers) as answer:
            for _ in answer.iter_raw():
                if time.monotonic() - began > 60:
                    break
        return time.monotonic() - began

    def problems(self) -> list[str]:
        found: list[str] = self._client.get("/health").json()["problems"]
        return found


@contextmanager
def started(config: Path) -> Iterator[tuple[Process, Api, int]]:
    """A gate with a service that answers, and the number of the service's process."""
    with Process("--config", config) as gate:
        line = gate.wait_for("API")
        service = child_of(gate.pid)
        assert service is not None
        with Api(line) as api:
            yield gate, api, service


def test_a_service_that_is_killed_comes_again_and_the_door_goes_on(config: Path) -> None:
    config.write_text(config.read_text().replace("port: 0", f"port: {free_port()}"))
    with started(config) as (gate, api, service):
        assert api.open_door() == 202
        assert sockets_of(gate.pid) == []
        os.kill(service, signal.SIGKILL)
        gate.wait_for("GRANTED", "relay")
        until(lambda: child_of(gate.pid) not in {None, service})
        until(lambda: api.get("/api/gate")[0] == 200)
        assert api.open_door() == 202
        assert gate.end() == 0
        assert gate.lines[-1] == "stopped, the door is locked"
    result = gated("journal", "verify", "--config", config)
    assert result.returncode == 0, result.stderr


@pytest.mark.long
def test_a_service_that_hangs_is_cut_off_and_hears_the_rest_when_it_goes_on(config: Path) -> None:
    with started(config) as (gate, api, service):
        os.kill(service, signal.SIGSTOP)
        began = time.monotonic()
        while time.monotonic() - began < STALLED_S + 3:
            gate.wait_for("GRANTED", "relay")
        os.kill(service, signal.SIGCONT)
        until(lambda: api.get("/api/gate")[0] == 200)
        assert api.open_door() == 202
        assert child_of(gate.pid) == service
        assert gate.end() == 0


@pytest.mark.long
def test_a_service_that_hangs_does_not_hold_up_the_end(config: Path) -> None:
    with started(config) as (gate, _api, service):
        os.kill(service, signal.SIGSTOP)
        assert gate.end() == 0
        assert gate.lines[-1] == "stopped, the door is locked"
        assert not Path(f"/proc/{service}").exists()


@pytest.mark.long
def test_while_the_door_hangs_people_and_log_are_there_and_the_gate_is_not(config: Path) -> None:
    with started(config) as (gate, api, _service):
        os.kill(gate.pid, signal.SIGSTOP)
        until(lambda: api.get("/api/gate") == (503, "gate_unavailable"), SILENT_S + 10)
        assert api.open_door() == 503
        assert api.get("/api/persons") == (200, "")
        assert api.get("/api/attendance") == (200, "")
        assert api.get("/api/gate/events") == (503, "gate_unavailable")
        assert "gate_unavailable" in api.problems()
        os.kill(gate.pid, signal.SIGCONT)
        until(lambda: api.get("/api/gate")[0] == 200)
        gate.wait_for("GRANTED", "relay")
        assert gate.end() == 0


@pytest.mark.long
def test_streams_end_when_the_door_hangs_so_that_screens_show_it(config: Path) -> None:
    with started(config) as (gate, api, _service), ThreadPoolExecutor() as pool:
        token = api.device()
        streams = [
            pool.submit(api.watch, "/api/gate/events"),
            pool.submit(api.watch, "/api/kiosk/events", token),
        ]
        gate.wait_for("GRANTED", "relay")
        os.kill(gate.pid, signal.SIGSTOP)
        began = time.monotonic()
        assert all(stream.result() < 60 for stream in streams)
        assert time.monotonic() - began < SILENT_S + 20
        os.kill(gate.pid, signal.SIGCONT)
        assert gate.end() == 0


@pytest.mark.long
def test_a_service_ends_with_the_door_that_was_killed(config: Path) -> None:
    with started(config) as (gate, _api, service):
        gate.end(signal.SIGKILL)
        until(lambda: not Path(f"/proc/{service}").exists(), 20)
    with started(config) as (gate, api, _service):
        assert api.get("/api/gate")[0] == 200
        assert gate.end() == 0


@pytest.mark.long
def test_as_two_units_either_goes_on_without_the_other(config: Path) -> None:
    config.write_text(config.read_text().replace("port: 0", f"port: {free_port()}"))
    address = f"http://127.0.0.1:{config.read_text().partition('port: ')[2][:5].strip('} ')}"
    with Process("service", "--config", config) as service:
        service.wait_for("ready")
        with Api(address) as api:
            assert api.get("/api/gate") == (503, "gate_unavailable")
            assert api.get("/api/persons") == (200, "")
            for number in (signal.SIGKILL, signal.SIGTERM):
                with Process("door", "--config", config) as door:
                    door.wait_for("GRANTED", "relay")
                    until(lambda: api.get("/api/gate")[0] == 200)
                    assert api.open_door() == 202
                    assert child_of(door.pid) is None
                    door.end(number)
                until(lambda: api.get("/api/gate") == (503, "gate_unavailable"))
        assert service.end() == 0
    with Process("door", "--config", config) as door:
        door.wait_for("GRANTED", "relay")
        assert door.end() == 0


def sockets_of(pid: int) -> list[str]:
    """The sockets of a process that are not of this machine's own kind: inet, by number."""
    kinds = [Path(f"/proc/{pid}/net/{name}") for name in ("tcp", "tcp6", "udp", "udp6", "raw")]
    inet = {
        line.split()[9]
        for kind in kinds
        if kind.exists()
        for line in kind.read_text().splitlines()[1:]
    }
    links = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(str(fd.readlink()))
        except OSError:
            continue
    return [link for link in links if link.startswith("socket:[") and link[8:-1] in inet]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
