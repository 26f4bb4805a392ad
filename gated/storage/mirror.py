"""On a gate: persons as their hub tells them, kept under the hub's uids."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.core.model import Instant
from gated.errors import BelongsToHub, Conflict
from gated.storage import (
    access,
    changes,
    edge_edits,
    editors,
    groups,
    mirror_access,
    persons,
    rows,
    settings,
)
from gated.storage import accounts as accounts_
from gated.storage import enrollments as enrollments_
from gated.storage.accounts import NO_PASSWORD
from gated.storage.carried import CarriedCredential, CarriedEnrollment
from gated.storage.journal import Journal
from gated.storage.records import GroupRule, Person, columns_of, record
from gated.storage.settings import touch_gallery, touch_rules
from gated.storage.tables import (
    accounts,
    attendance_logs,
    consents,
    credentials,
    group_members,
    mirrored,
    person_access,
)
from gated.storage.tables import enrollments as enrollments_table
from gated.storage.tables import groups as groups_table
from gated.storage.tables import persons as persons_table

MEMBERSHIP = "sync_membership"
"""The setting that says to which hub this gate belongs."""

_PERSON = columns_of(Person, persons_table)


@dataclass(frozen=True, slots=True)
class MirroredPerson:
    """A person as the hub tells them.

    version: theirs on the hub; groups: uid -> name; access: None for what everybody has.
    """

    uid: str
    version: int
    first_name: str
    last_name: str
    personnel_code: str
    department: str | None
    position: str | None
    is_active: bool
    leaves_on: date | None
    extended_unlock: bool
    groups: Mapping[str, str]
    enrollments: Sequence[CarriedEnrollment]
    access: Mapping[str, Any] | None
    credentials: Sequence[CarriedCredential]


@dataclass(frozen=True, slots=True)
class MirroredOperator:
    """An operator as the hub tells of them; groups: uid -> name; salt and key are hex."""

    uid: str
    username: str
    salt: str
    public_key: str
    everyone: bool
    at_once: bool
    groups: Mapping[str, str]


def find(session: Session, uid: str) -> Person | None:
    """The person with this uid, or None."""
    row = rows.one(session, persons_table, _PERSON, uid=uid)
    return row and record(Person, row)


def enrolled(session: Session, uids: Sequence[str]) -> dict[str, CarriedEnrollment]:
    """Enrollments of persons with these uids as they are here, by their own uids."""
    e = enrollments_table.c
    found = (
        sa.select(
            *(e.uid, e.model, e.confidence_score, e.is_active),
            *(e.face_encoding_path, e.face_image_path),
        )
        .join(persons_table, persons_table.c.id == e.person_id)
        .where(persons_table.c.uid.in_(uids))
    )
    return {row.uid: CarriedEnrollment(*row) for row in session.execute(found)}


def put(session: Session, person: MirroredPerson, snapshot: int) -> list[str]:
    """Let a person be as told; returns the files that nobody needs now.

    Who calls it tells the gallery, the rules and the feed, once for all persons of a page.
    """
    before = find(session, person.uid) or _adopt(session, person)
    _free_code(session, person)
    values = values_of(person)
    if before is None:
        id_ = rows.insert(session, persons_table, uid=person.uid, **values)
    else:
        id_ = before.id
        rows.change(session, persons_table, id_, **values)
    _put_groups(session, id_, person.groups, snapshot)
    edits = [] if before is None else edge_edits.open_of(session, person.uid)
    unneeded = _put_enrollments(session, id_, person.enrollments, edge_edits.added(edits))
    mirror_access.put_access(session, id_, person.access)
    mirror_access.put_credentials(session, id_, person.credentials)
    remember(session, changes.PERSON, person.uid, snapshot, person.version)
    if edits and (there := find(session, person.uid)) is not None:
        unneeded += edge_edits.redo(session, there, edits)
    return unneeded


def values_of(person: MirroredPerson) -> dict[str, Any]:
    """A person's own columns, besides the uid."""
    values = {
        "first_name": person.first_name,
        "last_name": person.last_name,
        "personnel_code": person.personnel_code,
        "department": person.department,
        "position": person.position,
        "is_active": person.is_active,
        "leaves_on": person.leaves_on,
        "extended_unlock": person.extended_unlock,
    }
    search = persons.fold(" ".join(str(v) for v in list(values.values())[:5] if v))
    return {**values, "search": search}


def values_of_enrollment(told: CarriedEnrollment) -> dict[str, Any]:
    """An enrollment's own columns, besides uid and person."""
    return {
        "model": told.model,
        "confidence_score": told.confidence,
        "is_active": told.is_active,
        "face_encoding_path": told.encoding_path,
        "face_image_path": told.image_path,
    }


