"""No class takes a name that its standard base class uses itself, in any supported Python."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import gated

NOT_IN_EVERY_VERSION: dict[str, set[str]] = {
    "threading.Thread": {
        # 3.11 and 3.12
        *("_is_stopped", "_reset_internal_locks", "_set_tstate_lock", "_stop", "_tstate_lock"),
        "_wait_for_tstate_lock",
        # 3.13
        *("_after_fork", "_handle"),
    },
    "enum.Enum": {"_add_alias_", "_add_value_alias_", "_unhashable_values_map_"},
    "http.client.HTTPConnection": {
        *("_raw_proxy_headers", "_wrap_ipv6", "get_proxy_response_headers"),
    },
    "logging.Logger": {"getChildren"},
}
"""Names of classes and of their objects that 3.11, 3.12 or 3.13 has and another one has not."""

MEANT_TO_BE_OVERRIDDEN: dict[str, set[str]] = {
    "threading.Thread": {"run"},
    "io.RawIOBase": {"readable", "readinto", "writable", "write"},
    "socket.socket": {"accept", "close"},
    "http.client.HTTPConnection": {"connect", "default_port", "sock"},
    "logging.Logger": {"warning"},
    "asyncio.protocols.BaseProtocol": {
        "connection_made",
        "connection_lost",
        "pause_writing",
        "resume_writing",
    },
    "asyncio.protocols.Protocol": {"data_received", "eof_received"},
    "_ctypes.Structure": {"_fields_"},
    "tarfile.TarInfo": {"frombuf"},
}
"""What the documentation of the base class offers for it."""


def own_classes() -> Iterator[tuple[type, ast.ClassDef]]:
    """Every class that the program defines at the top of a file, and its source."""
    for found in pkgutil.walk_packages(gated.__path__, "gated."):
        # the first runs the program, the second works only when alembic calls it
        if found.name.endswith(("__main__", "migrations.env")):
            continue
        try:
            module = importlib.import_module(found.name)
        except ImportError:
            continue  # the pins need gpiozero and lgpio
        for node in ast.parse(inspect.getsource(module)).body:
            if isinstance(node, ast.ClassDef):
                yield getattr(module, node.name), node


def standard_bases(cls: type) -> Iterator[type]:
    for base in cls.__mro__[1:]:
        root = base.__module__.split(".")[0]
        if root in sys.stdlib_module_names and root not in {"typing", "abc"} and base is not object:
            yield base


def names_used_by(base: type) -> set[str]:
    names = {n for n in vars(base) if not n.startswith("__")}
    if issubclass(base, threading.Thread):
        names |= set(vars(base()))
    for b in base.__mro__:
        names |= NOT_IN_EVERY_VERSION.get(f"{b.__module__}.{b.__qualname__}", set())
    return names


def names_taken_by(tree: ast.ClassDef) -> set[str]:
    """Methods, class attributes, and what its methods assign to `self`."""
    taken: set[str] = set()
    for node in tree.body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                taken.add(node.name)
            case ast.Assign(targets=targets):
                taken |= {t.id for t in targets if isinstance(t, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                taken.add(name)
    for inner in ast.walk(tree):
        match inner:
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                taken.add(name)
    return {name for name in taken if not (name.startswith("__") and name.endswith("__"))}


def clashes(cls: type, tree: ast.ClassDef) -> dict[str, str]:
    """Name -> the standard class that uses it itself."""
    taken = names_taken_by(tree)
    return {
        name: base.__qualname__
        for base in standard_bases(cls)
        for name in taken & names_used_by(base)
        if not any(name in v for v in (MEANT_TO_BE_OVERRIDDEN.get(n, ()) for n in named(cls)))
    }


def named(cls: type) -> list[str]:
    return [f"{base.__module__}.{base.__qualname__}" for base in standard_bases(cls)]


def test_no_class_takes_a_name_of_its_standard_base() -> None:
    found = {tree.name: clash for cls, tree in own_classes() if (clash := clashes(cls, tree))}
    assert found == {}


WORKER = """
class Worker(threading.Thread):
    def __init__(self):
        super().__init__()
        self._started = True
    def run(self): ...
    def _handle(self): ...
    def _stop(self): ...
    def mine(self): ...
"""


def test_a_name_of_another_version_is_found() -> None:
    class Worker(threading.Thread):
        """Stands for the class whose source is above."""

    [tree] = ast.parse(WORKER).body
    assert isinstance(tree, ast.ClassDef)
    assert clashes(Worker, tree) == dict.fromkeys(("_handle", "_stop", "_started"), "Thread")


@pytest.mark.parametrize("name", NOT_IN_EVERY_VERSION)
def test_the_list_names_classes_that_exist(name: str) -> None:
    module, _, cls = name.rpartition(".")
    found: Any = getattr(importlib.import_module(module), cls)
    assert inspect.isclass(found)
