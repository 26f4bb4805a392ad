"""Make the C library give free memory back, for this runs for years."""

from __future__ import annotations

import ctypes
import gc
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h of glibc

LARGE = 4 << 20
"""Blocks of so many bytes are returned at once: weights and photos, not frames. Left to itself
glibc raises the bound with the first large block and then keeps what loading a model needed."""

ARENAS = 2
"""As many as cores work at a time; one per thread leaves each with holes of its own."""


def settle() -> None:
    """Keep the garbage collector from looking again through what is there now, which stays.

    After the start that is nearly everything, and looking through it stops every thread for a tenth
    of a second, the door's included.
    """
    gc.freeze()
    gc.enable()
    give_back()


def give_back() -> None:
    """Return to the machine what is free between blocks in use, as after loading models."""
    if sys.platform.startswith("linux"):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def frugal_heap() -> bool:
    """Tell glibc so, before threads start and models load; False with another C library."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = {_M_TRIM_THRESHOLD: LARGE, _M_MMAP_THRESHOLD: LARGE, _M_ARENA_MAX: ARENAS}
    return all(mallopt(name, value) for name, value in settings.items())
