"""The settings that decisions depend on, and the thresholds that follow from them."""

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
"""A visit may show many frames, and the best run of agreeing ones counts; they resemble each other
so much that they are worth about so many independent comparisons, as docs/accuracy.md measures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePolicy:
    """The settings that decisions depend on. Times in seconds, distances in pixels.

    What a gate can be told has its default in the configuration, and nowhere else.
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
    """A track that no observation mentions for so long counts as lost."""
    denial_interval_s: float
    max_denials: int
    close_eye_distance: float = 30.0
    """From this size on a face that matches nobody is a stranger, not somebody far away."""
    low_quality_after_s: float = 6.0
    """A close face without one usable frame for so long is told so, and logged."""
    cooldown_s: float
    unlock_s: float
    extended_unlock_s: float
    """For people who need more time."""
    door: DoorRules
    contact: bool
    """Whether the door tells when it is opened: then only who opens it has passed."""
    direction: Direction | None
    auto_reset_s: float
    double_punch_s: float
    trigger: bool
    """Faces are matched only for `trigger_window_s` after a Trigger."""
    trigger_window_s: float
    refuse_changed_camera: bool
    """Nobody is let in by face while another camera than the accepted one is there."""
    pad: PadPolicy
    challenge: ChallengePolicy
    lockout_s: float
    """After an attack in somebody's name that person is not let in for so long."""
    alarm_attacks: int
    alarm_window_s: float
    """So many attacks within so long are an alarm."""
    alarm_denials: int
    alarm_denials_window_s: float
    """So many denials within so long are a warning."""
    alarm_sound_s: float
    """No alarm sounds for longer."""


def criteria_for(policy: GatePolicy, gallery: Gallery, calibration: Calibration) -> Criteria:
    """Thresholds for this gallery: from the promised FPIR, or from the tolerance."""
    threshold = policy.similarity
    if threshold is None:
        # each template is one comparison more, whoever it belongs to
        threshold = calibration.threshold(policy.fpir, len(gallery), CHANCES)
    return Criteria(
        threshold=threshold,
        floor=min(threshold, calibration.similarity_at(FLOOR_FMR)),
        reject=min(threshold, calibration.similarity_at(REJECT_FMR)),
        margin=policy.margin,
        frames=policy.frames,
        pool_shift=calibration.pool_shift,
    )
