"""Keeps the erasure ledger: uids that must not come back with an older database.

It is a file beside the journal's head with one uid a line, of erased persons and of enrollments
whose biometrics were withdrawn. A uid alone identifies nobody. Lines are only added, so that two
ledgers are merged by concatenating them.
"""

from __future__ import annotations

import errno
import logging
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.database.rows import in_parts
from gated.database.tables import enrollments, journal, persons, sync_chains
from gated.errors import StorageError
from gated.journal.proven import Proof
from gated.journal.stored_object import object_in
from gated.vault.sealing import sync_directory

log = logging.getLogger(__name__)

NAME = "erasures.ledger"

_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class ErasureLedger:
    """The ledger of one state directory; any thread or process may add to it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> frozenset[str]:
        """Return all uids; a line that a power cut left unfinished is skipped. Raises:
        StorageError."""
        try:
            lines = self.path.read_text("ascii", errors="replace").splitlines()
        except FileNotFoundError:
            return frozenset()
        except OSError as error:
            raise StorageError(f"the erasure ledger {self.path} cannot be read: {error}") from None
        return frozenset(line for line in lines if _UID.fullmatch(line))

    def add(self, uids: Iterable[str]) -> None:
        """Add uids, durably; a failure is logged: the next start adds those of the journal
        again."""
        # the first line break ends what a power cut may have left unfinished
        text = "\n" + "".join(f"{uid}\n" for uid in uids)
        try:
            with open(self.path, "ab", opener=_private, buffering=0) as file:
                written = file.write(text.encode("ascii"))
                os.fsync(file.fileno())
            sync_directory(self.path.parent)
            if written < len(text):  # a full disk may take a part without an error
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            log.error("the erasure ledger %s cannot be written: %s", self.path, error)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def erased_in_journal(
    session: Session,
    *where: sa.ColumnElement[bool],
    known: Collection[str] = (),
    proof: Proof | None = None,
) -> frozenset[str]:
    """Return the uids of erasures and withdrawals in this gate's own journal.

    where: limits the rows. proof: a row with a uid that is not `known` counts only if it holds.
    """
    final = journal.c.kind.in_(("person_erased", "biometrics_withdrawn"))
    # a gate may record erasures of its own: they erase nobody on its hub
    own = journal.c.chain.not_in(sa.select(sync_chains.c.chain))
    rows = sa.select(journal.c.chain, journal.c.seq, journal.c.body).where(final, own, *where)
    found: set[str] = set()
    for chain, seq, body in session.execute(rows).all():
        uids = erased_uids(object_in(body))
        if proof is None or set(uids) <= set(known) or proof(session, chain, seq):
            found.update(uids)
    return frozenset(found)


def erased_uids(body: Mapping[str, Any]) -> list[str]:
    """Return the uids in the body of an erasure (a person) or a withdrawal (enrollments).

    None of a body that was altered, so that a start does not end over it.
    """
    withdrawn = body.get("enrollments")
    uids = withdrawn if isinstance(withdrawn, list) else [body.get("person")]
    return [uid for uid in uids if isinstance(uid, str)]


def persons_back(session: Session, uids: Collection[str]) -> list[int]:
    """Return the ids of persons who exist although the ledger has them."""
    return list(_with_uid(session, persons, uids))


def enrollments_back(session: Session, uids: Collection[str]) -> list[int]:
    """Return the ids of enrollments that exist although the ledger has them."""
    return list(_with_uid(session, enrollments, uids))


def is_ahead(session: Session, known: Collection[str], proof: Proof) -> bool:
    """Return whether the ledger and this database disagree on what was erased.

    known: the uids in the ledger. proof: as of `erased_in_journal`.
    """
    if erased_in_journal(session, known=known, proof=proof) - frozenset(known):
        return True
    return bool(persons_back(session, known) or enrollments_back(session, known))


def _with_uid(session: Session, table: sa.Table, uids: Collection[str]) -> Iterator[int]:
    for some in in_parts(sorted(uids)):
        yield from session.execute(sa.select(table.c.id).where(table.c.uid.in_(some))).scalars()
