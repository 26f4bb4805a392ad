"""Keep the origin of a request: the journal adds it to the actor of a row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class RequestOrigin:
    """Network address and id of the request that is worked on, and the person who makes it.

    `person_uid` becomes known while the request is worked on; an erasure finds the actor by it.
    """

    address: str
    request_id: str
    person_uid: str | None = None

    def as_dict(self) -> dict[str, str]:
        """Return what the journal says of it beside the actor's name."""
        known = {"address": self.address, "request": self.request_id, "uid": self.person_uid}
        return {name: value for name, value in known.items() if value is not None}


_current: ContextVar[RequestOrigin | None] = ContextVar("gated_origin", default=None)


def current() -> RequestOrigin | None:
    """The request that this task or thread works on; None for the gate itself and commands."""
    return _current.get()


@contextmanager
def request_from(address: str, request_id: str) -> Iterator[RequestOrigin]:
    """Mark what is done in the block as done for this request."""
    origin = RequestOrigin(address, request_id)
    token = _current.set(origin)
    try:
        yield origin
    finally:
        _current.reset(token)
