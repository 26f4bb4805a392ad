"""Looks through the gate's camera: pictures with boxes, each look journaled."""

from __future__ import annotations

import time
from collections.abc import Iterator

from gated.devices.clock import SystemClock
from gated.errors import DeviceError
from gated.services.live import LiveGate, Sight
from gated.services.workspace import Workspace
from gated.storage.journal import Entry
from gated.vision.drawing import boxed_jpeg

FIRST_WITHIN_S = 5.0
PREVIEW_FPS = 8.0
PREVIEW_S = 600.0
"""How long one preview lasts; who still wants to look asks again, and is asked who it is."""


def snapshot(workspace: Workspace, live: LiveGate, *, actor: str) -> bytes:
    """The present picture as JPEG; DeviceError when the camera delivers none, Busy."""
    with live.tap.look() as looker:
        sight = looker.take(FIRST_WITHIN_S)
    if sight is None:
        raise DeviceError("no picture came from the camera")
    _record(workspace, "camera_snapshot", actor)
    return _jpeg(sight)


def preview(workspace: Workspace, live: LiveGate, *, actor: str) -> Iterator[bytes]:
    """JPEG pictures as they come, at most PREVIEW_FPS a second; Busy at the first one."""
    with live.tap.look() as looker:
        _record(workspace, "camera_preview", actor)
        until = time.monotonic() + PREVIEW_S
        while time.monotonic() < until:
            began = time.monotonic()
            sight = looker.take(timeout=1.0)
            if sight is not None:
                yield _jpeg(sight)
            time.sleep(max(0.0, began + 1 / PREVIEW_FPS - time.monotonic()))


def _jpeg(sight: Sight) -> bytes:
    return boxed_jpeg(sight.image, sight.faces)


def _record(workspace: Workspace, kind: str, actor: str) -> None:
    gate = {"gate": workspace.settings.gate.name}
    entry = Entry(SystemClock().now(), kind, gate, {"actor": {"name": actor}})
    workspace.journal.append([entry])
