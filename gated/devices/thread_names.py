"""Names threads for the kernel, so that `top -H` and `ps -L` show which one is busy or hangs."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

TASKS = Path("/proc/self/task")
LONGEST = 15
"""Bytes of a name that Linux keeps."""


def name_this_thread() -> None:
    """Give the calling thread its Python name, cut to LONGEST; nothing where there is no /proc."""
    name = threading.current_thread().name[:LONGEST]
    with suppress(OSError):
        (TASKS / str(threading.get_native_id()) / "comm").write_text(name)
