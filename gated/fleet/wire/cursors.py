"""Cursors: how far a gate is in the feed of its hub, as the hub itself has written it down.

    FEED.GIVEN.NUMBER.PROOF

The feed's name, how often what this gate is given began anew, the number of the last change that
the gate has applied, and a proof (HMAC-SHA256) that the hub gave it to this gate. So one that is
ahead of the hub shows that the hub's database is older than what its gates received.
"""

from __future__ import annotations

import hashlib
import hmac

from gated.core.chain import canonical
from gated.database.change_feed import FeedHead
from gated.database.records import GateRow
from gated.errors import SnapshotNeeded
from gated.vault.sealing import Keys, derived


class Ahead(SnapshotNeeded):
    """The cursor is right, and the hub does not know of what it speaks."""


class Cursors:
    """Reads and writes the cursors of a hub."""

    def __init__(self, keys: Keys) -> None:
        self._key = derived(keys.hub.private_bytes_raw(), b"gated feed cursors")

    def write(self, end: FeedHead, gate: GateRow, seq: int) -> str:
        """The cursor of a gate that has applied everything up to a number."""
        place = f"{end.feed}.{gate.feed}.{seq}"
        return f"{place}.{self._proof(gate, place)}"

    def read(self, end: FeedHead, gate: GateRow, cursor: str) -> int:
        """The number in a cursor; SnapshotNeeded for one that is over, Ahead."""
        place, _, proof = cursor.rpartition(".")
        if not hmac.compare_digest(self._proof(gate, place).encode(), proof.encode()):
            raise SnapshotNeeded("this is no cursor of this gate: begin with /api/sync/snapshot")
        feed, given, seq = place.split(".")
        if feed == end.feed and (int(given) > gate.feed or int(seq) > end.seq):
            raise Ahead("this hub was restored: begin with /api/sync/snapshot")
        if (feed, given) != (end.feed, str(gate.feed)) or int(seq) < end.floor:
            raise SnapshotNeeded("this cursor is over: begin with /api/sync/snapshot")
        return int(seq)

    def _proof(self, gate: GateRow, place: str) -> str:
        message = canonical([gate.uid, place])
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()[:16]
