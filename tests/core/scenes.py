"""Scenes in front of a gate, in few words: people, faces that resemble them, and time.

Every person's template is an axis of the embedding space, so that a face is written as its cosine
to each person: `like={ANN: 0.8}`. What is left of its length points to nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

import numpy as np

from gated.core.calibration import Calibration
from gated.core.gallery import Gallery, GalleryPerson, Template
from gated.core.gate import Gate
from gated.core.messages import (
    Command,
    Decision,
    Event,
    GalleryReplaced,
    Lock,
    Notice,
    Observation,
    RecordDecision,
    RecordEvent,
    Tick,
    Unlock,
)
from gated.core.policy import GatePolicy
from gated.core.values import (
    Box,
    Face,
    Instant,
    Mesh,
    PadReading,
    PersonRef,
    Quality,
    Reason,
    TrackedFace,
    Vector,
)
from tests.core.policies import policy_with

ANN, BOB, CLEO = 1, 2, 3
NAMES = {ANN: "Ann", BOB: "Bob", CLEO: "Cleo"}
DIMENSION = 12
MODEL = "axes/1"
UTC = 1_800_000_000.0
"""The UTC time at monotonic zero."""

CALIBRATION = Calibration(MODEL, "a straight line", ((0.1, -1.0), (1.0, -10.0)))
"""FMR = 10 ** (-10 * similarity): threshold 0.45 for a few people, floor 0.3, reject 0.17."""

SURE, WEAK, UNSURE, STRANGE = 0.8, 0.35, 0.25, 0.05
"""Cosines: clearly the person; agreeing below the threshold; saying nothing; resembling nobody."""


def at(mono: float) -> Instant:
    """The instant of a monotonic time."""
    return Instant(mono, UTC + mono)


def person(number: int) -> PersonRef:
    """The person whose template is axis `number`."""
    return PersonRef(number, f"uid-{number}", f"P{number}", NAMES.get(number, f"Person {number}"))


def like(cosines: Mapping[int, float], scale: float = 3.0) -> Vector:
    """A vector of length `scale` with these cosines to the people's templates."""
    vector = np.zeros(DIMENSION)
    for number, cosine in cosines.items():
        vector[number] = cosine
    vector[0] = np.sqrt(max(0.0, 1.0 - float(vector @ vector)))
    return (scale * vector).astype(np.float32)


def gallery(
    people: Iterable[int] = (ANN, BOB), inactive: Collection[int] = (), generation: int = 0
) -> Gallery:
    """One template for each person."""
    people = list(people)
    members = [GalleryPerson(person(n), n not in inactive) for n in people]
    templates = [Template(n, n, like({n: 1.0}), MODEL) for n in people]
    return Gallery.build(MODEL, "cosine", members, templates, generation)


def quality(eye_distance: float = 60.0, score: float = 0.8, sharpness: float = 0.7) -> Quality:
    """A well exposed frontal face."""
    return Quality(0.95, eye_distance, 0.0, 0.0, 0.0, sharpness, 120.0, 40.0, score)


def face(
    looks: Mapping[int, float] | Vector | None = None,
    *,
    track: int = 1,
    eye: float = 60.0,
    score: float = 0.8,
    flaws: tuple[str, ...] = (),
    pad: float | None = None,
    sharpness: float = 0.7,
    mesh: tuple[float, float, float] | None = None,
    noise: float = 0.0,
    grey: bool = False,
) -> TrackedFace:
    """A face with these cosines to the people; None: nothing was embedded.

    pad: live score; noise, grey: of what the liveness networks were shown. mesh: yaw and pitch,
    which the landmarks show as well, and the opening of the eyes.
    """
    vector = like(looks) if isinstance(looks, Mapping) else looks
    landmarks = np.zeros((5, 2), np.float32)
    landmarks[1, 0] = eye
    box = Box(100.0 * track, 50.0, 2.5 * eye, 3.0 * eye)
    measured = quality(eye, score, sharpness)
    seen = Face(box, landmarks, 0.95)
    reading = None if pad is None and not grey else PadReading(pad, noise, grey)
    if mesh is None:
        return TrackedFace(track, seen, measured, flaws, vector, reading)
    measured = replace(measured, yaw=mesh[0], pitch=mesh[1])
    return TrackedFace(track, seen, measured, flaws, vector, reading, Mesh(*mesh))


