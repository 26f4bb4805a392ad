"""Persons: created, changed, switched and erased, each change with its journal entry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from gated.core.model import Instant
from gated.errors import ChangedMeanwhile, Conflict, NotFound
from gated.services.obligations import local_day, moment, require_no_hold, require_own
from gated.services.workspace import Service
from gated.storage import accounts, consents, credentials, enrollments, mirror, persons
from gated.storage import groups as groups_
from gated.storage.changes import GROUP, PERSON
from gated.storage.journal import Entry, told_of
from gated.storage.records import Enrollment, Group, Person
from gated.storage.settings import touch_gallery, touch_rules

if TYPE_CHECKING:
    from gated.services.sync.edge import Author


@dataclass(frozen=True, slots=True)
class ErasureReceipt:
    """What an erasure did, and the journal row that proves it."""

    person_id: int
    uid: str
    erased_at: datetime
    enrollments: int
    files: int
    accounts: int
    groups: int
    consents: int
    credentials: int
    redacted_rows: int
    overridden: bool
    chain: str
    seq: int
    hash: str


class People(Service):
    """The persons of a workspace; `actor` is who makes a change."""

    def create(
        self,
        fields: Mapping[str, Any],
        *,
        actor: str,
        groups: Sequence[str] = (),
        author: Author | None = None,
    ) -> Person:
        """Add a person, member of these groups (names).

        With an author the person is the hub's, to whom it is an edit. Conflict when personnel code
        or e-mail address is taken; NotFound for a group, BelongsToHub for one of the hub's;
        NotAllowed, SignInAgain for an author.
        """
        with self._workspace.database.write() as session:
            if author is None:
                theirs = [groups_.get(session, id_) for id_ in groups_.ids(session, groups)]
                for group in theirs:
                    mirror.require_own(session, GROUP, group.uid, f"group {group.name}")
                return self.create_within(session, fields, theirs, actor=actor)
            theirs = author.groups(session, groups)
            person = self._enter(session, fields, theirs, is_active=author.at_once)
            author.created(session, person, fields, theirs)
        return person

    def create_within(
        self,
        session: Session,
        fields: Mapping[str, Any],
        theirs: Sequence[Group],
        *,
        actor: str,
        uid: str | None = None,
    ) -> Person:
        """`create` as part of a transaction, with a uid of its own or a new one."""
        person = self._enter(session, fields, theirs, uid=uid)
        self._record(session, "person_created", person, actor, sorted(fields))
        return person

    def _enter(
        self, session: Session, fields: Mapping[str, Any], theirs: Sequence[Group], **more: Any
    ) -> Person:
        values = {"first_name": "", "last_name": "", **fields, **more}
        if self._has_left(fields.get("leaves_on")):
            values["is_active"] = False
        touch_gallery(session)  # the locks in their order: see `changes`
        touch_rules(session)
        person = persons.add(session, **values)
        for group in theirs:
            groups_.join(session, group.id, person.id)
        return person

    def get(self, id_: int) -> Person:
        """The person with this id; NotFound."""
        with self._workspace.database.read() as session:
            return persons.get(session, id_)

    def with_enrollments(self, id_: int) -> tuple[Person, list[Enrollment], list[Group]]:
        """A person, the enrollments and the groups, of one moment; NotFound."""
        with self._workspace.database.read() as session:
            person = persons.get(session, id_)
            enrolled = enrollments.list_(session, person_id=id_)
            return person, enrolled, groups_.list_(session, person_id=id_)

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
        self,
        id_: int,
        changes: Mapping[str, Any],
        *,
        actor: str,
        version: int | None = None,
        author: Author | None = None,
    ) -> Person:
        """Change fields; of a person of the hub as an edit of the author.

        NotFound, Conflict, ChangedMeanwhile when `version` is over; BelongsToHub without an author,
        NotAllowed, SignInAgain with one.
        """
        with self._workspace.database.write() as session:
            before = persons.get(session, id_)
            if version not in (None, before.version):
                raise ChangedMeanwhile("the person was changed meanwhile: read it again")
            changed = {k: v for k, v in changes.items() if getattr(before, k) != v}
            if not changed:
                return before
            if (author := editing(session, before, author)) is not None:
                author.changed(session, before, changed)
                return persons.get(session, id_)
            return self.update_within(session, id_, changed, actor=actor)

    def update_within(
        self, session: Session, id_: int, changed: Mapping[str, Any], *, actor: str
    ) -> Person:
        """Change these fields as part of a transaction; NotFound, Conflict."""
        values = dict(changed)
        if self._has_left(changed.get("leaves_on")):
            values["is_active"] = False
        person = persons.update(session, id_, **values)
        self._record(session, "person_changed", person, actor, sorted(values))
        return person

    def set_active(
        self,
        id_: int,
        active: bool | None,
        *,
        actor: str,
        version: int | None = None,
        author: Author | None = None,
    ) -> Person:
        """Switch a person on or off, or over (None); of a person of the hub as an edit.

        NotFound, ChangedMeanwhile, Conflict; BelongsToHub without an author, NotAllowed,
        SignInAgain with one.
        """
        with self._workspace.database.write() as session:
            before = persons.get(session, id_)
            if version not in (None, before.version):
                raise ChangedMeanwhile("the person was changed meanwhile: read it again")
            wanted = not before.is_active if active is None else active
            if wanted == before.is_active:
                return before
            if (author := editing(session, before, author)) is not None:
                author.switched(session, before, "activate" if wanted else "deactivate")
                return persons.get(session, id_)
            return self.switch_within(session, before, wanted, actor=actor)

    def switch_within(
        self, session: Session, before: Person, wanted: bool, *, actor: str
    ) -> Person:
        """Switch a person on or off as part of a transaction; Conflict after the last day."""
        if wanted and self._has_left(before.leaves_on):
            raise Conflict(f"the last day was {before.leaves_on}: change leaves_on first")
        person = persons.set_active(session, before.id, wanted)
        kind = "person_activated" if wanted else "person_deactivated"
        self._record(session, kind, person, actor, ["is_active"])
        return person

    def delete(
        self,
        id_: int,
        *,
        actor: str,
        reason: str | None = None,
        override: bool = False,
        hubs_too: bool = False,
    ) -> ErasureReceipt:
        """Erase a person with photos, templates, caches, accounts; log rows stay without identity.

        NotFound; RetentionHold while passages must be kept, unless `override` with a reason;
        BelongsToHub for a person of the hub, unless `hubs_too`.
        """
        if override and not reason:
            raise Conflict("a retention hold is overridden with a reason only")
        workspace, now = self._workspace, self._clock.now()
        with workspace.database.write() as session:
            person = persons.get(session, id_)
            if not hubs_too:
                require_own(session, person)
            if not override:
                require_no_hold(session, workspace.settings, now, id_)
            removed = {
                "enrollments": len(enrollments.list_(session, person_id=id_)),
                "accounts": len(accounts.list_(session, person_id=id_)),
                "groups": len(groups_.list_(session, person_id=id_)),
                "consents": int(consents.find(session, id_) is not None),
                "credentials": len(credentials.list_(session, id_)),
            }
            redacted = workspace.journal.erase_person(session, now, person.uid, "erasure")
            files = persons.delete(session, id_)
            removed |= {"files": len(files), "redacted_rows": len(redacted)}
            body = {"person": person.uid, "override": override, **removed}
            # what an admin writes may name people: it must not stand in the open
            private = {"actor": {"name": actor, **({"reason": reason} if reason else {})}}
            (proof,) = workspace.journal.append(
                [Entry(now, "person_erased", body, private)], session
            )
        workspace.files.delete(*files)
        workspace.forget_gallery()
        workspace.database.truncate_log()
        return ErasureReceipt(
            person_id=id_,
            uid=person.uid,
            erased_at=moment(now),
            overridden=override,
            chain=proof.chain,
            seq=proof.seq,
            hash=proof.hash,
            **removed,
        )

    def _has_left(self, leaves_on: date | None) -> bool:
        today = local_day(self._workspace.settings, self._clock.now())
        return leaves_on is not None and leaves_on < today

    def _record(
        self, session: Session, kind: str, person: Person, actor: str, fields: list[str]
    ) -> None:
        entry = person_entry(self._clock.now(), kind, person, actor, fields)
        self._workspace.journal.append([entry], session)


def editing(session: Session, person: Person, author: Author | None) -> Author | None:
    """The author if this is an edit, None for a person of this gate; BelongsToHub."""
    if author is not None and mirror.belongs_to_hub(session, PERSON, person.uid):
        return author
    require_own(session, person)
    return None


def person_entry(at: Instant, kind: str, person: Person, actor: str, fields: list[str]) -> Entry:
    """What the journal is told of a change: the fields' names in the open, the person apart."""
    return entry_about(at, kind, person, actor, {"person": person.uid, "fields": fields})


def entry_about(
    at: Instant, kind: str, person: Person, actor: str, body: Mapping[str, Any]
) -> Entry:
    """An entry whose private part names the person and who acted."""
    return Entry(at, kind, body, {"subject": told_of(person.ref), "actor": {"name": actor}})
