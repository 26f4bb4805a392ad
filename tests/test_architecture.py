"""The shape of the house: no import circles, and the order of the files inside a room."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import grimp
import pytest
from alembic.script import ScriptDirectory

from gated.database.migrate import configuration

ROOMS = (
    "fleet.hub", "fleet.gate", "privacy", "live", "access", "door",
    "attendance", "enrollment", "people", "accounts",
)  # fmt: skip
"""Rooms that speak HTTP and keep rows; the others have one kind of file."""

BETWEEN = ("schemas", "dependencies", "callers")
"""Files that only routes of their own and of higher rooms read."""


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("gated", include_external_packages=False)


def circles(imports: Mapping[str, set[str]]) -> Iterator[list[str]]:
    """Find each group of modules that import each other (Tarjan, SIAM J. Comput. 1(2), 1972)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    for root in imports:
        if root in number:
            continue
        work = [(root, iter(imports[root]))]
        number[root] = low[root] = len(number)
        stack.append(root)
        while work:
            module, others = work[-1]
            for other in others:
                if other not in number:
                    number[other] = low[other] = len(number)
                    stack.append(other)
                    work.append((other, iter(imports[other])))
                    break
                if other in stack:
                    low[module] = min(low[module], number[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[module])
                if low[module] == number[module]:
                    group = stack[stack.index(module) :]
                    del stack[stack.index(module) :]
                    if len(group) > 1:
                        yield sorted(group)


def test_circles_are_found() -> None:
    imports = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set(), "e": {"f"}, "f": {"e"}}
    assert sorted(circles(imports)) == [["a", "b", "c"], ["e", "f"]]
    assert not list(circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}))


def test_no_file_imports_itself_by_way_of_others(graph: grimp.ImportGraph) -> None:
    imports = {m: graph.find_modules_directly_imported_by(m) for m in sorted(graph.modules)}
    assert list(circles(imports)) == []


def kind(module: str) -> str:
    """The kind of a file: `routes`, `schemas`, `store` ...; empty for a service."""
    name = module.rpartition(".")[2]
    for ending in ("routes", "store", *BETWEEN):
        if name == ending or name.endswith(f"_{ending}"):
            return ending
    return ""


@pytest.mark.parametrize("room", ROOMS)
def test_files_of_a_room_import_downwards(graph: grimp.ImportGraph, room: str) -> None:
    """Routes read schemas, dependencies and services; services read stores; never the other way."""
    modules = [m for m in graph.modules if m.rpartition(".")[0] == f"gated.{room}"]
    assert modules, f"there is no room {room}"
    wrong = []
    for module in modules:
        for other in graph.find_modules_directly_imported_by(module):
            own, theirs = kind(module), kind(other)
            if theirs == "routes" and own != "routes":
                wrong.append(f"{module} -> {other}: routes are read by the application alone")
            # forms with photos are read by a dependency of routes
            reads_bodies = own in ("routes", *BETWEEN) or module.endswith(".uploads")
            if theirs in BETWEEN and not reads_bodies:
                wrong.append(f"{module} -> {other}: bodies and callers are for routes")
            if own == "store" and other in modules and theirs == "":
                wrong.append(f"{module} -> {other}: a store knows no service of its room")
    assert wrong == []


def test_every_room_says_what_it_is_for() -> None:
    house = Path(__file__).parents[1] / "gated"
    rooms = [p for p in house.rglob("__init__.py") if "versions" not in p.parts]
    assert [p for p in rooms if not p.read_text().startswith('"""')] == []


RELATIVE = re.compile(r"(What|Who|Whom|Whose|Whoever|Whatever|Which|Whether|Where|When|Why|How)\b")


def clauses(file: Path) -> Iterator[str]:
    """Find docstrings of modules, classes and functions that begin with a relative clause."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node) or ""
            if RELATIVE.match(text):
                yield f"{file.name}:{getattr(node, 'lineno', 1)}: {text.splitlines()[0]}"


def test_docstrings_begin_with_a_verb_or_a_noun() -> None:
    """`Whether x` and `What x` leave out what a function does: `Tell whether`, `Return what`."""
    house = Path(__file__).parents[1] / "gated"
    found = [clause for file in sorted(house.rglob("*.py")) for clause in clauses(file)]
    assert found == []


def test_migrations_follow_each_other_in_one_line() -> None:
    """Two that follow the same one would end every start: let the later one follow the other."""
    scripts = ScriptDirectory.from_config(configuration())
    after = [(script.down_revision, script.revision) for script in scripts.walk_revisions()]
    assert len(scripts.get_heads()) == 1, f"give the newer one the head before it: {after}"
