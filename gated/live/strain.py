"""Detects that the machine does not keep up with its camera or its events."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gated.core.messages import Condition

BEGINS_S = 10.0
ENDS_S = 30.0
"""Duration of a bad state until it begins, and of a good one until it ends."""

FEWEST_FRAMES = 20
"""With fewer frames in `BEGINS_S` the camera is the bottleneck."""

STARVED, FED = 0.8, 0.6
"""Share of dropped frames above which it begins, and below which it ends."""

SLOW_S, QUICK_S = 1.0, 0.6
"""Analysis time of a frame with a face, above which it begins and below which it ends. Empty scenes
are cheap, so that a machine which is far too slow for people drops few frames of a day."""
REMEMBERED_S = 60.0
"""Time for which a slow analysis counts, unless a quick one follows."""

LATE_S, PROMPT_S = 0.5, 0.25
"""Waiting time of an event above which it begins, and below which it ends."""


@dataclass(frozen=True, slots=True)
class Load:
    """The load of a pipeline. delivered, analysed: frames since the start.

    waited_s, looked_s: longest wait of an event and longest analysis of a frame with a face since
    the last call, in seconds (None: no face).
    """

    delivered: int
    analysed: int
    waited_s: float
    looked_s: float | None = None


class _Lasting:
    """A state that begins after a bad time, and ends after a longer good time."""

    def __init__(self) -> None:
        self.present = False
        self._turned_at: float | None = None

    def changes(self, now: float, *, bad: bool, good: bool) -> bool:
        """Return whether it begins or ends now."""
        turning = good if self.present else bad
        if not turning:
            self._turned_at = None
            return False
        if self._turned_at is None:
            self._turned_at = now
        if now - self._turned_at < (ENDS_S if self.present else BEGINS_S):
            return False
        self.present, self._turned_at = not self.present, None
        return True


class StrainWatch:
    """Reports when vision starves or the controller is late, and when that is over."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, Load]] = deque(maxlen=100)
        self._slow: deque[tuple[float, float]] = deque(maxlen=100)
        self._vision = _Lasting()
        self._controller = _Lasting()

    def changes(self, now: float, load: Load) -> Iterator[Condition]:
        """Yield conditions that begin or end; call it every few seconds. now: monotonic seconds."""
        self._seen.append((now, load))
        while len(self._seen) > 2 and now - self._seen[1][0] >= BEGINS_S:
            self._seen.popleft()
        since, first = self._seen[0]
        delivered, analysed = load.delivered - first.delivered, load.analysed - first.analysed
        missed = 1 - min(1.0, analysed / delivered) if delivered else 0.0
        bad = delivered >= FEWEST_FRAMES and missed >= STARVED
        slow = self._slow_looks(now, load.looked_s)
        lasting = bool(slow) and slow[-1][0] - slow[0][0] >= BEGINS_S
        if self._vision.changes(now, bad=bad or lasting, good=missed < FED and not slow):
            seconds = f"{now - since:.0f}"
            detail = f"{analysed} of {delivered} frames in {seconds} s"
            values: dict[str, int | str] = {"analysed": analysed, "delivered": delivered}
            values |= {"why": "frames_missed", "seconds": int(seconds)}
            if slow:
                slow_s = f"{max(took for _, took in slow):.1f}"
                detail += f", {slow_s} s for one with a face"
                values = {"why": "frames_slow", "slow_s": slow_s}
            yield self._condition("vision_starved", self._vision, detail, values)
        late, prompt = load.waited_s >= LATE_S, load.waited_s < PROMPT_S
        if self._controller.changes(now, bad=late, good=prompt):
            waited = f"{load.waited_s:.1f}"
            detail = f"an event waited {waited} s"
            yield self._condition("controller_late", self._controller, detail, {"waited_s": waited})

    def _slow_looks(self, now: float, looked_s: float | None) -> deque[tuple[float, float]]:
        """Return (time, seconds) of slow analyses of the last minute, since the last quick one."""
        if looked_s is not None and looked_s >= SLOW_S:
            self._slow.append((now, looked_s))
        elif looked_s is not None and looked_s < QUICK_S:
            self._slow.clear()
        while self._slow and now - self._slow[0][0] > REMEMBERED_S:
            self._slow.popleft()
        return self._slow

    def _condition(
        self, name: str, state: _Lasting, detail: str, values: Mapping[str, int | str]
    ) -> Condition:
        return Condition(name, state.present, detail, "alarm", values)
