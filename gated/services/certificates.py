"""Certificates that the gate signs itself, for networks without an authority of their own."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gated.errors import Conflict, StorageError
from gated.storage.files import write_atomic

EARLY = timedelta(days=1)
"""Valid before now: clocks of clients differ, and the gate's own may be slow."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Where a certificate and its key lie, and the fingerprint to compare by eye."""

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
