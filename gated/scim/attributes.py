"""The attributes of users and groups that are kept here, and how values of clients are read.

Names of attributes are compared without case (RFC 7643, section 2.1). A resource is a dict with the
names as they stand here; attributes of an extension lie in a dict of their own below its URN.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gated.scim.refusals import ScimRefused

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

MOST_VALUES = 10_000
"""Of one attribute: members of a group."""

LONGEST = 1024
"""Characters of one text; what is kept is shorter still."""

_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute, as RFC 7643, section 7, describes it. parts: its sub-attributes."""

    name: str
    description: str
    type: str = "string"
    many: bool = False
    parts: tuple[Attribute, ...] = ()
    mutability: str = "readWrite"
    required: bool = False
    exact: bool = False
    """Compared with case."""
    unique: bool = False
    values: tuple[str, ...] = ()
    refers: tuple[str, ...] = ()

    def described(self) -> dict[str, Any]:
        """Describe it for /Schemas."""
        described: dict[str, Any] = {
            "name": self.name,
            "type": self.type,
            "multiValued": self.many,
            "description": self.description,
            "required": self.required,
            "mutability": self.mutability,
            "returned": "default",
        }
        if self.parts:
            described["subAttributes"] = [part.described() for part in self.parts]
        elif self.type in ("string", "reference"):
            described |= {
                "caseExact": self.exact,
                "uniqueness": "server" if self.unique else "none",
            }
        if self.values:
            described["canonicalValues"] = list(self.values)
        if self.refers:
            described["referenceTypes"] = list(self.refers)
        return described


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of resources: where it is found, and what it has.

    passed_over: names of attributes that RFC 7643 has and that are kept by nobody here.
    """

    name: str
    urn: str
    endpoint: str
    description: str
    attributes: tuple[Attribute, ...]
    extensions: Mapping[str, tuple[Attribute, ...]]
    passed_over: frozenset[str] = frozenset()

    def urns(self) -> Iterator[str]:
        """Give the URNs of its schemas, the longest first."""
        yield from sorted((self.urn, *self.extensions), key=len, reverse=True)

    def attribute(self, urn: str, name: str) -> Attribute | None:
        """Find an attribute of the core (its URN or an empty one) or of an extension."""
        return find(self.extensions.get(urn, self.attributes), name)


def _typed_value(name: str, description: str) -> Attribute:
    value = Attribute("value", description)
    return Attribute(
        name,
        f"{description} One is kept: the primary one, else that for work.",
        "complex",
        many=True,
        parts=(value, Attribute("type", "What it is for.", values=("work",))),
    )


COMMON = (
    Attribute("externalId", "What the directory calls it.", exact=True),
    Attribute("id", "What it is called here.", mutability="readOnly", exact=True),
    Attribute("meta", "When it was made and changed.", "complex", mutability="readOnly"),
    Attribute("schemas", "The schemas that it follows.", many=True, mutability="readOnly"),
)
"""Attributes of every resource, which no schema describes."""

USERS = Kind(
    "User",
    USER,
    "/Users",
    "Somebody whom the gate may know.",
    (
        Attribute("userName", "By which the directory knows somebody.", required=True, unique=True),
        Attribute(
            "name",
            "The name.",
            "complex",
            parts=(
                Attribute("familyName", "The family name.", required=True),
                Attribute("givenName", "The given name."),
            ),
            required=True,
        ),
        Attribute("displayName", "Given and family name.", mutability="readOnly"),
        Attribute("title", "The position."),
        Attribute(
            "active", "False: does not pass, and does not sign in.", "boolean", required=True
        ),
        _typed_value("emails", "An e-mail address."),
        _typed_value("phoneNumbers", "A telephone number."),
        Attribute(
            "groups",
            "The groups that somebody is in; changed at the groups.",
            "complex",
            many=True,
            mutability="readOnly",
            parts=(
                Attribute("value", "The id of the group.", mutability="readOnly", exact=True),
                Attribute(
                    "$ref",
                    "Where the group is.",
                    "reference",
                    mutability="readOnly",
                    exact=True,
                    refers=("Group",),
                ),
                Attribute("display", "The name of the group.", mutability="readOnly"),
            ),
        ),
    ),
    {
        ENTERPRISE: (
            Attribute("employeeNumber", "The number of the employment."),
            Attribute("department", "The department."),
        )
    },
    frozenset(
        {
            *("nickname", "profileurl", "usertype", "preferredlanguage", "locale", "timezone"),
            *("password", "ims", "photos", "addresses", "entitlements", "roles"),
            *("x509certificates", "displayname", "costcenter", "organization", "division"),
            *("manager", "formatted", "middlename", "honorificprefix", "honorificsuffix"),
        }
    ),
)

GROUPS = Kind(
    "Group",
    GROUP,
    "/Groups",
    "People for whom the same rules hold.",
    (
        Attribute("displayName", "The name.", required=True, unique=True),
        Attribute(
            "members",
            "The users in it.",
            "complex",
            many=True,
            parts=(
                Attribute("value", "The id of the user.", mutability="immutable", exact=True),
                Attribute(
                    "$ref",
                    "Where the user is.",
                    "reference",
                    mutability="immutable",
                    exact=True,
                    refers=("User",),
                ),
                Attribute("type", "Users only.", mutability="immutable", values=("User",)),
            ),
        ),
    ),
    {},
)

_HINTS = ("displayName", "formatted", "primary", "display")
"""Read where they are sent, and kept by nobody: what a name is made of, which address counts."""


def find(attributes: Sequence[Attribute], name: str) -> Attribute | None:
    """Find an attribute by its name in any case."""
    wanted = name.lower()
    return next((a for a in (*attributes, *COMMON) if a.name.lower() == wanted), None)


def read(kind: Kind, given: Mapping[str, Any]) -> dict[str, Any]:
    """Read a resource as a client sends it; what nobody keeps is left out. Raises: ScimRefused."""
    found: dict[str, Any] = {}
    for key, value in given.items():
        urn = next((u for u in kind.extensions if u.lower() == key.lower()), None)
        if urn is not None:
            found[urn] = _parts(kind.extensions[urn], value, urn)
        elif (attribute := find(kind.attributes, key)) is not None:
            found[attribute.name] = read_value(attribute, value)
    return found


def read_value(attribute: Attribute, given: Any) -> Any:
    """Read a value of an attribute; None where there is none. Raises: ScimRefused."""
    if given is None:
        return [] if attribute.many else None
    if not attribute.many:
        return _one(attribute, given)
    given = given if isinstance(given, list) else [given]
    if len(given) > MOST_VALUES:
        raise ScimRefused("invalidValue", f"{attribute.name} has more than {MOST_VALUES} values")
    return [_one(attribute, value) for value in given if value is not None]


def read_part(attribute: Attribute, name: str, given: Any) -> tuple[str, Any]:
    """Read a value of a sub-attribute; its name and the value. Raises: ScimRefused."""
    part = find_part(attribute.parts, name)
    if part is None:
        raise ScimRefused("invalidPath", f"{attribute.name} has no {name[:_SHOWN]!a}")
    return part.name, read_value(part, given)


def find_part(parts: Sequence[Attribute], name: str) -> Attribute | None:
    """Find a sub-attribute by its name in any case, or one that is only read."""
    wanted = name.lower()
    for part in parts:
        if part.name.lower() == wanted:
            return part
    for hint in _HINTS:
        if hint.lower() == wanted:
            return Attribute(hint, "", "boolean" if hint == "primary" else "string")
    return None


def _one(attribute: Attribute, given: Any) -> Any:
    if attribute.type == "complex":
        if isinstance(given, str) and find_part(attribute.parts, "value"):
            given = {"value": given}
        return _parts(attribute.parts, given, attribute.name)
    if isinstance(given, list) and len(given) == 1 and isinstance(given[0], dict):
        given = given[0].get("value")  # Entra ID, in requests of its older form
    if attribute.type == "boolean":
        return _boolean(attribute, given)
    if not isinstance(given, str) or len(given) > LONGEST or not is_text(given):
        raise ScimRefused(
            "invalidValue", f"{attribute.name} is a text of {LONGEST} characters at most"
        )
    return given


def is_text(value: str) -> bool:
    """Return whether a text can be stored and sent: no NUL, and no half of a pair."""
    return not re.search(r"[\0\ud800-\udfff]", value)


def _boolean(attribute: Attribute, given: Any) -> bool:
    if isinstance(given, str) and given.lower() in ("true", "false"):
        return given.lower() == "true"  # Entra ID sends "True" and "False"
    if not isinstance(given, bool):
        raise ScimRefused("invalidValue", f"{attribute.name} is true or false")
    return given


def _parts(parts: Sequence[Attribute], given: Any, name: str) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise ScimRefused("invalidValue", f"{name} is an object")
    found: dict[str, Any] = {}
    for key, value in given.items():
        if (part := find_part(parts, key)) is not None and value is not None:
            found[part.name] = read_value(part, value)
    return found
