"""Shows the picture of the gate's camera, with boxes around faces; each look is journaled."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from gated.errors import DeviceError
from gated.link.running_gate import FrameCopy, RunningGate
from gated.vision.drawing import boxed_jpeg
from gated.workspace import Workspace

WITHIN_S = 5.0
"""So long a picture is awaited; a camera that is lost gives none."""
NO_PICTURE = "no picture came from the camera"
MOST_FACES = 16
"""Faces listed with one picture."""

PREVIEW_FPS = 8.0
PREVIEW_S = 600.0
"""Length of one preview; clients ask again, and are authenticated again."""


def snapshot(workspace: Workspace, live: RunningGate, *, actor: str) -> bytes:
    """Return the present picture as JPEG. Raises: DeviceError without a picture, Busy."""
    with live.tap.subscribe() as subscriber:
        frame = subscriber.take(WITHIN_S)
    if frame is None:
        raise DeviceError(NO_PICTURE)
    _record(workspace, "camera_snapshot", actor)
    return _jpeg(frame)


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture. faces: left, top, width and height of each, in fractions of the picture."""

    jpeg: bytes
    faces: tuple[tuple[float, float, float, float], ...]

    @classmethod
    def of(cls, frame: FrameCopy, *, boxes: bool) -> Shot:
        """Encode a frame; with boxes around the faces or without."""
        height, width = frame.image.shape[:2]
        faces = tuple(
            (
                round(face.box.x / width, 4),
                round(face.box.y / height, 4),
                round(face.box.width / width, 4),
                round(face.box.height / height, 4),
            )
            for face in frame.faces[:MOST_FACES]
        )
        if boxes:
            return cls(_jpeg(frame), faces)
        return cls(frame.plain.get(lambda: boxed_jpeg(frame.image, ())), faces)


def preview(
    workspace: Workspace,
    live: RunningGate,
    who: int,
    *,
    actor: str,
    boxes: bool = True,
    within_s: float = WITHIN_S,
) -> Iterator[Shot]:
    """Yield JPEG pictures as they come, at most PREVIEW_FPS a second; end when none comes in time.

    who: the account, which may have a few previews at a time. boxes: draw them around faces.
    Raises: at the first picture Busy, DeviceError when none comes.
    """
    with live.previews.hold(who), live.tap.subscribe() as subscriber:
        # only between two pictures it is seen that the client has gone: the wait has to end
        frame = subscriber.take(within_s)
        if frame is None:
            raise DeviceError(NO_PICTURE)
        _record(workspace, "camera_preview", actor)
        until = time.monotonic() + PREVIEW_S
        while frame is not None and time.monotonic() < until:
            began = time.monotonic()
            yield Shot.of(frame, boxes=boxes)
            time.sleep(max(0.0, began + 1 / PREVIEW_FPS - time.monotonic()))
            frame = subscriber.take(within_s)


def _jpeg(frame: FrameCopy) -> bytes:
    return frame.drawn.get(lambda: boxed_jpeg(frame.image, frame.faces))


def _record(workspace: Workspace, kind: str, actor: str) -> None:
    with workspace.change(actor) as change:
        change.record(kind, {"gate": workspace.settings.gate.name})
