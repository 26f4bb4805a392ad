"""Stores up to which row each chain was verified, signed with the gate's key, beside the head file.

An older copy of the file costs time, and hides nothing that the gate writes from now on.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from gated.core.chain import canonical
from gated.journal.chain_tip import Head
from gated.vault.files import write_atomic

log = logging.getLogger(__name__)

MARKS = "journal.verified"
LARGEST = 4 << 20
"""Bytes of the file; a hub of some thousands of gates has less."""


def read_marks(path: Path, public_key: str) -> dict[str, Head]:
    """Return the marks by chain; none without a file that this key (hex) has signed."""
    try:
        with open(path, "rb") as file:
            stored = json.loads(file.read(LARGEST))
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        key.verify(bytes.fromhex(stored["signature"]), _message(stored["marks"]))
        return {c: Head(c, int(seq), str(hash_)) for c, (seq, hash_) in stored["marks"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, InvalidSignature):
        return {}


def write_marks(path: Path, marks: Mapping[str, Head], signer: Ed25519PrivateKey) -> None:
    """Write the marks; a failure is only logged, as the next verification just takes longer."""
    ends = {chain: [mark.seq, mark.hash] for chain, mark in marks.items()}
    signed = {"marks": ends, "signature": signer.sign(_message(ends)).hex()}
    try:
        write_atomic(path, canonical(signed) + b"\n")
    except OSError as error:
        log.error("%s cannot be written: %s", path, error)


def _message(marks: object) -> bytes:
    return b"gated journal verified\n" + canonical(marks)
