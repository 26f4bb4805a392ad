"""Sealed blobs (AES-256-GCM) and the two keys of a gate: one seals files, one signs the journal.

A sealed blob is a version byte, a random 96-bit nonce, the ciphertext and its tag. The context, for
a file its relative path, is authenticated with it: a sealed file put in another's place is found.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gated.errors import SealError, StorageError

VERSION = b"\x01"
NONCE = 12
KEY = 32
CREDENTIAL = "gated.seal.key"
VARIABLE = "GATED_SEAL_KEY"
_ELSEWHERE = "seal.elsewhere"
"""The file in keys/ by which a key that was not given is missed, and no new one made."""


class Sealer:
    """Seals and unseals with one key of 32 bytes; safe to share between threads."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY:
            raise ValueError(f"a sealing key has {KEY} bytes")
        self._aead = AESGCM(key)

    def seal(self, plain: bytes, context: str) -> bytes:
        """The sealed blob; only `unseal` with the same key and context opens it."""
        nonce = secrets.token_bytes(NONCE)
        return VERSION + nonce + self._aead.encrypt(nonce, plain, VERSION + context.encode())

    def unseal(self, blob: bytes, context: str) -> bytes:
        """Open a sealed blob. Raises: SealError when key, context or a bit of the blob differs."""
        if blob[:1] != VERSION:
            raise SealError(f"{context} is no sealed file of a known version")
        nonce, sealed = blob[1 : 1 + NONCE], memoryview(blob)[1 + NONCE :]
        try:
            return self._aead.decrypt(nonce, sealed, VERSION + context.encode())
        except (InvalidTag, ValueError):
            raise SealError(f"{context} is damaged or was sealed with another key") from None


@dataclass(frozen=True)
class Keys:
    """The keys of this gate.

    hub: by which gates know this program when it is their hub. opening: the seed of what opens the
    envelopes that they make for it. credentials: the root of the keys for digests of cards, badges
    and PINs. All follow from the sealing key, which all processes of one hub share.
    """

    sealer: Sealer
    signer: Ed25519PrivateKey
    hub: Ed25519PrivateKey
    opening: bytes
    credentials: bytes

    def for_credentials(self, number: int) -> bytes:
        """One of the keys for digests; those of a hub are given to its gates, the root never."""
        return derived(self.credentials, b"gated credentials %d" % number)


def load_keys(
    state_dir: Path, key_file: Path | None = None, environ: Mapping[str, str] = os.environ
) -> Keys:
    """Find the keys, or make them once below `state_dir`/keys with mode 0600; StorageError.

    The sealing key comes from the systemd credential, else from GATED_SEAL_KEY, else from
    `key_file` (which must exist), else from keys/seal.key. Keys are 32 bytes as base64, hex or raw.
    None is made where the key was kept elsewhere before.
    """
    seed = _read_or_make(state_dir / "keys" / "journal.key")
    sealing = _sealing_key(state_dir, key_file, environ)
    return Keys(
        Sealer(sealing),
        Ed25519PrivateKey.from_private_bytes(seed),
        Ed25519PrivateKey.from_private_bytes(derived(sealing, b"gated hub identity")),
        derived(sealing, b"gated hub sealing"),
        derived(sealing, b"gated credential keys"),
    )


def sealing_key(
    state_dir: Path, key_file: Path | None = None, environ: Mapping[str, str] = os.environ
) -> bytes:
    """Find the key of the sealed files as `load_keys` does, and make none. StorageError."""
    given = given_sealing_key(key_file, environ)
    if given is not None:
        return given
    _miss(state_dir)
    return read_private(state_dir / "keys" / "seal.key")


def given_sealing_key(
    key_file: Path | None = None, environ: Mapping[str, str] = os.environ
) -> bytes | None:
    """The key of the sealed files where it is kept outside of the state directory. StorageError."""
    credentials = environ.get("CREDENTIALS_DIRECTORY")
    if credentials and (credential := Path(credentials, CREDENTIAL)).exists():
        # systemd guards these itself and may show group bits for its access list
        return decoded(_read(credential), str(credential))
    if text := environ.get(VARIABLE):
        return decoded(text.encode(), VARIABLE)
    return None if key_file is None else read_private(key_file)


