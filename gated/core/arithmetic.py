"""Finds out whether NumPy multiplies rightly on this processor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

PRODUCTS = 128


def wrong_products(multiply: Callable[[Any, Any], Any] = np.matmul) -> int:
    """Count the products of small matrices, of `PRODUCTS`, that differ from those made by sums.

    OpenBLAS chooses its kernels by the processor. With those for long vectors, on an emulated
    aarch64, three of four such products were wrong, and no landmark where it belongs.
    """
    rng, wrong = np.random.default_rng(0), 0
    for n in range(PRODUCTS):
        rows, inner, columns = 1 + n % 32, 2 + n % 3, 2 + n % 5
        left, right = rng.normal(size=(rows, inner)), rng.normal(size=(columns, inner)).T
        summed = (left[:, :, None] * right[None, :, :]).sum(axis=1)
        wrong += not np.allclose(multiply(left, right), summed)
    return wrong
