"""Access tokens: JWT with HS256, for one installation and one version of an account.

Gate and hub may share a SECRET_KEY, and number their accounts alike: so a token names the
installation that it is for, and the account by its uid.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import jwt

from gated.errors import NotSignedIn, StorageError
from gated.ports import Clock
from gated.vault.files import write_atomic

ALGORITHM = "HS256"
ISSUER = "gated"
AUDIENCE = "gated-api"
KEY_BYTES = 48

TOKEN_MARK = "gated-device-"  # noqa: S105
"""The prefix of a device's long token."""


@dataclass(frozen=True, slots=True)
class Claims:
    """The content of a valid token."""

    account: str
    """Its uid."""
    version: int
    token_id: str
    expires_at: datetime
    signed_in_at: float
    """The time of the sign-in with a password, in UTC seconds; renewals keep it."""
    issued_at: float


class Tokens:
    """Makes and reads tokens; `life_s` seconds each.

    installation: gives the uid of the database whose accounts they are for.
    """

    def __init__(
        self, key: str, clock: Clock, life_s: int, installation: Callable[[], str]
    ) -> None:
        self._key = key
        self._installation = installation
        self._clock = clock
        self.life_s = life_s

    def issue(self, account: str, version: int, signed_in_at: float | None = None) -> str:
        """A token for an account (its uid) as it is now.

        signed_in_at: when the password was given, in UTC seconds, if that was not now.
        """
        at = self._clock.now().utc if signed_in_at is None else signed_in_at
        return self._signed(account, version, secrets.token_urlsafe(12), at)

    def renew(self, claims: Claims) -> str:
        """Make a token of the same session that lives on from now; ended with it, too."""
        return self._signed(claims.account, claims.version, claims.token_id, claims.signed_in_at)

    def _signed(self, account: str, version: int, token_id: str, signed_in_at: float) -> str:
        now = int(self._clock.now().utc)
        claims = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "sub": account,
            "ver": version,
            "iat": now,
            "exp": now + self.life_s,
            "jti": token_id,
            "auth_time": int(signed_in_at),
        }
        return jwt.encode(claims, self._key, ALGORITHM)

    @property
    def _issuer(self) -> str:
        return f"{ISSUER}:{self._installation()}"

    def csrf(self, token: str) -> str:
        """Return what a browser has to send, in a header, beside the cookie that holds this token.

        Another site can make a browser send the cookie, and cannot know this.
        """
        # of the session, so that other tabs need not learn of a renewal
        return self.csrf_of(self.read(token).token_id)

    def csrf_of(self, session: str) -> str:
        """Give the same for what names a session otherwise, such as the digest of a long token."""
        said = f"csrf {self._issuer} {session}".encode()
        return hmac.new(self._key.encode(), said, "sha256").hexdigest()

    def read(self, token: str) -> Claims:
        """The claims of a token; NotSignedIn when it is forged, expired or of another kind."""
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=self._issuer,
                options={
                    "require": ["exp", "iat", "iss", "aud", "sub", "jti"],
                    # checked below, against the program's own clock
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
            issued, expires = float(claims["iat"]), float(claims["exp"])
            ends = datetime.fromtimestamp(expires, UTC)
            read = Claims(
                str(claims["sub"]),
                int(claims["ver"]),
                str(claims["jti"]),
                ends,
                float(claims.get("auth_time", issued)),
                issued,
            )
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError, OverflowError, OSError):
            raise NotSignedIn("the token is not valid: sign in") from None
        now = self._clock.now().utc
        # made while the clock was far ahead, a token would otherwise live until then
        if now >= expires or issued > now + self.life_s:
            raise NotSignedIn("the token has expired: sign in again")
        return read


def digest_of(token: str) -> str:
    """Return what is stored of a long token: random, so a plain SHA-256 gives nothing away."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def load_key(configured: str | None, state_dir: Path) -> str:
    """The configured key, or the one kept in keys/token.key, made once with mode 0600."""
    if configured is not None:
        return configured
    file = state_dir / "keys" / "token.key"
    try:
        if not file.exists():
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomic(file, secrets.token_urlsafe(KEY_BYTES).encode(), 0o600)
        if file.stat().st_mode & 0o077:
            raise StorageError(f"{file} can be read by others: chmod 600 it")
        key = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"the key of the tokens, {file}, cannot be used: {error}") from None
    if not re.fullmatch(r"[\w-]{43,}", key):
        raise StorageError(f"{file} holds no key: remove it, and one is made")
    return key
