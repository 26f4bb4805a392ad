"""Liveness challenge: asks for random movements of the head and checks them.

A movement counts only in usable frames whose embedding agrees with the person, so that nobody can
turn their own head in place of a photo. The turn is measured twice, on the detector's five
landmarks and on the face mesh, and the smaller angle counts: a flat picture that is tilted by 50
degrees moves one of them by up to 24 degrees and the smaller of both by at most 14. After each
movement the face has to come back, and a turn to the wrong side fails the challenge, as a recording
of somebody who looks around would make it. docs/accuracy.md has the figures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from gated.core.values import TrackedFace


class Movement(StrEnum):
    """Movements to ask for. The codes are sent to the kiosk; left is the person's left."""

    TURN_LEFT = "turn_left"
    TURN_RIGHT = "turn_right"
    LOOK_UP = "look_up"
    BLINK_TWICE = "blink_twice"
    COME_CLOSER = "come_closer"


BACK = "look_here"
"""The prompt between two movements."""

PROVING = tuple(m for m in Movement if m is not Movement.COME_CLOSER)
"""One of these is always asked for: a photo, too, can come closer."""

TURNED = 18.0
RAISED = 12.0
"""Least movement of head and chin, in degrees."""

FRONTAL = 15.0
BACK_WITHIN = 9.0
"""Largest angle of a face that looks into the camera, and of one that is back, in degrees."""

CLOSER = 1.35
"""Least growth of the distance between the eyes, as a factor."""

SHUT = 0.65
OPEN_AGAIN = 0.85
"""Share of the initial opening of the eyes. A blink counts while the head keeps still."""

STILL = 4.0
"""Largest movement of a head that keeps still, in degrees."""

HELD = 2
"""Frames in a row that have to show a movement: a single one may be a landmark error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengePolicy:
    """Settings of challenges. count: movements to ask for, 0 for none. limit_s: for all together.

    mirrored: the picture is swapped left to right. doubt_s: None challenges everybody; else only
    faces without motion of their own for this many seconds. infra_red: in pictures without colour,
    which the networks cannot judge, a passed challenge is enough.
    """

    count: int
    limit_s: float
    movements: tuple[Movement, ...]
    mirrored: bool
    doubt_s: float | None
    infra_red: bool


@dataclass(frozen=True, slots=True)
class Posture:
    """Direction of a face in degrees as in `quality.pose`, each by landmarks and by mesh.

    eyes: opening, height by width. eye_distance: pixels.
    """

    yaw: tuple[float, float]
    pitch: tuple[float, float]
    eyes: float
    eye_distance: float

    @property
    def frontal(self) -> bool:
        return max(map(abs, self.yaw)) <= FRONTAL

    def near(self, other: Posture) -> bool:
        """Return whether the head is back where it was."""
        turned = abs(_moved(self.yaw, other.yaw)), abs(_moved(self.pitch, other.pitch))
        return max(turned) <= BACK_WITHIN


def posture_of(face: TrackedFace) -> Posture | None:
    """Return the posture of one face; None for a face without a mesh."""
    mesh, seen = face.mesh, face.quality
    if mesh is None:
        return None
    yaw, pitch = (seen.yaw, mesh.yaw), (seen.pitch, mesh.pitch)
    return Posture(yaw, pitch, mesh.eyes, seen.eye_distance)


def draw(seed: bytes, number: int, policy: ChallengePolicy) -> tuple[Movement, ...]:
    """Draw movements that cannot be predicted without the seed; the same for the same number."""
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
    """Makes challenges from a secret seed: a predictable challenge proves nothing."""

    policy: ChallengePolicy
    seed: bytes
    number: int = 0

    def new(self, person_id: int, now: float) -> Challenge:
        """Make the next challenge, for this person; `now` in monotonic seconds."""
        self.number += 1
        movements = draw(self.seed, self.number, self.policy)
        return Challenge(person_id, movements, now + self.policy.limit_s, self.policy.mirrored)


@dataclass(slots=True, eq=False)
class Challenge:
    """One challenge for one person; valid before `until`, in monotonic seconds."""

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
        """The prompt for the person now: the code of a movement, or BACK."""
        if self._start is None or self._returning or self.done >= len(self.movements):
            return BACK
        return self.movements[self.done]

    def see(self, posture: Posture) -> None:
        """Process the next usable frame of the person."""
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
                self._start = None  # closer to the camera the angles differ
            else:
                self._returning = True

    def _blinked(self, posture: Posture, start: Posture) -> bool:
        """Return whether the second of two blinks ends in this frame."""
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
    """Return the movement in degrees on which both measures agree; 0 where they contradict."""
    first, second = now[0] - then[0], now[1] - then[1]
    if first * second <= 0:
        return 0.0
    return first if abs(first) < abs(second) else second
