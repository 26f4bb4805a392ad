"""Give others what they may have of the running gate: copies of frames, and events for it.

The same in both shapes of the program: in one process a `FrameTap` and the inbox stand behind it,
between two processes the socket of `link/client`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from gated.core.messages import Attention, Event, Observation
from gated.core.values import Face, Image
from gated.errors import Busy
from gated.link.shares import Shares
from gated.ports import Frame

Analyse = Callable[[Frame, Attention], Observation]

LOOKERS = 8
PREVIEWS, PREVIEWS_EACH = 6, 2
"""At a time, of everybody and of one account; what is left is for snapshots and enrollment."""
RETRY_AFTER_S = 5.0


class Drawn:
    """The picture made of a frame once, for all who look at it; any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: bytes | None = None

    def once(self, make: Callable[[], bytes]) -> bytes:
        """Return what was made, or make it."""
        with self._lock:
            if self._made is None:
                self._made = make()
            return self._made


@dataclass(frozen=True, slots=True, eq=False)
class FrameCopy:
    """A frame of one's own, and the faces that the gate found in it.

    recognizing: the gate was making a template of one of them, as a decision is due.
    drawn, plain: the picture that watchers are shown, with boxes and without.
    """

    image: Image
    faces: tuple[Face, ...]
    number: int
    recognizing: bool = False
    drawn: Drawn = field(default_factory=Drawn)
    plain: Drawn = field(default_factory=Drawn)


class FrameSubscriber:
    """Holds the newest sight that its owner has not taken; any number are overwritten.

    on_put: called behind each; must return at once.
    """

    def __init__(self, on_put: Callable[[], None] = lambda: None) -> None:
        self._changed = threading.Condition()
        self._sight: FrameCopy | None = None
        self._on_put = on_put

    def put(self, sight: FrameCopy) -> None:
        """Offer a sight; never waits."""
        with self._changed:
            self._sight = sight
            self._changed.notify()
        self._on_put()

    def take(self, timeout: float) -> FrameCopy | None:
        """The newest sight not yet taken, or None after `timeout` seconds."""
        with self._changed:
            if self._sight is None and timeout > 0:
                self._changed.wait(timeout)
            sight, self._sight = self._sight, None
            return sight


class FrameSource(Protocol):
    """A source of frames of the gate's camera."""

    def look(self) -> AbstractContextManager[FrameSubscriber]:
        """Give a looker while the block runs. Raises: Busy, GateUnavailable."""
        ...


class FrameTap:
    """Hands copies of frames to a few lookers; costs nothing while there are none."""

    def __init__(self, lookers: int = LOOKERS) -> None:
        self._most = lookers
        self._lock = threading.Lock()
        self._lookers: tuple[FrameSubscriber, ...] = ()

    def tapped(self, analyse: Analyse) -> Analyse:
        """`analyse`, whose frames and findings are shown to the lookers, too."""

        def analyse_and_show(frame: Frame, attention: Attention) -> Observation:
            seen = analyse(frame, attention)
            if self._lookers:
                self._show(frame, seen)
            return seen

        return analyse_and_show

    @property
    def watched(self) -> bool:
        """True while anybody looks."""
        return bool(self._lookers)

    @contextmanager
    def look(self, on_put: Callable[[], None] = lambda: None) -> Iterator[FrameSubscriber]:
        """Give a looker while the block runs. Raises: Busy when there are enough.

        on_put: called when there is a sight to take, in the thread that shows it.
        """
        looker = FrameSubscriber(on_put)
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
        self.show(
            FrameCopy(
                frame.image.copy(),
                tuple(f.face for f in seen.faces),
                frame.number,
                any(f.embedding is not None for f in seen.faces),
            )
        )

    def show(self, sight: FrameCopy) -> None:
        """Hand a frame to all lookers; never waits."""
        for looker in self._lookers:
            looker.put(sight)


def _always() -> None:
    """Nothing is in the way of a gate in the same process."""


class RunningGate:
    """The running gate as others may reach it.

    post: has it take an event, or raises GateUnavailable, and what the gate answers: Conflict,
    TooMany, StorageError. tell: lets it know what is stored already, as soon as that is possible,
    and raises nothing. require: raises GateUnavailable while the gate cannot be reached.
    """

    def __init__(
        self,
        tap: FrameSource,
        post: Callable[[Event], None],
        tell: Callable[[Event], None] | None = None,
        require: Callable[[], None] = _always,
    ) -> None:
        self.tap = tap
        self.post = post
        self.tell = tell or post
        self.require = require
        self.previews = Shares(PREVIEWS, PREVIEWS_EACH, "previews")
        self._capturing = threading.Lock()

    @contextmanager
    def capture(self) -> Iterator[FrameSubscriber]:
        """A looker for the one who enrolls by this camera; Busy while somebody else does."""
        if not self._capturing.acquire(blocking=False):
            raise Busy("somebody is being enrolled at the camera: try again", RETRY_AFTER_S)
        try:
            with self.tap.look() as looker:
                yield looker
        finally:
            self._capturing.release()
