"""Persons: created, changed, switched and erased, each change with its journal entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from sqlalchemy.orm import Session

from gated.core.model import Instant
from gated.devices.clock import SystemClock
from gated.errors import ChangedMeanwhile, NotFound
from gated.ports import Clock
from gated.services.workspace import Workspace
from gated.storage import enrollments, persons
from gated.storage.journal import Entry
from gated.storage.records import Enrollment, Person


@dataclass(frozen=True, slots=True)
class ErasureReceipt:
    """What an erasure did, and the journal row that proves it."""

    person_id: int
    uid: str
    erased_at: datetime
    files: int
    redacted_rows: int
    chain: str
    seq: int
    hash: str


class People:
    """The persons of a workspace; `actor` is who makes a change."""

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        self._workspace = workspace
        self._clock = clock

    @classmethod
    def of(cls, workspace: Workspace) -> Self:
        """The persons of a workspace, on the real clock."""
        return cls(workspace, SystemClock())

    def create(self, fields: Mapping[str, Any], *, actor: str) -> Person:
        """Add a person; Conflict when personnel code or e-mail address is taken."""
        values = {"first_name": "", "last_name": "", **fields}
        with self._workspace.database.write() as session:
            person = persons.add(session, **values)
            self._record(session, "person_created", person, actor, sorted(fields))
        return person

    def get(self, id_: int) -> Person:
        """The person with this id; NotFound."""
        with self._workspace.database.read() as session:
            return persons.get(session, id_)

    def with_enrollments(self, id_: int) -> tuple[Person, list[Enrollment]]:
        """A person and the enrollments, of one moment; NotFound."""
        with self._workspace.database.read() as session:
            return persons.get(session, id_), enrollments.list_(session, person_id=id_)

    def by_code(self, personnel_code: str) -> Person:
        """The person with this personnel code; NotFound."""
        with self._workspace.database.read() as session:
            person = persons.by_code(session, personnel_code)
        if person is None:
            raise NotFound(f"there is no person with personnel code {personnel_code}")
        return person

    def list_(self, **filters: Any) -> tuple[list[Person], int]:
        """A page of persons and how many match in all; the filters are those of storage."""
        with self._workspace.database.read() as session:
            return persons.list_(session, **filters)

    def update(
        self, id_: int, changes: Mapping[str, Any], *, actor: str, version: int | None = None
    ) -> Person:
        """Change fields; NotFound, Conflict, ChangedMeanwhile when `version` is over."""
        with self._workspace.database.write() as session:
            before = persons.get(session, id_)
            if version not in (None, before.version):
                raise ChangedMeanwhile("the person was changed meanwhile: read it again")
            changed = {k: v for k, v in changes.items() if getattr(before, k) != v}
            if not changed:
                return before
            person = persons.update(session, id_, **changed)
            self._record(session, "person_changed", person, actor, sorted(changed))
        return person

    def set_active(
        self, id_: int, active: bool | None, *, actor: str, version: int | None = None
    ) -> Person:
        """Switch a person on or off, or over (None); NotFound, ChangedMeanwhile."""
        with self._workspace.database.write() as session:
            before = persons.get(session, id_)
            if version not in (None, before.version):
                raise ChangedMeanwhile("the person was changed meanwhile: read it again")
            wanted = not before.is_active if active is None else active
            if wanted == before.is_active:
                return before
            person = persons.set_active(session, id_, wanted)
            kind = "person_activated" if wanted else "person_deactivated"
            self._record(session, kind, person, actor, ["is_active"])
        return person

    def delete(self, id_: int, *, actor: str, reason: str = "erasure") -> ErasureReceipt:
        """Erase a person: photos, templates, account; log rows stay without identity. NotFound."""
        workspace, now = self._workspace, self._clock.now()
        with workspace.database.write() as session:
            person = persons.get(session, id_)
            redacted = workspace.journal.erase_person(session, now, person.uid, reason)
            files = persons.delete(session, id_)
            body = {"person": person.uid, "reason": reason, "files": len(files)}
            entry = Entry(now, "person_erased", body, {"actor": {"name": actor}})
            (proof,) = workspace.journal.append([entry], session)
        workspace.files.delete(*files)
        workspace.database.truncate_log()
        at = datetime.fromtimestamp(now.utc, UTC)
        return ErasureReceipt(
            id_, person.uid, at, len(files), len(redacted), proof.chain, proof.seq, proof.hash
        )

    def _record(
        self, session: Session, kind: str, person: Person, actor: str, fields: list[str]
    ) -> None:
        entry = person_entry(self._clock.now(), kind, person, actor, fields)
        self._workspace.journal.append([entry], session)


def person_entry(at: Instant, kind: str, person: Person, actor: str, fields: list[str]) -> Entry:
    """What the journal is told of a change: the fields' names in the open, the person apart."""
    subject = {
        "person_id": person.id,
        "uid": person.uid,
        "personnel_code": person.personnel_code,
        "name": person.name,
    }
    body = {"person": person.uid, "fields": fields}
    return Entry(at, kind, body, {"subject": subject, "actor": {"name": actor}})
