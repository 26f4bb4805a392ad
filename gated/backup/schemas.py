"""Bodies of requests and answers about backups."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from gated.backup.sealed_stream import SHORTEST_PASSPHRASE
from gated.http.schemas import In, Out, Password


class BackupIn(In):
    passphrase: Annotated[str, Field(min_length=SHORTEST_PASSPHRASE, max_length=1024)]
    """Seals the backup; nobody can open it without."""
    password: Password | None = None
    """Your own password again; needed when the token is older than `auth.door_confirmation_s`."""


class BackupOut(Out):
    name: str
    path: str
    """Where the gate keeps it, for `gated restore`."""
    bytes: int
    created_at: datetime
