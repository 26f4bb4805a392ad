"""Where a request comes from: the journal adds it to what is told of who acted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Origin:
    """Network address and id of the request that is worked on, and the person who makes it.

    `person_uid` becomes known while the request is worked on; an erasure finds the actor by it.
    """

    address: str
    request_id: str
    person_uid: str | None = None

    def told(self) -> dict[str, str]:
        """What the journal says of it beside the actor's name."""
        known = {"address": self.address, "request": self.request_id, "uid": self.person_uid}
        return {name: value for name, value in known.items() if value is not None}


_current: ContextVar[Origin | None] = ContextVar("gated_origin", default=None)


def current() -> Origin | None:
    """The request that this task or thread works on; None for the gate itself and commands."""
    return _current.get()


@contextmanager
def request_from(address: str, request_id: str) -> Iterator[Origin]:
    """What is done in the block is done for this request."""
    origin = Origin(address, request_id)
    token = _current.set(origin)
    try:
        yield origin
    finally:
        _current.reset(token)
