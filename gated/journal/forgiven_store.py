"""Finds in the journal who was forgiven by anti-passback: they count as outside since then."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.core.attendance import Forgiven
from gated.core.chain import microseconds
from gated.database.tables import gates, journal, journal_private, persons, sync_chains
from gated.journal.proven import Proof
from gated.journal.pruned_ranges import split
from gated.journal.stored_object import object_in

KIND = "presence_forgiven"


def forgiven(session: Session, since: datetime, *, own: bool = False) -> dict[int | None, float]:
    """Return person id (None: everybody) -> UTC seconds of the last forgiving at or after `since`.

    own: without rows that gates have sent to their hub. Forgiving by time is not included: it
    follows from the rules.
    """
    whose = journal.c.chain.not_in(sa.select(sync_chains.c.chain)) if own else sa.true()
    found = _found(session, since, whose)
    # a gate has other ids than its hub
    return {id_: at for _, _, at, uid, id_ in found if uid is None or id_ is not None}


def forgiven_rows(session: Session, since: datetime, proof: Proof) -> list[Forgiven]:
    """Return the forgivings in this gate's own journal, each with its epoch and row.

    Includes those that an unset clock has dated. proof: a row counts only if it holds.
    """
    own = journal.c.chain.not_in(sa.select(sync_chains.c.chain))
    return [
        Forgiven(id_, at, (split(chain)[1], seq))
        for chain, seq, at, uid, id_ in _found(session, since, own, any_clock=True)
        if (uid is None or id_ is not None) and proof(session, chain, seq)
    ]


def forgiven_at(
    session: Session, site: str, since: datetime, *, own: bool
) -> dict[tuple[str, str], float]:
    """Return (device, uid; empty: everybody) -> UTC seconds, of the gates of a site, on the hub.

    device: uid of the journal whose clock has dated it. own: includes rows of the hub's own
    journal.
    """
    sent = sa.select(sync_chains.c.chain).join(gates, gates.c.id == sync_chains.c.gate_id)
    there: sa.ColumnElement[bool] = journal.c.chain.in_(sent.where(gates.c.site == site))
    if own:
        there = sa.or_(there, journal.c.chain.not_in(sa.select(sync_chains.c.chain)))
    return {
        (chain.rpartition("/")[0], uid or ""): at
        for chain, _, at, uid, id_ in _found(session, since, there)
        if uid is None or id_ is not None
    }


def _found(
    session: Session, since: datetime, where: sa.ColumnElement[bool], any_clock: bool = False
) -> Iterator[tuple[str, int, float, str | None, int | None]]:
    """Yield (chain, seq, UTC seconds, uid, id) of each forgiving; uid None: everybody, id None:
    unknown.

    any_clock: includes those that an unset clock has dated before `since`.
    """
    late: sa.ColumnElement[bool] = journal.c.at_utc >= microseconds(since)
    if any_clock:
        late = sa.or_(late, journal.c.clock_ok.is_(False))
    row, whom = journal.c, journal_private.c
    subject = sa.and_(whom.chain == row.chain, whom.seq == row.seq, whom.role == "subject")
    found = session.execute(
        sa.select(row.chain, row.seq, row.at_utc, row.body, whom.uid, persons.c.id)
        .join_from(journal, journal_private, subject, isouter=True)
        .outerjoin(persons, persons.c.uid == whom.uid)
        .where(row.kind == KIND, late, where)
        .order_by(row.at_utc)
    )
    for chain, seq, at_us, body, uid, id_ in found.all():
        everybody = object_in(body).get("everybody") is True
        if type(at_us) is int and (everybody or uid is not None):
            yield chain, seq, at_us / 1e6, None if everybody else uid, None if everybody else id_
