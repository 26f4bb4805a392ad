"""Who was forgiven, as the journal tells: they count as outside whatever the log said before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.core.chain import microseconds
from gated.storage.tables import gates, journal, journal_private, persons, sync_chains

KIND = "presence_forgiven"


def forgiven(session: Session, since: datetime, *, own: bool = False) -> dict[int | None, float]:
    """Person id (None: everybody) -> UTC seconds of the last forgiving at or after `since`.

    own: without what gates have sent to their hub. What the rules forgive by time is left out: it
    follows from the rules.
    """
    whose = journal.c.chain.not_in(sa.select(sync_chains.c.chain)) if own else sa.true()
    found = _found(session, since, whose)
    # a gate has other ids than its hub
    return {id_: at for _, at, uid, id_ in found if uid is None or id_ is not None}


def forgiven_at(
    session: Session, site: str, since: datetime, *, own: bool
) -> dict[tuple[str, str], float]:
    """(device, uid; empty: everybody) -> UTC seconds, the same of the gates of a site, on the hub.

    device: uid of the journal, by whose clock it was. own: with what the hub recorded itself.
    """
    sent = sa.select(sync_chains.c.chain).join(gates, gates.c.id == sync_chains.c.gate_id)
    there: sa.ColumnElement[bool] = journal.c.chain.in_(sent.where(gates.c.site == site))
    if own:
        there = sa.or_(there, journal.c.chain.not_in(sa.select(sync_chains.c.chain)))
    return {
        (chain.rpartition("/")[0], uid or ""): at
        for chain, at, uid, id_ in _found(session, since, there)
        if uid is None or id_ is not None
    }


def _found(
    session: Session, since: datetime, where: sa.ColumnElement[bool]
) -> Iterator[tuple[str, float, str | None, int | None]]:
    """(chain, UTC seconds, uid, id) of each forgiving; uid None: everybody, id None: unknown."""
    row, whom = journal.c, journal_private.c
    subject = sa.and_(whom.chain == row.chain, whom.seq == row.seq, whom.role == "subject")
    found = session.execute(
        sa.select(row.chain, row.at_utc, row.body, whom.uid, persons.c.id)
        .join_from(journal, journal_private, subject, isouter=True)
        .outerjoin(persons, persons.c.uid == whom.uid)
        .where(row.kind == KIND, row.at_utc >= microseconds(since), where)
        .order_by(row.at_utc)
    )
    for chain, at_us, body, uid, id_ in found:
        everybody = json.loads(body).get("everybody") is True
        if everybody or uid is not None:
            yield chain, at_us / 1e6, None if everybody else uid, None if everybody else id_
