"""Persons: created, changed, switched and erased, each change with its journal entry."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from gated.change import FEED, GALLERY, RULES, Change
from gated.core.values import moment
from gated.database import hub_ownership
from gated.database.change_feed import GROUP
from gated.database.records import Enrollment, Group, Person
from gated.database.rows import Versions, require_version
from gated.errors import Conflict, LastDayOver, NotFound, TextRefused
from gated.journal.notes import Naming, count_left
from gated.people import consent_store as consents
from gated.people import group_store as groups_
from gated.people import overview_store, person_store
from gated.people.overview_store import PersonOverview
from gated.people.preconditions import earliest_day, require_no_hold, require_own
from gated.workspace import Service

LEFT, BEFORE_RESTORE = "left", "erased before the restore"
OWN_REASONS = (LEFT, BEFORE_RESTORE)
"""Reasons of an erasure that the program gives, not a person."""


@dataclass(frozen=True, slots=True)
class ErasureReceipt:
    """The outcome of an erasure, and the journal row that proves it."""

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
    texts_left: int
    """Texts beside other people that name the person."""
    overridden: bool
    chain: str
    seq: int
    hash: str


class People(Service):
    """The persons of a workspace."""

    def create(
        self,
        change: Change,
        fields: Mapping[str, Any],
        *,
        groups: Sequence[str] = (),
        uid: str | None = None,
    ) -> Person:
        """Add a person, member of these groups (names), with a uid of its own or a new one.

        Conflict when personnel code or e-mail address is taken; NotFound for a group, BelongsToHub
        for one of the hub's.
        """
        change.touches(GALLERY, RULES)
        session = change.session
        theirs = [groups_.get(session, id_) for id_ in groups_.ids(session, groups)]
        for group in theirs:
            hub_ownership.require_own(session, GROUP, group.uid, f"group {group.name}")
        person = self.enter(change, fields, theirs, uid=uid)
        change.record_person("person_created", person, sorted(fields))
        return person

    def enter(
        self, change: Change, fields: Mapping[str, Any], theirs: Sequence[Group], **more: Any
    ) -> Person:
        """Add the row of a person and the memberships, without a journal row of its own.

        more: further columns. Raises: Conflict.
        """
        values = {"first_name": "", "last_name": "", **fields, **more}
        if self._has_left(change, fields.get("leaves_on")):
            values["is_active"] = False
        person = person_store.add(change.session, **values)
        for group in theirs:
            groups_.join(change.session, group.id, person.id)
        return person

    def get(self, id_: int) -> Person:
        """The person with this id; NotFound."""
        with self._workspace.database.read() as session:
            return person_store.get(session, id_)

    def with_enrollments(self, id_: int) -> tuple[Person, list[Enrollment], list[Group]]:
        """A person, the enrollments and the groups, of one moment; NotFound."""
        with self._workspace.database.read() as session:
            person = person_store.get(session, id_)
            enrolled = person_store.enrollments_of(session, id_)
            return person, enrolled, groups_.list_(session, person_id=id_)

    def by_code(self, personnel_code: str) -> Person:
        """The person with this personnel code; NotFound."""
        with self._workspace.database.read() as session:
            person = person_store.by_code(session, personnel_code)
        if person is None:
            raise NotFound(f"there is no person with personnel code {personnel_code}")
        return person

    def list_(
        self,
        *,
        without_photo: bool | None = None,
        one_photo: bool | None = None,
        consent_missing: bool | None = None,
        visitors: bool | None = None,
        left: bool | None = None,
        **filters: Any,
    ) -> tuple[list[Person], int]:
        """List a page of persons, and say how many match in all.

        one_photo: those with one photo in use, or several of nearly the same picture. left: those
        whose last day is over. Further filters are those of storage.
        """
        at = self._clock.now()
        now = moment(at)
        wanted = (
            (without_photo, overview_store.without_photo()),
            (one_photo, overview_store.one_photo()),
            (consent_missing, overview_store.consent_missing(now)),
            (visitors, overview_store.visitors()),
        )
        more = [is_so if asked else ~is_so for asked, is_so in wanted if asked is not None]
        with self._workspace.database.read() as session:
            if left is not None:
                over = person_store.has_left(earliest_day(self._workspace, session, at))
                more.append(over if left else ~over)
            return person_store.list_(session, more=more, **filters)

    def overview(self, ids: Collection[int]) -> list[PersonOverview]:
        """Say of persons what a list shows beside their fields."""
        now = moment(self._clock.now())
        with self._workspace.database.read() as session:
            return overview_store.overview(session, ids, now)

    def update(
        self, change: Change, id_: int, fields: Mapping[str, Any], *, versions: Versions = None
    ) -> Person:
        """Change fields.

        NotFound, Conflict, ChangedMeanwhile when `versions` are over; BelongsToHub.
        """
        change.touches(GALLERY)
        session, before = change.session, present(change, id_, versions)
        changed = differing(before, fields)
        if not changed:
            return before
        require_own(session, before)
        if self._has_left(change, changed.get("leaves_on")):
            changed["is_active"] = False
        person = person_store.update(session, id_, **changed)
        change.record_person("person_changed", person, sorted(changed))
        return person

    def set_active(
        self, change: Change, id_: int, active: bool | None, *, versions: Versions = None
    ) -> Person:
        """Switch a person on or off, or over (None).

        NotFound, ChangedMeanwhile; Conflict after the last day; BelongsToHub.
        """
        change.touches(GALLERY)
        session, before = change.session, present(change, id_, versions)
        wanted = wanted_state(before, active)
        if wanted == before.is_active:
            return before
        require_own(session, before)
        if wanted and self._has_left(change, before.leaves_on):
            raise LastDayOver(f"the last day was {before.leaves_on}: change leaves_on first")
        person = person_store.set_active(session, before.id, wanted)
        kind = "person_activated" if wanted else "person_deactivated"
        change.record_person(kind, person, ["is_active"])
        return person

    def delete(
        self,
        change: Change,
        id_: int,
        *,
        reason: str | None = None,
        override: bool = False,
        hubs_too: bool = False,
    ) -> ErasureReceipt:
        """Erase a person with photos, templates, caches, accounts; log rows stay without identity.

        NotFound; RetentionHold while passages must be kept, unless `override` with a reason;
        BelongsToHub for a person of the hub, unless `hubs_too`; TextRefused for a reason that
        names the person.
        """
        if override and not reason:
            raise Conflict("a retention hold is overridden with a reason only")
        change.touches(GALLERY, RULES, FEED)
        workspace, session = self._workspace, change.session
        person = person_store.get(session, id_)
        if reason and reason not in OWN_REASONS:
            _require_nameless(person, reason)
        if not hubs_too:
            require_own(session, person)
        if not override:
            require_no_hold(session, workspace, change.at, id_)
        removed = {
            "enrollments": len(person_store.enrollments_of(session, id_)),
            "accounts": person_store.accounts_of(session, id_),
            "groups": len(groups_.list_(session, person_id=id_)),
            "consents": int(consents.find(session, id_) is not None),
            "credentials": person_store.credentials_of(session, id_),
        }
        texts_left = count_left(session, person.uid)
        redacted = workspace.journal.erase_person(session, change.at, person.uid, "erasure")
        files = person_store.delete(session, id_)
        workspace.forget_after(change, *files)
        removed |= {"files": len(files), "redacted_rows": len(redacted)}
        body = {"person": person.uid, "override": override, **removed}
        # what an admin writes may name people: it must not stand in the open
        proof = change.record("person_erased", body, by={"reason": reason} if reason else None)
        return ErasureReceipt(
            person_id=id_,
            uid=person.uid,
            erased_at=moment(change.at),
            overridden=override,
            texts_left=texts_left,
            chain=proof.chain,
            seq=proof.seq,
            hash=proof.hash,
            **removed,
        )

    def _has_left(self, change: Change, leaves_on: date | None) -> bool:
        if leaves_on is None:
            return False
        return leaves_on < earliest_day(self._workspace, change.session, change.at)


def _require_nameless(person: Person, reason: str) -> None:
    """The reason of an erasure stays when the person is gone. TextRefused."""
    naming = Naming.of(person.last_name, person.personnel_code, person.email, person.phone)
    if naming.is_in(reason):
        raise TextRefused(
            "the reason is kept when the person is gone: write it without name, code, e-mail "
            "address and phone number"
        )


def present(change: Change, id_: int, versions: Versions) -> Person:
    """Read who is to be changed. Raises: NotFound, ChangedMeanwhile for another version."""
    person = person_store.get(change.session, id_)
    require_version(versions, person.version)
    return person


def differing(person: Person, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return those fields that a person has otherwise."""
    return {k: v for k, v in fields.items() if getattr(person, k) != v}


def wanted_state(person: Person, active: bool | None) -> bool:
    """Return whether a person is to be active; None: what they are not now."""
    return not person.is_active if active is None else active
