"""Passwords: what is accepted, how it is stored, how it is checked."""

from __future__ import annotations

import threading
import unicodedata

from passlib.context import CryptContext
from passlib.exc import PasswordValueError, UnknownHashError

from gated.errors import WeakPassword

SHORTEST, LONGEST = 10, 1024

# OWASP's argon2id profile of 19 MiB and two passes: it fits a small computer, where the 64 MiB of
# RFC 9106 would not, once several people sign in together
_CONTEXT = CryptContext(
    schemes=["argon2", "bcrypt"],
    deprecated=["bcrypt"],
    argon2__type="id",
    argon2__memory_cost=19_456,
    argon2__time_cost=2,
    argon2__parallelism=1,
)
_TURN = threading.BoundedSemaphore(2)

NOBODYS = (
    "$argon2id$v=19$m=19456,t=2,p=1$N+Z8j3Gu1VrLGUPIec/5fw"
    "$DNyH5ozFahnTnopjYUrMk+I1eB6HeBPX+J4YlRGOr4A"
)
"""Checked where there is no account, so that the answer takes as long; opens nothing."""

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


def hash_password(password: str) -> str:
    """The argon2id hash to store."""
    with _TURN:
        return str(_CONTEXT.hash(normal(password)))


def verify(password: str, stored: str) -> tuple[bool, str | None]:
    """Whether it is the password, and the hash to store instead when the old one is outdated.

    bcrypt hashes are checked as bcrypt did: by the first 72 bytes.
    """
    spelt = normal(password)
    secret = spelt.encode()[:_BCRYPT_BYTES] if stored.startswith("$2") else spelt
    try:
        with _TURN:
            right = bool(_CONTEXT.verify(secret, stored))
    except (PasswordValueError, UnknownHashError, ValueError):
        return False, None
    if right and _CONTEXT.needs_update(stored):
        return True, hash_password(password)
    return right, None


def normal(password: str) -> str:
    """One spelling of what was typed, cut where no password can be that long."""
    return unicodedata.normalize("NFKC", password[: LONGEST + 1])
