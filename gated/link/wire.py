"""Frames the messages between the two processes of a gate: a header, JSON, and bytes of a picture.

A header holds version, kind and both lengths. The longest length of each kind is known before the
message is read, so that a peer cannot make the other side buffer more. A short message of an
unknown kind is skipped. Any other error ends the connection, as the beginning of the next message
is unknown.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

VERSION = 1
HEADER = struct.Struct("!BBII")
"""Version, kind, bytes of the body, bytes of the picture."""

UNKNOWN_BYTES = 64 << 10
"""The longest message of an unknown kind that is skipped."""

Limits = Mapping[int, tuple[int, int]]
"""Kind -> the most bytes of its body and of its picture."""


class WireError(Exception):
    """Bytes that are no message of this version, or one longer than its kind may be."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One framed message. known: whether the receiver accepts its kind."""

    kind: int
    body: bytes
    picture: bytes = b""
    known: bool = True


def packed(kind: int, body: bytes, picture_bytes: int = 0) -> bytes:
    """Return header and body of a message; the bytes of its picture are sent after them."""
    return HEADER.pack(VERSION, kind, len(body), picture_bytes) + body


class Unpacker:
    """Splits received bytes into messages. limits: of the kinds that are accepted."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._arrived = bytearray()

    @property
    def waiting(self) -> int:
        """The number of bytes of an incomplete message."""
        return len(self._arrived)

    def feed(self, data: bytes | bytearray | memoryview) -> Iterator[Packet]:
        """Take received bytes; yield the messages that are complete. Raises: WireError."""
        self._arrived += data
        while len(self._arrived) >= HEADER.size:
            version, kind, body, picture = HEADER.unpack_from(self._arrived)
            self._check(version, kind, body, picture)
            middle = HEADER.size + body
            end = middle + picture
            if len(self._arrived) < end:
                return
            with memoryview(self._arrived) as view:
                packet = Packet(
                    kind, bytes(view[HEADER.size : middle]), bytes(view[middle:end]),
                    kind in self._limits,
                )  # fmt: skip
            del self._arrived[:end]
            yield packet

    def _check(self, version: int, kind: int, body: int, picture: int) -> None:
        if version != VERSION:
            raise WireError(f"version {version} of the messages, not {VERSION}")
        if kind not in self._limits:
            if body + picture > UNKNOWN_BYTES:
                raise WireError(f"{body + picture} bytes of the unknown kind {kind}")
            return
        most_body, most_picture = self._limits[kind]
        if body > most_body or picture > most_picture:
            raise WireError(f"{body} and {picture} bytes of kind {kind}")
