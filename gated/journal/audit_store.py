"""Reads the audit log: the journal's rows with an actor, newest first."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.core.chain import microseconds
from gated.database.rows import in_parts
from gated.database.tables import AUDITED, journal, journal_private
from gated.journal.stored_object import moment_in, shown_object_in

Place = tuple[int, str, int]
"""(at_utc, chain, seq) of the last row of the page before."""

LATEST = (1 << 63) - 1
"""The highest time of a row. On SQLite a value that is no number compares as higher."""


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One act: actor, kind, time and subject; `actor` and `subject` are None when absent or
    erased."""

    chain: str
    seq: int
    at: datetime
    kind: str
    body: Mapping[str, Any]
    actor: Mapping[str, Any] | None
    subject: Mapping[str, Any] | None
    place: Place
    """The cursor after this row, for the next page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """The acts to select, at or after `from_` and before `to`."""

    kind: str | None = None
    actor: str | None = None
    subject_uid: str | None = None
    from_: datetime | None = None
    to: datetime | None = None


def list_(
    session: Session, wanted: AuditFilter, *, after: Place | None = None, limit: int
) -> list[AuditRow]:
    """Return a page of acts, newest first."""
    row = journal.c
    conditions: list[sa.ColumnElement[bool]] = [
        sa.text(AUDITED),  # type: ignore[list-item]
        row.commits.contains('"actor"'),
    ]
    if wanted.kind is not None:
        conditions.append(row.kind == wanted.kind)
    if wanted.from_ is not None:
        conditions.append(row.at_utc >= microseconds(wanted.from_))
    if wanted.to is not None:
        conditions.append(row.at_utc < microseconds(wanted.to))
    if after is not None:
        place = sa.tuple_(*map(sa.literal, after, (row.at_utc.type, row.chain.type, row.seq.type)))
        conditions.append(sa.tuple_(row.at_utc, row.chain, row.seq) < place)
    if wanted.actor is not None:
        name = '"name":' + json.dumps(wanted.actor)
        conditions.append(_has_private("actor", _holds(session, name)))
    if wanted.subject_uid is not None:
        conditions.append(_has_private("subject", journal_private.c.uid == wanted.subject_uid))
    newest = (row.at_utc.desc(), row.chain.desc(), row.seq.desc())
    statement = sa.select(journal).where(*conditions).order_by(*newest).limit(limit)
    return _with_private(session, session.execute(statement).all())


def about(session: Session, uid: str) -> list[AuditRow]:
    """Return every row in which the person with this uid is actor or subject, oldest first."""
    row, private = journal.c, journal_private.c
    mine = (private.chain == row.chain) & (private.seq == row.seq) & (private.uid == uid)
    statement = (
        sa.select(journal).where(sa.exists().where(mine)).order_by(row.at_utc, row.chain, row.seq)
    )
    return _with_private(session, session.execute(statement).all())


def _has_private(role: str, condition: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    row, private = journal.c, journal_private.c
    same = (private.chain == row.chain) & (private.seq == row.seq) & (private.role == role)
    return sa.exists().where(same, condition)


def _holds(session: Session, text: str) -> sa.ColumnElement[bool]:
    """Match payloads that hold the text; LIKE would ignore case on SQLite."""
    found = "instr" if session.get_bind().dialect.name == "sqlite" else "strpos"
    place: sa.ColumnElement[int] = getattr(sa.func, found)(journal_private.c.payload, text)
    return place > 0


def _with_private(session: Session, rows: Sequence[Any]) -> list[AuditRow]:
    private = journal_private.c
    payloads: dict[tuple[str, int, str], Any] = {}
    for chain in {r.chain for r in rows}:
        seqs = [r.seq for r in rows if r.chain == chain]
        for part in in_parts(seqs):
            some = sa.select(journal_private).where(private.chain == chain, private.seq.in_(part))
            payloads |= {
                (p.chain, p.seq, p.role): shown_object_in(p.payload) for p in session.execute(some)
            }
    return [
        AuditRow(
            r.chain,
            r.seq,
            moment_in(r.at_utc),
            r.kind,
            shown_object_in(r.body),
            payloads.get((r.chain, r.seq, "actor")),
            payloads.get((r.chain, r.seq, "subject")),
            (r.at_utc if type(r.at_utc) is int else LATEST, r.chain, r.seq),
        )
        for r in rows
    ]
