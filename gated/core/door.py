"""The door as the gate knows it: locked, or unlocked until a deadline.

    state     event          next                    command
    LOCKED    unlock(t)      UNLOCKED until now+t    Unlock(t)
    UNLOCKED  unlock(t)      UNLOCKED until the later of both ends   Unlock(remaining)
    UNLOCKED  deadline       LOCKED                  Lock
    any       lock           LOCKED                  Lock

The adapter ends its lease by itself; the Lock at the deadline is the second pair of hands.
"""

from __future__ import annotations

from dataclasses import dataclass

from gated.core.model import Command, Lock, Unlock


@dataclass(slots=True)
class DoorControl:
    """max_s: longest single release, in seconds."""

    max_s: float = 30.0
    until: float | None = None

    @property
    def unlocked(self) -> bool:
        return self.until is not None

    def unlock(self, for_s: float, cause: str, now: float) -> list[Command]:
        """Release until `now + for_s` or longer where an earlier grant already says so."""
        end = now + min(for_s, self.max_s)
        self.until = max(end, self.until or end)
        return [Unlock(self.until - now, cause)]

    def lock(self, cause: str) -> list[Command]:
        """Lock now."""
        self.until = None
        return [Lock(cause)]

    def advance(self, now: float) -> list[Command]:
        """Lock when the deadline has passed."""
        if self.until is not None and now >= self.until:
            return self.lock("deadline")
        return []