def write_key(path: Path, key: bytes) -> None:
    """Write a key of 32 bytes into a new file that nobody else can read; OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as f:
        f.write(base64.b64encode(key) + b"\n")


def journal_key(state_dir: Path) -> Ed25519PublicKey | None:
    """The public half of the key in force that the file holds; None without one. StorageError."""
    path = state_dir / "keys" / "journal.key"
    if not path.exists():
        return None
    return Ed25519PrivateKey.from_private_bytes(read_private(path)).public_key()


def make_next_journal_key(state_dir: Path) -> Ed25519PrivateKey:
    """The key that shall sign the journal next, made anew beside the one in force; StorageError."""
    path = _next_journal_key(state_dir)
    try:
        path.unlink(missing_ok=True)
        _make(path)
    except OSError as e:
        raise StorageError(f"the key {path} cannot be made: {e.strerror}") from e
    return Ed25519PrivateKey.from_private_bytes(read_private(path))


def next_journal_key(state_dir: Path) -> Ed25519PrivateKey | None:
    """The key that was made to sign the journal next; None without one. StorageError."""
    path = _next_journal_key(state_dir)
    return Ed25519PrivateKey.from_private_bytes(read_private(path)) if path.exists() else None


def take_next_journal_key(state_dir: Path) -> None:
    """Put the next key in the place of the one in force, in one step. StorageError."""
    path = _next_journal_key(state_dir)
    try:
        path.replace(state_dir / "keys" / "journal.key")
        sync_directory(path.parent)
    except OSError as e:
        raise StorageError(f"the key {path} cannot be put in force: {e.strerror}") from e


def _next_journal_key(state_dir: Path) -> Path:
    return state_dir / "keys" / "journal.key.next"


def derived(secret: bytes, purpose: bytes) -> bytes:
    """A key of 32 bytes that tells nothing of the secret it follows from (HKDF-SHA256)."""
    return HKDF(hashes.SHA256(), KEY, salt=None, info=purpose).derive(secret)


def _sealing_key(state_dir: Path, key_file: Path | None, environ: Mapping[str, str]) -> bytes:
    given = given_sealing_key(key_file, environ)
    if given is None:
        _miss(state_dir)
        return _read_or_make(state_dir / "keys" / "seal.key")
    if not (state_dir / "keys" / "seal.key").exists():
        note_elsewhere(state_dir)
    return given


def is_elsewhere(state_dir: Path) -> bool:
    """Return whether the sealing key is kept outside of the state directory."""
    keys = state_dir / "keys"
    return (keys / _ELSEWHERE).exists() and not (keys / "seal.key").exists()


def note_elsewhere(state_dir: Path) -> None:
    """Note that the sealing key is kept outside of the state directory. Raises: StorageError."""
    path = state_dir / "keys" / _ELSEWHERE
    if path.exists():
        return
    text = (
        f"The sealing key is kept elsewhere: systemd credential {CREDENTIAL}, {VARIABLE} or file\n"
    )
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600), "w") as file:
            file.write(text)
    except OSError as e:
        raise StorageError(f"{path} cannot be written: {e.strerror}") from e


def _miss(state_dir: Path) -> None:
    """Refuse to go on without a key that was kept elsewhere. Raises: StorageError.

    A new one would seal what comes from now on, and open nothing of what there is.
    """
    if is_elsewhere(state_dir):
        raise StorageError(
            f"the sealing key of {state_dir} was not given: it is kept elsewhere, as systemd "
            f"credential {CREDENTIAL}, {VARIABLE} or storage.key_file. Type the command with sudo, "
            "or put the key back into keys/seal.key"
        )


def _read_or_make(path: Path) -> bytes:
    try:
        if not path.exists():
            _make(path)
    except OSError as e:
        raise StorageError(f"the key {path} cannot be made: {e.strerror}") from e
    return read_private(path)


def _make(path: Path) -> None:
    """Write a new random key under a temporary name, then link it: of two makers one wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as f:
            f.write(base64.b64encode(secrets.token_bytes(KEY)) + b"\n")
            f.flush()
            os.fsync(fd)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def read_private(path: Path) -> bytes:
    """Return the key in a file that nobody else may read. Raises: StorageError."""
    data = _read(path)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise StorageError(f"the key {path} can be read by others: chmod 600 {path}")
    return decoded(data, str(path))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise StorageError(f"the key {path} cannot be read: {e.strerror}") from e


def decoded(data: bytes, source: str) -> bytes:
    """Return the key of 32 bytes, given as base64, hex or raw. Raises: StorageError."""
    if len(data) == KEY:
        return data
    text = data.strip()
    try:
        key = (
            bytes.fromhex(text.decode())
            if len(text) == 2 * KEY
            else base64.b64decode(
                text, altchars=b"-_" if b"-" in text or b"_" in text else None, validate=True
            )
        )
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != KEY:
        raise StorageError(f"{source} is no key of {KEY} bytes in base64 or hex")
    return key
