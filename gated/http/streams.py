"""Answers that go on: server-sent events (WHATWG HTML, section 9.2) and motion JPEG."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, Iterable, Iterator
from itertools import chain
from typing import Any

from starlette.responses import StreamingResponse

EVENTS = "text/event-stream"
BOUNDARY = "frame"
MOTION = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
BEGUN = b": here\n\n"
"""Nothing yet: the head of the answer goes out with the first bytes."""


def event(kind: str, data: Any, id_: str | None = None) -> bytes:
    """One event; `data` is anything that JSON has."""
    named = "" if id_ is None else f"id: {id_}\n"
    return f"{named}event: {kind}\ndata: {json.dumps(data, default=str)}\n\n".encode()


KEEP_ALIVE = event("alive", {})
"""Sign of life: an event, as browsers tell their pages nothing of comments."""


def picture(jpeg: bytes, **headers: str) -> bytes:
    """One part of a motion JPEG. headers: further ones of this part, `_` for `-`."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    given |= {"Content-Type": "image/jpeg", "Content-Length": str(len(jpeg))}
    lines = (f"{name}: {value}\r\n" for name, value in given.items())
    return f"--{BOUNDARY}\r\n{''.join(lines)}\r\n".encode() + jpeg + b"\r\n"


def streamed(parts: Iterator[bytes], media_type: str) -> StreamingResponse:
    """The parts as an answer; what the first one raises is still an ordinary error.

    A generator that has begun lets go of what it holds when nobody reads on and it is closed.
    """
    first = next(parts)
    return unbuffered(chain([first], parts), media_type)


def unbuffered(parts: Iterable[bytes] | AsyncIterable[bytes], media_type: str) -> StreamingResponse:
    """Answer with the parts as they come: neither kept nor held back on their way."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(parts, media_type=media_type, headers=headers)


def streaming(media_type: str) -> dict[int | str, dict[str, Any]]:
    """Return what a route documents for such an answer."""
    content = {media_type.partition(";")[0]: {"schema": {"type": "string"}}}
    return {200: {"description": "A stream", "content": content}}
