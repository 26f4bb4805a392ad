"""Opens the door over the network, sets its mode and resets its fire release.

Before the gate gets an event, the API has checked the role, and this module checks that it is still
the same person (the password), the rate, and that the journal works. The gate records who acted and
why before anything moves.
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
from gated.door.act_check import require_admitting, require_end
from gated.errors import AlreadyDone, NotAllowed, StorageError
from gated.link.status_board import StatusBoard
from gated.ports import Clock


@dataclass(frozen=True, slots=True)
class DoorCaller:
    """The account that acts. password: given again to confirm the act.

    token: None for a program that the configuration allows to act; it has no password.
    """

    principal: Principal
    token: str | None
    address: str
    password: str | None = None


class RemoteDoor:
    """The running gate's door, for acts over the network. post: hands the gate an event."""

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
        self._clock = clock = clock or SystemClock()
        self._rate = RateLimit(settings.auth.door_acts_per_minute, lambda: clock.now().mono)

    def open(
        self, post: Callable[[Event], None], caller: DoorCaller, reason: str, for_s: float | None
    ) -> float:
        """Ask the gate to open, and return for how many seconds.

        Raises: DoorShut while the mode admits nobody, and as `_check`.
        """
        self._check(caller)
        require_admitting(self._board)
        door = self._settings.door
        seconds = min(for_s or door.unlock_s, door.max_unlock_s)
        post(OperatorUnlock(caller.principal.username, reason, seconds))
        return seconds

    def set_mode(
        self,
        post: Callable[[Event], None],
        caller: DoorCaller,
        mode: DoorMode,
        reason: str,
        until: float | None = None,
    ) -> float | None:
        """Ask the gate to set the mode of the door, and return when it ends by itself.

        A lockdown needs the role only: it is urgent, opens nothing and is recorded as soon as
        possible. Raises: NotAllowed for anybody but an admin who unlocks for everybody;
        ModeEndRefused, ClockDoubtful.
        """
        admin = caller.principal.role.includes(Role.ADMIN)
        if mode is DoorMode.FREE_ACCESS and not admin:
            raise NotAllowed("only an admin may unlock the door for everybody")
        now = self._clock.now()
        require_end(mode, until, now)
        if mode is not DoorMode.LOCKDOWN:
            self._check(caller)
        until = until if now.sure else None
        post(SetDoorMode(mode, caller.principal.username, reason, until))
        return until

    def reset_fire(self, post: Callable[[Event], None], caller: DoorCaller, reason: str) -> None:
        """Ask the gate to end its fire release. Raises: Conflict when there is none."""
        self._check(caller)
        if self._board.snapshot().door_state != "fire":
            raise AlreadyDone("no fire release holds the door")
        post(ResetFire(caller.principal.username, reason))

    def _check(self, caller: DoorCaller) -> None:
        """Check journal, rate and password.

        Raises: TooMany, ConfirmationNeeded, BadCredentials, Throttled, StorageError.
        """
        if self._board.snapshot().journal == "unavailable":
            raise StorageError("what cannot be recorded is not done")
        self._rate.act(caller.principal.username)
        if caller.token is not None:
            self._accounts.confirm(caller.principal, caller.token, caller.password, caller.address)
