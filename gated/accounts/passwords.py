"""Passwords: what is accepted, how it is stored, how it is checked."""

from __future__ import annotations

import secrets
import threading
import unicodedata
from base64 import b64encode
from functools import cached_property, lru_cache

from passlib.context import CryptContext
from passlib.exc import PasswordValueError, UnknownHashError

from gated.config import AuthSettings
from gated.errors import WeakPassword

SHORTEST, LONGEST = 10, 1024

_TURN = threading.Lock()

_BCRYPT_BYTES = 72

_TRIED_FIRST = """
1234567890 0123456789 0987654321 1234512345 1q2w3e4r5t 1qaz2wsx3edc qwertyuiop qwerty12345
qwerty123456 qwertyuiop123 asdfghjkl123 passw0rd123 passwordpassword letmein123 letmein1234
iloveyou123 changeme123 changeme1234 admin12345 admin123456 football123 baseball123 superman123
correcthorsebatterystaple trustno1trustno1 sunshine123 princess123 secret12345 default1234
raspberry123 raspberrypi
"""
COMMON = frozenset(_TRIED_FIRST.split())


def require_strong(password: str, username: str = "") -> None:
    """WeakPassword when it is short, common, monotonous or made of the name (NIST SP 800-63B)."""
    folded = unicodedata.normalize("NFKC", password).casefold()
    if len(folded) < SHORTEST:
        raise WeakPassword(f"the password is too short: use {SHORTEST} characters or more")
    if len(password) > LONGEST:
        raise WeakPassword(f"the password is too long: use {LONGEST} characters or fewer")
    bare = folded.strip("0123456789!?.-_ ")
    if folded in COMMON or bare in {"password", "passwort", "administrator", "welcome", ""}:
        raise WeakPassword("the password is one of those that are tried first")
    if len(set(folded)) < 4 or (username and bare == username.casefold()):
        raise WeakPassword("the password is too easy to guess")


class PasswordHasher:
    """Hashes passwords with argon2id, and checks them; one at a time in a process.

    Each goes through so much memory that a second one would take the cache from the door's models.

    passes, memory_kib: what one hash costs. A stored hash of another cost, or of bcrypt, is still
    checked, and made anew.
    """

    def __init__(self, passes: int, memory_kib: int) -> None:
        self._passes, self._memory_kib = passes, memory_kib
        self._context = CryptContext(
            schemes=["argon2", "bcrypt"],
            deprecated=["bcrypt"],
            argon2__type="id",
            argon2__memory_cost=memory_kib,
            argon2__time_cost=passes,
            argon2__parallelism=1,
        )

    @classmethod
    def of(cls, auth: AuthSettings) -> PasswordHasher:
        """The hasher of these settings; the same one each time, with its hash of nobody."""
        return _hasher(auth.password_passes, auth.password_memory_kib)

    @cached_property
    def nobodys(self) -> str:
        """A hash of nothing, to check where there is no account, so that the answer takes as long.

        Drawn at random rather than hashed: the first such answer must not take twice the time.
        """
        salt, digest = (b64encode(secrets.token_bytes(n)).decode().rstrip("=") for n in (16, 32))
        return f"$argon2id$v=19$m={self._memory_kib},t={self._passes},p=1${salt}${digest}"

    def hash(self, password: str) -> str:
        """Return the argon2id hash to store."""
        with _TURN:
            return str(self._context.hash(normal(password)))

    def verify(self, password: str, stored: str) -> tuple[bool, str | None]:
        """Check a password; return with it the hash to store instead of one of another cost.

        bcrypt hashes are checked as bcrypt did: by the first 72 bytes.
        """
        spelt = normal(password)
        secret = spelt.encode()[:_BCRYPT_BYTES] if stored.startswith("$2") else spelt
        try:
            with _TURN:
                right = bool(self._context.verify(secret, stored))
        except (PasswordValueError, UnknownHashError, ValueError):
            return False, None
        if right and self._context.needs_update(stored):
            return True, self.hash(password)
        return right, None


@lru_cache(maxsize=8)
def _hasher(passes: int, memory_kib: int) -> PasswordHasher:
    return PasswordHasher(passes, memory_kib)


def normal(password: str) -> str:
    """One spelling of what was typed, cut where no password can be that long."""
    return unicodedata.normalize("NFKC", password[: LONGEST + 1])
