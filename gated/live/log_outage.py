"""Reports that the log cannot be written for a while, before its queue is full."""

from __future__ import annotations

from collections.abc import Iterator

from gated.core.messages import Condition

DELAYED = "log_delayed"

PATIENCE_S = 10.0
"""Longer than a busy database, or freeing disk space, takes."""


class LogOutage:
    """Reports when records have waited for `PATIENCE_S`, and when they are written again."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._reported = False

    def changes(self, now: float, *, failing: bool, waiting: int) -> Iterator[Condition]:
        """Yield the condition when it begins or ends.

        now: monotonic seconds; waiting: number of records not yet written.
        """
        if not failing:
            if self._reported and self._since is not None:
                yield Condition(DELAYED, False, f"written again after {now - self._since:.0f} s")
            self._since, self._reported = None, False
            return
        if self._since is None:
            self._since = now
        if not self._reported and now - self._since >= PATIENCE_S:
            self._reported = True
            seconds = round(now - self._since)
            detail = f"not written for {seconds} s, {waiting} records wait"
            values = {"seconds": seconds, "waiting": waiting}
            yield Condition(DELAYED, True, detail, "alarm", values)
