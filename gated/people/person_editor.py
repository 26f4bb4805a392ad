"""The seam to a hub: who changes persons here, and whether they or the hub decide.

An account of this gate changes the gate's own persons (`enrollment.local_editor`). An operator of
the hub proposes changes of the hub's persons (`fleet.gate.hub_editor`). It is chosen once, when a
request comes in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from gated.change import Change
from gated.database.records import Person
from gated.database.rows import Versions


class PersonEditor(Protocol):
    """Changes persons, each time as a part of the caller's change.

    Raises: BelongsToHub where only the hub's operators may; to them NotAllowed for people whom they
    may not edit here, and SignInAgain without a key.
    """

    def create(
        self, change: Change, fields: Mapping[str, Any], *, groups: Sequence[str] = ()
    ) -> Person:
        """Add a person, member of these groups (names). Raises: Conflict, NotFound."""
        ...

    def update(
        self, change: Change, id_: int, fields: Mapping[str, Any], *, versions: Versions = None
    ) -> Person:
        """Change fields. Raises: NotFound, Conflict, ChangedMeanwhile when `versions` are over."""
        ...

    def set_active(
        self, change: Change, id_: int, active: bool | None, *, versions: Versions = None
    ) -> Person:
        """Switch on or off, or over (None). Raises: NotFound, Conflict, ChangedMeanwhile."""
        ...
