"""Encrypts a stream in authenticated chunks: for files of any size, in bounded memory.

    gated-backup/1            format and version
    {"chunk": ..., ...}       one line of JSON: how the key of the file is locked, no secret
    chunk, chunk, ... chunk   64 KB each, ChaCha20-Poly1305; the last one says that it is the last

The chunks follow the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizar, CRYPTO 2015), as in
age: nonces count up, with a flag in the last one, so that no chunk can be altered, moved, left out
or cut off unnoticed. The key of the chunks is derived (HKDF) from a random file key and the header.
The file key is encrypted with a passphrase (Argon2id, RFC 9106) or for a public key (X25519).
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

from argon2.exceptions import HashingError
from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gated.errors import SealError, SourceError, WeakPassword

MAGIC = b"gated-backup/1\n"
CHUNK = 64 * 1024
TAG = 16
KEY = 32
LONGEST_HEADER = 4096
SHORTEST_PASSPHRASE = 12
"""Characters: an attacker with the file can guess offline for years."""

ARGON2 = {"memory_kib": 65_536, "passes": 3, "lanes": 4}
"""The second choice of RFC 9106, for machines with little memory."""
MOST_MEMORY_KIB, MOST_PASSES, MOST_LANES = 1 << 20, 16, 16
"""The most that a header may demand of the machine that opens it."""

PUBLIC, PRIVATE = "gated-backup-public-", "gated-backup-private-"
_NO_NONCE = bytes(12)
"""A constant nonce, for keys that are used once."""


class KeyLock(Protocol):
    """Encrypts the key of a file."""

    def close(self, key: bytes) -> Mapping[str, Any]:
        """Return the header's fields with the encrypted key."""


class StreamOpener(Protocol):
    """Decrypts the key of a file."""

    def open(self, header: Mapping[str, Any]) -> bytes:
        """Return the file key from the header's fields. Raises: SealError."""


@dataclass(frozen=True, repr=False)
class Passphrase:
    """Encrypts and decrypts the file key with a passphrase."""

    text: str

    def close(self, key: bytes) -> Mapping[str, Any]:
        """Encrypt under a fresh salt. Raises: WeakPassword."""
        if len(self.text) < SHORTEST_PASSPHRASE:
            raise WeakPassword(
                f"a passphrase of a backup has {SHORTEST_PASSPHRASE} characters at least: "
                "several words do well"
            )
        salt = secrets.token_bytes(16)
        fields = {"lock": "passphrase", "salt": _text(salt), **ARGON2}
        return {**fields, "key": _text(_aead(self._derived(fields)).encrypt(_NO_NONCE, key, MAGIC))}

    def open(self, header: Mapping[str, Any]) -> bytes:
        """Decrypt the file key. Raises: SealError."""
        if header["lock"] != "passphrase":
            raise SealError("this backup was made for a key: name the file of the private one")
        try:
            return _aead(self._derived(header)).decrypt(_NO_NONCE, _bytes(header["key"]), MAGIC)
        except InvalidTag:
            raise SealError("this is not the passphrase of the backup") from None

    def _derived(self, header: Mapping[str, Any]) -> bytes:
        memory, passes, lanes = (int(header[name]) for name in ("memory_kib", "passes", "lanes"))
        if not (memory <= MOST_MEMORY_KIB and passes <= MOST_PASSES and lanes <= MOST_LANES):
            raise SealError("the header of this backup asks for too much memory or time")
        try:
            return hash_secret_raw(
                self.text.encode(), _bytes(header["salt"]), passes, memory, lanes, KEY, Type.ID
            )
        except (HashingError, OverflowError):
            raise SealError("the header of this backup is damaged") from None


@dataclass(frozen=True)
class PublicKey:
    """Encrypts the file key for the owner of the private key."""

    key: X25519PublicKey

    @classmethod
    def read(cls, text: str) -> PublicKey:
        """Read `gated-backup-public-...`. Raises: SourceError."""
        return cls(X25519PublicKey.from_public_bytes(_key_in(text, PUBLIC)))

    def close(self, key: bytes) -> Mapping[str, Any]:
        """Encrypt under a key from an ephemeral key agreement."""
        once = X25519PrivateKey.generate()
        ends = once.public_key().public_bytes_raw(), self.key.public_bytes_raw()
        sealed = _aead(_agreed(once.exchange(self.key), *ends)).encrypt(_NO_NONCE, key, MAGIC)
        return {"lock": "public key", "once": _text(ends[0]), "key": _text(sealed)}


