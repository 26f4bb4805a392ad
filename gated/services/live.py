"""What others may see of the running gate and ask of it: copies of frames, and events for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gated.core.model import Attention, Event, Face, Image, Observation
from gated.errors import Busy
from gated.ports import Frame

Analyse = Callable[[Frame, Attention], Observation]

LOOKERS = 4
RETRY_AFTER_S = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """A frame of one's own, and the faces that the gate found in it.

    recognizing: the gate was making a template of one of them, as a decision is due.
    """

    image: Image
    faces: tuple[Face, ...]
    number: int
    recognizing: bool = False


class Looker:
    """Holds the newest sight that its owner has not taken; any number are overwritten."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._sight: Sight | None = None

    def put(self, sight: Sight) -> None:
        """Offer a sight; never waits."""
        with self._changed:
            self._sight = sight
            self._changed.notify()

    def take(self, timeout: float) -> Sight | None:
        """The newest sight not yet taken, or None after `timeout` seconds."""
        with self._changed:
            if self._sight is None:
                self._changed.wait(timeout)
            sight, self._sight = self._sight, None
            return sight


class FrameTap:
    """Hands copies of frames to a few lookers; costs nothing while there are none."""

    def __init__(self, lookers: int = LOOKERS) -> None:
        self._most = lookers
        self._lock = threading.Lock()
        self._lookers: tuple[Looker, ...] = ()

    def tapped(self, analyse: Analyse) -> Analyse:
        """`analyse`, whose frames and findings are shown to the lookers, too."""

        def analyse_and_show(frame: Frame, attention: Attention) -> Observation:
            seen = analyse(frame, attention)
            if self._lookers:
                self._show(frame, seen)
            return seen

        return analyse_and_show

    @contextmanager
    def look(self) -> Iterator[Looker]:
        """A looker while the block runs; Busy when there are enough."""
        looker = Looker()
        with self._lock:
            if len(self._lookers) >= self._most:
                raise Busy("too many are looking at the camera: try again", RETRY_AFTER_S)
            self._lookers = (*self._lookers, looker)
        try:
            yield looker
        finally:
            with self._lock:
                self._lookers = tuple(other for other in self._lookers if other is not looker)

    def _show(self, frame: Frame, seen: Observation) -> None:
        # a copy, because a driver may use its buffer again; lookers share it and only read
        sight = Sight(
            frame.image.copy(),
            tuple(f.face for f in seen.faces),
            frame.number,
            any(f.embedding is not None for f in seen.faces),
        )
        for looker in self._lookers:
            looker.put(sight)


class LiveGate:
    """The running gate as others may reach it; `post` hands it an event and never blocks."""

    def __init__(self, tap: FrameTap, post: Callable[[Event], None]) -> None:
        self.tap = tap
        self.post = post
        self._capturing = threading.Lock()

    @contextmanager
    def capture(self) -> Iterator[Looker]:
        """A looker for the one who enrolls by this camera; Busy while somebody else does."""
        if not self._capturing.acquire(blocking=False):
            raise Busy("somebody is being enrolled at the camera: try again", RETRY_AFTER_S)
        try:
            with self.tap.look() as looker:
                yield looker
        finally:
            self._capturing.release()
