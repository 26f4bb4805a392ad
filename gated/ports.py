"""Declare what the gate needs from the world; `devices` and `vision` implement it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from gated.core.messages import Event
from gated.core.values import Face, Image, Instant, Light, Mesh, PadReading, Vector


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of the camera: BGR uint8, monotonic seconds of its capture, running number.

    small: the same picture with fewer pixels, where the camera makes one itself; faces are looked
    for in it.
    """

    image: Image
    captured_at: float
    number: int
    small: Image | None = None


class EndOfStream(Exception):
    """A recorded source has come to its end (live cameras never raise it)."""


class Camera(Protocol):
    """A source of frames. One thread uses it; `open` and `read` raise DeviceError when it fails."""

    name: str

    def open(self) -> None:
        """Start to deliver; may be called again after `close`."""

    def read(self) -> Frame:
        """Return the next frame; block at most the driver's read time-out, then DeviceError."""

    def close(self) -> None:
        """Release the device; safe to call twice."""


class SupervisedSource(Camera, Protocol):
    """A camera that is reopened for ever; `read` raises EndOfStream after `stop`."""

    heartbeat: Callable[[], None]
    """Called before each step that may take long."""

    def stop(self) -> None:
        """End a wait for the camera at once; from any thread."""


class FaceDetector(Protocol):
    """Finds faces and their five landmarks."""

    model: str

    def detect(self, image: Image) -> list[Face]:
        """Faces of a BGR frame of any size, in its pixels, best score first."""


class Embedder(Protocol):
    """Turns a face into a template. `model` is the identity that templates are pinned to."""

    model: str
    dimension: int
    metric: str
    """`cosine` or `euclidean`: how its vectors are compared."""
    mirrors: bool
    """True if templates are the mean of the embeddings of a chip and its mirror image."""

    def align(self, image: Image, face: Face) -> Image:
        """The normalised face chip that `embed_chip` wants, BGR uint8."""

    def embed_chip(self, chip: Image) -> Vector:
        """(dimension,) float32, not normalised."""


class PadModel(Protocol):
    """Tells live faces from presentations."""

    model: str

    def read(self, image: Image, face: Face) -> PadReading:
        """Judge one face of a BGR frame."""


class MeshModel(Protocol):
    """Lays a mesh over a face."""

    def measure(self, image: Image, face: Face) -> Mesh:
        """Measure where one face of a BGR frame looks, and how open its eyes are."""


class Door(Protocol):
    """A door's relay and inputs. Posts DoorEvents to the inbox that it was made with."""

    def unlock(self, for_s: float) -> None:
        """Release for so many seconds (a lease that the adapter ends itself); extends, no stack."""

    def lock(self) -> None:
        """End any lease and lock now; safe to call at any time and from any thread."""

    def reset_fire(self) -> bool:
        """Unlatch by hand after a fire alarm and lock; False while the fire input is active."""

    @property
    def unlocked(self) -> bool:
        """True while the relay is at its releasing level."""

    @property
    def contact_open(self) -> bool | None:
        """True while the door leaf stands open; None without a contact."""

    def close(self) -> None:
        """Lock, then let go of the pins; safe to call twice."""


class Indicators(Protocol):
    """Lamps and sounders. Any thread may call; nothing waits, and nothing that fails raises."""

    def show(self, lights: frozenset[Light]) -> None:
        """Show these lights until the next call; sounds end by themselves."""

    def flash(self, granted: bool) -> None:
        """A decision: shown for a moment."""

    def close(self) -> None:
        """Everything off, then let go of the pins; safe to call twice."""


@dataclass(frozen=True, slots=True)
class KeyedPin:
    """An entry at a keypad: whose PIN it should be, and the PIN, which no log shows."""

    personnel_code: str
    pin: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CardBits:
    """A card as a door controller gets it: its bits as 0 and 1, the first one first."""

    bits: str = field(repr=False)


class CardOutput(Protocol):
    """The gate as the card reader of a door controller. Nothing waits, and nothing raises."""

    def send(self, card: CardBits) -> None:
        """Hand over a card; one that the controller does not take within seconds is dropped."""

    def close(self) -> None:
        """Let go of the line; safe to call twice."""


class CardReader(Protocol):
    """A source of card numbers. One thread uses it; `open` and `read` raise DeviceError."""

    name: str

    def open(self) -> None:
        """Take the reader; may be called again after `close`."""

    def read(self, timeout: float) -> str | KeyedPin | None:
        """The next number or PIN, or None when none is complete within so many seconds."""

    def close(self) -> None:
        """Let go of the reader; safe to call twice."""


class Clock(Protocol):
    """The time, on both clocks."""

    def now(self) -> Instant: ...


class Inbox(Protocol):
    """The controller's letter box; never blocks, bounded: stale observations are dropped first."""

    def post(self, event: Event) -> None: ...


class ContractBroken(AssertionError):
    """A driver does not do what every driver of its kind does (`devices.contract`)."""


def expect(holds: object, otherwise: str) -> None:
    """Raise ContractBroken unless it holds."""
    if not holds:
        raise ContractBroken(otherwise)
