"""Measures how fast a journal is verified, compared with just reading the same rows."""

from __future__ import annotations

import hashlib
import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa

from gated.core.messages import Decision
from gated.core.values import Instant, Outcome, PersonRef, Reason
from gated.database.engine import Database
from gated.database.tables import journal_seal
from gated.journal.chain_tip import Head
from gated.journal.journal import Entry, Journal, decision_entry
from gated.people import person_store
from gated.vault.sealing import Keys, load_keys

ROWS = 50_000
AT_ONCE = 1000
PEOPLE = 20
TABLES = ("journal", "journal_private", "journal_seal", "attendance_logs")


def measure_log(progress: Callable[[str], None], rows: int = ROWS) -> dict[str, Any]:
    """Measure rows a second of `gated journal verify`.

    ratio: CPU time divided by that of reading every value once, with one SHA-256 over all. Each row
    has a seal, as on a gate where people come one at a time.
    """
    progress(f"a journal of {rows} rows")
    with TemporaryDirectory() as name:
        folder = Path(name)
        keys, file = load_keys(folder, environ={}), folder / "attendance.db"
        database = Database.open(f"sqlite:///{file}")
        try:
            database.upgrade()
            journal = Journal(database, keys.signer, folder / "journal.head")
            _fill(journal, keys, rows)
            bare_s = min(_bare_reading(file) for _ in range(2))
            verify_s = min(_verified(journal) for _ in range(2))
        finally:
            database.close()
    return {
        "rows": rows,
        "rows_a_second": round(rows / verify_s),
        "ratio": round(verify_s / bare_s, 2),
    }


def _fill(journal: Journal, keys: Keys, rows: int) -> None:
    chance = random.Random(1)  # noqa: S311
    with journal.db.write() as session:
        people = [
            person_store.add(session, personnel_code=f"P-{i}", first_name="A", last_name="B")
            for i in range(PEOPLE)
        ]
    refs = [PersonRef(p.id, p.uid, p.personnel_code, "A B") for p in people]
    for start in range(0, rows, AT_ONCE):
        entries = [_entry(chance, refs, start + i) for i in range(min(AT_ONCE, rows - start))]
        with journal.db.write() as session:
            receipts = journal.append(entries, session)[:-1]
            ends = [Head(r.chain, r.seq, r.hash) for r in receipts]
            seals = [
                {**e.as_dict(), "signature": keys.signer.sign(e.message()).hex()} for e in ends
            ]
            session.execute(sa.insert(journal_seal), seals)


def _entry(chance: random.Random, refs: list[PersonRef], number: int) -> Entry:
    """Make a random entry: of ten six are passages (one a stranger's), the others door and acts."""
    at, kind = Instant(float(number), 1.79e9 + number), chance.random()
    if kind < 0.6:
        person = chance.choice(refs) if kind < 0.5 else None
        outcome = Outcome.GRANTED if person else Outcome.DENIED
        reason = Reason.GRANTED if person else Reason.NO_MATCH
        decision = Decision(at, outcome, reason, person, confidence=0.9, visit=number)
        return decision_entry(decision, "front door", "camera", "site")
    if kind < 0.8:
        return Entry(at, "door_opened", {"gate": "front door"})
    return Entry(at, "signed_in", {}, {"actor": {"name": "admin", "address": "192.0.2.1"}})


def _bare_reading(file: Path) -> float:
    """Return the seconds of CPU to read every value once, with one SHA-256 over all."""
    digest, begun = hashlib.sha256(), time.process_time()
    connection = sqlite3.connect(file)
    try:
        for table in TABLES:
            for row in connection.execute(f"SELECT * FROM {table}"):  # noqa: S608
                digest.update(repr(row).encode())
    finally:
        connection.close()
    return time.process_time() - begun


def _verified(journal: Journal) -> float:
    begun = time.process_time()
    found = journal.verify()
    if not found.ok:
        raise RuntimeError(f"the journal of the measurement is not whole: {found.first_problem}")
    return time.process_time() - begun
