"""Bytes between the two processes of a gate: a header, a body in JSON, and raw bytes of a picture.

A header names version, kind and both lengths. How long a message of a kind may be is known before
it is read, so that nobody makes the other side keep what they like. A message of an unknown kind is
read over, as long as it is short. Anything else that is wrong ends the connection: after it no
byte is known to begin a message.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

VERSION = 1
HEADER = struct.Struct("!BBII")
"""Version, kind, bytes of the body, bytes of the picture."""

UNKNOWN_BYTES = 64 << 10
"""Of a message of an unknown kind, which is read over."""

Limits = Mapping[int, tuple[int, int]]
"""Kind -> how many bytes its body and its picture may have."""


class WireError(Exception):
    """Raised for what is no message of this version, or longer than its kind may be."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One message as it travels. known: whether its kind is one that the receiver takes."""

    kind: int
    body: bytes
    picture: bytes = b""
    known: bool = True


def packed(kind: int, body: bytes, picture_bytes: int = 0) -> bytes:
    """Header and body of a message; its picture follows, where it has one."""
    return HEADER.pack(VERSION, kind, len(body), picture_bytes) + body


class Unpacker:
    """Cuts what arrives into messages. limits: of the kinds that are taken."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._arrived = bytearray()

    @property
    def waiting(self) -> int:
        """Bytes of a message that has not arrived as a whole."""
        return len(self._arrived)

    def feed(self, data: bytes | bytearray | memoryview) -> Iterator[Packet]:
        """Take what arrived; yield the messages that are whole now. Raises: WireError."""
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
