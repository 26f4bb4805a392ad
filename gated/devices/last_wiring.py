"""Keeps the wiring of the door that a gate was started with, for `gated door lock`.

A file that somebody is editing may be unreadable in the moment in which the gate crashes. The copy
holds for the present boot only: while the machine was off the wires may have been moved.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from gated.config import DoorSettings

log = logging.getLogger(__name__)

NAME = "door.wiring"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def keep_wiring(folder: Path, door: DoorSettings, boot_id: Path = BOOT_ID) -> None:
    """Store the wiring in the state directory; a failure is logged, and no reason not to start."""
    path = folder / NAME
    temporary = folder / f".{NAME}.{secrets.token_hex(8)}.tmp"
    try:
        if not door.is_real:
            path.unlink(missing_ok=True)
            return
        record = {"boot": _boot(boot_id), "door": door.model_dump(mode="json")}
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w") as file:
            json.dump(record, file)
        # not synced: after a power cut it is of another boot anyway
        temporary.rename(path)
    except (OSError, ValueError) as error:
        # options of an outside driver may hold what JSON does not
        log.warning("the wiring of the door is not kept for `gated door lock`: %s", error)
        # an older one would be another wiring
        for left in (temporary, path):
            with suppress(OSError):
                left.unlink(missing_ok=True)


def last_wiring(folder: Path, boot_id: Path = BOOT_ID) -> DoorSettings | None:
    """Return the wiring of the last start within this boot; None without one."""
    try:
        record = json.loads((folder / NAME).read_text())
        if not record["boot"] or record["boot"] != _boot(boot_id):
            return None
        return DoorSettings.model_validate(record["door"])
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None


def _boot(file: Path) -> str:
    """Return the id of this boot; empty where the kernel does not give one."""
    try:
        return file.read_text().strip()
    except OSError:
        return ""
