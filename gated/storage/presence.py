"""Who was forgiven, as the journal tells: they count as outside whatever the log said before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.core.chain import microseconds
from gated.storage.tables import gates, journal, journal_private, sync_chains

KIND = "presence_forgiven"


def forgiven(session: Session, since: datetime, *, own: bool = False) -> dict[int | None, float]:
    """Person id (None: everybody) -> UTC seconds of the last forgiving at or after `since`.

    own: without what gates have sent to their hub. What the rules forgive by time is left out: it
    follows from the rules.
    """
    whose = journal.c.chain.not_in(sa.select(sync_chains.c.chain)) if own else sa.true()
    told: dict[int | None, float] = {}
    for _, at, payload in _found(session, since, whose):
        told[None if payload is None else json.loads(payload)["person_id"]] = at
    return told


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
        (chain.rpartition("/")[0], "" if payload is None else json.loads(payload)["uid"]): at
        for chain, at, payload in _found(session, since, there)
    }


def _found(
    session: Session, since: datetime, where: sa.ColumnElement[bool]
) -> Iterator[tuple[str, float, str | None]]:
    row, whom = journal.c, journal_private.c
    subject = sa.and_(whom.chain == row.chain, whom.seq == row.seq, whom.role == "subject")
    found = session.execute(
        sa.select(row.chain, row.at_utc, row.body, whom.payload)
        .join_from(journal, journal_private, subject, isouter=True)
        .where(row.kind == KIND, row.at_utc >= microseconds(since), where)
        .order_by(row.at_utc)
    )
    for chain, at_us, body, payload in found:
        if payload is not None or json.loads(body)["everybody"]:
            yield chain, at_us / 1e6, payload
