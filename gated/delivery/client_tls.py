"""Makes the TLS context of a client: the authorities that it trusts, and its own certificate."""

from __future__ import annotations

import ssl
from pathlib import Path


class UnusableFiles(Exception):
    """Files of certificates or keys that cannot be used; the message names them."""


def client_tls(ca: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """Return the context; without `ca` it trusts the system's authorities. Raises:
    UnusableFiles."""
    try:
        context = ssl.create_default_context(cafile=ca)
        if certificate is not None:
            context.load_cert_chain(certificate, key)
    except OSError as error:
        named = ", ".join(str(file) for file in (ca, certificate, key) if file is not None)
        raise UnusableFiles(f"{named} cannot be used: {error}") from None
    return context


def why_failed(error: Exception) -> str:
    """Return why a connection to a partner failed, in a few words."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    return str(getattr(error, "strerror", None) or error) or type(error).__name__
