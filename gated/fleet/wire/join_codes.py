"""One-time codes by which a gate joins its hub.

    ABCD-EFGH-JKLM-NPQR - STUV-WXYZ-2345-6789
    80 random bits        fingerprint of the hub's key

The secret half never travels: the gate names the invitation by one digest of it and proves with
another one (HMAC) that it knows it. By the second half the gate knows the hub.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from gated.core.chain import canonical
from gated.errors import SourceError

LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""32 of them, without those that are taken for each other."""

HALF = 16


@dataclass(frozen=True, slots=True)
class JoinCode:
    """A code, in its two halves."""

    secret: str
    fingerprint: str

    @classmethod
    def new(cls, hub_key: str) -> Self:
        return cls("".join(secrets.choice(LETTERS) for _ in range(HALF)), fingerprint(hub_key))

    @classmethod
    def read(cls, text: str) -> Self:
        """A code as somebody typed it; SourceError when it cannot be one."""
        bare = "".join(c for c in text.upper() if c.isalnum())
        if len(bare) != 2 * HALF or set(bare) - set(LETTERS):
            raise SourceError("this is no code: it has eight groups of four letters and digits")
        return cls(bare[:HALF], bare[HALF:])

    def __str__(self) -> str:
        bare = self.secret + self.fingerprint
        return "-".join(bare[i : i + 4] for i in range(0, 2 * HALF, 4))

    @property
    def invite(self) -> str:
        """Names the invitation, and tells nothing of the secret."""
        return _digest(b"invite", self.secret)

    @property
    def key(self) -> str:
        """Proves knowledge of the secret."""
        return _digest(b"key", self.secret)


def proof(key: str, payload: Mapping[str, Any]) -> str:
    """HMAC-SHA256 (hex) with the key of a code over what a gate tells when it joins."""
    return hmac.new(key.encode(), canonical(payload), hashlib.sha256).hexdigest()


def fingerprint(hub_key: str) -> str:
    """80 bits of the SHA-256 of a public key, in letters."""
    number = int.from_bytes(hashlib.sha256(hub_key.encode()).digest()[:10], "big")
    return "".join(LETTERS[number >> 5 * i & 31] for i in range(HALF))


def _digest(purpose: bytes, secret: str) -> str:
    return hashlib.sha256(b"gated join " + purpose + b"\n" + secret.encode()).hexdigest()
