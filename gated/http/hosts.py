"""By which names this machine may be asked, and which pages may sign in.

A page of a stranger whose name is made to point to this machine (DNS rebinding) is of the same
origin as the machine for every browser. The name in the Host header gives it away.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from pathlib import Path

from cryptography import x509
from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gated.config import ApiSettings
from gated.errors import ForeignOrigin
from gated.http.answers import answers
from gated.http.problems import Problem

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::(\d{1,5}))?")
_PORTS = {"http": "80", "https": "443"}
_ORIGIN = re.compile(r"(https?)://(\S+)")
_OWN_PAGES = frozenset({"same-origin", "none"})
"""Values of Sec-Fetch-Site for a page of this machine and for a typed address."""


def known_names(settings: ApiSettings) -> frozenset[str]:
    """Names by which the machine may be asked, in lower case; one with a dot before it: all below.

    Its own name, also in mDNS (`.local`), `api.host`, those of the certificate and
    `api.allowed_hosts`.
    """
    own = socket.gethostname().lower().rstrip(".")
    short = own.partition(".")[0]
    names = {"localhost", ".localhost", own, short, f"{short}.local", settings.host.lower()}
    names |= {name.lower() for name in settings.allowed_hosts}
    if settings.tls_certificate is not None:
        names |= _certified(settings.tls_certificate)
    return frozenset(names - {""})


def _certified(file: Path) -> set[str]:
    """The names in a certificate; none in a file that cannot be read, as the server says that."""
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (OSError, ValueError, x509.ExtensionNotFound):
        return set()
    names = extension.value.get_values_for_type(x509.DNSName)
    return {name.lower().removeprefix("*") for name in names}


def is_known(host: str, names: frozenset[str]) -> bool:
    """Return whether a Host header names this machine: by an address, or by one of the names.

    An address is always right: a browser that has one in its address bar asks nobody for it.
    """
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    name = found[1].lower().rstrip(".")
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        above = (name[at:] for at, character in enumerate(name) if character == ".")
        return name in names or any(dotted in names for dotted in above)
    return True


class Hosts:
    """Refuses (421) requests for another machine's name, and (400) what is no name.

    Behind a trusted proxy, unless names are configured, the proxy decides: it knows its own.
    """

    def __init__(self, app: ASGIApp, settings: ApiSettings) -> None:
        self.app = app
        self._names = known_names(settings)
        self._proxied = bool(settings.trusted_proxies) and not settings.allowed_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if self._proxied and "x-forwarded-for" in headers:
            hosts = []
        problem = self._problem(hosts)
        await (self.app if problem is None else problem)(scope, receive, send)

    def _problem(self, hosts: list[str]) -> Problem | None:
        if not hosts or (len(hosts) == 1 and is_known(hosts[0], self._names)):
            return None  # HTTP/1.0 may come without: no browser does
        if len(hosts) > 1 or not _HOST.fullmatch(hosts[0]):
            return Problem(400, "the Host header is no name and no address")
        name = hosts[0].rpartition(":")[0] or hosts[0]
        return Problem(
            421,
            f"this machine is not {name[:100]}: ask by its address, or add the name to "
            "api.allowed_hosts",
        )


@answers(403)
def own_page(request: Request) -> None:
    """Refuse a browser's session to a page of another site; ForeignOrigin.

    Programs send neither Origin nor Sec-Fetch-Site. Signing somebody in as another account than
    their own lets a stranger read what they then enter.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    foreign = site is not None and site not in _OWN_PAGES
    if foreign or (origin is not None and not _is_own(origin, request)):
        raise ForeignOrigin("sign in on this machine's own page")


def _is_own(origin: str, request: Request) -> bool:
    found = _ORIGIN.fullmatch(origin.lower())
    if found is None:
        return False
    scheme, place = found[1], found[2]
    if request.url.scheme == "https" and scheme != "https":
        return False
    host = request.headers.get("host", "").lower()
    return _with_port(place, scheme) == _with_port(host, scheme)


def _with_port(host: str, scheme: str) -> str:
    found = _HOST.fullmatch(host)
    return "" if found is None else f"{found[1]}:{found[2] or _PORTS[scheme]}"
