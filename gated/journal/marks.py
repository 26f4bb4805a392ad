"""Keeps how far the journal was verified, signed with the gate's key: a file beside the head.

An older copy of it costs time and hides nothing that the gate writes from now on.
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
"""A hub of some thousands of gates has no more."""


def read_marks(path: Path, public_key: str) -> dict[str, Head]:
    """The marks by chain; none when there is no file, or one that this key (hex) did not sign."""
    try:
        with open(path, "rb") as file:
            told = json.loads(file.read(LARGEST))
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        key.verify(bytes.fromhex(told["signature"]), _message(told["marks"]))
        return {c: Head(c, int(seq), str(hash_)) for c, (seq, hash_) in told["marks"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, InvalidSignature):
        return {}


def write_marks(path: Path, marks: Mapping[str, Head], signer: Ed25519PrivateKey) -> None:
    """Write the marks anew; a failure is logged, as the next look only takes longer."""
    told = {chain: [mark.seq, mark.hash] for chain, mark in marks.items()}
    signed = {"marks": told, "signature": signer.sign(_message(told)).hex()}
    try:
        write_atomic(path, canonical(signed) + b"\n")
    except OSError as error:
        log.error("%s cannot be written: %s", path, error)


def _message(marks: object) -> bytes:
    return b"gated journal verified\n" + canonical(marks)
