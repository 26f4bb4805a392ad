"""Simulates operators at work: `python -m gated.bench.colleague KIND CONFIG SECONDS`.

Standard input has one line of JSON: the passwords of the accounts by name. It runs at the lowest
priority, as operators would use another machine.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import sys
import time
import uuid
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import cv2
import numpy as np
from argon2.low_level import Type, hash_secret_raw

from gated.config import AuthSettings, load
from gated.enrollment.models import DEMO_WALKERS, asset_store

SIGN_INS = 20
WATCHERS = 3
"""One account may have two previews at a time."""
PHOTOS = 500
PHOTO_SIDE = 640
CHUNK = 1 << 16


class Caller:
    """A client with its own account. address: such as `http://127.0.0.1:8080`."""

    def __init__(self, address: str, end: float) -> None:
        self.address = address
        place = urlsplit(address)
        self._host, self._port = place.hostname or "127.0.0.1", place.port or 80
        self._token = ""
        self.end = end

    def sign_in(self, name: str, password: str) -> None:
        """Get a token."""
        form = urlencode({"username": name, "password": password}).encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = self.call("POST", "/api/auth/login", form, kind)
        self._token = json.loads(answer)["access_token"]

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Return the body of an answer, as far as it comes in time. Raises: OSError on failure."""
        made = http.client.HTTPConnection(self._host, self._port, timeout=30)
        try:
            bearer = {"Authorization": f"Bearer {self._token}"} if self._token else {}
            made.request(method, path, body, {**bearer, **(headers or {})})
            answer, got = made.getresponse(), io.BytesIO()
            if answer.status >= 400:
                raise OSError(f"{method} {path}: {answer.status}")
            while time.monotonic() < self.end and (part := answer.read1(CHUNK)):
                if got.tell() < CHUNK:
                    got.write(part)
            return got.getvalue()
        finally:
            made.close()


def export(caller: Caller, accounts: Mapping[str, str]) -> None:
    """Fetch the whole log as a table, again and again."""
    caller.sign_in(*next(iter(accounts.items())))
    while time.monotonic() < caller.end:
        caller.call("GET", "/api/attendance/export")


def sign_ins(caller: Caller, accounts: Mapping[str, str]) -> None:
    """Sign in, twenty at once, again and again."""
    pairs = list(accounts.items())

    def one(number: int) -> None:
        while time.monotonic() < caller.end:
            with contextlib.suppress(OSError, ValueError, KeyError):  # throttled: try again
                caller.sign_in(*pairs[number % len(pairs)])

    _together(one, SIGN_INS)


def watch(caller: Caller, accounts: Mapping[str, str]) -> None:
    """Watch the camera's preview, three at once."""
    pairs = list(accounts.items())

    def one(number: int) -> None:
        looker = Caller(caller.address, caller.end)
        looker.sign_in(*pairs[number % len(pairs)])
        while time.monotonic() < caller.end:
            looker.call("GET", "/api/gate/preview")

    _together(one, WATCHERS)


def hash_beside(caller: Caller, settings: AuthSettings, programs: int) -> None:
    """Hash as sign-ins do, but not in the gate, as so many other programs would."""

    def one(_: int) -> None:
        while time.monotonic() < caller.end:
            hash_secret_raw(
                b"password",
                bytes(16),
                time_cost=settings.password_passes,
                memory_cost=settings.password_memory_kib,
                parallelism=1,
                hash_len=32,
                type=Type.ID,
            )

    _together(one, programs)


def import_photos(caller: Caller, accounts: Mapping[str, str], photos: list[bytes]) -> None:
    """Upload an archive of photos, and wait while the gate imports it."""
    caller.sign_in(*next(iter(accounts.items())))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(PHOTOS):
            # bytes after the end of a JPEG file are ignored, and make each file unique
            photo = photos[number % len(photos)] + number.to_bytes(4, "big")
            archive.writestr(f"W{number}_Some_One.jpg", photo)
    edge = uuid.uuid4().hex
    head = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="people.zip"\r\n\r\n'
    body = head.encode() + packed.getvalue() + f"\r\n--{edge}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={edge}"}
    # refused before its body is read while another import is running
    with contextlib.suppress(ConnectionError):
        caller.call("POST", "/api/enrollment/import", body, kind)
    if not json.loads(caller.call("GET", "/api/jobs")):
        raise RuntimeError("the gate did not take the photos")
    time.sleep(max(0.0, caller.end - time.monotonic()))


def _small(photo: bytes) -> bytes:
    """Shrink a photo as messengers do, so that 500 of them fit into an import."""
    image = cv2.imdecode(np.frombuffer(photo, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError("a photo of the demo cannot be read")
    longest = max(image.shape[:2])
    size = tuple(side * PHOTO_SIDE // longest for side in image.shape[1::-1])
    packed = cv2.imencode(".jpg", cv2.resize(image, size, interpolation=cv2.INTER_AREA))[1]
    return packed.tobytes()


def _together(work: Callable[[int], None], count: int) -> None:
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(work, range(count)))  # raises what one of them raised


def main() -> None:
    """Do one kind of work for the given seconds."""
    kind, config, seconds = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    os.nice(19)  # operators would use another machine
    accounts = json.loads(sys.stdin.readline())
    settings = load(config, {})
    caller = Caller(f"http://127.0.0.1:{settings.api.port}", time.monotonic() + seconds)
    store = asset_store(settings)
    photos = [_small(store.read(name)) for name in DEMO_WALKERS] if kind == "import" else []
    {
        "export": lambda: export(caller, accounts),
        "sign_ins": lambda: sign_ins(caller, accounts),
        "watch": lambda: watch(caller, accounts),
        "import": lambda: import_photos(caller, accounts, photos),
        "beside": lambda: hash_beside(caller, settings.auth, 1),
        "beside_twice": lambda: hash_beside(caller, settings.auth, 2),
    }[kind]()


if __name__ == "__main__":
    main()
