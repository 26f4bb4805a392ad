"""Access tokens: JWT with HS256, pinned to an account's version."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import jwt

from gated.errors import NotSignedIn, StorageError
from gated.ports import Clock
from gated.storage.files import write_atomic

ALGORITHM = "HS256"
ISSUER = "gated"
AUDIENCE = "gated-api"
KEY_BYTES = 48

TOKEN_MARK = "gated-device-"  # noqa: S105
"""What the long token of a device begins with."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says."""

    account_id: int
    version: int
    token_id: str
    expires_at: datetime


class Tokens:
    """Makes and reads tokens; `life_s` seconds each."""

    def __init__(self, key: str, clock: Clock, life_s: int) -> None:
        self._key = key
        self._clock = clock
        self.life_s = life_s

    def issue(self, account_id: int, version: int) -> str:
        """A token for an account as it is now."""
        now = int(self._clock.now().utc)
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(account_id),
            "ver": version,
            "iat": now,
            "exp": now + self.life_s,
            "jti": secrets.token_urlsafe(12),
        }
        return jwt.encode(claims, self._key, ALGORITHM)

    def csrf(self, token: str) -> str:
        """What a browser has to send beside the cookie that holds this token, in a header.

        Another site can make a browser send the cookie, and cannot know this.
        """
        return hmac.new(self._key.encode(), b"csrf " + token.encode(), "sha256").hexdigest()

    def read(self, token: str) -> Claims:
        """The claims of a token; NotSignedIn when it is forged, expired or of another kind."""
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                options={
                    "require": ["exp", "iat", "iss", "aud", "sub", "jti"],
                    # checked below, against the program's own clock
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
            issued, expires = float(claims["iat"]), float(claims["exp"])
            ends = datetime.fromtimestamp(expires, UTC)
            read = Claims(int(claims["sub"]), int(claims["ver"]), str(claims["jti"]), ends)
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError, OverflowError, OSError):
            raise NotSignedIn("the token is not valid: sign in") from None
        now = self._clock.now().utc
        # made while the clock was far ahead, a token would otherwise live until then
        if now >= expires or issued > now + self.life_s:
            raise NotSignedIn("the token has expired: sign in again")
        return read


def digest_of(token: str) -> str:
    """What is stored of a long token: it is random, so a plain SHA-256 gives nothing away."""
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
