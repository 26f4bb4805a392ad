"""The gates of a hub: what each is for, by which keys it is known, and when it was heard of."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from gated.access.site_store import sites_with_gates
from gated.core.text import clean_text, code_key, search_key, sort_key
from gated.database import rows
from gated.database.records import GateRow, columns_of, record
from gated.database.tables import accounts, gate_groups, gates, groups
from gated.errors import Conflict, NotFound, Taken
from gated.people import group_store as groups_

_COLUMN_NAMES = frozenset(c.name for c in gates.columns)


_COLUMNS = columns_of(GateRow, gates)


def add(session: Session, name: str, site: str, **values: Any) -> GateRow:
    """Add a gate; Conflict when the name is taken in any spelling, TextRefused.

    A site that another gate stands at keeps the spelling that it has.
    """
    name, site = clean_text(name, "name"), _site(session, site)
    try:
        id_ = rows.insert(session, gates, name=name, name_key=code_key(name), site=site, **values)
    except IntegrityError as e:
        raise Taken(f"there is already a gate {name}") from e
    return get(session, id_)


def get(session: Session, id_: int) -> GateRow:
    """The gate with this id, or NotFound."""
    row = rows.one(session, gates, _COLUMNS, id=id_)
    if row is None:
        raise NotFound(f"there is no gate {id_}")
    return record(GateRow, row)


def by_name(session: Session, name: str) -> GateRow:
    """The gate of this name in any spelling, or NotFound."""
    row = rows.one(session, gates, _COLUMNS, name=name)
    row = row or rows.one(session, gates, _COLUMNS, name_key=code_key(name))
    if row is None:
        raise NotFound(f"there is no gate {name}")
    return record(GateRow, row)


def by_token_digest(session: Session, digest: str) -> GateRow | None:
    """The gate whose token has this digest and is good, or None."""
    held = sa.select(*_COLUMNS).join(accounts, accounts.c.id == gates.c.account_id)
    good = accounts.c.token_digest == digest, accounts.c.is_active
    row = session.execute(held.where(*good)).first()
    return None if row is None else record(GateRow, row)


def by_invite(session: Session, invite: str, *, locked: bool = True) -> tuple[GateRow, str] | None:
    """The gate with this open invitation and the key of its code; None without.

    locked: until the end of the transaction, which must be one that writes.
    """
    wanted = sa.select(*_COLUMNS, gates.c.invite_key).where(gates.c.invite == invite)
    row = session.execute(wanted.with_for_update() if locked else wanted).first()
    return None if row is None else (record(GateRow, row[:-1]), row.invite_key)  # type: ignore[arg-type]


def any_(session: Session, site: str | None = None) -> bool:
    """Return whether there is a gate, joined or not, anywhere or at a site."""
    found = sa.select(gates.c.id).limit(1)
    found = found if site is None else found.where(gates.c.site == site)
    return session.scalar(found) is not None


def list_(session: Session) -> list[GateRow]:
    """All gates by name."""
    found = [record(GateRow, r) for r in session.execute(sa.select(*_COLUMNS))]
    return sorted(found, key=lambda g: (sort_key(g.name), g.id))


def sites_like(session: Session, name: str) -> set[str]:
    """The sites of this name, however it is spelt."""
    return {s for s in sites_with_gates(session) if code_key(s) == code_key(name)}


def _site(session: Session, name: str, id_: int | None = None) -> str:
    """The name of a site as the other gates there have it; TextRefused."""
    name = clean_text(name, "site")
    elsewhere = sa.select(gates.c.site).where(gates.c.id != id_ if id_ else sa.true())
    known = session.execute(elsewhere.distinct().order_by(gates.c.site)).scalars().all()
    same = (s for s in known if code_key(s) == code_key(name))
    return name if name in known else next(same, name)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A choice of gates to list. state: of the gate, or `silent` (joined, and not heard since
    `silent_before`), or `troubled` (joined, with alarms or problems). q: part of a name, in any
    spelling and without accents."""

    state: str | None = None
    sites: Collection[str] | None = None
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
        if self.sites is not None:
            found.append(g.site.in_(self.sites))
        if self.q is not None:
            found.append(g.search.contains(search_key(self.q), autoescape=True))
        return found


SORTS = ("name", "site", "seen_at")


def page(
    session: Session, wanted: Wanted, sort: str, limit: int | None, offset: int
) -> tuple[list[GateRow], int]:
    """A page of gates, and how many there are. sort: one of `SORTS`, `-` before it: descending."""
    name = sort.removeprefix("-")
    column = gates.c["search" if name == "name" else name]
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
    before = get(session, id_)
    if "name" in changes:
        name = changes["name"] = clean_text(changes["name"], "name")
        changes["search"] = search_key(name)
        if code_key(name) != code_key(before.name):
            changes["name_key"] = code_key(name)
    if "site" in changes:
        changes["site"] = _site(session, changes["site"], id_)
    try:
        rows.change(session, gates, id_, **changes)
    except IntegrityError as e:
        raise Conflict("another gate has this name, or has joined with this device") from e
    return get(session, id_)


def heard(session: Session, id_: int, **values: Any) -> None:
    """Store the report of a gate; this is no new version of it."""
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


def set_groups(session: Session, id_: int, names: Sequence[str]) -> bool:
    """Let a gate carry these groups and no others; return whether it carried others.

    NotFound for one that does not exist.
    """
    wanted, c = groups_.ids(session, names), gate_groups.c
    before = session.execute(sa.select(c.group_id).where(c.gate_id == id_)).scalars().all()
    if set(before) == set(wanted):
        return False
    session.execute(sa.delete(gate_groups).where(gate_groups.c.gate_id == id_))
    if wanted:
        session.execute(sa.insert(gate_groups), [{"gate_id": id_, "group_id": g} for g in wanted])
    return True
