"""Maps failures between a gate and its hub to a code and advice."""

from __future__ import annotations

import socket
import ssl
from http import HTTPStatus

from gated.errors import HubError

_BY_VERIFICATION = {
    9: ("certificate_not_yet_valid", "its certificate is not valid yet: is the clock here right"),
    10: (
        "certificate_expired",
        "its certificate has expired: renew it there (is the clock here right)",
    ),
    62: ("certificate_wrong_name", "its certificate is for another name: see sync.hub_url"),
    64: ("certificate_wrong_name", "its certificate is for another address: see sync.hub_url"),
}
"""(code, advice) by OpenSSL's verification code."""

_UNTRUSTED = (
    "certificate_untrusted",
    "its certificate is signed by nobody whom this machine trusts: compare the fingerprint and "
    "join again with --fingerprint, or name who signed it in sync.ca_file",
)


class WrongKey(ConnectionError):
    """The server's certificate has another key than the accepted one."""


def failure_of(error: BaseException) -> tuple[str, str]:
    """Return (code, advice) of an error of the network or of TLS."""
    if isinstance(error, WrongKey):
        return (
            "certificate_changed",
            "its certificate has another key than the one that was accepted: if that was changed "
            "on purpose, join again with `gated join --again`",
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        return _BY_VERIFICATION.get(error.verify_code, _UNTRUSTED)
    if isinstance(error, ssl.SSLError):
        if error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
            return (
                "no_tls",
                "there is no TLS at this port: is the port right, or the hub plain http",
            )
        return "tls", f"TLS fails: {error.reason or error}"
    if isinstance(error, socket.gaierror):
        return "name_unknown", "the name cannot be resolved: see sync.hub_url and the DNS"
    if isinstance(error, TimeoutError):
        return "silent", "it does not answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "unreachable", "nothing listens there: is the hub running"
    return "unreachable", str(error) or type(error).__name__


_BY_STATUS = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too_large",
    HTTPStatus.UNAUTHORIZED: "not_signed_in",
    HTTPStatus.BAD_GATEWAY: "hub_down",
    HTTPStatus.GATEWAY_TIMEOUT: "hub_down",
}


def reason_of(error: Exception) -> str:
    """Return the code of a failure between a gate and its hub."""
    if not isinstance(error, HubError):
        return "own_storage"
    if error.reason:
        return error.reason
    if error.hub_code and error.status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return error.hub_code
    known = _BY_STATUS.get(HTTPStatus(error.status)) if error.status in _STATUSES else None
    return known or (f"status_{error.status}" if error.status else "unreachable")


_STATUSES = frozenset(int(s) for s in HTTPStatus)
