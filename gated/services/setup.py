"""The first administrator: by a code that is shown once, where the gate was started."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from gated.errors import BadCredentials, Conflict
from gated.ports import Clock
from gated.services import passwords
from gated.services.accounts import account_entry, require_name
from gated.services.throttle import Throttle
from gated.services.workspace import Service, Workspace
from gated.storage import accounts, settings
from gated.storage.records import Account

LIFE_S = 24 * 3600
FREE_ATTEMPTS = 5
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without those that are taken for each other."""

_KEY = "setup_code"


class FirstAdmin(Service):
    """Makes the first account of a workspace."""

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        super().__init__(workspace, clock)
        self._throttle = Throttle(lambda: clock.now().mono)

    def new_code(self) -> str | None:
        """A fresh code of 80 random bits, valid for a day; None when there is an account.

        Codes given out before are void.
        """
        letters = [secrets.choice(LETTERS) for _ in range(16)]
        code = "-".join("".join(letters[i : i + 4]) for i in range(0, 16, 4))
        with self._workspace.database.write() as session:
            if accounts.list_(session):
                settings.set_(session, _KEY, None)
                return None
            until = self._clock.now().utc + LIFE_S
            settings.set_(session, _KEY, {"digest": _digest(code), "until": until})
        return code

    def create(self, code: str, username: str, password: str) -> Account:
        """The first account, an administrator's, for who knows the code; it works once.

        Conflict when there is an account already or the name is unusable; WeakPassword;
        BadCredentials for a wrong code or one that is over; Throttled.
        """
        # one counter for all: the code is one, and so is its owner
        self._throttle.attempt({"setup": FREE_ATTEMPTS})
        require_name(username)
        passwords.require_strong(password, username)
        hashed = passwords.hash_password(password)
        with self._workspace.database.write() as session:
            if accounts.list_(session):
                raise Conflict("there is an account already: sign in, or ask its owner")
            stored = settings.get(session, _KEY)
            now = self._clock.now()
            right = stored and hmac.compare_digest(stored["digest"], _digest(code))
            if not right or not now.utc < stored["until"]:
                raise BadCredentials("the setup code is wrong or over: start the gate for another")
            settings.set_(session, _KEY, None)
            account = accounts.add(session, username, "admin", hashed)
            entry = account_entry(now, "account_created", account, "setup code")
            self._workspace.journal.append([entry], session)
        return account


def _digest(code: str) -> str:
    bare = "".join(c for c in code.upper() if c.isalnum())
    return hashlib.sha256(bare.encode("utf-8", "surrogatepass")).hexdigest()
