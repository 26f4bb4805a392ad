"""Makes the first administrator, by a code that is shown once where the gate was started."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from gated.accounts.accounts import record_account, require_name
from gated.accounts.passwords import PasswordHasher, require_strong
from gated.accounts.sign_in_throttle import network
from gated.accounts.throttle import Throttle
from gated.core.clock import Known
from gated.database import account_store, stored_settings
from gated.database.records import Account
from gated.errors import BadCredentials, Conflict
from gated.ports import Clock
from gated.workspace import Service, Workspace

LIFE_S = 24 * 3600
FREE_ATTEMPTS = 5
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without those that are taken for each other."""

_KEY = "setup_code"


class FirstAdmin(Service):
    """Makes the first account of a workspace."""

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        super().__init__(workspace, clock)
        self._passwords = PasswordHasher.of(workspace.settings.auth)
        self._closed = False
        self._throttle = Throttle(lambda: clock.now().mono)

    def new_code(self) -> str | None:
        """Make a code of 80 random bits, valid for a day; None when there is an account.

        Codes given out before are void.
        """
        letters = [secrets.choice(LETTERS) for _ in range(16)]
        code = "-".join("".join(letters[i : i + 4]) for i in range(0, 16, 4))
        with self._workspace.database.write() as session:
            if account_store.list_(session):
                stored_settings.set_(session, _KEY, None)
                return None
            now = self._clock.now()
            made = Known(now.utc, now.mono, self._workspace.journal.boot)
            stored_settings.set_(session, _KEY, {"digest": _digest(code), "made": asdict(made)})
        return code

    def is_open(self) -> bool:
        """Return whether there is no account yet; one that was found is not looked for again."""
        if not self._closed:
            with self._workspace.database.read() as session:
                self._closed = bool(account_store.list_(session))
        return not self._closed

    def create(self, code: str, username: str, password: str, address: str = "") -> Account:
        """Make the first account, an administrator's, by the code; it works once.

        Conflict when there is an account already or the name is unusable; WeakPassword;
        BadCredentials for a wrong code or one that is over; Throttled, by address, for wrong ones
        only: 80 random bits need no throttle, and no stranger keeps the owner of the code out.
        """
        with self._workspace.database.read() as session:
            right = self._is_right(stored_settings.get(session, _KEY), code)
        if not right:
            self._throttle.attempt({network(address): FREE_ATTEMPTS})
        require_name(username)
        require_strong(password, username)
        hashed = self._passwords.hash(password)
        with self.change("setup code") as change:
            session = change.session
            if account_store.list_(session):
                text = "there is an account already: sign in, or ask its owner"
                raise Conflict(text).named("account_there")
            stored = stored_settings.get(session, _KEY)
            if not self._is_right(stored, code):
                raise BadCredentials("the setup code is wrong or over: start the gate for another")
            stored_settings.set_(session, _KEY, None)
            account = account_store.add(session, username, "admin", hashed)
            record_account(change, "account_created", account)
        return account

    def _is_right(self, stored: Any, code: str) -> bool:
        made = Known.read(stored.get("made")) if isinstance(stored, Mapping) else None
        if made is None or not 0 <= self._age(made) < LIFE_S:
            return False
        return hmac.compare_digest(stored["digest"], _digest(code))

    def _age(self, made: Known) -> float:
        """Return the seconds since a code was made; the clock is often set only afterwards."""
        now = self._clock.now()
        if made.boot == self._workspace.journal.boot:
            return now.mono - made.mono
        return now.utc - made.utc


def _digest(code: str) -> str:
    bare = "".join(c for c in code.upper() if c.isalnum())
    return hashlib.sha256(bare.encode("utf-8", "surrogatepass")).hexdigest()
