"""Tunes glibc and the garbage collector for a process that runs for years."""

from __future__ import annotations

import ctypes
import gc
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h of glibc

LARGE = 4 << 20
"""Blocks of at least this many bytes are returned to the system at once: weights and photos, not
frames. By default glibc raises this threshold with the first large block, and keeps the memory that
loading a model needed."""

ARENAS = 2
"""Number of threads that work at a time; one arena per thread would fragment each of them."""


def freeze_heap() -> None:
    """Exempt all present objects from garbage collection, and trim the heap.

    After the start these are nearly all objects, and a full collection would stop every thread,
    including the door's, for a tenth of a second.
    """
    gc.freeze()
    gc.enable()
    trim_heap()


def trim_heap() -> None:
    """Return free memory to the system, as after loading models."""
    if sys.platform.startswith("linux"):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def tune_malloc() -> bool:
    """Set glibc's thresholds before threads start and models load; False with another C library."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = {_M_TRIM_THRESHOLD: LARGE, _M_MMAP_THRESHOLD: LARGE, _M_ARENA_MAX: ARENAS}
    return all(mallopt(name, value) for name, value in settings.items())
