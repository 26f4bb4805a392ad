"""What the pages ask for is there: each path and method in the scripts is a route of the API."""

from __future__ import annotations

import re
from pathlib import Path

from gated.ui import pages
from gated.web.app import create_app, route_roles
from tests.fixtures.server import Running

STATIC = Path(pages.__file__).parent / "static"
CALL = re.compile(
    r"\b(get|post|put|patch|del|page|optional|api)\(\s*[\"`](/api/[^\"`]*)[\"`]([^;\n]{0,120})"
)
METHODS = {"page": "GET", "optional": "GET", "del": "DELETE"}


def _asked() -> set[tuple[str, str]]:
    found = set()
    for script in STATIC.rglob("*.js"):
        for name, path, rest in CALL.findall(script.read_text(encoding="utf-8")):
            method = METHODS.get(name, name.upper())
            if name == "api":
                said = re.search(r"method: \"(\w+)\"", rest)
                method = said[1] if said else "GET"
            found.add((method, re.sub(r"\$\{[^}]*\}", "{}", path.split("?")[0]).rstrip("{}")))
    return found


def test_every_request_of_the_pages_has_a_route(server: Running) -> None:
    served = {
        (method, re.sub(r"\{[^}]*\}", "{}", path).rstrip("{}"))
        for path, methods, _ in route_roles(create_app(server.services))
        for method in methods
    }
    asked = _asked()
    assert len(asked) > 20
    # an act that a script puts at the end, such as activate or deactivate, is one of several
    ends = {(m, p) for m, p in asked if p.endswith("/")}
    assert {a for a in asked if a not in served} - {
        (m, p) for m, p in ends if any(s == m and q.startswith(p) for s, q in served)
    } == set()
