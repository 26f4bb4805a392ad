"""Challenges that browsers are given to sign: random, short-lived, and bound to the browser.

What has to be known again travels in a sealed cookie: strangers who ask for many cost no memory,
and several processes of a hub may share a browser's steps. That each counts once is decided in the
database, with what its answer brings about.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal

from gated.accounts.sealed_cookie import SealedCookies
from gated.ports import Clock

LASTS_S = 300
"""So long somebody may take with the authenticator."""
CHALLENGE_BYTES = 32
HANDLE_BYTES = 32

Purpose = Literal["sign_in", "register"]


@dataclass(frozen=True, slots=True)
class PasskeyChallenge:
    """A challenge for a browser. challenge, user_handle: base64url without padding.

    account, user_handle: of a registration; uid, and by what the authenticator will know it.
    """

    purpose: Purpose
    challenge: str
    at: int
    account: str = ""
    user_handle: str = ""

    @property
    def digest(self) -> str:
        """The digest that is stored of a challenge that was answered."""
        return hashlib.sha256(self.challenge.encode()).hexdigest()

    @property
    def expires_at(self) -> datetime:
        """The time at which it expires."""
        return datetime.fromtimestamp(self.at + LASTS_S, UTC)


class Challenges:
    """Makes challenges, and reads the cookies that hold them. key: 32 bytes of this database."""

    def __init__(self, key: bytes, clock: Clock) -> None:
        self._cookies = SealedCookies(key, clock, LASTS_S)

    def new(
        self, purpose: Purpose, account: str = "", user_handle: str = ""
    ) -> tuple[PasskeyChallenge, str]:
        """Make a challenge, and the cookie in which the browser brings it back."""
        now = self._cookies.now()
        made = PasskeyChallenge(purpose, random_text(CHALLENGE_BYTES), now, account, user_handle)
        return made, self._cookies.sealed(asdict(made))

    def opened(
        self, cookie: str | None, purpose: Purpose, account: str = ""
    ) -> PasskeyChallenge | None:
        """Return the challenge of a cookie; None for another purpose or account, or too late."""
        try:
            found = PasskeyChallenge(**(self._cookies.opened(cookie) or {}))
        except TypeError:  # of another version, or none at all
            return None
        fresh = self._cookies.is_fresh(found.at)
        return found if fresh and (found.purpose, found.account) == (purpose, account) else None


def random_text(length: int) -> str:
    """Return so many random bytes in base64url."""
    return secrets.token_urlsafe(length)
