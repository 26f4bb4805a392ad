"""Names that the modules of the journal share."""

from __future__ import annotations

from collections.abc import Callable

IDENTITY = "journal_identity"

NOT_USED = "granted_not_used"
"""The status of a grant after which nobody passed."""

FIRST, ROTATED, FOREIGN = "first", "rotated", "identity_lost"
"""Causes of a new chain. All but the first two are failures until they are acknowledged."""
RESTORED = "restored"
"""The cause after a restore where the former rows are not known; raises no alarm."""
ACKNOWLEDGED = "journal_acknowledged"

Progress = Callable[[int, int], None]
"""Called with the number of rows done, and of all rows."""
