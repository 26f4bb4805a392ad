"""Names that the journal's parts share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass

IDENTITY = "journal_identity"

NOT_USED = "granted_not_used"
"""The status of a grant after which nobody went through."""

FIRST, ROTATED, FOREIGN = "first", "rotated", "identity_lost"
"""Causes of a new chain. All but the first two are a failure until somebody acknowledges it."""
RESTORED = "restored"
"""The cause when a backup was put in place where the former rows are not known; no alarm."""
ACKNOWLEDGED = "journal_acknowledged"

Progress = Callable[[int, int], None]
"""Told how many rows of how many are done."""
