"""What tells one camera from another."""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gated.accounts.certificates import self_signed
from gated.config import CameraSettings
from gated.devices.clock import SystemClock
from gated.devices.identity import identity_of
from gated.devices.live import V4l2Camera
from gated.errors import DeviceError


def usb(root: Path, serial: str, port: str = "1-2", number: int = 0) -> Path:
    """Video4Linux's folder with one camera more: pictures under a number, and what has none."""
    device = root / "devices" / port
    interface = device / f"{port}:1.0"
    interface.mkdir(parents=True)
    for name, text in (("idVendor", "046d"), ("idProduct", "0825"), ("serial", serial)):
        if text:
            (device / name).write_text(text + "\n")
    sysfs = root / "video4linux"
    for index in (0, 1):
        node = sysfs / f"video{number + index}"
        node.mkdir(parents=True)
        (node / "device").symlink_to(interface)
        (node / "index").write_text(f"{index}\n")
    return sysfs


def test_a_camera_is_opened_under_the_number_that_it_has_now(tmp_path: Path) -> None:
    """Another one took its number while it was unplugged, or at a reboot."""
    settings = CameraSettings(driver="v4l2", device=0)
    sysfs = usb(tmp_path, "B2", port="1-1")
    usb(tmp_path, "A1", port="3-4", number=2)
    known = "usb 046d:0825 serial A1"
    camera = V4l2Camera(settings, SystemClock(), known, sysfs)
    with pytest.raises(DeviceError, match="/dev/video2 cannot be opened"):
        camera.open()  # there is none on this machine; it is the right one that is tried
    assert camera.identity == known
    gone = V4l2Camera(settings, SystemClock(), "usb 046d:0825 serial C3", sysfs)
    with pytest.raises(DeviceError, match="/dev/video0"):
        gone.open()
    assert gone.identity == "usb 046d:0825 serial B2"  # an alarm: another camera
    by_path = V4l2Camera(
        CameraSettings(driver="v4l2", device="/dev/video0"), SystemClock(), known, sysfs
    )
    with pytest.raises(DeviceError, match="/dev/video0"):
        by_path.open()  # who names a path means it


def test_a_usb_camera_is_known_by_its_serial_number_wherever_it_is_plugged(tmp_path: Path) -> None:
    settings = CameraSettings(driver="v4l2", device=0)
    here = identity_of(settings, usb(tmp_path / "a", "A1"))
    assert here == "usb 046d:0825 serial A1"
    assert identity_of(settings, usb(tmp_path / "b", "A1", port="3-4")) == here
    assert identity_of(settings, usb(tmp_path / "c", "B2")) != here


def test_without_a_serial_number_by_its_socket(tmp_path: Path) -> None:
    settings = CameraSettings(driver="v4l2", device="/dev/video0")
    assert identity_of(settings, usb(tmp_path / "a", "")) == "usb 046d:0825 at 1-2"
    assert identity_of(settings, tmp_path) is None


@contextmanager
def host(folder: Path) -> Iterator[tuple[int, str]]:
    """A TLS host: its port, and the SHA-256 of its certificate."""
    made = self_signed(folder, ["localhost"], 1, replace=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        plain, _ = listener.accept()
        with context.wrap_socket(plain, server_side=True):
            pass

    thread = threading.Thread(target=answer)
    thread.start()
    pem = made.certificate.read_text()
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    try:
        yield listener.getsockname()[1], digest
    finally:
        thread.join()
        listener.close()


def test_a_network_camera_is_known_by_its_certificate(tmp_path: Path) -> None:
    with host(tmp_path) as (port, digest):
        url = f"rtsps://user:secret@127.0.0.1:{port}/main"
        identity = identity_of(CameraSettings(driver="rtsp", url=url))
    assert identity == f"rtsps 127.0.0.1 sha256:{digest}"
    with pytest.raises(DeviceError, match="certificate") as refused:
        identity_of(CameraSettings(driver="rtsp", url=url))
    assert "secret" not in str(refused.value)


def test_an_address_alone_and_a_recording_prove_nothing(tmp_path: Path) -> None:
    plain = CameraSettings(driver="rtsp", url="rtsp://user:secret@cam/main")
    assert identity_of(plain) == "rtsp cam"
    assert identity_of(CameraSettings(source=tmp_path)) is None
