"""Figures of the code's shape: `python -m tests.figures [FOLDER]`, where `gated/` is in."""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

MANY = 8
"""So many parameters, `self` and `cls` counted, are many."""
SMALL = 20
"""Lines of a small file."""

RELATIVE = re.compile(r"(What|Who|Whom|Whose|Whoever|Whatever|Which|Whether|Where|When|Why|How)\b")
Definition = ast.FunctionDef | ast.AsyncFunctionDef


def _files(house: Path) -> list[Path]:
    return [p for p in sorted(house.rglob("*.py")) if "versions" not in p.parts]


def _parameters(function: Definition) -> list[str]:
    a = function.args
    return [p.arg for p in (*a.posonlyargs, *a.args, *a.kwonlyargs)]


def _functions(tree: ast.Module) -> Iterator[Definition]:
    return (n for n in ast.walk(tree) if isinstance(n, Definition))


def figures(house: Path) -> dict[str, object]:
    """Count what is under a folder of modules; migrations are left out."""
    files = _files(house)
    trees = {p: ast.parse(p.read_text()) for p in files}
    functions = [(p, f) for p, tree in trees.items() for f in _functions(tree)]
    parameters = [name for _, f in functions for name in _parameters(f)]
    classes = Counter(
        n.name
        for tree in trees.values()
        for n in ast.walk(tree)
        if isinstance(n, ast.ClassDef) and not n.name.startswith("_")
    )
    documented = [n for tree in trees.values() for n in ast.walk(tree)]
    relative = [
        n
        for n in documented
        if isinstance(n, ast.Module | ast.ClassDef | Definition)
        and RELATIVE.match(ast.get_docstring(n) or "")
    ]
    lengths = [(f.end_lineno or 0) - f.lineno + 1 for _, f in functions]
    lines = {p: len(p.read_text().splitlines()) for p in files}
    return {
        "lines": sum(lines.values()),
        "files": len(files),
        f"files with less than {SMALL} lines, __init__ apart": sum(
            n < SMALL for p, n in lines.items() if p.name != "__init__.py"
        ),
        "functions": len(functions),
        f"functions with {MANY} parameters or more": sum(
            len(_parameters(f)) >= MANY for _, f in functions
        ),
        "functions longer than 50 lines": sum(n > 50 for n in lengths),
        "parameters named session": parameters.count("session"),
        "parameters named actor": parameters.count("actor"),
        "docstrings that begin with a relative clause": len(relative),
        "class names that stand for several": sorted(n for n, k in classes.items() if k > 1),
    }


if __name__ == "__main__":
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    for what, found in figures(root / "gated").items():
        print(f"{what}: {found}")
