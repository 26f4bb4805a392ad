"""Somebody who can write the database and the files, and has none of the gate's keys."""

from __future__ import annotations

import json
import secrets
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.orm import Session

from gated.core.chain import canonical, commitment, project, row_hash
from gated.database.tables import attendance_logs, journal, journal_private, journal_seal, utcnow
from gated.journal.chain_tip import Head

KEY = Ed25519PrivateKey.from_private_bytes(b"\7" * 32)
PUBLIC = KEY.public_key().public_bytes_raw().hex()

TABLES = (attendance_logs, journal_private, journal_seal, journal)


def newest(session: Session, chain: str) -> Any:
    row = sa.select(journal).where(journal.c.chain == chain).order_by(journal.c.seq.desc())
    return session.execute(row.limit(1)).one()


def forge(
    session: Session,
    chain: str,
    kind: str,
    body: dict[str, Any],
    subject: dict[str, Any] | None = None,
    *,
    sealed: bool = False,
) -> int:
    """Append a row with a right hash, projected as the gate would; its number.

    sealed: with a seal of the forger's own key, in place of none.
    """
    last = newest(session, chain)
    salt, private = secrets.token_hex(32), {"subject": subject} if subject else {}
    fields = {
        "chain": chain,
        "seq": last.seq + 1,
        "at_utc": last.at_utc - 8 * 3_600_000_000,
        "boot_id": last.boot_id,
        "mono_ns": 1,
        "clock_ok": True,
        "kind": kind,
        "body": body,
        "commits": {role: commitment(salt, told) for role, told in private.items()},
    }
    _insert(session, last.hash, fields, {r: (salt, t) for r, t in private.items()})
    if sealed:
        seal(session, Head(chain, last.seq + 1, row_hash(last.hash, fields)))
    return int(last.seq) + 1


def seal(session: Session, end: Head) -> None:
    signature = KEY.sign(end.message()).hex()
    session.execute(sa.insert(journal_seal).values(**end.as_dict(), signature=signature))


def _insert(
    session: Session,
    prev: str,
    fields: dict[str, Any],
    private: dict[str, tuple[str, dict[str, Any]]],
) -> str:
    hash_, chain, seq = row_hash(prev, fields), fields["chain"], fields["seq"]
    texts = {name: canonical(fields[name]).decode() for name in ("body", "commits")}
    session.execute(sa.insert(journal).values({**fields, **texts, "prev": prev, "hash": hash_}))
    for role, (salt, told) in private.items():
        part = {"role": role, "salt": salt, "payload": canonical(told).decode()}
        whose = {"chain": chain, "seq": seq, "uid": told.get("uid")}
        session.execute(sa.insert(journal_private).values({**part, **whose}))
    told = {role: payload for role, (_, payload) in private.items()}
    if made := project({**fields, "hash": hash_}, told):
        session.execute(sa.insert(attendance_logs).values({**made, "recorded_at": utcnow()}))
    return hash_


def rewrite(session: Session, chain: str, drop: frozenset[str] = frozenset()) -> int:
    """Write a whole chain anew under the forger's key, without rows of some kinds; how many."""
    rows = session.execute(
        sa.select(journal).where(journal.c.chain == chain).order_by(journal.c.seq)
    ).all()
    parts: dict[int, dict[str, tuple[str, dict[str, Any]]]] = {}
    for p in session.execute(sa.select(journal_private).where(journal_private.c.chain == chain)):
        parts.setdefault(p.seq, {})[p.role] = (p.salt, json.loads(p.payload))
    for table in TABLES:
        session.execute(sa.delete(table).where(table.c.chain == chain))
    prev, seq = "0" * 64, 0
    for row in rows:
        if row.kind in drop:
            continue
        seq += 1
        body = json.loads(row.body)
        if row.kind == "chain_started":
            body["public_key"] = PUBLIC
        fields = {
            **{name: getattr(row, name) for name in ("chain", "boot_id", "mono_ns", "clock_ok")},
            "seq": seq,
            "at_utc": row.at_utc - 3_600_000_000,
            "kind": row.kind,
            "body": body,
            "commits": json.loads(row.commits),
        }
        prev = _insert(session, prev, fields, parts.get(row.seq, {}))
    seal(session, Head(chain, seq, prev))
    return seq


def forged_beginning(session: Session, chain: str, until: int) -> dict[int, str]:
    """Write rows 2 to `until` anew, an hour earlier, with right hashes; number -> new hash."""
    hashes: dict[int, str] = {}
    row = sa.select(journal).where(journal.c.chain == chain)
    prev = session.execute(row.where(journal.c.seq == 1)).one().hash
    names = ("chain", "seq", "boot_id", "mono_ns", "clock_ok", "kind")
    old = session.execute(row.where(journal.c.seq.between(2, until)).order_by(journal.c.seq)).all()
    for told in old:
        fields = {
            **{name: getattr(told, name) for name in names},
            "at_utc": told.at_utc - 3_600_000_000,
            "body": json.loads(told.body),
            "commits": json.loads(told.commits),
        }
        there = journal.c.chain == chain, journal.c.seq == told.seq
        hash_ = row_hash(prev, fields)
        new = {"at_utc": fields["at_utc"], "prev": prev, "hash": hash_}
        session.execute(sa.update(journal).where(*there).values(**new))
        if made := project({**fields, "hash": hash_}, {}):
            of_log = attendance_logs.c.chain == chain, attendance_logs.c.seq == told.seq
            dated = {"uid": made["uid"], "created_at": made["created_at"]}
            session.execute(sa.update(attendance_logs).where(*of_log).values(**dated))
        prev = hashes[told.seq] = hash_
    return hashes
