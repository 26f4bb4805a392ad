"""Keeps in one small file what the door must not forget while the log cannot take it.

A mode that lets nobody in is in the file until the log has it, and a fire release until it is
reset. The file has one size for good and is written in place: a full disk does not refuse it.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from gated.core.messages import RecordDecision, RecordEvent
from gated.core.values import DoorEventKind, DoorMode
from gated.journal.journal import LastRow
from gated.vault.files import write_atomic

log = logging.getLogger(__name__)

NAME = "door-memory"
SIZE = 512
"""Bytes of the file: one sector, which a power cut leaves old or new, and never in between."""

KEPT_KINDS = frozenset(
    {"door_mode", f"door_{DoorEventKind.FIRE}", f"door_{DoorEventKind.FIRE_CLEARED}"}
)
"""Kinds of records that change what is remembered."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """The mode and the fire release that outlive a restart.

    mode: as a row of the log, which may not have it yet.
    """

    mode: LastRow | None = None
    fire: bool = False


def remembered(state_dir: Path) -> Remembered:
    """Return what was remembered before the start; nothing where the file cannot be read."""
    try:
        record = json.loads((state_dir / NAME).read_bytes())
        mode = None if record["mode"] is None else LastRow(**record["mode"])
        if mode is not None:
            DoorMode(mode.body["mode"])
        return Remembered(mode, record["fire"] is True)
    except FileNotFoundError:
        return Remembered()
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.error("what the door had to remember cannot be read (%s): %s", NAME, error)
        return Remembered()


def mode_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is remembered of the body of a `door_mode`."""
    return {key: body[key] for key in ("mode", "until") if key in body}


class DoorMemory:
    """Writes the file. One thread uses it once the gate runs: that of the log."""

    kinds = KEPT_KINDS

    def __init__(self, state_dir: Path, boot: str) -> None:
        self._path = state_dir / NAME
        self._boot = boot
        self._now = remembered(state_dir)
        self._pending: RecordEvent | None = None
        """The record of the mode; once it is in the log the file need not hold it."""

    @property
    def fire(self) -> bool:
        """True while a fire release was not reset."""
        return self._now.fire

    def prepare(self) -> None:
        """Create the file at its size, while there is room; a failure is logged."""
        try:
            if not self._path.exists() or self._path.stat().st_size != SIZE:
                write_atomic(self._path, _written(self._now))
        except OSError as error:
            log.error("a lockdown cannot be kept beside the log: %s", error)

    def keep(self, records: Iterable[RecordEvent]) -> None:
        """Remember what these records say, of `KEPT_KINDS`, before they are in the log."""
        now = self._now
        for record in records:
            if record.kind != "door_mode":
                now = replace(now, fire=record.kind == f"door_{DoorEventKind.FIRE}")
                continue
            self._pending = record
            body = mode_of(record.body)
            row = LastRow(body, self._boot, record.at.mono, record.at.utc)
            now = replace(now, mode=None if DoorMode(body["mode"]).admits else row)
        self._write(now)

    def recorded(self, batch: Sequence[RecordDecision | RecordEvent]) -> None:
        """Forget a mode that is in the log now."""
        if self._pending is not None and any(record is self._pending for record in batch):
            self._pending = None
            self.forget_mode()

    def forget_mode(self) -> None:
        """Forget the mode: the log has it, or a newer one."""
        self._write(replace(self._now, mode=None))

    def forget_fire(self) -> None:
        """Forget the fire release: the door has no fire input any more."""
        self._write(replace(self._now, fire=False))

    def _write(self, now: Remembered) -> None:
        if now == self._now:
            return
        self._now = now
        try:
            # in place: a new file would need room
            fd = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.pwrite(fd, _written(now), 0)
                os.fdatasync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            log.error("what the door has to remember cannot be written: %s", error)


def _written(now: Remembered) -> bytes:
    mode = None if now.mode is None else asdict(now.mode)
    text = json.dumps({"mode": mode, "fire": now.fire})
    return text.ljust(SIZE - 1).encode() + b"\n"
