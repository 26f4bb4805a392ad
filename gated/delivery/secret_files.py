"""Secrets that are shared with partners, each in a file of its own beside the configuration."""

from __future__ import annotations

from pathlib import Path

from gated.errors import ConfigError

LONGEST_SECRET = 4096
SHORTEST_SECRET = 16


def read_secret(file: Path, shortest: int = SHORTEST_SECRET) -> bytes:
    """Read a secret from its file, without the line's end. Raises: ConfigError."""
    try:
        with file.open("rb") as opened:
            secret = opened.read(LONGEST_SECRET).strip()
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
    if len(secret) < shortest:
        raise ConfigError(
            f"{file} holds no secret of {shortest} characters or more: "
            "make one with `openssl rand -hex 32`"
        )
    return secret
