"""A network camera that works, stalls, dies and comes back: a real RTSP server."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gated.config import CameraSettings
from gated.core.messages import CameraEvent
from gated.core.values import CameraEventKind
from gated.devices.cameras import open_camera
from gated.devices.clock import SystemClock
from gated.devices.supervised import SupervisedCamera
from gated.errors import DeviceError
from gated.ports import Camera, Clock

SYSTEM_PYTHON = "/usr/bin/python3"

SERVER = """
import sys, gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
for name in ("x264enc", "rtph264pay", "videotestsrc"):
    if Gst.ElementFactory.find(name) is None: sys.exit(3)
server = GstRtspServer.RTSPServer(service=sys.argv[1], address="127.0.0.1")
media = GstRtspServer.RTSPMediaFactory(shared=True, launch=(
    "( videotestsrc name=src is-live=true pattern=ball "
    "! video/x-raw,width=320,height=240,framerate=15/1 "
    "! x264enc tune=zerolatency key-int-max=15 ! rtph264pay name=pay0 )"))
server.get_mount_points().add_factory("/live", media)
server.attach(None)
def configured(factory, media):
    if len(sys.argv) > 2:
        source = media.get_element().get_by_name("src")
        source.set_property("pattern", "black")
        def lit(*_):
            sys.stdin.readline(); source.set_property("pattern", "smpte"); return False
        GLib.io_add_watch(sys.stdin.fileno(), GLib.IO_IN, lit)
media.connect("media-configure", configured)
print("ready", flush=True)
GLib.MainLoop().run()
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def serve(port: int, *more: str) -> subprocess.Popen[str]:
    if not Path(SYSTEM_PYTHON).exists():
        pytest.skip(f"{SYSTEM_PYTHON} is missing")
    server = subprocess.Popen(
        [SYSTEM_PYTHON, "-c", SERVER, str(port), *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None
    if server.stdout.readline() != "ready\n":
        end(server)
        pytest.skip("GstRtspServer or its H.264 plug-ins are missing (gir1.2-gst-rtsp-server-1.0)")
    return server


def end(server: subprocess.Popen[str]) -> None:
    server.kill()
    server.wait()
    for pipe in (server.stdin, server.stdout):
        if pipe:
            pipe.close()


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def server(port: int) -> Iterator[subprocess.Popen[str]]:
    server = serve(port)
    yield server
    end(server)


def settings(port: int) -> CameraSettings:
    return CameraSettings(
        driver="rtsp",
        url=f"rtsp://admin:hunter2@127.0.0.1:{port}/live",
        open_timeout_s=4.0,
        read_timeout_s=1.0,
    )


def read_fresh(camera: Camera, clock: Clock) -> None:
    """Read what is buffered and then into the stall; no frame may come from before it."""
    for _ in range(60):
        began = clock.now().mono
        assert camera.read().captured_at - began < 0.8


@pytest.mark.long
def test_a_stalled_stream_is_noticed_and_reopened(server: subprocess.Popen[str], port: int) -> None:
    clock = SystemClock()
    camera = open_camera(settings(port), clock)
    camera.open()
    frames = [camera.read() for _ in range(10)]
    assert frames[-1].image.shape == (240, 320, 3)
    server.send_signal(signal.SIGSTOP)
    with pytest.raises(DeviceError) as caught:
        read_fresh(camera, clock)
    assert "hunter2" not in str(caught.value)
    camera.close()
    server.send_signal(signal.SIGCONT)
    camera.open()
    assert camera.read().number > frames[-1].number
    camera.close()


@pytest.mark.long
def test_a_camera_that_reboots_comes_back_by_itself(port: int) -> None:
    first = serve(port)
    events: list[CameraEvent] = []
    second: list[subprocess.Popen[str]] = []

    def told(event: CameraEvent) -> None:
        events.append(event)
        if event.kind is CameraEventKind.LOST:
            second.append(serve(port))

    clock = SystemClock()
    watched = SupervisedCamera(open_camera(settings(port), clock), clock, told, 10.0)
    watched.open()
    try:
        watched.read()
        end(first)
        while len(events) < 3:
            watched.read()
    finally:
        watched.close()
        for server in (first, *second):
            end(server)
    assert [event.kind for event in events] == [
        CameraEventKind.OPENED,
        CameraEventKind.LOST,
        CameraEventKind.OPENED,
    ]
    assert "hunter2" not in events[1].detail


@pytest.mark.long
def test_a_dark_lobby_is_no_fault_and_its_light_is_seen_at_once(port: int) -> None:
    server = serve(port, "dark")
    clock, events = SystemClock(), list[CameraEvent]()
    watched = SupervisedCamera(open_camera(settings(port), clock), clock, events.append, 2.0)
    watched.open()
    try:
        until = clock.now().mono + 6.0
        while clock.now().mono < until:
            assert watched.read().image.max() < 40
        assert [e.kind for e in events] == [CameraEventKind.OPENED, CameraEventKind.DARK]
        assert server.stdin is not None
        server.stdin.write("light\n")
        server.stdin.flush()
        lit = clock.now().mono
        while watched.read().image.max() < 100:
            assert clock.now().mono - lit < 5.0
        assert clock.now().mono - lit < 3.0
        assert events[-1].kind is CameraEventKind.CLEAR
    finally:
        watched.close()
        end(server)
