"""Judges liveness over a track. It can only refuse: no score makes a match better.

The score of a track is the mean live score of its usable frames; single frames of real people dip
below one half, so that one frame never decides. What a frame may be used for follows from how the
models were seen to err (docs/accuracy.md has the figures):

- A small or blurred face scores lower than a sharp one of the same person, so that it never proves
  an attack. It may vouch for a living face: pictures of pictures do not score higher when small.
- A face that fills the picture hides the edges of the screen or paper it is shown on. Replays cut
  that closely were taken for living faces, so that near certainty is asked of such frames; those
  that show nearly nothing but the face prove no attack either.
- Noise that is left after averaging moves both sides towards the middle: it proves no attack, and
  more is asked of a face in it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from gated.core.facial_motion import Shape
from gated.core.values import TrackedFace

CLEAR_SHARPNESS = 0.3
"""Below it living faces were seen to score like pictures."""

WHOLE_REACH = 2.0
"""The picture shows the surroundings of a face whose box fits this often into its width and height.
Replays cut to 1.6 came to a mean of 0.75 over three frames, to 1.4 and less to 0.9."""

CLEAR_REACH = 1.5
"""Below it some living faces came to means below 0.3."""

QUIET_NOISE = 2.0
"""Gray levels of noise in the networks' input. Clean clips have up to 1.7; above 2 a living man
came to 0.04 and a replay to 0.6."""


class Liveness(StrEnum):
    OFF = "off"
    LIVE = "live"
    ATTACK = "attack"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class PadScore:
    """The live score in [0, 1] of one frame, and what it may be used for.

    clear: large, sharp and quiet enough, and not cut too closely, to prove an attack. whole: with
    what surrounds the face; partly: with some of it. quiet: without much noise.
    """

    live: float
    clear: bool = True
    whole: bool = True
    quiet: bool = True
    partly: bool = True


def pad_score(face: TrackedFace, close: bool, width: int, height: int) -> PadScore | None:
    """Return the evidence of one face in a frame of this size; None where no score was made."""
    reading = face.pad
    if reading is None or reading.live is None:
        return None
    box = face.face.box
    reach = min(width / max(box.width, 1.0), height / max(box.height, 1.0))
    quiet = reading.noise < QUIET_NOISE
    sharp = face.quality.sharpness >= CLEAR_SHARPNESS
    clear = close and sharp and quiet and reach >= CLEAR_REACH
    whole, partly = reach >= WHOLE_REACH, reach >= CLEAR_REACH
    return PadScore(reading.live, clear, whole, quiet, partly)


def shape_of(face: TrackedFace) -> Shape | None:
    """Return where the mesh lies on a face; None without one, and in noise, in which it
    trembles."""
    if face.mesh is None or (face.pad is not None and face.pad.noise >= QUIET_NOISE):
        return None
    return face.mesh.shape


@dataclass(frozen=True, slots=True)
class PadPolicy:
    """frames: scores that a verdict needs. Mean at or above `live`: live, where every frame shows
    the surroundings of the face and none is noisy, at or above `live_noisy`, `live_partly` or
    `live_cut_off` elsewhere. Mean of the clear frames at or below `attack`: attack. Else
    undecided. Disabled: every verdict is OFF."""

    enabled: bool = False
    frames: int = 3
    live: float = 0.5
    live_noisy: float = 0.75
    live_partly: float = 0.9
    live_cut_off: float = 0.98
    attack: float = 0.3

    def verdict(self, scores: Sequence[PadScore]) -> tuple[Liveness, float | None]:
        """Return the liveness of a track and its mean live score (None without scores)."""
        mean = _mean([s.live for s in scores])
        if not self.enabled:
            return Liveness.OFF, mean
        clear = [s.live for s in scores if s.clear]
        proof = _mean(clear)
        if proof is not None and len(clear) >= self.frames and proof <= self.attack:
            return Liveness.ATTACK, mean
        if mean is None or len(scores) < self.frames:
            return Liveness.UNDECIDED, mean
        wanted = self._wanted(scores)
        return (Liveness.LIVE if mean >= wanted else Liveness.UNDECIDED), mean

    def _wanted(self, scores: Sequence[PadScore]) -> float:
        wanted = [self.live]
        if not all(s.quiet for s in scores):
            wanted.append(self.live_noisy)
        if not all(s.whole for s in scores):
            partly = all(s.partly for s in scores)
            wanted.append(self.live_partly if partly else self.live_cut_off)
        return max(wanted)

    def advice(self, scores: Sequence[PadScore]) -> str:
        """Return what the person should do so that more can be seen: a code of a notice."""
        last = scores[-1] if scores else None
        if last is None or (last.clear and last.whole):
            return "hold_still"
        return "step_back" if not last.whole else "come_closer"


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


_STRICT = PadPolicy(
    enabled=True,
    frames=5,
    live=0.7,
    live_noisy=0.85,
    live_partly=0.95,
    live_cut_off=0.99,
    attack=0.4,
)
PAD_LEVELS = {
    "off": PadPolicy(),
    "normal": PadPolicy(enabled=True),
    "strict": _STRICT,
    "challenge": _STRICT,
}
"""`challenge` asks for movements besides (`challenge`)."""


@dataclass(slots=True)
class AttackMemory:
    """Recent attacks and what they lead to; times in monotonic seconds.

    For `lockout_s` after an attack in somebody's name nobody is let in under it. `alarm_attacks`
    attacks within `alarm_window_s` are an alarm, and begin a new count.
    """

    lockout_s: float = 10.0
    alarm_attacks: int = 3
    alarm_window_s: float = 300.0
    locked_until: dict[int, float] = field(default_factory=dict)
    recent: deque[float] = field(default_factory=deque)

    def attacked(self, person_id: int | None, now: float) -> bool:
        """Record an attack, in the name of a person or of nobody; return whether it is an alarm."""
        self.locked_until = {p: t for p, t in self.locked_until.items() if t > now}
        if person_id is not None:
            self.locked_until[person_id] = now + self.lockout_s
        self.recent.append(now)
        while now - self.recent[0] >= self.alarm_window_s:
            self.recent.popleft()
        if len(self.recent) < self.alarm_attacks:
            return False
        self.recent.clear()
        return True

    def locks(self, person_id: int, now: float) -> bool:
        """Return whether an attack in this person's name was a short while ago."""
        return now < self.locked_until.get(person_id, -math.inf)
