"""From which addresses each account was signed in to before, over restarts as well.

Stored is a keyed digest of account and address with the day of the last sign-in: who reads the
database learns neither. It is forgotten after ninety days, and the oldest ones when there are many.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import threading

from gated.core.values import Instant
from gated.database import stored_settings
from gated.errors import StorageError
from gated.ports import Clock
from gated.vault.sealing import derived
from gated.workspace import Workspace

log = logging.getLogger(__name__)

KEY = "familiar_addresses"
"""The setting under which digest -> day is stored; days since 1970."""
KEPT = 1024
KEPT_DAYS = 90
DAY_S = 86_400


class FamiliarAddresses:
    """Pairs of account and address; any thread may ask."""

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        self._database = workspace.database
        self._clock = clock
        self._key = derived(workspace.keys.credentials, b"gated familiar addresses")
        self._lock = threading.Lock()
        self._days: dict[str, int] | None = None

    def knows(self, account: str, address: str) -> bool:
        """Return whether somebody has signed in to the account from there, not too long ago."""
        with self._lock:
            if self._days is None:
                with self._database.read() as session:
                    self._days = _read(stored_settings.get(session, KEY))
            day = self._days.get(self._digest(account, address))
        return day is not None and not _is_over(day, self._clock.now())

    def add(self, account: str, address: str) -> None:
        """Remember it; written once a day for each, and where nothing can be written in memory."""
        digest, now = self._digest(account, address), self._clock.now()
        known = self.knows(account, address)
        with self._lock:
            day = (self._days or {}).get(digest)
        if known and (day == int(now.utc // DAY_S) or not now.sure):
            return
        try:
            with self._database.write() as session:
                stored_settings.create(session, KEY, {})
                # processes of one hub add to what the others have added
                days = _read(stored_settings.get_locked(session, KEY))
                days = _with(days, digest, now)
                stored_settings.set_(session, KEY, days)
        except StorageError as error:
            log.warning("an address of an account is remembered until the restart only: %s", error)
            with self._lock:
                days = _with(self._days or {}, digest, now)
        with self._lock:
            self._days = days

    def _digest(self, account: str, address: str) -> str:
        message = f"{account}\0{address}".encode()
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()[:32]


def _with(days: dict[str, int], digest: str, now: Instant) -> dict[str, int]:
    """The same and this one, without those that are over; the newest only."""
    # a clock in doubt makes nothing older than it is, nor newer than all others
    day = int(now.utc // DAY_S) if now.sure else max(days.values(), default=0)
    kept = {d: n for d, n in days.items() if not _is_over(n, now)} | {digest: day}
    newest = sorted(kept.items(), key=lambda entry: (entry[1], entry[0] == digest))
    return dict(newest[-KEPT:])


def _read(stored: object) -> dict[str, int]:
    if not isinstance(stored, dict):
        return {}
    return {str(d): n for d, n in stored.items() if isinstance(n, int)}


def _is_over(day: int, now: Instant) -> bool:
    """Return whether more than KEPT_DAYS have passed; a clock in doubt cannot say."""
    return now.sure and not -1 <= now.utc // DAY_S - day <= KEPT_DAYS
