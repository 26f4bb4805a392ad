"""Error rates as reports show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gated.core.statistics import clopper_pearson


def error_rate(errors: Sequence[bool]) -> dict[str, Any]:
    """Return how many of these trials were errors: counts, rate and its exact interval of 95 %.

    rate: None without a trial.
    """
    wrong, total = sum(errors), len(errors)
    low, high = clopper_pearson(wrong, total)
    return {
        "errors": wrong,
        "total": total,
        "rate": wrong / total if total else None,
        "interval": [round(low, 4), round(high, 4)],
    }
