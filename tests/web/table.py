"""The route table of docs/routes.md, as data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).parents[2] / "docs" / "routes.md"

ALLOWED = {
    "anyone": {"self", "viewer", "operator", "admin", "auditor", "device", "display"},
    "self": {"self", "viewer", "operator", "admin", "auditor"},
    "viewer": {"viewer", "operator", "admin"},
    "operator": {"operator", "admin"},
    "admin": {"admin"},
    "auditor": {"auditor", "admin"},
    "device": {"device"},
    "display": {"display"},
}
"""Least role of a route -> the roles that get in."""

_LINE = re.compile(r"\| ([A-Z]+) \| `(/[^`]*)` \| (\w+) \| ([\d ]+) \| (.+) \|")


@dataclass(frozen=True)
class Route:
    """One line of the table."""

    method: str
    path: str
    who: str
    statuses: frozenset[int]

    @property
    def address(self) -> str:
        """A path of this route that names nothing that exists."""
        return re.sub(r"\{\w+\}", "999999", self.path)


def read_table() -> list[Route]:
    """All lines; AssertionError for one that cannot be read."""
    lines = [x for x in FILE.read_text().splitlines() if x.startswith("|")][2:]
    routes = []
    for line in lines:
        found = _LINE.fullmatch(line)
        assert found, f"cannot be read: {line}"
        method, path, who, statuses, _ = found.groups()
        routes.append(Route(method, path, who, frozenset(map(int, statuses.split()))))
    return routes