def drop(session: Session, uid: str) -> list[str]:
    """Let go of a person whom this gate does not carry any more; the files that nobody needs.

    Who was never given by the hub stays. Of who has passed here the name stays for the log, without
    photos, templates, groups, and switched off.
    """
    if not forget(session, changes.PERSON, uid) or (person := find(session, uid)) is None:
        return []
    return _let_go(session, person)


def _let_go(session: Session, person: Person) -> list[str]:
    if not _is_named(session, person.id):
        return persons.delete(session, person.id)
    return _strip(session, person.id)


def erase(session: Session, journal: Journal, at: Instant, uid: str) -> list[str]:
    """Forget a person for ever, here as on the hub; the files that nobody needs."""
    forget(session, changes.PERSON, uid)
    journal.erase_person(session, at, uid, "erased on the hub")
    person = find(session, uid)
    if person is None:
        return []
    try:
        return persons.delete(session, person.id)
    except Conflict:
        # the last administrator of this gate: name and account have to do until there is another
        return _strip(session, person.id)


def behind(session: Session, snapshot: int) -> list[tuple[str, str]]:
    """(kind, uid) of what the hub gave once and did not name in this snapshot."""
    old = sa.select(mirrored.c.kind, mirrored.c.uid).where(mirrored.c.snapshot < snapshot)
    return [(row.kind, row.uid) for row in session.execute(old)]


def remember(
    session: Session, kind: str, uid: str, snapshot: int, version: int | None = None
) -> None:
    """Note that the hub has given a thing, in this snapshot or since."""
    moved = sa.update(mirrored).where(mirrored.c.kind == kind, mirrored.c.uid == uid)
    named = moved.values(snapshot=snapshot, version=version).returning(mirrored.c.uid)
    if session.execute(named).first() is None:
        given = {"kind": kind, "uid": uid, "snapshot": snapshot, "version": version}
        session.execute(sa.insert(mirrored).values(given))


def forget(session: Session, kind: str, uid: str) -> bool:
    """Note that a thing is not the hub's any more; whether it was."""
    gone = sa.delete(mirrored).where(mirrored.c.kind == kind, mirrored.c.uid == uid)
    return session.execute(gone.returning(mirrored.c.uid)).first() is not None


def is_from_hub(session: Session, kind: str, uid: str) -> bool:
    """Whether the hub has given a thing."""
    return rows.one(session, mirrored, [mirrored.c.uid], kind=kind, uid=uid) is not None


def has_hub(session: Session) -> bool:
    """Whether this gate belongs to a hub."""
    return settings.get(session, MEMBERSHIP) is not None


def belongs_to_hub(session: Session, kind: str, uid: str) -> bool:
    """Whether a thing is changed on the hub and not here: given by it, or made for it by an edit.

    After leaving the hub all is the gate's own.
    """
    if not has_hub(session):
        return False
    edited = kind == changes.PERSON and edge_edits.is_new(session, uid)
    return edited or is_from_hub(session, kind, uid)


def require_own(session: Session, kind: str, uid: str, what: str) -> None:
    """BelongsToHub for a thing, called `what`, that is the hub's."""
    if belongs_to_hub(session, kind, uid):
        raise BelongsToHub(what)


def version(session: Session, uid: str) -> int:
    """The version of a person on the hub that this gate was told of; 0 for who is new."""
    row = rows.one(session, mirrored, [mirrored.c.version], kind=changes.PERSON, uid=uid)
    return row.version or 0 if row else 0


def let_go(session: Session, uid: str) -> list[str]:
    """Let go of a person whom the hub did not accept; the files that nobody needs."""
    person = find(session, uid)
    return [] if person is None else _let_go(session, person)


def put_group(session: Session, uid: str, name: str, snapshot: int) -> int:
    """Let a group be as told; returns its id."""
    remember(session, changes.GROUP, uid, snapshot)
    return _group(session, uid, name)


def drop_group(session: Session, uid: str) -> None:
    """Remove a group that the hub gave and does not give any more."""
    if not forget(session, changes.GROUP, uid):
        return
    id_ = session.execute(sa.select(groups_table.c.id).where(groups_table.c.uid == uid)).scalar()
    if id_ is not None:
        groups.delete(session, id_)


def put_operator(session: Session, told: MirroredOperator, snapshot: int) -> None:
    """Let an operator of the hub work here as told; another key ends the sessions."""
    remember(session, changes.OPERATOR, told.uid, snapshot)
    account = accounts_.by_uid(session, told.uid)
    if account is None:
        name = _free_name(session, told)
        account = accounts_.add(session, name, "operator", NO_PASSWORD, uid=told.uid)
    before = editors.find(session, account.id)
    ids = [carried_group(session, uid, name, snapshot) for uid, name in told.groups.items()]
    editors.put(
        session, account.id, ids, everyone=told.everyone, from_hub=True, at_once=told.at_once
    )
    if before is None or before.public_key != told.public_key:
        editors.set_key(session, account.id, (told.salt, told.public_key))
        accounts_.touch(session, account.id)


