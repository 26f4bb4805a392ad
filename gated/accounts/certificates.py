"""Certificates that the gate signs itself, for networks without an authority of their own."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gated.errors import Conflict, StorageError
from gated.vault.files import write_atomic

EARLY = timedelta(days=1)
"""Valid before now: clocks of clients differ, and the gate's own may be slow."""


WARN_BEFORE = timedelta(days=30)
"""Time before the expiry at which it is reported; one that we signed is renewed then."""

RENEWED_DAYS = 825


@dataclass(frozen=True, slots=True)
class Certificate:
    """The paths of a certificate and its key, and the fingerprint to compare by eye."""

    certificate: Path
    key: Path
    fingerprint: str


def self_signed(folder: Path, names: Sequence[str], days: int, *, replace: bool) -> Certificate:
    """Write tls.crt and tls.key (mode 0600) for these host names and addresses.

    ECDSA on P-256 with SHA-256. Conflict when there is one and `replace` is not given;
    StorageError when the folder cannot be written.
    """
    pem, key_pem = folder / "tls.crt", folder / "tls.key"
    if not replace and (pem.exists() or key_pem.exists()):
        raise Conflict(f"{pem} is there already: --replace makes another one")
    key = ec.generate_private_key(ec.SECP256R1())
    made = _signed(key, names, days)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        secret = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        write_atomic(key_pem, secret, 0o600)
        write_atomic(pem, made.public_bytes(serialization.Encoding.PEM), 0o644)
    except OSError as error:
        raise StorageError(f"{folder} cannot be written: {error.strerror}") from None
    return Certificate(pem, key_pem, made.fingerprint(hashes.SHA256()).hex(":").upper())


def ends(certificate: Path) -> datetime:
    """Return when a certificate (PEM) ends. Raises: StorageError when it cannot be read."""
    return _read(certificate).not_valid_after_utc


def written(certificate: Path) -> float:
    """Return when the file was written (seconds since 1970). Raises: StorageError."""
    try:
        return certificate.stat().st_mtime
    except OSError as error:
        raise StorageError(f"{certificate} cannot be read: {error.strerror}") from None


def expiring(certificate: Path, now: datetime) -> str:
    """A sentence about one that ends within `WARN_BEFORE` or has ended; else empty."""
    until = ends(certificate)
    if until - now > WARN_BEFORE:
        return ""
    word = "has ended" if until <= now else "ends"
    return f"{certificate} {word} on {until:%Y-%m-%d %H:%M} UTC: put another one in its place"


def is_own(certificate: Path, key: Path, folder: Path) -> bool:
    """Return whether it is one that `self_signed` made in this folder."""
    if certificate.resolve().parent != folder.resolve() or not os.access(folder, os.W_OK):
        return False
    found = _read(certificate)
    return found.issuer == found.subject and key.is_file()


def renew(certificate: Path, key: Path, days: int = RENEWED_DAYS) -> str:
    """Sign a certificate of our own anew, with the same key and names; its fingerprint.

    Who knows the hub by that key goes on. StorageError.
    """
    old = _read(certificate)
    try:
        secret = serialization.load_pem_private_key(key.read_bytes(), None)
    except (OSError, ValueError) as error:
        raise StorageError(f"{key} cannot be read: {error}") from None
    if not isinstance(secret, ec.EllipticCurvePrivateKey):
        raise StorageError(f"{key} is no key that gated has made")
    try:
        names = old.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise StorageError(f"{certificate} is none that gated has made") from None
    made = _signed(secret, [str(name.value) for name in names], days)
    try:
        write_atomic(certificate, made.public_bytes(serialization.Encoding.PEM), 0o644)
    except OSError as error:
        raise StorageError(f"{certificate} cannot be written: {error.strerror}") from None
    return fingerprint(certificate)


def fingerprint(certificate: Path) -> str:
    """SHA-256 of a certificate, to compare by eye; StorageError."""
    return _read(certificate).fingerprint(hashes.SHA256()).hex(":").upper()


def _read(certificate: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError) as error:
        raise StorageError(f"the certificate {certificate} cannot be read: {error}") from None


def _signed(key: ec.EllipticCurvePrivateKey, names: Sequence[str], days: int) -> x509.Certificate:
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLY)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([_name(n) for n in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=False)
        .sign(key, hashes.SHA256())
    )


def _name(text: str) -> x509.GeneralName:
    """Conflict for what is neither a host name nor an address."""
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        pass
    try:
        return x509.DNSName(text.encode("idna").decode("ascii"))
    except (ValueError, UnicodeError):
        raise Conflict(f"{text[:60]!r} is neither a host name nor an address") from None
