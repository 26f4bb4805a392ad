"""The ends of the journal's chains: as the database has them, and as the head file knows them."""

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
from gated.storage.cuts import key_told, newest_cut
from gated.storage.files import write_atomic
from gated.storage.tables import journal

log = logging.getLogger(__name__)


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

    def message(self) -> bytes:
        """What the signature is about."""
        return b"gated journal seal\n" + canonical([self.chain, self.seq, self.hash])

    def told(self) -> dict[str, Any]:
        """Without the signature, for the body of a row."""
        return {"chain": self.chain, "seq": self.seq, "hash": self.hash}

    def is_signed_by(self, public_key: str) -> bool:
        """Whether the signature was made with the key whose public half this is (hex)."""
        try:
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
            key.verify(bytes.fromhex(self.signature), self.message())
        except (InvalidSignature, ValueError):
            return False
        return True


def last_row(session: Session, chain: str) -> Head | None:
    """The end of a chain as the database has it, unsigned."""
    found = session.execute(
        sa.select(journal.c.chain, journal.c.seq, journal.c.hash)
        .where(journal.c.chain == chain)
        .order_by(journal.c.seq.desc())
        .limit(1)
    ).first()
    return None if found is None else Head(*found)


def key_of(session: Session, chain: str) -> str:
    """The public key (hex) that a chain says it is sealed with; empty when there is none."""
    first = sa.select(journal.c.body).where(journal.c.chain == chain, journal.c.seq == 1)
    body = session.execute(first).scalar()
    try:
        return str(json.loads(body)["public_key"]) if body else key_told(session, chain)
    except (ValueError, KeyError, TypeError):
        return ""


def holds(session: Session, head: Head) -> bool:
    """Whether the database has, or had, the row that a head speaks of.

    Row 0 stands before the first. What was dropped with a word is as good as there.
    """
    if head.seq == 0:
        anything = session.execute(sa.select(journal.c.seq).limit(1)).first()
        return anything is None or last_row(session, head.chain) is not None
    there = journal.c.chain == head.chain, journal.c.seq == head.seq
    found = session.execute(sa.select(journal.c.hash).where(*there)).scalar()
    if found is not None:
        return bool(found == head.hash)
    cut = newest_cut(session, head.gate)
    return cut is not None and cut.covers(head.chain, head.seq)


def read_head(path: Path) -> Head | None:
    """The head file; None when there is none or it cannot be understood."""
    try:
        told = json.loads(path.read_bytes())
        head = Head(str(told["chain"]), int(told["seq"]), told["hash"], told["signature"])
        return head if head.epoch else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_head(path: Path, head: Head) -> None:
    """Copy a seal to the head file unless that knows a later one; a failure is logged.

    The batch is durable already, so that a failure here must not look like one of the batch.
    """
    try:
        with _locked(path.parent):
            newest = read_head(path)
            if newest and newest.chain == head.chain and newest.seq > head.seq:
                return
            write_atomic(path, canonical({**head.told(), "signature": head.signature}) + b"\n")
    except OSError as e:
        log.error("the journal's head %s cannot be written: %s", path, e)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the directory's lock: writers of one head file take turns, across processes too."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
