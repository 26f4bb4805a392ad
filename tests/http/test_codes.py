"""The table of codes has what the program answers with, and nothing else."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import gated
from gated.errors import GatedError
from gated.http import problems
from gated.http.codes import CODES
from gated.vision.photo import REFUSALS
from tests.http.codes_page import FILE, page

SOURCES = Path(gated.__file__).parent


def _answered() -> dict[str, set[int]]:
    """Return the codes of our errors that are answered, each with its statuses."""
    found: dict[str, set[int]] = {}
    todo: list[type[GatedError]] = [GatedError]
    while todo:
        error = todo.pop()
        todo += error.__subclasses__()
        status = next((problems.STATUS[c] for c in error.__mro__ if c in problems.STATUS), None)
        if status is not None:
            found.setdefault(error.code, set()).add(int(status))
    return found


def _reasons() -> Iterator[str]:
    """Reasons of refused photos, as the program writes them down."""
    yield from (code for code, _ in REFUSALS.values())
    for file in SOURCES.rglob("*.py"):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match call:
                case ast.Call(
                    func=ast.Name("EnrollmentRefused" | "NoPicture" | "PictureTooLarge"),
                    args=[ast.Constant(str() as reason), *_],
                ):
                    yield reason


def test_the_table_has_every_code_that_is_answered_and_no_other() -> None:
    answered = _answered()
    # told by their reasons, and as what is invalid
    del answered["enrollment_refused"], answered["source"]
    by_status = {code: {status} for status, code in problems.CODES.items()}
    for code, statuses in by_status.items():
        answered[code] = answered.get(code, set()) | statuses
    assert {c: set(found.statuses) for c, found in CODES.items() if c in answered} == answered
    assert CODES.keys() - answered.keys() == set(_reasons())


def test_every_code_says_what_it_means_and_what_to_do() -> None:
    for code in CODES.values():
        assert code.means.endswith("."), code
        assert code.remedy.endswith("."), code
        assert code.means != code.remedy


def test_the_page_is_what_the_table_says() -> None:
    assert FILE.read_text(encoding="utf-8") == page(), "run python -m tests.http.codes_page"
