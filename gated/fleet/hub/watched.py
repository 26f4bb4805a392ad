"""Faults that a hub itself notices of a gate, from one heartbeat to the next.

Two units that write as one gate (a copied SD card) show by their starts: each process says when it
began, and an honest gate does not come back to a start that was before, but for a message that was
on its way for long. Once seen, it stays until one unit is replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

KEY = "watched"
"""The key of it in the status of a gate; a value that a gate sends under this name is ignored."""

RETURNS, WITHIN_S = 3, 600.0
"""Returns to an earlier start within so many seconds of each other that show a second unit. A
message that comes late makes two: to the start before, and back."""

REMEMBERED = 8
CLOCK_OFF_S = 300.0
"""As far as signatures of requests may be off."""

BACKLOG_S = 60.0
BACKLOG_ROWS = 400
"""A backlog of which nothing is acknowledged for so long, or that grows by so much, is trouble."""


@dataclass(frozen=True, slots=True)
class UnitHistory:
    """start: of the process that was heard last; starts: before it; returns: to one of those.

    returned_at: of the last one. forked_at: when it was clear that there are two units. low_at,
    low, acked: when the backlog was lowest, and how many rows the hub had of the gate then.
    growing: the backlog is trouble.
    """

    start: str | None = None
    starts: tuple[str, ...] = ()
    returns: int = 0
    forked_at: str | None = None
    low_at: str | None = None
    low: int = 0
    acked: int = 0
    growing: bool = False
    returned_at: str | None = None

    @classmethod
    def read(cls, status: Mapping[str, Any]) -> UnitHistory:
        """Return what the hub has kept."""
        stored = status.get(KEY)
        if not isinstance(stored, Mapping):
            return cls()
        known = {k: stored[k] for k in cls.__dataclass_fields__ if k in stored}
        return cls(**{**known, "starts": tuple(known.get("starts", ()))})

    def heard(self, start: Any, backlog: int | None, acked: int, now: datetime) -> UnitHistory:
        """After one more heartbeat."""
        return self._start(start, now)._backlog(backlog or 0, acked, now)

    def _start(self, start: Any, now: datetime) -> UnitHistory:
        if not isinstance(start, str) or start[:40] == self.start:
            return self
        start = start[:40]
        returns, returned_at = self.returns, self.returned_at
        if start in self.starts:
            returns = 1 + (returns if _is_lately(returned_at, now) else 0)
            returned_at = now.isoformat()
        before = [s for s in (*self.starts, self.start) if s is not None and s != start]
        forked_at = self.forked_at
        if forked_at is None and returns >= RETURNS:
            forked_at = now.isoformat()
        starts = tuple(before[-REMEMBERED:])
        heard = replace(self, start=start, starts=starts, forked_at=forked_at)
        return replace(heard, returns=returns, returned_at=returned_at)

    def _backlog(self, backlog: int, acked: int, now: datetime) -> UnitHistory:
        if not backlog or self.low_at is None or backlog < self.low:
            low_at = now.isoformat() if backlog else None
            return replace(self, low_at=low_at, low=backlog, acked=acked, growing=False)
        stuck = acked == self.acked or backlog >= self.low + BACKLOG_ROWS
        lasts = (now - datetime.fromisoformat(self.low_at)).total_seconds() >= BACKLOG_S
        return replace(self, growing=stuck and lasts)

    def kept(self) -> dict[str, Any]:
        """As it is kept."""
        return {**asdict(self), "starts": list(self.starts)}


def _is_lately(at: str | None, now: datetime) -> bool:
    return at is not None and (now - datetime.fromisoformat(at)).total_seconds() < WITHIN_S


def troubles_of(status: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what the hub holds against a gate: forked, clock_off, backlog_grows."""
    watched, offset = UnitHistory.read(status), status.get("clock_offset_s")
    found = []
    if watched.forked_at is not None:
        found.append("forked")
    if isinstance(offset, int | float) and abs(offset) >= CLOCK_OFF_S:
        found.append("clock_off")
    if watched.growing:
        found.append("backlog_grows")
    return tuple(found)


def is_forked(status: Mapping[str, Any]) -> bool:
    """Return whether two units report as this gate."""
    return UnitHistory.read(status).forked_at is not None