def drop_operator(session: Session, uid: str) -> None:
    """Remove an operator whom the hub does not let work here any more; sessions end."""
    gone = forget(session, changes.OPERATOR, uid)
    account = accounts_.by_uid(session, uid) if gone else None
    if account is not None:
        accounts_.delete(session, account.id)


def drop_operators(session: Session) -> None:
    """Remove all operators of the hub."""
    for editor in editors.list_(session):
        if editor.from_hub:
            drop_operator(session, editor.uid)


def _free_name(session: Session, told: MirroredOperator) -> str:
    """The operator's own name, unless an account of this gate has it."""
    names = (told.username, f"{told.username}@hub")
    free = (n for n in names if accounts_.by_username(session, n) is None)
    return next(free, f"{told.username}@{told.uid}")


def _adopt(session: Session, person: MirroredPerson) -> Person | None:
    """Who was added here before the hub told of them, by personnel code: the hub's uid holds."""
    own = persons.by_code(session, person.personnel_code)
    if own is None or is_from_hub(session, changes.PERSON, own.uid):
        return None
    rows.change(session, persons_table, own.id, uid=person.uid)
    return own


def _free_code(session: Session, person: MirroredPerson) -> None:
    """A code may pass from one person to another; the other one is told of later."""
    other = persons.by_code(session, person.personnel_code)
    if other is not None and other.uid != person.uid:
        rows.change(
            session, persons_table, other.id, personnel_code=f"{other.personnel_code}~{other.uid}"
        )


def _put_groups(session: Session, person_id: int, wanted: Mapping[str, str], snapshot: int) -> None:
    member = group_members.c
    session.execute(sa.delete(group_members).where(member.person_id == person_id))
    ids = sorted({carried_group(session, uid, name, snapshot) for uid, name in wanted.items()})
    if ids:
        session.execute(
            sa.insert(group_members), [{"group_id": g, "person_id": person_id} for g in ids]
        )


def carried_group(session: Session, uid: str, name: str, snapshot: int) -> int:
    """The id of a group; one whose rules were not told of yet opens nothing until then."""
    known = is_from_hub(session, changes.GROUP, uid)
    id_ = put_group(session, uid, name, snapshot)
    if not known:
        access.set_rules_of_group(session, id_, [GroupRule(access.ELSEWHERE)])
    return id_


def _group(session: Session, uid: str, name: str) -> int:
    """The id of a group, that is made, renamed, or found by its name."""
    g = groups_table.c
    key = name.casefold()
    row = session.execute(sa.select(g.id, g.name).where(g.uid == uid)).first()
    named = session.execute(sa.select(g.id).where(g.name_key == key)).scalar()
    if named is not None and (row is None or named != row.id):
        if row is None:
            rows.change(session, groups_table, named, uid=uid, name=name)
            return int(named)
        # a name may pass from one group to another; the other one is told of later
        rows.change(session, groups_table, named, name=f"{name}~{named}", name_key=f"{key}~{named}")
    if row is None:
        return rows.insert(session, groups_table, uid=uid, name=name, name_key=key)
    if row.name != name:
        rows.change(session, groups_table, row.id, name=name, name_key=key)
    return int(row.id)


def _put_enrollments(
    session: Session,
    person_id: int,
    wanted: Sequence[CarriedEnrollment],
    kept: Collection[str] = (),
) -> list[str]:
    e = enrollments_table.c
    told = {w.uid for w in wanted}
    known = enrollments_.list_(session, person_id=person_id)
    there = {x.uid: x for x in known if x.uid in told or x.uid not in kept}
    needed = {p for w in wanted for p in (w.encoding_path, w.image_path) if p}
    unneeded = [p for x in there.values() for p in x.files if p not in needed]
    gone = [x.id for uid, x in there.items() if uid not in told]
    session.execute(sa.delete(enrollments_table).where(e.id.in_(gone)))
    for w in wanted:
        values = {"person_id": person_id, **values_of_enrollment(w)}
        if w.uid in there:
            rows.change(session, enrollments_table, there[w.uid].id, **values)
        else:
            rows.insert(session, enrollments_table, uid=w.uid, quality={}, **values)
    return unneeded


def _is_named(session: Session, id_: int) -> bool:
    """Whether something here cannot do without the person."""
    for table in (attendance_logs, accounts):
        if rows.one(session, table, [table.c.id], person_id=id_) is not None:
            return True
    return False


def _strip(session: Session, id_: int) -> list[str]:
    unneeded = _put_enrollments(session, id_, ())
    for owned in (consents, group_members, person_access, credentials):
        session.execute(sa.delete(owned).where(owned.c.person_id == id_))
    bare = {"is_active": False, "department": None, "position": None, "email": None}
    rows.change(session, persons_table, id_, **bare, email_key=None, phone=None)
    touch_gallery(session)
    touch_rules(session)
    return unneeded
