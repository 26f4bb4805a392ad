"""A client of LDAP that reads: it binds, and searches page by page (RFC 4511, RFC 2696).

Nothing of what the server sends is trusted: messages, pages, entries and time have bounds.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from gated.config import DirectorySettings
from gated.delivery.secret_files import read_secret
from gated.errors import Broken, SourceError
from gated.ldap import ber, filters
from gated.link.deadline import Deadline

PAGE = 200
"""Entries of a page."""

LARGEST = 12 * 1024 * 1024
"""Bytes of a message: an entry with a photo."""

WITHIN_S, PAGE_WITHIN_S = 10.0, 60.0
"""To connect and to bind, and for a page."""

_BIND, _BOUND, _UNBIND = 0x60, 0x61, 0x42
_SEARCH, _ENTRY, _DONE, _REFERENCE = 0x63, 0x64, 0x65, 0x73
_CONTROLS = 0xA0
_PAGED = "1.2.840.113556.1.4.319"
_OK = 0

_REFUSALS: Mapping[int, Broken] = {
    4: Broken(
        "pages_needed", None, "the directory gives no more people at a time: let it give pages"
    ),
    8: Broken("stronger_sign_in", None, "the directory asks for a stronger sign-in"),
    32: Broken("no_such_base", None, "there is no such place in the directory: directory.base"),
    34: Broken("no_name_base", None, "directory.base or directory.bind_dn is no name"),
    49: Broken("bind_refused", None, "bind_dn or password is wrong"),
    50: Broken("bind_unread", None, "bind_dn may not read there"),
}


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """One entry. attributes: by name in lower case, each with its values."""

    name: str
    attributes: Mapping[str, Sequence[bytes]]

    def first(self, attribute: str) -> bytes | None:
        """The first value of an attribute, or None."""
        return next(iter(self.attributes.get(attribute.lower(), ())), None)


class LdapClient:
    """A connection, bound while the block runs. Raises: SourceError, with words for the report.

    page_within_s: the time that the directory has for a page.
    """

    def __init__(
        self, settings: DirectorySettings, *, page_within_s: float = PAGE_WITHIN_S
    ) -> None:
        self._settings = settings
        self._page_within_s = page_within_s
        self._socket: socket.socket | None = None
        self._buffer = b""
        self._number = 0
        self._ends = 0.0

    def __enter__(self) -> Self:
        try:
            self._socket = self._connected()
            self._bind()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def entries(self, attributes: Sequence[str]) -> Iterator[DirectoryEntry]:
        """Yield the entries of the settings' search. Raises: SourceError, also for too many."""
        cookie, count = b"", 0
        while True:
            cookie_after = None
            for found in self._page(attributes, cookie):
                if isinstance(found, DirectoryEntry):
                    count += 1
                    if count > self._settings.most_people:
                        raise SourceError(
                            f"the directory has more than {self._settings.most_people} people "
                            "there: narrow directory.filter, or raise directory.most_people"
                        ).named("too_many_people", str(self._settings.most_people))
                    yield found
                else:
                    cookie_after = found
            if not cookie_after:
                return
            if cookie_after == cookie:
                raise SourceError("the directory gives the same page again").named("no_ldap")
            cookie = cookie_after

    # --- the wire ---

    def _connected(self) -> socket.socket:
        parts = urlsplit(self._settings.url or "")
        secure = parts.scheme == "ldaps"
        host, port = parts.hostname or "", parts.port or (636 if secure else 389)
        try:
            context = self._tls() if secure else None
            plain = socket.create_connection((host, port), WITHIN_S)
            if context is None:
                return plain
            with Deadline(WITHIN_S) as deadline:
                deadline.watch(plain)
                return context.wrap_socket(plain, server_hostname=host)
        except (OSError, ValueError) as error:
            text = f"the directory {host}:{port} cannot be reached: {error}"
            raise SourceError(text).named("directory_away", f"{host}:{port}") from None

    def _tls(self) -> ssl.SSLContext:
        file = self._settings.ca_file
        return ssl.create_default_context(cafile=str(file) if file else None)

    def _bind(self) -> None:
        self._ends = time.monotonic() + WITHIN_S
        name, file = self._settings.bind_dn or "", self._settings.password_file
        password = read_secret(file, 1) if file is not None else b""
        self._send(ber.tlv(_BIND, ber.integer(3), ber.text(name), ber.tlv(0x80, password)))
        tag, content, _ = self._receive()
        if tag != _BOUND:
            raise SourceError("the directory does not answer as one").named("no_ldap")
        _require_ok(content)

    def _page(self, attributes: Sequence[str], cookie: bytes) -> Iterator[DirectoryEntry | bytes]:
        """Yield the entries of a page, then the cookie of the next one."""
        self._ends = time.monotonic() + self._page_within_s
        search = ber.tlv(
            _SEARCH,
            ber.text(self._settings.base or ""),
            ber.integer(2, ber.ENUMERATED),  # the whole tree below the base
            ber.integer(0, ber.ENUMERATED),
            ber.integer(0),
            ber.integer(int(PAGE_WITHIN_S)),
            ber.tlv(ber.BOOLEAN, b"\0"),
            _filter(self._settings.filter),
            ber.tlv(ber.SEQUENCE, *(ber.text(name) for name in attributes)),
        )
        paged = ber.tlv(ber.SEQUENCE, ber.integer(PAGE), ber.tlv(ber.OCTETS, cookie))
        control = ber.tlv(
            ber.SEQUENCE,
            ber.text(_PAGED),
            ber.tlv(ber.BOOLEAN, b"\xff"),
            ber.tlv(ber.OCTETS, paged),
        )
        self._send(search, ber.tlv(_CONTROLS, control))
        while True:
            tag, content, controls = self._receive()
            if tag == _ENTRY:
                given_at = time.monotonic()
                yield _entry(content)
                # the caller may examine a photo for long: that is not the directory's time
                self._ends += time.monotonic() - given_at
            elif tag == _DONE:
                _require_ok(content)
                yield _cookie(controls)
                return
            elif tag != _REFERENCE:  # to other servers, which nobody follows
                raise SourceError("the directory does not answer as one").named("no_ldap")

    def _send(self, operation: bytes, controls: bytes = b"") -> None:
        self._number += 1
        message = ber.tlv(ber.SEQUENCE, ber.integer(self._number), operation, controls)
        try:
            self._open().sendall(message)
        except OSError as error:
            raise SourceError(f"the directory has broken off: {error}").named(
                "directory_broken_off"
            ) from None

    def _receive(self) -> tuple[int, bytes, bytes]:
        """(tag, content, controls) of the next message that answers the last request."""
        while True:
            parts = list(ber.values(self._message()))
            if len(parts) < 2 or parts[0][0] != ber.INTEGER:
                raise SourceError("the directory sends what is no LDAP").named("no_ldap")
            controls = next((content for tag, content in parts[2:] if tag == _CONTROLS), b"")
            number = ber.number(parts[0][1])
            if number == self._number:
                return parts[1][0], parts[1][1], controls
            if number == 0:
                raise SourceError("the directory has ended the connection").named(
                    "directory_broken_off"
                )

    def _message(self) -> bytes:
        while True:
            found = ber.head(self._buffer[: 2 + ber.LONGEST_LENGTH])
            if found is not None:
                begin, size = found
                if self._buffer[0] != ber.SEQUENCE or size > LARGEST:
                    raise SourceError(
                        "the directory sends what is no LDAP, or too large an entry"
                    ).named("no_ldap")
                if len(self._buffer) >= begin + size:
                    content = self._buffer[begin : begin + size]
                    self._buffer = self._buffer[begin + size :]
                    return content
            self._buffer += self._some()

    def _some(self) -> bytes:
        left = self._ends - time.monotonic()
        try:
            if left <= 0:
                raise TimeoutError
            connection = self._open()
            connection.settimeout(left)
            data = connection.recv(256 * 1024)
        except TimeoutError:
            raise SourceError("the directory does not answer in time").named(
                "directory_broken_off"
            ) from None
        except OSError as error:
            raise SourceError(f"the directory has broken off: {error}").named(
                "directory_broken_off"
            ) from None
        if not data:
            raise SourceError("the directory has broken off").named("directory_broken_off")
        return data

    def _open(self) -> socket.socket:
        if self._socket is None:
            raise RuntimeError("use the client inside its `with` block")
        return self._socket


