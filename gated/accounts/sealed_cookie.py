"""Seals what a browser is to bring back soon: that costs the gate no memory, whoever asks."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

from cryptography.fernet import Fernet, InvalidToken

from gated.ports import Clock


class SealedCookies:
    """Seals and opens cookies. key: 32 bytes. lasts_s: how long one counts."""

    def __init__(self, key: bytes, clock: Clock, lasts_s: float) -> None:
        self._seal = Fernet(urlsafe_b64encode(key))
        self._clock = clock
        self._lasts_s = lasts_s

    def now(self) -> int:
        """Return the time that a cookie carries as `at`: whole seconds since 1970."""
        return int(self._clock.now().utc)

    def sealed(self, content: Mapping[str, Any]) -> str:
        """Return the cookie of a content, which says when it was made (`at`)."""
        return self._seal.encrypt_at_time(json.dumps(content).encode(), 0).decode()

    def opened(self, cookie: str | None) -> dict[str, Any] | None:
        """Return the content of a cookie, old or not; None for one that was not made here."""
        try:
            content: dict[str, Any] = json.loads(self._seal.decrypt((cookie or "").encode()))
        except (InvalidToken, ValueError):
            return None
        return content

    def is_fresh(self, at: int) -> bool:
        """Return whether what was made at this time still counts."""
        return 0 <= self._clock.now().utc - at < self._lasts_s
