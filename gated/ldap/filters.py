"""Filters as they are written (RFC 4515), for the request of a search."""

from __future__ import annotations

import re
from collections.abc import Callable

from gated.ldap.ber import tlv

LONGEST, DEEPEST = 2000, 20
"""Characters of a filter, and brackets within brackets."""

_ITEM = re.compile(r"([A-Za-z][\w;.-]*|)((?::[\w.-]+)*)(:=|>=|<=|~=|=)([^()]*)")
_ESCAPED = re.compile(r"\\([0-9A-Fa-f]{2})")
_TAGS = {">=": 0xA5, "<=": 0xA6, "~=": 0xA8, "=": 0xA3}
_SETS = {"&": 0xA0, "|": 0xA1}


def encoded(text: str) -> bytes:
    """Return a filter as it is sent. Raises: ValueError, with words for who wrote it."""
    if len(text) > LONGEST:
        raise ValueError(f"a filter has {LONGEST} characters at most")
    found, rest = _filter(text.strip(), 0)
    if rest:
        raise ValueError(f"after the filter comes {rest[:20]!r}")
    return found


def _filter(text: str, depth: int) -> tuple[bytes, str]:
    if depth > DEEPEST:
        raise ValueError(f"a filter has {DEEPEST} brackets within brackets at most")
    if not text.startswith("("):
        raise ValueError(f"a bracket is missing before {text[:20]!r}")
    inner = text[1:]
    if inner[:1] in _SETS:
        found, rest = _several(inner[1:], depth)
        made = tlv(_SETS[inner[0]], *found)
    elif inner[:1] == "!":
        one, rest = _filter(inner[1:], depth + 1)
        made = tlv(0xA2, one)
    else:
        item, bracket, rest = inner.partition(")")
        made, rest = _item(item), bracket + rest
    if not rest.startswith(")"):
        raise ValueError("a bracket is not closed")
    return made, rest[1:]


def _several(text: str, depth: int) -> tuple[list[bytes], str]:
    found: list[bytes] = []
    while text.startswith("("):
        one, text = _filter(text, depth + 1)
        found.append(one)
    if not found:
        raise ValueError("& and | need filters in brackets behind them")
    return found, text


def _item(text: str) -> bytes:
    parts = _ITEM.fullmatch(text)
    if parts is None or not (parts[1] or parts[2]):
        raise ValueError(f"{text[:40]!r} compares nothing")
    name, rules, sign, value = parts[1], parts[2], parts[3], parts[4]
    if sign == ":=":
        return _extensible(name, rules, value)
    if rules:
        raise ValueError(f"a rule of matching stands before := only: {text[:40]!r}")
    if sign == "=" and value == "*":
        return tlv(0x87, name.encode())
    if sign == "=" and "*" in value:
        return tlv(0xA4, tlv(0x04, name.encode()), tlv(0x30, *_pieces(value)))
    return tlv(_TAGS[sign], tlv(0x04, name.encode()), tlv(0x04, _value(value)))


def _pieces(value: str) -> list[bytes]:
    first, *middle, last = value.split("*")
    found = [tlv(0x80, _value(first))] if first else []
    found += [tlv(0x81, _value(piece)) for piece in middle if piece]
    return [*found, *([tlv(0x82, _value(last))] if last else [])]


def _extensible(name: str, rules: str, value: str) -> bytes:
    given = rules.split(":")[1:]
    of_names = [rule for rule in given if rule.lower() == "dn"]
    others = [rule for rule in given if rule.lower() != "dn"]
    if len(others) > 1 or not (name or others):
        raise ValueError(f"{rules[:40]!r} is no rule of matching")
    return tlv(
        0xA9,
        *(tlv(0x81, rule.encode()) for rule in others),
        *([tlv(0x82, name.encode())] if name else []),
        tlv(0x83, _value(value)),
        *([tlv(0x84, b"\xff")] if of_names else []),
    )


def _value(text: str) -> bytes:
    if "\\" in _ESCAPED.sub("", text):
        raise ValueError(f"a backslash stands before two hexadecimal digits: {text[:40]!r}")
    byte: Callable[[re.Match[bytes]], bytes] = lambda found: bytes.fromhex(found[1].decode())  # noqa: E731
    return re.sub(rb"\\([0-9A-Fa-f]{2})", byte, text.encode())
