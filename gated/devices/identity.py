"""Which camera is it? What tells one from another that is put in its place."""

from __future__ import annotations

import hashlib
import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from gated.config import CameraSettings
from gated.errors import DeviceError

SYSFS = Path("/sys/class/video4linux")
RTSPS_PORT = 322
TIMEOUT_S = 3.0


def identity_of(settings: CameraSettings, sysfs: Path = SYSFS) -> str | None:
    """A name that another camera would not have; None where the driver knows none. DeviceError.

    USB: maker, model and serial number, or the socket where there is no serial number. RTSP over
    TLS: the SHA-256 of the host's certificate; without TLS only the address, which proves nothing.
    """
    match settings.driver:
        case "v4l2":
            return _usb(settings.device, sysfs)
        case "rtsp":
            return _host(settings.url or "")
        case _:
            return None


def _usb(device: int | str, sysfs: Path) -> str | None:
    node = Path(f"/dev/video{device}" if isinstance(device, int) else device).resolve().name
    interface = (sysfs / node / "device").resolve()
    about = interface.parent
    if not (about / "idVendor").exists():
        return f"not on USB: {interface.name}" if interface.exists() else None
    maker, model = _read(about / "idVendor"), _read(about / "idProduct")
    serial = _read(about / "serial")
    return f"usb {maker}:{model} " + (f"serial {serial}" if serial else f"at {about.name}")


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _host(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "rtsps":
        return f"rtsp {host}"
    # no chain is checked: cameras sign their own certificates, and this one is known by its digest
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
