from __future__ import annotations

from typing import Any

import numpy as np

from gated.core.arithmetic import PRODUCTS, wrong_products


def test_products_are_right_here() -> None:
    assert wrong_products() == 0


def test_a_row_that_is_another_one_is_seen() -> None:
    """As it was on an emulated processor: the fifth row was the first again."""

    def multiply(left: Any, right: Any) -> Any:
        product = np.matmul(left, right)
        product[4::4] = product[0]
        return product

    assert PRODUCTS / 2 < wrong_products(multiply) < PRODUCTS
