"""Rotates the key of a journal: each key is endorsed by the one before.

The first row of the chain that a new key seals holds the rotation, signed by the key before
(`agreed`). The same rotation, signed by the new key (`confirmed`), is stored in
`journal.rotations`, so that a gate with a restored database still knows its former keys.

    keys/journal.key        the key in force, at every moment
    keys/journal.key.next   the next one: in force once the journal has a chain that it seals

An old key cannot sign new rows: each key counts only for the chains of its era.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from sqlalchemy.orm import Session

from gated.core.chain import canonical
from gated.database.engine import Database
from gated.database.tables import journal, journal_seal
from gated.errors import StorageError
from gated.journal.chain_tip import Head, read_head, write_head
from gated.journal.kinds import ROTATED
from gated.journal.proven import is_sealed
from gated.journal.pruned_ranges import own_chains, split
from gated.vault import sealing
from gated.vault.files import write_atomic

log = logging.getLogger(__name__)

ROTATIONS = "journal.rotations"
MOST_ROTATIONS = 20
"""The number of rotations that are repeated in the first row of a chain."""

LARGEST = 1 << 20
"""Bytes of the file; a gate that rotates its key each day has less in a year."""


@dataclass(frozen=True, slots=True)
class KeyRotation:
    """A change of the key, from a chain on. Keys and signatures: hex.

    agreed: signature of the key before. confirmed: of the new one; empty in the row itself, which
    the new key seals.
    """

    chain: str
    previous_key: str
    public_key: str
    agreed: str = ""
    confirmed: str = ""

    def message(self) -> bytes:
        """Return the bytes that are signed."""
        return b"gated journal key\n" + canonical([self.chain, self.previous_key, self.public_key])

    def agreed_by(self, signer: Ed25519PrivateKey) -> Self:
        return replace(self, agreed=signer.sign(self.message()).hex())

    def confirmed_by(self, signer: Ed25519PrivateKey) -> Self:
        return replace(self, confirmed=signer.sign(self.message()).hex())

    @property
    def is_agreed(self) -> bool:
        return self._is_signed(self.previous_key, self.agreed)

    @property
    def is_confirmed(self) -> bool:
        return self._is_signed(self.public_key, self.confirmed)

    def _is_signed(self, public_key: str, signature: str) -> bool:
        try:
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
            key.verify(bytes.fromhex(signature), self.message())
        except (InvalidSignature, ValueError, TypeError):
            return False
        return True

    @classmethod
    def in_row(cls, chain: str, body: Any) -> Self | None:
        """Read the rotation in the first row of a chain; None when the key did not change."""
        try:
            if body["cause"] != ROTATED:
                return None
            fields = (str(body[name]) for name in ("previous_key", "public_key", "agreed"))
            return cls(chain, *fields)
        except (KeyError, TypeError):
            return None


@dataclass(frozen=True, slots=True)
class KeyEra:
    """The key of the chains of a gate from an epoch on."""

    first_epoch: int
    key: str


def eras(session: Session, gate: str, public_key: str, place: Path) -> list[KeyEra]:
    """Return the keys of a gate's journal, the present one first; each was endorsed by the next
    older.

    place: the file `journal.rotations`.
    """
    found: list[KeyEra] = []
    key = public_key
    kept = {rotation.public_key: rotation for rotation in confirmed(place)}
    rotated = sorted(_in_journal(session, gate), key=lambda r: split(r.chain)[1], reverse=True)
    by_key = {r.public_key: r for r in reversed(rotated)}
    while len(found) <= len(kept) + len(by_key):
        rotation = by_key.get(key)
        if rotation is None or not is_sealed(session, rotation.chain, 1, {key}):
            rotation = kept.get(key)
        if rotation is None or split(rotation.chain)[0] != gate:
            break
        found.append(KeyEra(split(rotation.chain)[1], key))
        key = rotation.previous_key
    return [*found, KeyEra(0, key)]


def key_at(known: Sequence[KeyEra], chain: str) -> str:
    """Return the key that seals a chain."""
    epoch = split(chain)[1]
    return next(era.key for era in known if epoch >= era.first_epoch)


def rotation_of(session: Session, chain: str) -> KeyRotation | None:
    """Read the rotation in the first row of a chain from the database; None without one."""
    row = journal.c
    body = session.execute(
        sa.select(row.body).where(row.chain == chain, row.seq == 1, row.kind == "chain_started")
    ).scalar()
    try:
        return None if body is None else KeyRotation.in_row(chain, json.loads(body))
    except (ValueError, TypeError, RecursionError):
        return None


def _in_journal(session: Session, gate: str) -> Iterator[KeyRotation]:
    for chain in own_chains(session, gate):
        if (rotation := rotation_of(session, chain)) is not None:
            yield rotation


def confirmed(place: Path) -> list[KeyRotation]:
    """Return the rotations in the file that their new key has signed; none when it is damaged."""
    try:
        with open(place, "rb") as file:
            stored = json.loads(file.read(LARGEST))
        found = [KeyRotation(**{name: str(value) for name, value in one.items()}) for one in stored]
        return [rotation for rotation in found if rotation.is_confirmed]
    except (OSError, ValueError, TypeError, AttributeError):
        return []


def newest_rotations(place: Path, gate: str) -> list[list[str]]:
    """Return the newest rotations of a gate in the file, for the first row of a chain."""
    own = [r for r in confirmed(place) if split(r.chain)[0] == gate]
    return [[r.chain, r.previous_key, r.public_key, r.agreed] for r in own[-MOST_ROTATIONS:]]


def successor_keys(body: Any, gate: str, former: Collection[str]) -> list[str]:
    """Return the keys that succeed the former ones, as the rotations in the body of a row prove."""
    try:
        rotations = [KeyRotation(*map(str, one)) for one in body.get("rotations", ())]
    except (TypeError, AttributeError):
        return []
    known, found = set(former), []
    for rotation in rotations[:MOST_ROTATIONS]:
        own = split(rotation.chain)[0] == gate and rotation.previous_key in known
        if own and rotation.is_agreed:
            known.add(rotation.public_key)
            found.append(rotation.public_key)
    return found


def keep(place: Path, rotation: KeyRotation) -> None:
    """Add a rotation to the file, durably. Raises: StorageError.

    A damaged file is copied before, as what is in it may stand nowhere else.
    """
    before = confirmed(place)
    try:
        if place.exists() and (stored := place.read_bytes()) != _as_bytes(before):
            write_atomic(place.with_name(f"{place.name}.damaged"), stored)
        write_atomic(place, _as_bytes([*before, rotation]))
    except OSError as error:
        raise StorageError(f"{place} cannot be changed: {error.strerror}") from error


def _as_bytes(rotations: Sequence[KeyRotation]) -> bytes:
    return canonical([asdict(one) for one in rotations]) + b"\n"


def in_force(
    db: Database, state_dir: Path, signer: Ed25519PrivateKey, *, complete: bool = True
) -> Ed25519PrivateKey:
    """Return the key that seals the journal: the next one where a rotation was interrupted after
    its commit.

    complete: finish that rotation, so that head file and key file agree. Raises: StorageError.
    """
    following = sealing.next_journal_key(state_dir)
    if following is None:
        return signer
    old, new = (k.public_key().public_bytes_raw().hex() for k in (signer, following))
    with db.read() as session:
        end = _begun_with(session, old, new)
    if end is None:
        return signer  # interrupted before the commit: the next rotation makes another key
    if complete:
        finish(state_dir, end, new)
    return following


def finish(state_dir: Path, end: Head, public_key: str) -> None:
    """Bring the head file and then the key file up to the journal."""
    place = state_dir / "journal.head"
    head = read_head(place)
    if head is None or not head.is_signed_by(public_key):
        write_head(place, end)
    sealing.take_next_journal_key(state_dir)


def _begun_with(session: Session, old: str, new: str) -> Head | None:
    """Return the end of the chain that a new key has begun endorsed by the old; None without
    one."""
    row, seal = journal.c, journal_seal.c
    first = sa.select(row.chain).where(row.kind == "chain_started", row.seq == 1)
    for chain in session.execute(first).scalars().all():
        rotation = rotation_of(session, chain)
        if rotation is None or (rotation.previous_key, rotation.public_key) != (old, new):
            continue
        if not rotation.is_agreed or not is_sealed(session, chain, 1, {new}):
            continue
        ends = sa.select(seal.chain, seal.seq, seal.hash, seal.signature)
        for end in session.execute(ends.where(seal.chain == chain).order_by(seal.seq.desc())):
            if (head := Head(*end)).is_signed_by(new):
                return head
    return None