def _filter(text: str) -> bytes:
    """The filter of the settings as it is sent. Raises: SourceError."""
    try:
        return filters.encoded(text)
    except ValueError as error:
        text = f"directory.filter cannot be used: {error}"
        raise SourceError(text).named("unusable", "directory.filter") from None


def _require_ok(result: bytes) -> None:
    """Raises: SourceError for a result that is none."""
    parts = list(ber.values(result))
    if len(parts) < 3 or parts[0][0] != ber.ENUMERATED:
        raise SourceError("the directory sends what is no LDAP").named("no_ldap")
    code = ber.number(parts[0][1])
    if code != _OK:
        said = parts[2][1][:200].decode(errors="replace")
        other = Broken("ldap_refuses", str(code), "the directory refuses")
        why = _REFUSALS.get(code, other)
        text = f"{why.detail} (result {code}, {said!a})"
        raise SourceError(text).named(why.rule, why.limit)


def _cookie(controls: bytes) -> bytes:
    for _, control in ber.values(controls):
        parts = list(ber.values(control))
        if parts and parts[0][1] == _PAGED.encode():
            for _, value in ber.values(parts[-1][1]):
                inner = list(ber.values(value))
                return inner[1][1] if len(inner) == 2 else b""
    return b""


def _entry(content: bytes) -> DirectoryEntry:
    parts = [value for _, value in ber.values(content)]
    if len(parts) != 2:
        raise SourceError("the directory sends what is no LDAP").named("no_ldap")
    attributes: dict[str, list[bytes]] = {}
    for _, attribute in ber.values(parts[1]):
        pair = [value for _, value in ber.values(attribute)]
        if len(pair) != 2:
            raise SourceError("the directory sends what is no LDAP").named("no_ldap")
        name = pair[0].decode(errors="replace").partition(";")[0].lower()
        attributes.setdefault(name, []).extend(value for _, value in ber.values(pair[1]))
    return DirectoryEntry(parts[0].decode(errors="replace"), attributes)
