"""Movements that the gate asks for: is the face in front of it moved by somebody who listens?

A movement counts only in usable frames whose embedding agrees with the person, so that nobody can
turn their own head for a photo. How far a head has turned is measured twice, on the detector's five
landmarks and on the face mesh, and the smaller angle counts: a flat picture that is tilted by 50
degrees moves one of them by up to 24 degrees and the smaller of both by at most 14. After each
movement the face has to come back, and a turn to the wrong side fails the challenge: a recording of
somebody who looks about does not know what is asked. docs/accuracy.md has the figures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from gated.core.values import TrackedFace


class Movement(StrEnum):
    """Movements to ask for; the codes are shown to the person. Left is the person's left."""

    TURN_LEFT = "turn_left"
    TURN_RIGHT = "turn_right"
    LOOK_UP = "look_up"
    BLINK_TWICE = "blink_twice"
    COME_CLOSER = "come_closer"


BACK = "look_here"
"""The prompt between two movements."""

PROVING = tuple(m for m in Movement if m is not Movement.COME_CLOSER)
"""A photo can come closer too: one of these is always asked for."""

TURNED = 18.0
RAISED = 12.0
"""Degrees by which head and chin move from where they were."""

FRONTAL = 15.0
BACK_WITHIN = 9.0
"""Degrees within which a face looks into the camera, and is back from a movement."""

CLOSER = 1.35
"""By how much the eyes move apart in the picture."""

SHUT = 0.65
OPEN_AGAIN = 0.85
"""Of the opening of the eyes at first. A blink counts while the head keeps still."""

STILL = 4.0
HELD = 2
"""So many frames in a row have to show a movement: one may be a mistake of the landmarks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengePolicy:
    """count: movements to ask for, 0 for none. limit_s: for all of them together, seconds.

    mirrored: the picture is swapped left to right. doubt_s: None asks everybody; else only a face
    that was not seen to move by itself for so many seconds. infra_red: in pictures without colour,
    which the networks cannot judge, who does what is asked is living.
    """

    count: int
    limit_s: float
    movements: tuple[Movement, ...]
    mirrored: bool
    doubt_s: float | None
    infra_red: bool


@dataclass(frozen=True, slots=True)
class Posture:
    """Direction of a face in degrees as `quality.pose` has them, twice: by landmarks and by mesh.

    eyes: how far they are open, height by width. eye_distance: pixels.
    """

    yaw: tuple[float, float]
    pitch: tuple[float, float]
    eyes: float
    eye_distance: float

    @property
    def frontal(self) -> bool:
        return max(map(abs, self.yaw)) <= FRONTAL

    def near(self, other: Posture) -> bool:
        """Tell whether the head is back where it was."""
        turned = abs(_moved(self.yaw, other.yaw)), abs(_moved(self.pitch, other.pitch))
        return max(turned) <= BACK_WITHIN


def posture_of(face: TrackedFace) -> Posture | None:
    """The posture of one face; None where no mesh was laid over it."""
    mesh, seen = face.mesh, face.quality
    if mesh is None:
        return None
    yaw, pitch = (seen.yaw, mesh.yaw), (seen.pitch, mesh.pitch)
    return Posture(yaw, pitch, mesh.eyes, seen.eye_distance)


def draw(seed: bytes, number: int, policy: ChallengePolicy) -> tuple[Movement, ...]:
    """Movements that nobody foretells who does not know the seed; the same for the same number."""
    digest = hashlib.sha256(seed + number.to_bytes(8, "big")).digest()
    numbers = iter(digest)
    proving = [m for m in policy.movements if m in PROVING]
    chosen: list[Movement] = [proving[next(numbers) % len(proving)]]
    while len(chosen) < policy.count:
        rest = [m for m in policy.movements if m not in chosen]
        if not rest:
            break
        chosen.append(rest[next(numbers) % len(rest)])
    return tuple(chosen if next(numbers) % 2 else reversed(chosen))


@dataclass(slots=True)
class Challenger:
    """Makes challenges from a seed that has to be secret: what can be foretold proves nothing."""

    policy: ChallengePolicy
    seed: bytes
    number: int = 0

    def new(self, person_id: int, now: float) -> Challenge:
        """The next challenge, to this person; `now` in monotonic seconds."""
        self.number += 1
        movements = draw(self.seed, self.number, self.policy)
        return Challenge(person_id, movements, now + self.policy.limit_s, self.policy.mirrored)


@dataclass(slots=True, eq=False)
class Challenge:
    """One challenge to one person; valid before `until`, in monotonic seconds."""

    person_id: int
    movements: Sequence[Movement]
    until: float
    mirrored: bool = False
    done: int = 0
    failed: bool = False
    _start: Posture | None = None
    _returning: bool = False
    _held: int = 0
    _astray: int = 0
    _blinks: int = 0
    _shut: bool = field(default=False)

    @property
    def passed(self) -> bool:
        return self.done >= len(self.movements) and not self._returning

    @property
    def prompt(self) -> str:
        """Return what to tell the person now: the code of a movement, or to look here."""
        if self._start is None or self._returning or self.done >= len(self.movements):
            return BACK
        return self.movements[self.done]

    def see(self, posture: Posture) -> None:
        """Take note of the next usable frame of the person."""
        start = self._start
        if start is None:
            self._start = posture if posture.frontal else None
        elif self._returning:
            self._returning = not posture.near(start)
        elif self.done < len(self.movements):
            self._follow(self.movements[self.done], posture, start)

    def _follow(self, wanted: Movement, posture: Posture, start: Posture) -> None:
        yaw = _moved(posture.yaw, start.yaw) * (-1.0 if self.mirrored else 1.0)
        side = {Movement.TURN_LEFT: 1.0, Movement.TURN_RIGHT: -1.0}.get(wanted, 0.0)
        self._astray = self._astray + 1 if side * yaw <= -TURNED else 0
        self.failed = self.failed or self._astray >= HELD
        match wanted:
            case Movement.LOOK_UP:
                shown = _moved(posture.pitch, start.pitch) >= RAISED
            case Movement.COME_CLOSER:
                shown = posture.eye_distance >= CLOSER * start.eye_distance
            case Movement.BLINK_TWICE:
                shown = self._blinked(posture, start)
            case _:
                shown = side * yaw >= TURNED
        self._held = self._held + 1 if shown else 0
        if self._held >= (1 if wanted is Movement.BLINK_TWICE else HELD):
            self.done, self._held, self._astray, self._blinks = self.done + 1, 0, 0, 0
            if wanted is Movement.COME_CLOSER:
                self._start = None  # from there the camera is seen at another angle
            else:
                self._returning = True

    def _blinked(self, posture: Posture, start: Posture) -> bool:
        """Tell whether the second of two blinks ends in this frame."""
        moved = max(
            abs(now - then)
            for now, then in zip(
                (*posture.yaw, *posture.pitch), (*start.yaw, *start.pitch), strict=True
            )
        )
        if moved > STILL:
            self._shut = False
        elif posture.eyes <= SHUT * start.eyes:
            self._shut = True
        elif self._shut and posture.eyes >= OPEN_AGAIN * start.eyes:
            self._shut = False
            self._blinks += 1
        return self._blinks >= 2


def _moved(now: tuple[float, float], then: tuple[float, float]) -> float:
    """By how many degrees, as both measures agree: 0 where they contradict each other."""
    first, second = now[0] - then[0], now[1] - then[1]
    if first * second <= 0:
        return 0.0
    return first if abs(first) < abs(second) else second
