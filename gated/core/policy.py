"""The settings that decisions depend on, and the thresholds derived from them."""

from __future__ import annotations

from dataclasses import dataclass

from gated.core.calibration import Calibration
from gated.core.challenge import ChallengePolicy
from gated.core.door import DoorRules
from gated.core.evidence import FLOOR_FMR, REJECT_FMR, Criteria
from gated.core.gallery import Gallery
from gated.core.pad import PadPolicy
from gated.core.values import Direction

CHANCES = 3.0
"""Independent comparisons that a visit amounts to: it has many frames, of which the best run
counts, but they resemble each other. Measured in docs/accuracy.md."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePolicy:
    """The settings that decisions depend on. Times in seconds, distances in pixels.

    Settings that can be configured have their default in the configuration only.
    """

    frames: int
    fpir: float
    similarity: float | None = None
    """Threshold given by a tolerance; None: it follows from `fpir` and the gallery's size."""
    margin: float
    max_frame_age_s: float
    max_attempts: int
    decide_after_s: float
    visit_closes_after_s: float
    track_timeout_s: float = 5.0
    """A track without observations for this time counts as lost."""
    denial_interval_s: float
    max_denials: int
    close_eye_distance: float = 30.0
    """A face of at least this size is close: without a match, it is a stranger's."""
    low_quality_after_s: float = 6.0
    """A close face without one usable frame for this time is denied for low quality."""
    cooldown_s: float
    unlock_s: float
    extended_unlock_s: float
    """For people who need more time."""
    door: DoorRules
    contact: bool
    """The door has a contact: a grant counts as passed only when the door is opened."""
    direction: Direction | None
    auto_reset_s: float
    double_punch_s: float
    trigger: bool
    """Faces are matched only for `trigger_window_s` after a Trigger."""
    trigger_window_s: float
    refuse_changed_camera: bool
    """Nobody is let in by face while the camera is not the accepted one."""
    pad: PadPolicy
    challenge: ChallengePolicy
    lockout_s: float
    """After an attack in a person's name that person is not let in for this time."""
    alarm_attacks: int
    alarm_window_s: float
    """`alarm_attacks` attacks within this time are an alarm."""
    alarm_denials: int
    alarm_denials_window_s: float
    """`alarm_denials` denials within this time are a warning."""
    alarm_sound_s: float
    """Longest sound of an alarm."""


def criteria_for(policy: GatePolicy, gallery: Gallery, calibration: Calibration) -> Criteria:
    """Derive the thresholds for this gallery from the FPIR, or from the tolerance."""
    threshold = policy.similarity
    if threshold is None:
        # each template is one more comparison, also several of one person
        threshold = calibration.threshold(policy.fpir, len(gallery), CHANCES)
    return Criteria(
        threshold=threshold,
        floor=min(threshold, calibration.similarity_at(FLOOR_FMR)),
        reject=min(threshold, calibration.similarity_at(REJECT_FMR)),
        margin=policy.margin,
        frames=policy.frames,
        pool_shift=calibration.pool_shift,
    )
