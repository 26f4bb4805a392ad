"""Basic encoding rules, as far as LDAP needs them (RFC 4511, 5.1): definite lengths, short tags."""

from __future__ import annotations

from collections.abc import Iterator

from gated.errors import SourceError

INTEGER, OCTETS, ENUMERATED, SEQUENCE, SET, BOOLEAN = 0x02, 0x04, 0x0A, 0x30, 0x31, 0x01

LONGEST_LENGTH = 4
"""Bytes of a length."""

MOST_VALUES = 10_000
"""Values of one sequence: a message of 12 MB could hold six million, each an object here."""


def tlv(tag: int, *parts: bytes) -> bytes:
    """Encode a value of one tag."""
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def integer(value: int, tag: int = INTEGER) -> bytes:
    """Encode a number that is not negative."""
    return tlv(tag, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def text(value: str, tag: int = OCTETS) -> bytes:
    """Encode a text."""
    return tlv(tag, value.encode())


def head(data: bytes) -> tuple[int, int] | None:
    """Return (bytes of tag and length, bytes of content) of a value; None: more is needed.

    Raises: SourceError for what is none.
    """
    if len(data) < 2:
        return None
    if data[0] & 0x1F == 0x1F:
        raise SourceError("the directory sends what is no LDAP").named("no_ldap")
    if data[1] < 0x80:
        return 2, data[1]
    count = data[1] & 0x7F
    if not 0 < count <= LONGEST_LENGTH:
        raise SourceError("the directory sends what is no LDAP").named("no_ldap")
    if len(data) < 2 + count:
        return None
    return 2 + count, int.from_bytes(data[2 : 2 + count], "big")


def values(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (tag, content) of each value of a sequence. Raises: SourceError."""
    at = count = 0
    while at < len(data):
        count += 1
        if count > MOST_VALUES:
            raise SourceError(f"the directory sends more than {MOST_VALUES} values in one")
        found = head(data[at : at + 2 + LONGEST_LENGTH])
        if found is None or at + sum(found) > len(data):
            raise SourceError("the directory sends what is no LDAP").named("no_ldap")
        begin = at + found[0]
        yield data[at], data[begin : begin + found[1]]
        at = begin + found[1]


def number(content: bytes) -> int:
    """Read a number. Raises: SourceError."""
    if not 0 < len(content) <= 8:
        raise SourceError("the directory sends what is no LDAP").named("no_ldap")
    return int.from_bytes(content, "big", signed=True)
