"""People who stand close behind somebody who was let in, and are not let in themselves."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Tailgating:
    """`window_s` after a grant it is looked back: times in monotonic seconds, visits by number."""

    window_s: float
    _open: dict[int, tuple[float, set[int]]] = field(default_factory=dict)

    @property
    def deadline(self) -> float | None:
        """Return when `followed` next has something to look back at."""
        return min((until for until, _ in self._open.values()), default=None)

    def granted(self, visit: int, now: float) -> None:
        """Somebody was let in, and follows nobody."""
        self.forget(visit)
        self._open[visit] = (now + self.window_s, set())

    def near(self, visit: int) -> None:
        """The face of a visit that was not let in is close to the camera."""
        for granted, (_, others) in self._open.items():
            if granted != visit:
                others.add(visit)

    def forget(self, visit: int) -> None:
        """This visit was of somebody who may pass, or turned out to be another one."""
        for _, others in self._open.values():
            others.discard(visit)

    def followed(self, now: float) -> list[tuple[int, int]]:
        """(visit that was let in, others close behind it) of those whose time is over."""
        over = [visit for visit, (until, _) in self._open.items() if now >= until]
        counted = [(visit, len(self._open.pop(visit)[1])) for visit in over]
        return [(visit, others) for visit, others in counted if others]
