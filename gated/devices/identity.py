"""Identifies a camera, to notice when it is exchanged."""

from __future__ import annotations

import hashlib
import socket
import ssl
from pathlib import Path

from gated.config import CameraSource
from gated.config.addresses import authority
from gated.devices.clock import SystemClock
from gated.devices.drivers import VIDEO, camera_driver
from gated.devices.guards import made_by
from gated.errors import DeviceError

RTSPS_PORT = 322
TIMEOUT_S = 3.0


def identity_of(settings: CameraSource, sysfs: Path = VIDEO) -> str | None:
    """Return an identity that another camera would not have, or None. Raises: DeviceError."""
    driver, setup = camera_driver(settings, SystemClock(), video=sysfs)
    return made_by(f"camera driver {driver.name}", driver.identity, setup)


def usb_identity(device: int | str, sysfs: Path = VIDEO) -> str | None:
    """Return maker, model and serial number, or the USB port where there is no serial number."""
    node = Path(f"/dev/video{device}" if isinstance(device, int) else device).resolve().name
    interface = (sysfs / node / "device").resolve()
    about = interface.parent
    if not (about / "idVendor").exists():
        return f"not on USB: {interface.name}" if interface.exists() else None
    maker, model = _read(about / "idVendor"), _read(about / "idProduct")
    serial = _read(about / "serial")
    return f"usb {maker}:{model} " + (f"serial {serial}" if serial else f"at {about.name}")


def usb_number(device: int, known: str | None, sysfs: Path = VIDEO) -> int:
    """Return the number under which the camera `known` is plugged in now.

    Cameras are numbered as they come, so that a reboot or a plug may swap them. `device` where the
    known camera is nowhere.
    """
    if known is None or usb_identity(device, sysfs) == known:
        return device
    for node in sorted(sysfs.glob("video*")):
        number = node.name.removeprefix("video")
        # the others of a camera carry no pictures
        first = _read(node / "index") in ("", "0")
        if number.isdigit() and first and usb_identity(int(number), sysfs) == known:
            return int(number)
    return device


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def host_identity(url: str) -> str:
    """Identify the host of an RTSP address. Raises: DeviceError.

    Over TLS by the SHA-256 of its certificate; without TLS by its address, which proves nothing.
    """
    parts = authority(url)
    if parts is None:
        raise DeviceError("the address of the camera can be read in more than one way")
    host = parts.host.strip("[]")
    if parts.scheme != "rtsps":
        return f"rtsp {host}"
    # no chain is verified: cameras have self-signed certificates, and the digest identifies them
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, parts.port or RTSPS_PORT), TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            certificate = secured.getpeercert(binary_form=True) or b""
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DeviceError(f"the certificate of the camera cannot be read ({reason})") from None
    return f"rtsps {host} sha256:{hashlib.sha256(certificate).hexdigest()}"
