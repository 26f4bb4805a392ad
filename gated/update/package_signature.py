"""Checks that a package comes from its maker: minisign signatures.

A signature of minisign covers the BLAKE2b-512 hash of the file, and a second one covers the first
and the trusted comment. Format: Frank Denis, "minisign", https://jedisct1.github.io/minisign/.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gated.core.text import scrubbed
from gated.errors import ConfigError, Refused, SourceError

KEYS = Path("/etc/gated/update.keys")
"""The keys of the makers whose packages may be installed; in the keeping of root."""
ENDING = ".minisig"

_MOST_BYTES = 64 << 10
_KEY, _HASHED, _WHOLE = b"Ed", b"ED", b"Ed"
"""Kinds: of a key; of a signature over the hash of a file; of one over the file itself."""
_ID, _SIGNATURE, _PUBLIC = 8, 64, 32
_UNTRUSTED, _TRUSTED = "untrusted comment:", "trusted comment: "

Keys = Mapping[bytes, Ed25519PublicKey]
"""Public keys by their id of eight bytes."""


@dataclass(frozen=True, slots=True)
class SignedPackage:
    """A package whose signature holds. signer: id of the key, as minisign prints it."""

    sha256: str
    signer: str
    comment: str
    """The maker's words, signed as well."""


def read_keys(file: Path = KEYS) -> Keys:
    """Return the keys in a file, one to a line; none without the file.

    Lines of comments are skipped. Raises: ConfigError for a line that is no key, or for a file that
    somebody else than its owner and root may write.
    """
    try:
        with open(file, "rb") as source:
            held = os.fstat(source.fileno())
            text = source.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
    if held.st_mode & 0o022 or held.st_uid not in (0, os.geteuid()):
        raise ConfigError(f"{file} can be changed by others: sudo chown root {file}; chmod 644")
    if len(text) > _MOST_BYTES:
        raise ConfigError(f"{file} is too long")
    keys = {}
    for number, line in enumerate(text.decode(errors="replace").splitlines(), 1):
        line = line.strip()
        if not line or line.startswith(("#", _UNTRUSTED)):
            continue
        found = _decoded(line, 2 + _ID + _PUBLIC)
        if found is None or found[:2] != _KEY:
            raise ConfigError(f"{file}, line {number}: this is no public key of minisign")
        keys[found[2 : 2 + _ID]] = Ed25519PublicKey.from_public_bytes(found[2 + _ID :])
    return keys


def check_package(file: Path, signature: Path, keys: Keys) -> SignedPackage:
    """Check the signature of a package by one of these keys.

    Raises: SourceError when the signature is not there or cannot be read, Refused when it is by
    nobody known or does not hold.
    """
    kind, signer, signed, comment, sealed = _read_signature(signature)
    if kind == _WHOLE:
        raise Refused(f"{signature} is of an old kind: sign it with minisign 0.10 or later")
    name = f"{int.from_bytes(signer, 'little'):X}"  # as minisign prints it
    key = keys.get(signer)
    if key is None:
        raise Refused(f"{file} is signed with the key {name}, which {KEYS} does not have")
    blake, sha256 = hashlib.blake2b(digest_size=64), hashlib.sha256()
    with open(file, "rb") as source:
        while part := source.read(1 << 20):
            blake.update(part)
            sha256.update(part)
    try:
        key.verify(signed, blake.digest())
    except InvalidSignature:
        raise Refused(f"{file} is not the file that was signed: fetch it again") from None
    try:
        key.verify(sealed, signed + comment.encode())
    except InvalidSignature:
        raise Refused(f"the comment in {signature} was changed: fetch it again") from None
    return SignedPackage(sha256.hexdigest(), name, scrubbed(comment))


def _read_signature(file: Path) -> tuple[bytes, bytes, bytes, str, bytes]:
    """Return kind, id of the key, signature, trusted comment and the signature over both."""
    try:
        with open(file, "rb") as source:
            lines = source.read(_MOST_BYTES).decode().splitlines()
    except OSError as error:
        raise SourceError(
            f"{file} cannot be read ({error.strerror}): {KEYS} names who may sign packages, so the "
            "signature has to lie beside the package"
        ) from None
    except ValueError:
        raise SourceError(f"{file} is no signature of minisign") from None
    if len(lines) < 4 or not lines[0].startswith(_UNTRUSTED) or not lines[2].startswith(_TRUSTED):
        raise SourceError(f"{file} is no signature of minisign")
    first = _decoded(lines[1], 2 + _ID + _SIGNATURE)
    sealed = _decoded(lines[3], _SIGNATURE)
    if first is None or sealed is None or first[:2] not in (_HASHED, _WHOLE):
        raise SourceError(f"{file} is no signature of minisign")
    comment = lines[2].removeprefix(_TRUSTED)
    return first[:2], first[2 : 2 + _ID], first[2 + _ID :], comment, sealed


def _decoded(line: str, length: int) -> bytes | None:
    try:
        found = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        return None
    return found if len(found) == length else None
