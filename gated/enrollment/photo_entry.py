"""The entry of a new photo: by whom, who may, and what goes with it."""

from __future__ import annotations

from dataclasses import dataclass

from gated.change import Change
from gated.database.records import Enrollment, Person
from gated.people.preconditions import require_own


@dataclass(slots=True)
class PhotoEntry:
    """The entry of a photo of one of this gate's own persons; others derive from it."""

    actor: str
    """The person named in the journal."""
    override: str | None = None
    """The reason why the face may be another person's, too; None: it may not."""
    uid: str | None = None
    """The uid of the enrollment; None for a new one."""
    is_active: bool = True
    """Whether the photo counts at once."""
    beside: bool = False
    """Whether a photo in the place of another gets a row of its own; `entered` sees to the old."""

    def check(self, change: Change, person: Person) -> None:
        """Refuse the photo before anything is changed. Raises: BelongsToHub, and as overridden."""
        require_own(change.session, person)

    def entered(self, change: Change, person: Person, enrollment: Enrollment) -> None:
        """Do what goes with the new photo, in the same change."""
