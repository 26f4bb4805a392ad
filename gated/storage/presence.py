"""Who was forgiven, as the journal tells: they count as outside whatever the log said before."""

from __future__ import annotations

import json
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.core.chain import microseconds
from gated.storage.tables import journal, journal_private

KIND = "presence_forgiven"


def forgiven(session: Session, since: datetime) -> dict[int | None, float]:
    """Person id (None: everybody) -> UTC seconds of the last forgiving at or after `since`.

    What the rules forgive by time is left out: it follows from the rules.
    """
    row, whom = journal.c, journal_private.c
    subject = sa.and_(whom.chain == row.chain, whom.seq == row.seq, whom.role == "subject")
    found = session.execute(
        sa.select(row.at_utc, row.body, whom.payload)
        .join_from(journal, journal_private, subject, isouter=True)
        .where(row.kind == KIND, row.at_utc >= microseconds(since))
        .order_by(row.at_utc)
    )
    told: dict[int | None, float] = {}
    for at_us, body, payload in found:
        if payload is not None:
            told[json.loads(payload)["person_id"]] = at_us / 1e6
        elif json.loads(body)["everybody"]:
            told[None] = at_us / 1e6
    return told
