"""Gives other rooms access to the running gate: copies of its frames, and a way to send it events.

It is used alike in both process layouts: within one process a `FrameTap` and the inbox implement
it, between two processes the socket of `link/client`.
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

MOST_SUBSCRIBERS = 8
PREVIEWS, PREVIEWS_EACH = 6, 2
DISPLAYS = 4
"""Of the previews those that displays may have, which watch all day; the others are for people."""
"""At a time, in all and of one account; the remaining places are for snapshots and enrollment."""
RETRY_AFTER_S = 5.0


class PictureCache:
    """The JPEG of a frame, encoded once for all subscribers; any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: bytes | None = None

    def get(self, make: Callable[[], bytes]) -> bytes:
        """Return the picture; call `make` for it the first time."""
        with self._lock:
            if self._made is None:
                self._made = make()
            return self._made


@dataclass(frozen=True, slots=True, eq=False)
class FrameCopy:
    """A copy of a frame, and the faces that the gate found in it.

    recognizing: the gate was computing a template of one of them, as a decision is due.
    drawn, plain: its JPEG with boxes and without.
    """

    image: Image
    faces: tuple[Face, ...]
    number: int
    recognizing: bool = False
    drawn: PictureCache = field(default_factory=PictureCache)
    plain: PictureCache = field(default_factory=PictureCache)


class FrameSubscriber:
    """Holds the newest frame that its owner has not taken; older ones are overwritten.

    on_put: called after each; must return at once.
    """

    def __init__(self, on_put: Callable[[], None] = lambda: None) -> None:
        self._changed = threading.Condition()
        self._frame: FrameCopy | None = None
        self._on_put = on_put

    def put(self, frame: FrameCopy) -> None:
        """Offer a frame; never waits."""
        with self._changed:
            self._frame = frame
            self._changed.notify()
        self._on_put()

    def take(self, timeout: float) -> FrameCopy | None:
        """Return the newest frame not yet taken, or None after `timeout` seconds."""
        with self._changed:
            if self._frame is None and timeout > 0:
                self._changed.wait(timeout)
            frame, self._frame = self._frame, None
            return frame


class FrameSource(Protocol):
    """A source of frames of the gate's camera."""

    def subscribe(self) -> AbstractContextManager[FrameSubscriber]:
        """Yield a subscriber while the block runs. Raises: Busy, GateUnavailable."""
        ...


class FrameTap:
    """Hands copies of frames to a few subscribers; costs nothing while there are none."""

    def __init__(self, most: int = MOST_SUBSCRIBERS) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._subscribers: tuple[FrameSubscriber, ...] = ()

    def tapped(self, analyse: Analyse) -> Analyse:
        """Return `analyse` wrapped so that subscribers receive its frames and findings, too."""

        def analyse_and_show(frame: Frame, attention: Attention) -> Observation:
            seen = analyse(frame, attention)
            if self._subscribers:
                self._show(frame, seen)
            return seen

        return analyse_and_show

    @property
    def watched(self) -> bool:
        """True while there is a subscriber."""
        return bool(self._subscribers)

    @contextmanager
    def subscribe(self, on_put: Callable[[], None] = lambda: None) -> Iterator[FrameSubscriber]:
        """Yield a subscriber while the block runs. Raises: Busy when there are too many.

        on_put: called when there is a frame to take, in the thread that puts it.
        """
        subscriber = FrameSubscriber(on_put)
        with self._lock:
            if len(self._subscribers) >= self._most:
                raise Busy("too many are looking at the camera: try again", RETRY_AFTER_S)
            self._subscribers = (*self._subscribers, subscriber)
        try:
            yield subscriber
        finally:
            with self._lock:
                self._subscribers = tuple(
                    other for other in self._subscribers if other is not subscriber
                )

    def _show(self, frame: Frame, seen: Observation) -> None:
        # a copy, because a driver may reuse its buffer; subscribers share it and only read
        self.show(
            FrameCopy(
                frame.image.copy(),
                tuple(f.face for f in seen.faces),
                frame.number,
                any(f.embedding is not None for f in seen.faces),
            )
        )

    def show(self, frame: FrameCopy) -> None:
        """Hand a frame to all subscribers; never waits."""
        for subscriber in self._subscribers:
            subscriber.put(frame)


def _always() -> None:
    """Allow: a gate in the same process can always be reached."""


class RunningGate:
    """The running gate as other rooms reach it.

    post: has the gate handle an event and waits; raises GateUnavailable, or the gate's refusal:
    Conflict, TooMany, StorageError. notify: sends an event about something that is stored already,
    does not wait and raises nothing. require: raises GateUnavailable while the gate cannot be
    reached.
    """

    def __init__(
        self,
        tap: FrameSource,
        post: Callable[[Event], None],
        notify: Callable[[Event], None] | None = None,
        require: Callable[[], None] = _always,
    ) -> None:
        self.tap = tap
        self.post = post
        self.notify = notify or post
        self.require = require
        self.previews = Shares(PREVIEWS, PREVIEWS_EACH, "previews")
        self.displays = Shares(DISPLAYS, PREVIEWS_EACH, "previews of displays")
        self._capturing = threading.Lock()

    @contextmanager
    def capture(self) -> Iterator[FrameSubscriber]:
        """Yield a subscriber for an enrollment by this camera. Raises: Busy during another one."""
        if not self._capturing.acquire(blocking=False):
            raise Busy("somebody is being enrolled at the camera: try again", RETRY_AFTER_S)
        try:
            with self.tap.subscribe() as subscriber:
                yield subscriber
        finally:
            self._capturing.release()
