"""Addresses that may hold a password: what is well-formed in them, and what may be shown.

A `#`, `/` or `?` in a password ends the host part early, so that a part of the password is taken
for the host and the port. Who only looks for the host then shows it. Therefore nothing is shown of
an address unless all of it can be read in one way only.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_ENCODED = r"%[0-9A-Fa-f]{2}"
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}(?:\.[A-Za-z0-9_-]{1,63})*\.?"
"""No resolver takes an empty part, or a longer one: Python's raises another error than OSError."""
_HOST = rf"(?P<host>{_NAME}|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{{1,5}}))?"
_URL = re.compile(
    rf"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://"
    rf"(?:(?P<user>(?:[A-Za-z0-9._~!$&'()*+,;=:-]|{_ENCODED})*)@)?{_HOST}"
    r"(?P<rest>[/?#][\x21-\x7e]*)?"
)
_DATABASE = re.compile(
    rf"[a-z]+(?:\+\w+)?://(?:[^@:/]*(?::[^@]*)?@)?(?:{_HOST})?(?P<rest>/[^@?]*)?(?:\?.*)?"
)

HOW_TO_WRITE = (
    'in user and password write "#" as %23, "/" as %2F, "?" as %3F, "@" as %40, ":" as %3A, '
    '"%" as %25, "[" as %5B, "]" as %5D, a space as %20, and other letters as the bytes of UTF-8'
)


class Authority(NamedTuple):
    """The target of an address, without who signs in there. port: None where it says none."""

    scheme: str
    host: str
    port: int | None

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"


def authority(url: str) -> Authority | None:
    """The scheme, host and port of an address; None when it can be read in two ways, or none."""
    found = _URL.fullmatch(url)
    if found is None or "@" in (found["rest"] or "") or int(found["port"] or 0) > 65_535:
        return None
    port = found["port"]
    return Authority(found["scheme"].lower(), found["host"].lower(), int(port) if port else None)


def shown(url: str, instead: str = "the address") -> str:
    """The address without user, password, path and query: any of them may hold a secret."""
    found = authority(url)
    return instead if found is None else str(found)


def problem_of(url: str) -> str | None:
    """Return what is wrong with the writing of an address, without a word of it; None: nothing."""
    found = _URL.fullmatch(url)
    if found is not None and found["user"] is not None and int(found["port"] or 0) <= 65_535:
        return None
    return None if authority(url) is not None else f"is no address that can be read: {HOW_TO_WRITE}"


def problem_of_database(url: str) -> str | None:
    """The same for the address of a PostgreSQL server, whose password may hold more characters."""
    if _DATABASE.fullmatch(url):
        return None
    return f"is no address that can be read: {HOW_TO_WRITE}"
