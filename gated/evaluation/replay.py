"""Run a video or folder of pictures through the gate: synchronous, without door or log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from gated.core.gate import Gate
from gated.core.messages import Attention, Decision, Observation, RecordDecision
from gated.core.values import Instant
from gated.ports import Camera, EndOfStream, Frame

Analyse = Callable[[Frame, Attention], Observation]


def replay(camera: Camera, analyse: Analyse, gate: Gate) -> Iterator[tuple[float, Decision]]:
    """Yield (seconds since the first frame, decision) for every decision, in order.

    `camera` must be a recorded source that ends; the time of the gate is that of its frames, so
    that the same source gives the same decisions on a machine of any speed.
    """
    attention = Attention()
    start: float | None = None
    last = Instant(0.0, 0.0)
    number = 0
    camera.open()
    try:
        for frame in _frames(camera):
            start = frame.captured_at if start is None else start
            number = frame.number
            last = Instant(frame.captured_at, frame.captured_at)
            for command in gate.handle(analyse(frame, attention), last):
                if isinstance(command, Attention):
                    attention = command
                elif isinstance(command, RecordDecision):
                    yield last.mono - start, command.decision
    finally:
        camera.close()
    if start is not None:
        end = Observation(number, last.mono, 0, 0, lost=tuple(gate.tracks))
        for command in gate.handle(end, last):
            if isinstance(command, RecordDecision):
                yield last.mono - start, command.decision


def as_json(t: float, decision: Decision) -> dict[str, Any]:
    """Return the line that `gated replay --json` prints for one decision."""
    person = decision.person
    return {
        "t": round(t, 3),
        "decision": str(decision.outcome),
        "reason": str(decision.reason),
        "person": person
        and {"id": person.id, "personnel_code": person.personnel_code, "name": person.name},
        "confidence": round(decision.confidence, 4),
        "frames": decision.frames,
        "pad": None if decision.pad is None else round(decision.pad, 4),
    }


def _frames(camera: Camera) -> Iterator[Frame]:
    while True:
        try:
            yield camera.read()
        except EndOfStream:
            return
