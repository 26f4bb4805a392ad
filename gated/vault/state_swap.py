"""Puts another state in the place of the present one, name by name, and survives a power cut.

    restore.staging/   what is to take the place
    before-NAME/       what was there, kept
    restore.pending    which of both, while the change is on its way

A cut leaves the mark: whoever opens the state next ends the change first. Nothing is removed.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from gated.errors import StorageError
from gated.vault.files import write_atomic
from gated.vault.sealing import sync_directory

log = logging.getLogger(__name__)

STAGING = "restore.staging"
PENDING = "restore.pending"
BEFORE = "before-"


def swap(state_dir: Path, places: Mapping[Path, Sequence[str]], name: str) -> bool:
    """Let what is staged in each place take the place of the names given, which are kept.

    places: folders, each with a `restore.staging` of its own; of the names those that are there.
    name: of the folders `before-NAME`. Gives whether there was anything to keep. StorageError.
    """
    plan = [
        {
            "place": str(place),
            "out": [n for n in names if (place / n).exists()],
            "in": [n for n in names if (place / STAGING / n).exists()],
        }
        for place, names in places.items()
    ]
    mark = json.dumps({"before": f"{BEFORE}{name}", "places": plan}).encode()
    try:
        write_atomic(state_dir / PENDING, mark)
    except OSError as error:
        raise StorageError(f"{state_dir} cannot be written: {error.strerror}") from error
    finish(state_dir)
    return any(one["out"] for one in plan)


def finish(state_dir: Path) -> None:
    """End a change that a power cut left half done, where there is one. StorageError."""
    pending = state_dir / PENDING
    if not pending.exists():
        return
    try:
        with _locked(state_dir):
            if pending.exists():  # another process may have ended it meanwhile
                _finish(pending)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(
            f"a restore was cut off and cannot be ended ({error}): its parts are in {STAGING} and "
            f"{BEFORE}... of {state_dir}"
        ) from error


def _finish(pending: Path) -> None:
    plan = json.loads(pending.read_bytes())
    places = [(Path(one["place"]), one["out"], one["in"]) for one in plan["places"]]
    for place, out, _ in places:
        if not out:
            continue
        before = place / plan["before"]
        before.mkdir(mode=0o700, exist_ok=True)
        for name in out:
            # what was moved already is there: what has its name now is the new one
            if not (before / name).exists() and (place / name).exists():
                (place / name).rename(before / name)
        sync_directory(before)
    for place, _, taken in places:
        staging = place / STAGING
        for name in taken:
            if (staging / name).exists():
                (staging / name).rename(place / name)
        sync_directory(place)
    pending.unlink()
    sync_directory(pending.parent)
    log.info("another state was put in place; the one before is in %s", plan["before"])


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the directory's lock: two programs that start at once take turns."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
