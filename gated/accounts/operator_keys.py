"""The key of an operator at gates: it follows from the password, and is stored nowhere.

The hub and the gates where the operator may work know salt and public key. Both are as good as a
hash of the password to whoever steals them, so that guessing is made slow: argon2id with the 64 MiB
and three passes that RFC 9106 recommends where memory is constrained, in one lane.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable

from argon2.low_level import Type, hash_secret_raw
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gated.accounts.passwords import normal
from gated.vault.sealing import KEY

DERIVATION = "argon2id m=65536 t=3 p=1"
"""Stored beside each salt, so that another scheme can be distinguished from it."""

_MEMORY_KIB, _PASSES, _LANES = 65_536, 3, 1
_SALT = 16
_SESSIONS = 64
_TURN = threading.Lock()


class OperatorKey:
    """The key that an operator signs with."""

    def __init__(self, password: str, salt: str) -> None:
        """The key that a password makes with a salt (hex); takes as long as a tenth of a second."""
        secret = normal(password).encode()
        with _TURN:  # the memory is had once
            seed = hash_secret_raw(
                secret, bytes.fromhex(salt), _PASSES, _MEMORY_KIB, _LANES, KEY, Type.ID
            )
        self._signer = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = self._signer.public_key().public_bytes_raw().hex()

    @staticmethod
    def new_salt() -> str:
        return secrets.token_hex(_SALT)

    def sign(self, message: bytes) -> str:
        """The signature (Ed25519), hex."""
        return self._signer.sign(message).hex()


class SigningKeys:
    """Keys of those who are signed in, by session, in memory only; the oldest go beyond 64.

    now: seconds UTC. Any thread may call.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._keys: OrderedDict[str, tuple[OperatorKey, float]] = OrderedDict()

    def keep(self, session: str, key: OperatorKey, until: float) -> None:
        """Remember the key of a session until it ends by itself."""
        with self._lock:
            self._forget_ended()
            self._keys[session] = key, until
            while len(self._keys) > _SESSIONS:
                self._keys.popitem(last=False)

    def prolong(self, session: str, until: float) -> None:
        """Remember the key of a session for longer; nothing happens without one."""
        with self._lock:
            found = self._keys.get(session)
            if found is not None:
                self._keys[session] = found[0], until

    def drop(self, session: str) -> None:
        """Forget the key of a session that was ended."""
        with self._lock:
            self._keys.pop(session, None)

    def get(self, session: str) -> OperatorKey | None:
        """The key of a session; None after its end or a restart."""
        with self._lock:
            self._forget_ended()
            found = self._keys.get(session)
        return found and found[0]

    def _forget_ended(self) -> None:
        now = self._now()
        for session in [s for s, (_, until) in self._keys.items() if until <= now]:
            del self._keys[session]
