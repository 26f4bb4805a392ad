"""Operators who may edit people at gates: defined on the hub, received from it on a gate."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.database import change_feed
from gated.database.tables import accounts, editor_groups, editors, gate_groups, groups, persons

if TYPE_CHECKING:
    from gated.database.records import GateRow

PENDING, AT_ONCE = "pending", "at_once"
"""The effect of an edit at its gate before the hub accepts it: none, or all of it."""


@dataclass(frozen=True, slots=True)
class Editor:
    """An operator at gates. groups: uid -> name, whose members they may edit, unless `everyone`.

    salt, public_key (hex): None until the password was seen once. at_once: of this gate.
    """

    account_id: int
    uid: str
    username: str
    everyone: bool
    salt: str | None
    public_key: str | None
    from_hub: bool
    at_once: bool
    groups: Mapping[str, str]

    def may_edit(self, theirs: Collection[str]) -> bool:
        """Return whether the account may edit a person in these groups (uids)."""
        return self.everyone or not self.groups.keys().isdisjoint(theirs)


def put(
    session: Session,
    account_id: int,
    group_ids: Sequence[int],
    *,
    everyone: bool,
    from_hub: bool = False,
    at_once: bool = False,
) -> None:
    """Let an account edit at gates, these people and no others; a key that it has stays."""
    values = {"everyone": everyone, "from_hub": from_hub, "at_once": at_once}
    own = editors.c.account_id == account_id
    changed = sa.update(editors).where(own).values(**values).returning(editors.c.account_id)
    if session.execute(changed).first() is None:
        session.execute(sa.insert(editors).values(account_id=account_id, **values))
    session.execute(sa.delete(editor_groups).where(editor_groups.c.account_id == account_id))
    if group_ids:
        rows = [{"account_id": account_id, "group_id": g} for g in sorted(set(group_ids))]
        session.execute(sa.insert(editor_groups), rows)
    note(session, account_id)


def set_key(session: Session, account_id: int, key: tuple[str, str] | None) -> None:
    """Store (salt, public key) of an operator, or that there is none; nothing for others."""
    note(session, account_id)
    salt, public = key or (None, None)
    own = sa.update(editors).where(editors.c.account_id == account_id)
    session.execute(own.values(salt=salt, public_key=public))


def remove(session: Session, account_id: int) -> None:
    """Let an account edit at gates no more."""
    note(session, account_id)
    for table in (editor_groups, editors):
        session.execute(sa.delete(table).where(table.c.account_id == account_id))


def note(session: Session, account_id: int) -> None:
    """Tell the gates that an operator changed; nothing for others."""
    own = sa.select(accounts.c.uid).join(editors, editors.c.account_id == accounts.c.id)
    uid = session.execute(own.where(accounts.c.id == account_id)).scalar()
    if uid is not None:
        change_feed.note(session, change_feed.OPERATOR, [uid])


def note_group(session: Session, group_id: int) -> None:
    """Tell the gates that what operators may do with a group changed."""
    theirs = sa.select(editor_groups.c.account_id).where(editor_groups.c.group_id == group_id)
    for account_id in session.execute(theirs).scalars().all():
        note(session, account_id)


def note_person(session: Session, person_id: int) -> None:
    """Tell the gates that the operator who is this person was switched on or off."""
    theirs = sa.select(accounts.c.id).where(accounts.c.person_id == person_id)
    for account_id in session.execute(theirs).scalars().all():
        note(session, account_id)


def find(session: Session, account_id: int) -> Editor | None:
    """Find what an account may do at gates; None when it is no operator at gates."""
    return next(iter(_editors(session, editors.c.account_id == account_id)), None)


def by_uid(session: Session, uid: str) -> Editor | None:
    """The operator whose account has this uid and may sign in; None for others."""
    return next(iter(_editors(session, accounts.c.uid == uid, *_ACTIVE)), None)


def list_(session: Session) -> list[Editor]:
    """All by name."""
    return _editors(session)


def of_gate(session: Session, gate: GateRow, uids: Sequence[str] | None) -> list[Editor]:
    """Those who may work at a gate, all or some, with as much of their right as counts there."""
    if gate.edits not in (PENDING, AT_ONCE):
        return []
    known = (editors.c.public_key.is_not(None), ~editors.c.from_hub, *_ACTIVE)
    wanted = () if uids is None else (accounts.c.uid.in_(uids),)
    carried = None if gate.everyone else _carried(session, gate)
    there = (within(e, carried) for e in _editors(session, *known, *wanted))
    return [e for e in there if e.everyone or e.groups]


def within(editor: Editor, carried: Mapping[str, str] | None) -> Editor:
    """Limit a right to a gate that carries these groups; None: the gate carries everybody."""
    if carried is None:
        return editor
    theirs = carried if editor.everyone else editor.groups
    left = {uid: name for uid, name in theirs.items() if uid in carried}
    return replace(editor, everyone=False, groups=left)


def at_gate(session: Session, gate: GateRow, uid: str) -> Editor | None:
    """An operator who may work at a gate, by uid; None for others."""
    return next(iter(of_gate(session, gate, [uid])), None)


def _carried(session: Session, gate: GateRow) -> dict[str, str]:
    found = sa.select(groups.c.uid, groups.c.name).join(
        gate_groups, gate_groups.c.group_id == groups.c.id
    )
    rows = session.execute(found.where(gate_groups.c.gate_id == gate.id))
    return {row.uid: row.name for row in rows}


_ACTIVE = (
    accounts.c.is_active,
    sa.or_(
        accounts.c.person_id.is_(None),
        accounts.c.person_id.in_(sa.select(persons.c.id).where(persons.c.is_active)),
    ),
)


def _editors(session: Session, *wanted: sa.ColumnElement[bool]) -> list[Editor]:
    e = editors.c
    found = (
        sa.select(
            *(e.account_id, accounts.c.uid, accounts.c.username),
            *(e.everyone, e.salt, e.public_key, e.from_hub, e.at_once),
        )
        .join(accounts, accounts.c.id == e.account_id)
        .where(*wanted)
        .order_by(accounts.c.username_key)
    )
    rows = session.execute(found).all()
    theirs = _groups_of(session, [row.account_id for row in rows])
    return [Editor(**row._mapping, groups=theirs.get(row.account_id, {})) for row in rows]


def _groups_of(session: Session, account_ids: Sequence[int]) -> dict[int, dict[str, str]]:
    member = editor_groups.c
    found = (
        sa.select(member.account_id, groups.c.uid, groups.c.name)
        .join(groups, groups.c.id == member.group_id)
        .where(member.account_id.in_(account_ids))
        .order_by(groups.c.name_key)
    )
    theirs: dict[int, dict[str, str]] = {}
    for account_id, uid, name in session.execute(found):
        theirs.setdefault(account_id, {})[uid] = name
    return theirs
