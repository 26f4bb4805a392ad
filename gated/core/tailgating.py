"""Detects people close behind somebody who was let in, who are not let in themselves."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Tailgating:
    """Counts followers for `window_s` after a grant; monotonic seconds, visits by number."""

    window_s: float
    _open: dict[int, tuple[float, set[int]]] = field(default_factory=dict)

    @property
    def deadline(self) -> float | None:
        """The time at which `followed` has a result; None: never."""
        return min((until for until, _ in self._open.values()), default=None)

    def granted(self, visit: int, now: float) -> None:
        """Begin to count followers of a visit that was let in, which itself follows nobody."""
        self.forget(visit)
        self._open[visit] = (now + self.window_s, set())

    def near(self, visit: int) -> None:
        """Count a visit that was not let in, and whose face is close to the camera."""
        for granted, (_, others) in self._open.items():
            if granted != visit:
                others.add(visit)

    def forget(self, visit: int) -> None:
        """Stop counting a visit as a follower: it may pass, or was joined to another one."""
        for _, others in self._open.values():
            others.discard(visit)

    def followed(self, now: float) -> list[tuple[int, int]]:
        """Return (visit let in, number of followers) of those whose window is over."""
        over = [visit for visit, (until, _) in self._open.items() if now >= until]
        counted = [(visit, len(self._open.pop(visit)[1])) for visit in over]
        return [(visit, others) for visit, others in counted if others]
