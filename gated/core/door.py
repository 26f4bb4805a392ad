"""The door as the gate knows it: locked, unlocked until a deadline, or released by fire.

    state     event          next                                    command
    LOCKED    unlock(t)      UNLOCKED until now+t                    Unlock(t)
    UNLOCKED  unlock(t)      UNLOCKED until the later of both ends   Unlock(remaining)
    UNLOCKED  deadline       LOCKED                                  Lock
    any       fire           FIRE, without a deadline                -
    FIRE      unlock(t)      FIRE                                    Unlock(t)
    FIRE      lock           FIRE                                    -
    any       fire cleared   LOCKED                                  Lock
    other     lock           LOCKED                                  Lock

The adapter ends its lease by itself; the Lock at the deadline is the second pair of hands. In a
fire the adapter has released before the gate hears of it, and nothing here locks until it is
cleared.
"""

from __future__ import annotations

from dataclasses import dataclass

from gated.core.model import Command, Lock, Unlock


@dataclass(slots=True)
class DoorControl:
    """max_s: longest single release, in seconds."""

    max_s: float = 30.0
    until: float | None = None
    fire: bool = False

    @property
    def unlocked(self) -> bool:
        return self.fire or self.until is not None

    def unlock(self, for_s: float, cause: str, now: float) -> list[Command]:
        """Release until `now + for_s` or longer where an earlier grant already says so.

        A duration that is not positive changes nothing.
        """
        if not for_s > 0:
            return []
        end = now + min(for_s, self.max_s)
        end = end if self.until is None else max(end, self.until)
        self.until = None if self.fire else end
        return [Unlock(end - now, cause)]

    def lock(self, cause: str) -> list[Command]:
        """Lock now, unless there is a fire."""
        if self.fire:
            return []
        self.until = None
        return [Lock(cause)]

    def advance(self, now: float) -> list[Command]:
        """Lock when the deadline has passed."""
        if self.until is not None and now >= self.until:
            return self.lock("deadline")
        return []

    def fire_alarm(self) -> None:
        """Released, and no relock until the fire is cleared by hand."""
        self.fire, self.until = True, None

    def fire_cleared(self) -> list[Command]:
        """Lock again."""
        self.fire = False
        return self.lock("fire cleared")
