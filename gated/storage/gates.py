"""The gates of a hub: what each is for, by which keys it is known, and when it was heard of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from gated.errors import Conflict, NotFound
from gated.storage import groups as groups_
from gated.storage import rows
from gated.storage.records import columns_of, record
from gated.storage.tables import accounts, gate_groups, gates, groups

_COLUMN_NAMES = frozenset(c.name for c in gates.columns)


@dataclass(frozen=True, slots=True)
class GateRow:
    """One gate of the fleet; keys are public, hex; `device` names its hardware's journal."""

    id: int
    uid: str
    name: str
    site: str
    everyone: bool
    photos: bool
    edits: str
    account_id: int | None
    device: str | None
    sign_key: str | None
    seal_key: str | None
    journal_key: str | None
    invite_until: datetime | None
    joined_at: datetime | None
    revoked_at: datetime | None
    seen_at: datetime | None
    model: str | None
    status: Mapping[str, Any]
    troubled: bool
    feed: int
    cursor: int
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def state(self) -> str:
        """invited, joined, or revoked."""
        if self.account_id is not None:
            return "joined"
        return "revoked" if self.revoked_at is not None else "invited"


_COLUMNS = columns_of(GateRow, gates)


def add(session: Session, name: str, site: str, **values: Any) -> GateRow:
    """Add a gate; Conflict when the name is taken in any case."""
    try:
        id_ = rows.insert(session, gates, name=name, name_key=name.casefold(), site=site, **values)
    except IntegrityError as e:
        raise Conflict(f"there is already a gate {name}") from e
    return get(session, id_)


def get(session: Session, id_: int) -> GateRow:
    """The gate with this id, or NotFound."""
    row = rows.one(session, gates, _COLUMNS, id=id_)
    if row is None:
        raise NotFound(f"there is no gate {id_}")
    return record(GateRow, row)


def by_name(session: Session, name: str) -> GateRow:
    """The gate of this name in any case, or NotFound."""
    row = rows.one(session, gates, _COLUMNS, name_key=name.casefold())
    if row is None:
        raise NotFound(f"there is no gate {name}")
    return record(GateRow, row)


def by_token_digest(session: Session, digest: str) -> GateRow | None:
    """The gate whose token has this digest and is good, or None."""
    held = sa.select(*_COLUMNS).join(accounts, accounts.c.id == gates.c.account_id)
    good = accounts.c.token_digest == digest, accounts.c.is_active
    row = session.execute(held.where(*good)).first()
    return None if row is None else record(GateRow, row)


def by_invite(session: Session, invite: str) -> tuple[GateRow, str] | None:
    """The gate with this open invitation and the key of its code, locked; None without."""
    row = session.execute(
        sa.select(*_COLUMNS, gates.c.invite_key).where(gates.c.invite == invite).with_for_update()
    ).first()
    return None if row is None else (record(GateRow, row[:-1]), row.invite_key)  # type: ignore[arg-type]


def list_(session: Session) -> list[GateRow]:
    """All gates by name."""
    found = session.execute(sa.select(*_COLUMNS).order_by(gates.c.name_key))
    return [record(GateRow, r) for r in found]


def sites(session: Session) -> set[str]:
    """The sites at which gates stand."""
    return set(session.execute(sa.select(gates.c.site).distinct()).scalars())


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which gates to list. state: of the gate, or `silent` (joined, and not heard since
    `silent_before`), or `troubled` (joined, with alarms or problems). q: part of a name."""

    state: str | None = None
    site: str | None = None
    q: str | None = None
    silent_before: datetime | None = None

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        g = gates.c
        joined, unheard = g.account_id.is_not(None), g.seen_at.is_(None)
        by_state: dict[str, list[sa.ColumnElement[bool]]] = {
            "joined": [joined],
            "invited": [~joined, g.revoked_at.is_(None)],
            "revoked": [~joined, g.revoked_at.is_not(None)],
            "silent": [joined, unheard | (g.seen_at < self.silent_before)],
            "troubled": [joined, g.troubled],
        }
        found = list(by_state[self.state]) if self.state else []
        if self.site is not None:
            found.append(g.site == self.site)
        if self.q is not None:
            found.append(g.name_key.contains(self.q.casefold(), autoescape=True))
        return found


SORTS = ("name", "site", "seen_at")


def page(
    session: Session, wanted: Wanted, sort: str, limit: int | None, offset: int
) -> tuple[list[GateRow], int]:
    """A page of gates, and how many there are. sort: one of `SORTS`, `-` before it: descending."""
    name = sort.removeprefix("-")
    column = gates.c["name_key" if name == "name" else name]
    order = column.desc() if sort.startswith("-") else column.asc()
    # a gate that was never heard of was heard of before all others, on either engine
    order = order.nulls_last() if sort.startswith("-") else order.nulls_first()
    statement = sa.select(*_COLUMNS).where(*wanted.conditions()).order_by(order, gates.c.id)
    total = sa.select(sa.func.count()).select_from(gates).where(*wanted.conditions())
    found = session.execute(rows.page(statement, limit, offset))
    return [record(GateRow, row) for row in found], session.execute(total).scalar_one()


def by_id(session: Session, ids: Sequence[int]) -> dict[int, GateRow]:
    """Those of these gates that exist."""
    found = session.execute(sa.select(*_COLUMNS).where(gates.c.id.in_(ids)))
    return {row.id: record(GateRow, row) for row in found}


def update(session: Session, id_: int, **changes: Any) -> GateRow:
    """Change the named columns; NotFound, Conflict when name or device is another gate's."""
    if unknown := changes.keys() - _COLUMN_NAMES:
        raise ValueError(f"{', '.join(sorted(unknown))} cannot be changed")
    get(session, id_)
    if "name" in changes:
        changes["name_key"] = changes["name"].casefold()
    try:
        rows.change(session, gates, id_, **changes)
    except IntegrityError as e:
        raise Conflict("another gate has this name, or has joined with this device") from e
    return get(session, id_)


def heard(session: Session, id_: int, **values: Any) -> None:
    """Note what a gate told of itself; this is no new version of it."""
    session.execute(sa.update(gates).where(gates.c.id == id_).values(**values))


def groups_of(session: Session, ids: Sequence[int]) -> dict[int, list[str]]:
    """gate id -> the names of the groups that it carries."""
    found = (
        sa.select(gate_groups.c.gate_id, groups.c.name)
        .join(groups, groups.c.id == gate_groups.c.group_id)
        .where(gate_groups.c.gate_id.in_(ids))
        .order_by(groups.c.name_key)
    )
    names: dict[int, list[str]] = {id_: [] for id_ in ids}
    for gate_id, name in session.execute(found):
        names[gate_id].append(name)
    return names


def set_groups(session: Session, id_: int, names: Sequence[str]) -> None:
    """Let a gate carry these groups and no others; NotFound for one that does not exist."""
    wanted = groups_.ids(session, names)
    session.execute(sa.delete(gate_groups).where(gate_groups.c.gate_id == id_))
    if wanted:
        session.execute(sa.insert(gate_groups), [{"gate_id": id_, "group_id": g} for g in wanted])