@dataclass(frozen=True, repr=False)
class PrivateKey:
    """Decrypts file keys that were encrypted for its public key."""

    key: X25519PrivateKey

    @classmethod
    def make(cls) -> PrivateKey:
        """Generate a key."""
        return cls(X25519PrivateKey.generate())

    @classmethod
    def read(cls, text: str) -> PrivateKey:
        """Read `gated-backup-private-...`. Raises: SourceError."""
        return cls(X25519PrivateKey.from_private_bytes(_key_in(text, PRIVATE)))

    @property
    def text(self) -> str:
        return PRIVATE + _text(self.key.private_bytes_raw())

    @property
    def public_text(self) -> str:
        return PUBLIC + _text(self.key.public_key().public_bytes_raw())

    def open(self, header: Mapping[str, Any]) -> bytes:
        """Decrypt the file key. Raises: SealError."""
        if header["lock"] != "public key":
            raise SealError("this backup was made with a passphrase, not for a key")
        once = _bytes(header["once"])
        try:
            shared = self.key.exchange(X25519PublicKey.from_public_bytes(once))
            ends = once, self.key.public_key().public_bytes_raw()
            return _aead(_agreed(shared, *ends)).decrypt(_NO_NONCE, _bytes(header["key"]), MAGIC)
        except (InvalidTag, ValueError):
            raise SealError("this backup was made for another key") from None


class SealedWriter(io.RawIOBase):
    """Encrypts what is written into a file; the file is complete only after `finish`."""

    def __init__(self, target: BinaryIO, lock: KeyLock) -> None:
        super().__init__()
        key = secrets.token_bytes(KEY)
        header = json.dumps({"chunk": CHUNK, **lock.close(key)}).encode() + b"\n"
        target.write(MAGIC + header)
        self._target = target
        self._chunks = _Chunks(key, header)
        self._waiting = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """Take bytes; write all full chunks but the last, which `finish` writes."""
        self._waiting += data
        while len(self._waiting) > CHUNK:
            self._target.write(self._chunks.seal(bytes(self._waiting[:CHUNK]), last=False))
            del self._waiting[:CHUNK]
        return len(data)

    def finish(self) -> None:
        """Write the last chunk, which completes the file."""
        self._target.write(self._chunks.seal(bytes(self._waiting), last=True))
        self._waiting.clear()


class SealedReader(io.RawIOBase):
    """Decrypts a file as a stream of bytes. Making it and reading raise SealError."""

    def __init__(self, source: BinaryIO, opener: StreamOpener) -> None:
        super().__init__()
        self._source = source
        header = _header_of(source)
        try:
            fields = json.loads(header)
            if fields["chunk"] != CHUNK:
                raise SealError("this backup was made by another version of gated")
            key = opener.open(fields)
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            raise SealError("the header of this backup is damaged") from None
        self._chunks = _Chunks(key, header)
        self._next = _read_full(source, CHUNK + TAG)
        self._plain = memoryview(b"")
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Read at most the rest of a chunk; return 0 at the authenticated end."""
        while not self._plain and not self._ended:
            sealed, self._next = self._next, _read_full(self._source, CHUNK + TAG)
            self._ended = not self._next
            self._plain = memoryview(self._chunks.open(sealed, last=self._ended))
        taken = self._plain[: len(buffer)]
        buffer[: len(taken)] = taken
        self._plain = self._plain[len(taken) :]
        return len(taken)


class _Chunks:
    """The cipher of a file, which counts its chunks."""

    def __init__(self, key: bytes, header: bytes) -> None:
        digest = hashes.Hash(hashes.SHA256())
        digest.update(MAGIC + header)
        own = HKDF(hashes.SHA256(), KEY, salt=digest.finalize(), info=b"gated backup chunks")
        self._aead = ChaCha20Poly1305(own.derive(key))
        self._count = 0

    def seal(self, plain: bytes, *, last: bool) -> bytes:
        return self._aead.encrypt(self._nonce(last), plain, None)

    def open(self, sealed: bytes, *, last: bool) -> bytes:
        try:
            return self._aead.decrypt(self._nonce(last), sealed, None)
        except InvalidTag:
            raise SealError("the backup is damaged, or its end is missing") from None

    def _nonce(self, last: bool) -> bytes:
        nonce = self._count.to_bytes(11, "big") + bytes([last])
        self._count += 1
        return nonce


def _header_of(source: BinaryIO) -> bytes:
    if source.read(len(MAGIC)) != MAGIC:
        raise SourceError("this is no backup of gated")
    header = source.readline(LONGEST_HEADER)
    if not header.endswith(b"\n"):
        raise SealError("the header of this backup is damaged")
    return header


def _read_full(source: BinaryIO, size: int) -> bytes:
    """Read `size` bytes, fewer only at the end, also from a pipe."""
    parts: list[bytes] = []
    while size and (some := source.read(size)):
        parts.append(some)
        size -= len(some)
    return b"".join(parts)


def _aead(key: bytes) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(key)


def _agreed(shared: bytes, once: bytes, public: bytes) -> bytes:
    return HKDF(hashes.SHA256(), KEY, salt=once + public, info=b"gated backup key").derive(shared)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _key_in(text: str, prefix: str) -> bytes:
    text = text.strip()
    try:
        key = _bytes(text.removeprefix(prefix)) if text.startswith(prefix) else b""
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != KEY:
        raise SourceError(f"this is no key of a backup: it begins with {prefix}")
    return key
