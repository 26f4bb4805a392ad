"""Explains the keys of gate.yaml in the words that stand below them in the code."""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
import threading
from collections.abc import Mapping

from gated.config.settings import SECTIONS

_ONE = threading.Lock()
"""Python 3.11 cannot build syntax trees in two threads at a time."""


def explained(section: str) -> Mapping[str, str]:
    """Return key -> explanation of one section, of the keys that have one."""
    with _ONE:
        return _explained(section)


@functools.cache
def _explained(section: str) -> Mapping[str, str]:
    source = textwrap.dedent(inspect.getsource(SECTIONS[section]))
    (node,) = ast.parse(source).body
    assert isinstance(node, ast.ClassDef)  # noqa: S101
    found: dict[str, str] = {}
    for field, below in zip(node.body, node.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            match below:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    found[field.target.id] = " ".join(text.split())
    return found
