"""Changes of persons and photos by an account of this gate: they act here, and nobody is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gated.change import Change
from gated.database.records import Person
from gated.database.rows import Versions
from gated.enrollment.enrollment import Enrolled
from gated.enrollment.enrollment_queue import EnrollmentQueue
from gated.enrollment.enrollments import Enrollments, WithdrawalReceipt
from gated.enrollment.photo_entry import PhotoEntry
from gated.people.people import People
from gated.people.person_editor import PersonEditor


class PhotoEditor(PersonEditor, Protocol):
    """Changes persons and their photos. Work with models opens changes of its own."""

    def enroll(self, person_id: int, photo: bytes, override: str | None = None) -> Enrolled:
        """Enroll a photo; see `EnrollmentService.enroll`."""
        ...

    def replace_photo(self, id_: int, photo: bytes, *, versions: Versions = None) -> Enrolled:
        """Put another photo in the place of an enrollment's."""
        ...

    def delete_photo(self, change: Change, id_: int) -> None:
        """Remove an enrollment with photo and template. Raises: NotFound."""
        ...

    def withdraw_biometrics(self, change: Change, person_id: int) -> WithdrawalReceipt:
        """Remove all photos and templates of a person, who stays. Raises: NotFound."""
        ...


@dataclass(frozen=True, slots=True)
class LocalEditor:
    """Changes what is the gate's own. Raises: BelongsToHub for a person of the hub."""

    people: People
    enrollments: Enrollments
    queue: EnrollmentQueue
    actor: str
    """Name of the account."""

    def create(
        self, change: Change, fields: Mapping[str, Any], *, groups: Sequence[str] = ()
    ) -> Person:
        return self.people.create(change, fields, groups=groups)

    def update(
        self, change: Change, id_: int, fields: Mapping[str, Any], *, versions: Versions = None
    ) -> Person:
        return self.people.update(change, id_, fields, versions=versions)

    def set_active(
        self, change: Change, id_: int, active: bool | None, *, versions: Versions = None
    ) -> Person:
        return self.people.set_active(change, id_, active, versions=versions)

    def enroll(self, person_id: int, photo: bytes, override: str | None = None) -> Enrolled:
        return self.queue.enroll(person_id, photo, PhotoEntry(self.actor, override))

    def replace_photo(self, id_: int, photo: bytes, *, versions: Versions = None) -> Enrolled:
        return self.queue.replace_photo(id_, photo, PhotoEntry(self.actor), versions=versions)

    def delete_photo(self, change: Change, id_: int) -> None:
        self.enrollments.delete(change, id_)

    def withdraw_biometrics(self, change: Change, person_id: int) -> WithdrawalReceipt:
        return self.enrollments.withdraw_biometrics(change, person_id)
