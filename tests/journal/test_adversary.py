"""Somebody without keys does something at random to the log; and nobody does, for as long."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.database.engine import Database
from gated.database.tables import attendance_logs, journal, journal_private
from gated.journal.journal import Entry, Journal
from gated.vault.sealing import load_keys
from tests.people.people import NOW, add_person, entry
from tests.storage import forger


class History:
    """A gate that writes, is killed and started again, erases, at random."""

    def __init__(self, db: Database, folder: Path, chance: random.Random) -> None:
        self.db = db
        self.chance = chance
        self.signer = load_keys(folder, environ={}).signer
        self.head = folder / "journal.head"
        self.journal = self.restarted()
        with db.write() as session:
            self.people = [add_person(session) for _ in range(3)]

    def restarted(self) -> Journal:
        journal = Journal(self.db, self.signer, self.head)
        journal.renew_head()  # as each start does
        return journal

    def go_on(self, steps: int) -> None:
        for _ in range(steps):
            act = self.chance.choice(
                ("write", "write", "write", "restart", "kill", "stale", "redact")
            )
            if act == "restart":
                self.journal = self.restarted()
            elif act == "kill":
                self._killed()
            elif act == "stale":
                self._killed_before_the_head()
            elif act == "redact":
                self._redact()
            else:
                self.journal.append(self._rows())

    def _rows(self) -> list[Entry]:
        number = self.chance.randint(1, 3)
        return [entry(self.chance.choice(self.people).ref) for _ in range(number)]

    def _killed(self) -> None:
        """The power fails before the commit."""

        def cut() -> None:
            with self.db.write() as session:
                self.journal.append(self._rows(), session)
                raise KeyError

        with pytest.raises(KeyError):
            cut()
        self.journal = self.restarted()

    def _killed_before_the_head(self) -> None:
        """The power fails between the commit and the head file."""
        before = self.head.read_bytes() if self.head.exists() else None
        self.journal.append(self._rows())
        if before is not None:
            self.head.write_bytes(before)
        self.journal = self.restarted()

    def _redact(self) -> None:
        named = sa.select(journal_private.c.chain, journal_private.c.seq)
        with self.db.write() as session:
            found = session.execute(named.where(journal_private.c.role == "subject")).all()
            if found:
                chain, seq = self.chance.choice(found)
                self.journal.redact(session, NOW, chain, [seq], "retention")


def attack(session: Session, chain: str, chance: random.Random) -> str:
    """Do one thing to the newest chain; what it was."""
    last = forger.newest(session, chain).seq
    seq = chance.randint(1, last)
    how = chance.choice(("insert", "delete", "change", "reorder", "truncate", "rewrite", "unlog"))
    at = journal.c.chain == chain, journal.c.seq == seq
    if how == "insert":
        forger.forge(session, chain, "decision", dict(entry().body), sealed=chance.random() < 0.5)
    elif how == "delete":
        session.execute(sa.delete(journal).where(*at))
    elif how == "change":
        column = chance.choice(("at_utc", "mono_ns"))
        session.execute(sa.update(journal).where(*at).values({column: journal.c[column] + 1}))
    elif how == "reorder":
        other = seq + 1 if seq < last else seq - 1
        for old, new in ((seq, -5), (other, seq), (-5, other)):
            there = journal.c.chain == chain, journal.c.seq == old
            session.execute(sa.update(journal).where(*there).values(seq=new))
    elif how == "truncate":
        for table in forger.TABLES:
            session.execute(sa.delete(table).where(table.c.chain == chain, table.c.seq >= seq))
    elif how == "rewrite":
        forger.rewrite(session, chain)
    else:
        flipped = {"status": "void", "direction": "exit"}
        session.execute(sa.update(attendance_logs).values(flipped))
    return f"{how} at row {seq} of {last}"


def play(db: Database, folder: Path, seed: int) -> None:
    chance = random.Random(seed)
    history = History(db, folder, chance)
    history.journal.append([entry(history.people[0].ref), entry(history.people[1].ref)])
    history.go_on(chance.randint(1, 6))
    honest = history.journal.verify()
    assert honest.ok, (seed, honest)
    chain = f"{history.journal.gate_uid()}/1"
    running = chance.random() < 0.5
    with db.write() as session:
        did = attack(session, chain, chance)
    if not running:
        history.journal = history.restarted()
    for _ in range(2):
        found = history.journal.verify().first_problem
        assert found is not None, (seed, did)
        assert found.chain.startswith(chain[:-1]), (seed, did, found)
        history.journal.append([entry(history.people[2].ref)])
        history.journal = history.restarted()
    assert not history.journal.verify().ok, (seed, did)


def test_what_somebody_does_is_found_and_what_nobody_does_is_not(
    db: Database, tmp_path: Path
) -> None:
    play(db, tmp_path, 1)


@pytest.mark.parametrize("seed", range(2, 10))
def test_more_of_it(sqlite: Database, tmp_path: Path, seed: int) -> None:
    play(sqlite, tmp_path, seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10, 520))
def test_five_hundred_histories(sqlite: Database, tmp_path: Path, seed: int) -> None:
    play(sqlite, tmp_path, seed)
