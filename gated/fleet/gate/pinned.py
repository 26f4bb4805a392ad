"""Connections to a hub whose certificate nobody has signed but itself: known by its key.

The key stays when such a certificate is renewed, so that gates that accepted it go on. What was
accepted at joining is believed for its key alone. A certificate in `sync.ca_file` that signs itself
is checked as any other; another one with the same key and names takes its place when it is renewed.
"""

from __future__ import annotations

import hashlib
import http.client
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gated.errors import HubUnreachable
from gated.link.deadline import Deadline
from gated.live.hub_failures import WrongKey, failure_of

SHOWN_S = 5.0


def key_digest(certificate: x509.Certificate) -> str:
    """SHA-256 (hex) of the public key of a certificate."""
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def loaded(der: bytes) -> x509.Certificate:
    """A certificate from its bytes."""
    return x509.load_der_x509_certificate(der)


def fingerprint_of(der: bytes) -> str:
    """SHA-256 of a certificate as people compare it: `AB:CD:...`."""
    return hashlib.sha256(der).digest().hex(":").upper()


def shown_by(host: str, port: int) -> bytes:
    """The certificate (DER) that a server shows, believed by nobody yet; HubUnreachable."""
    try:
        with (
            Deadline(2 * SHOWN_S) as deadline,
            socket.create_connection((host, port), SHOWN_S) as plain,
        ):
            deadline.watch(plain)
            with _believing().wrap_socket(plain, server_hostname=host) as tls:
                return tls.getpeercert(True) or b""
    except OSError as error:
        reason, says = failure_of(error)
        raise HubUnreachable(f"no answer from {host}:{port}: {says}", reason=reason) from None


class PinnedConnection(http.client.HTTPConnection):
    """HTTPS to a server that is known by its key (`pin`), or else by `strict` and `ca_file`."""

    default_port = http.client.HTTPS_PORT

    def __init__(
        self,
        host: str,
        port: int | None,
        pin: str | None,
        strict: ssl.SSLContext,
        ca_file: Path | None,
    ) -> None:
        super().__init__(host, port)
        self._pin = pin
        self._strict = strict
        self._ca_file = ca_file
        self.deadline: Deadline | None = None
        """The deadline of connecting; a handshake may come byte by byte."""
        self.until: datetime | None = None
        """End of the certificate that was shown."""

    def connect(self) -> None:
        """Connect, and say nothing to a server that is not the right one. OSError."""
        self._connect()
        self.until = self._shown().not_valid_after_utc

    def _connect(self) -> None:
        if self._pin is not None:
            self._wrap(_believing())
            if key_digest(self._shown()) != self._pin:
                self.close()
                raise WrongKey("another key")
            return
        try:
            self._wrap(self._strict)
        except ssl.SSLCertVerificationError:
            self.close()
            self._wrap(_believing())
            if not self._is_renewed(self._shown()):
                self.close()
                raise

    def _wrap(self, context: ssl.SSLContext) -> None:
        super().connect()
        if self.deadline is not None:
            self.deadline.watch(self.sock)
        self.sock = context.wrap_socket(self.sock, server_hostname=self.host)

    def _shown(self) -> x509.Certificate:
        assert isinstance(self.sock, ssl.SSLSocket)  # noqa: S101
        return x509.load_der_x509_certificate(self.sock.getpeercert(True) or b"")

    def _is_renewed(self, shown: x509.Certificate) -> bool:
        """Return whether it is one of `ca_file`, which signed itself, in a newer form."""
        now = datetime.now(UTC)
        if not shown.not_valid_before_utc <= now <= shown.not_valid_after_utc:
            return False
        if not _has_name(shown, self.host):
            return False
        return any(
            key_digest(old) == key_digest(shown) and _names(old) == _names(shown)
            for old in _self_signed(self._ca_file)
        )


def _believing() -> ssl.SSLContext:
    """Return a context that takes any certificate: it is compared before anything is sent."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _self_signed(ca_file: Path | None) -> Iterator[x509.Certificate]:
    if ca_file is None:
        return
    with suppress(OSError, ValueError):
        for one in x509.load_pem_x509_certificates(ca_file.read_bytes()):
            if one.issuer == one.subject and not _is_authority(one):
                yield one


def _is_authority(one: x509.Certificate) -> bool:
    try:
        return one.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return True


def _names(one: x509.Certificate) -> set[str]:
    try:
        found = one.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    names = {name.lower() for name in found.get_values_for_type(x509.DNSName)}
    return names | {str(address) for address in found.get_values_for_type(x509.IPAddress)}


def _has_name(one: x509.Certificate, host: str) -> bool:
    return host.lower() in _names(one)
