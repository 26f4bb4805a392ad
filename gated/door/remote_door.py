"""The door over the network: who may open it, set its mode or reset its fire, and how often.

Nothing is handed to the gate before everything was checked: the role (by the API), that it is still
the same person who acts, how often they do, and whether it can be recorded. The gate records who
acted and why before anything moves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gated.accounts.accounts import Accounts
from gated.accounts.throttle import RateLimit
from gated.config import Settings
from gated.core.messages import Event, OperatorUnlock, ResetFire, SetDoorMode
from gated.core.roles import Principal, Role
from gated.core.values import DoorMode
from gated.devices.clock import SystemClock
from gated.errors import Conflict, DoorShut, NotAllowed, StorageError
from gated.link.status_board import StatusBoard
from gated.ports import Clock


@dataclass(frozen=True, slots=True)
class DoorCaller:
    """The account that asks. password: given again to confirm the act.

    token: None of a program that acts as the configuration allows it: it has no password to give.
    """

    principal: Principal
    token: str | None
    address: str
    password: str | None = None


class RemoteDoor:
    """The running gate's door for those who are not there. tell: hands the gate an event."""

    def __init__(
        self,
        settings: Settings,
        accounts: Accounts,
        board: StatusBoard,
        clock: Clock | None = None,
    ) -> None:
        self._settings = settings
        self._accounts = accounts
        self._board = board
        clock = clock or SystemClock()
        self._rate = RateLimit(settings.auth.door_acts_per_minute, lambda: clock.now().mono)

    def open(
        self, tell: Callable[[Event], None], caller: DoorCaller, reason: str, for_s: float | None
    ) -> float:
        """Ask the gate to open; for how many seconds. Conflict while nobody is let in, else as
        `_check`."""
        self._check(caller)
        mode = self._board.snapshot().door_mode
        if mode in {DoorMode.LOCKDOWN, DoorMode.OUT_OF_SERVICE}:
            raise DoorShut(f"the door is in the mode {mode}: change that first")
        door = self._settings.door
        seconds = min(for_s or door.unlock_s, door.max_unlock_s)
        tell(OperatorUnlock(caller.principal.username, reason, seconds))
        return seconds

    def set_mode(
        self, tell: Callable[[Event], None], caller: DoorCaller, mode: DoorMode, reason: str
    ) -> None:
        """Ask the gate to set the mode of the door.

        A lockdown asks for the role alone: it is urgent, opens nothing and is recorded as soon as
        that is possible. Only an admin unlocks for everybody (NotAllowed).
        """
        admin = caller.principal.role.includes(Role.ADMIN)
        if mode is DoorMode.FREE_ACCESS and not admin:
            raise NotAllowed("only an admin may unlock the door for everybody")
        if mode is not DoorMode.LOCKDOWN:
            self._check(caller)
        tell(SetDoorMode(mode, caller.principal.username, reason))

    def reset_fire(self, tell: Callable[[Event], None], caller: DoorCaller, reason: str) -> None:
        """Ask the gate to end its fire release; Conflict when there is none."""
        self._check(caller)
        if self._board.snapshot().door_state != "fire":
            raise Conflict("no fire release holds the door")
        tell(ResetFire(caller.principal.username, reason))

    def _check(self, caller: DoorCaller) -> None:
        """TooMany, ConfirmationNeeded, BadCredentials, Throttled, StorageError."""
        if self._board.snapshot().journal == "unavailable":
            raise StorageError("what cannot be recorded is not done")
        self._rate.act(caller.principal.username)
        if caller.token is not None:
            self._accounts.confirm(caller.principal, caller.token, caller.password, caller.address)
