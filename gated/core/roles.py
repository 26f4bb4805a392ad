"""Roles of accounts, and the principal who makes a request."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """Rights of an account; see `includes`."""

    SELF = "self"
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"
    AUDITOR = "auditor"
    DEVICE = "device"
    DIRECTORY = "directory"
    DISPLAY = "display"

    def includes(self, other: Role) -> bool:
        """Return whether this role may do what the other one may."""
        return other in _INCLUDED[self]


_VIEWER = {Role.SELF, Role.VIEWER}
_OPERATOR = _VIEWER | {Role.OPERATOR}
_INCLUDED = {
    Role.SELF: {Role.SELF},
    Role.VIEWER: _VIEWER,
    Role.OPERATOR: _OPERATOR,
    Role.ADMIN: _OPERATOR | {Role.ADMIN, Role.AUDITOR},
    Role.AUDITOR: {Role.SELF, Role.AUDITOR},
    Role.DEVICE: {Role.DEVICE},
    Role.DIRECTORY: {Role.DIRECTORY},
    Role.DISPLAY: {Role.DISPLAY},
}
PROGRAMS = frozenset({Role.DEVICE, Role.DIRECTORY, Role.DISPLAY})
"""Held by no people: such an account has a long token and no password."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The account that makes a request."""

    account_id: int
    username: str
    role: Role
    person_id: int | None
    person_uid: str | None = None
    session: str = ""
    """Id of a password session, in which an operator of the hub can sign edits."""