class Scene:
    """A gate with its door at work. Ticks are sent at each deadline, as the controller does."""

    def __init__(self, policy: GatePolicy | None = None, people: Gallery | None = None) -> None:
        people = gallery() if people is None else people  # an empty one is false
        self.gate = Gate(policy or policy_with(), people, CALIBRATION, seed=b"a secret")
        self.now = 100.0
        self.log: list[tuple[float, Command]] = []
        self._frames = 0

    # --- what happens ---

    def send(self, event: Event) -> list[Command]:
        """Handle an event now."""
        commands = self.gate.handle(event, at(self.now))
        self.log.extend((self.now, command) for command in commands)
        return commands

    def wait(self, seconds: float) -> list[Command]:
        """Let time pass; returns what the ticks on the way led to."""
        end, commands = self.now + seconds, list[Command]()
        while (deadline := self.gate.deadline) is not None and deadline <= end:
            assert deadline >= self.now, "the deadline lies in the past"
            self.now = deadline
            commands += self.send(Tick())
            assert self.gate.deadline != deadline, "a tick at the deadline found nothing to do"
        self.now = end
        return commands

    def see(
        self,
        *faces: TrackedFace,
        lost: tuple[int, ...] = (),
        age: float = 0.05,
        after: float = 0.1,
        turn: int | None = None,
    ) -> list[Command]:
        """One frame, `after` seconds later, that was captured `age` seconds ago."""
        commands = self.wait(after)
        self._frames += 1
        seen = Observation(self._frames, self.now - age, 640, 480, faces, lost, turn)
        return commands + self.send(seen)

    def watch(self, *faces: TrackedFace, frames: int = 3, turn: int | None = None) -> list[Command]:
        """So many frames, a tenth of a second apart, with the same faces."""
        return [command for _ in range(frames) for command in self.see(*faces, turn=turn)]

    def lose(self, *tracks: int) -> list[Command]:
        """These tracks end."""
        return self.see(lost=tracks)

    def enrol(self, *people: int, inactive: Collection[int] = ()) -> list[Command]:
        """The gallery is replaced by one of these people."""
        return self.send(GalleryReplaced(gallery(people, inactive)))

    # --- what came of it ---

    @property
    def verdicts(self) -> list[tuple[Reason, str | None]]:
        """(reason, name) of every decision so far."""
        return [(d.reason, d.person.name if d.person else None) for d in decisions(self.commands)]

    @property
    def commands(self) -> list[Command]:
        return [command for _, command in self.log]

    @property
    def door(self) -> list[tuple[float, str]]:
        """(seconds since the scene began, `unlock` or `lock`) of every door command."""
        return [
            (round(t - 100.0, 6), "unlock" if isinstance(c, Unlock) else "lock")
            for t, c in self.log
            if isinstance(c, Unlock | Lock)
        ]


def decisions(commands: Iterable[Command]) -> list[Decision]:
    """The decisions among commands."""
    return [c.decision for c in commands if isinstance(c, RecordDecision)]


def reasons(commands: Iterable[Command]) -> list[Reason]:
    """The reasons of the decisions among commands."""
    return [d.reason for d in decisions(commands)]


def records(commands: Iterable[Command]) -> list[tuple[str, str]]:
    """(kind, severity) of the events recorded among commands."""
    return [(c.kind, c.severity) for c in commands if isinstance(c, RecordEvent)]


def notices(commands: Iterable[Command]) -> list[str]:
    """The codes shown to the person at the gate."""
    return [str(c.code) for c in commands if isinstance(c, Notice)]
