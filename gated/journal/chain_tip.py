"""Reads and writes the ends of the journal's chains: in the database, and in the head file."""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy.orm import Session

from gated.core.chain import canonical
from gated.database import stored_settings
from gated.database.tables import (
    attendance_logs,
    journal,
    journal_private,
    journal_seal,
    sync_chains,
)
from gated.errors import Unreadable
from gated.journal.pruned_ranges import (
    newest_pruned,
    own_chains,
    recorded_key,
    split,
)
from gated.vault.files import write_atomic

log = logging.getLogger(__name__)

HEAD_FILE = "journal.head"
"""In the state directory."""

LAST = 1 << 62
"""The highest row number. On SQLite a value that is no number compares as higher."""

HEAD_BYTES = 4096
"""More than the size of a head file."""


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain, signed."""

    chain: str
    seq: int
    hash: str
    signature: str = ""

    @property
    def gate(self) -> str:
        return self.chain.rpartition("/")[0]

    @property
    def epoch(self) -> int:
        return int(self.chain.rpartition("/")[2])

    @property
    def place(self) -> tuple[int, int]:
        """Epoch and row number: the order of the ends of one journal."""
        return self.epoch, self.seq

    def message(self) -> bytes:
        """Return the bytes that are signed."""
        return b"gated journal seal\n" + canonical([self.chain, self.seq, self.hash])

    def as_dict(self) -> dict[str, Any]:
        """Return it without the signature, for the body of a row."""
        return {"chain": self.chain, "seq": self.seq, "hash": self.hash}

    def is_signed_by(self, public_key: str) -> bool:
        """Return whether the signature was made with the key whose public half this is (hex)."""
        try:
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
            key.verify(bytes.fromhex(self.signature), self.message())
        except (InvalidSignature, ValueError, TypeError):
            return False
        return True


def last_row(session: Session, chain: str) -> Head | None:
    """Return the last row of a chain in the database, unsigned; None for an unknown chain."""
    found = session.execute(
        sa.select(journal.c.chain, journal.c.seq, journal.c.hash)
        .where(journal.c.chain == chain, journal.c.seq <= LAST)
        .order_by(journal.c.seq.desc())
        .limit(1)
    ).first()
    return None if found is None else Head(*found)


def identity_of(session: Session, key: str) -> dict[str, Any] | None:
    """Return gate and epoch that the database names under a key; None without, {} if unreadable."""
    try:
        stored = stored_settings.get(session, key)
    except Unreadable:
        return {}
    return stored if stored is None or isinstance(stored, dict) else {}


def key_of(session: Session, chain: str) -> str:
    """Return the public key (hex) that a chain names as its own; empty when it names none."""
    first = sa.select(journal.c.body).where(journal.c.chain == chain, journal.c.seq == 1)
    body = session.execute(first).scalar()
    try:
        return str(json.loads(body)["public_key"]) if body else recorded_key(session, chain)
    except (ValueError, KeyError, TypeError):
        return ""


def sealed_with(session: Session, end: Head, public_key: str) -> bool:
    """Return whether the last row of a chain has a seal of its own, made with this key (hex)."""
    row = journal_seal.c
    there = row.chain == end.chain, row.seq == end.seq, row.hash == end.hash
    signature = session.execute(sa.select(row.signature).where(*there)).scalar()
    sealed = Head(end.chain, end.seq, end.hash, signature or "")
    return signature is not None and sealed.is_signed_by(public_key)


def has_rows_after(session: Session, end: Head) -> bool:
    """Return whether any table has rows of a chain after its end."""
    tables = (journal, journal_private, journal_seal, attendance_logs)
    there = (
        sa.exists(sa.select(t.c.seq).where(t.c.chain == end.chain, t.c.seq > end.seq))
        for t in tables
    )
    return bool(session.execute(sa.select(sa.or_(*there))).scalar())


def newest_epoch(session: Session, gate: str) -> int:
    """Return the highest epoch of a gate of which any table has a row; 0 for none."""
    epochs = [0]
    for table in (journal, journal_private, journal_seal, attendance_logs):
        for chain in own_chains(session, gate, table):
            epochs.append(split(chain)[1])
    return max(epochs)


def holds(session: Session, head: Head) -> bool:
    """Return whether the database has the row of a head, or has pruned it on record.

    Row 0 precedes the first row.
    """
    if head.seq == 0:
        anything = session.execute(sa.select(journal.c.seq).limit(1)).first()
        if anything is None or last_row(session, head.chain) is not None:
            return True
    there = journal.c.chain == head.chain, journal.c.seq == head.seq
    found = session.execute(sa.select(journal.c.hash).where(*there)).scalar()
    if found is not None:
        return bool(found == head.hash)
    pruned = newest_pruned(session, head.gate)
    return pruned is not None and pruned.covers(head.chain, head.seq)


def was_replaced(session: Session, tip: Head, head: Head) -> bool:
    """Return whether a newer chain names this head as its missing predecessor.

    The head file still names the old chain after a power cut, or a full disk, before its renewal.
    """
    row = journal.c
    for epoch in range(tip.epoch, head.epoch, -1):
        first = sa.select(row.body).where(row.chain == f"{tip.gate}/{epoch}", row.seq == 1)
        body = session.execute(first).scalar()
        try:
            if body and json.loads(body)["previous"] == head.as_dict():
                return True
        except (ValueError, KeyError, TypeError):
            continue
    return False


def read_head(path: Path) -> Head | None:
    """Return the head file; None when there is none or it cannot be read."""
    try:
        with open(path, "rb") as file:
            found = json.loads(file.read(HEAD_BYTES))
        head = Head(str(found["chain"]), int(found["seq"]), found["hash"], found["signature"])
        return head if head.epoch else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_head(path: Path, head: Head, public_key: str = "") -> None:
    """Copy a seal to the head file unless the file has a later one; a failure is logged.

    The batch is committed already, so a failure here must not look like a failure of the batch.
    public_key: only a seal that was signed with it (hex) counts as later.
    """
    try:
        with _locked(path.parent):
            newest = read_head(path)
            later = newest and newest.chain == head.chain and newest.seq > head.seq
            if newest and later and (not public_key or newest.is_signed_by(public_key)):
                return
            write_atomic(path, canonical({**head.as_dict(), "signature": head.signature}) + b"\n")
    except OSError as e:
        log.error("the journal's head %s cannot be written: %s", path, e)


def keep_head(path: Path, epoch: int) -> None:
    """Keep a copy of the head file as evidence before it is replaced; a failure is logged."""
    beside = path.with_name(f"{path.name}.before-{epoch}")
    try:
        if path.exists() and not beside.exists():
            with open(path, "rb") as file:
                write_atomic(beside, file.read(HEAD_BYTES))
    except OSError as e:
        log.error("the journal's head %s cannot be kept: %s", path, e)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the directory's lock, so that writers of the head file take turns, across processes
    too."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def collects(session: Session) -> bool:
    """Return whether this is a hub that holds the journal of a gate."""
    return session.execute(sa.select(sync_chains.c.chain).limit(1)).first() is not None
