"""The gate's policy as the settings have it: the defaults of a gate are those of gate.yaml."""

from __future__ import annotations

from gated.config.settings import Settings
from gated.core.challenge import ChallengePolicy, Movement
from gated.core.door import DoorRules
from gated.core.pad import PAD_LEVELS
from gated.core.policy import GatePolicy
from gated.core.values import Direction


def gate_policy(settings: Settings) -> GatePolicy:
    """Return the policy that follows from settings alone, without the thresholds of a model."""
    recognition, door = settings.recognition, settings.door
    direction = settings.attendance.direction
    return GatePolicy(
        frames=recognition.frames,
        fpir=recognition.fpir,
        margin=recognition.margin,
        max_frame_age_s=recognition.max_frame_age_s,
        max_attempts=recognition.max_attempts,
        decide_after_s=recognition.decide_after_s,
        visit_closes_after_s=recognition.visit_closes_after_s,
        denial_interval_s=recognition.denial_interval_s,
        max_denials=recognition.max_denials_per_visit,
        cooldown_s=settings.access.cooldown_s,
        unlock_s=door.unlock_s,
        extended_unlock_s=max(door.extended_unlock_s, door.unlock_s),
        door=DoorRules(
            max_s=door.max_unlock_s,
            rex_releases=door.rex_releases and door.mounting == "inside",
            relock=door.relock,
            held_open_s=door.held_open_s,
            held_warning_s=door.held_warning_s,
        ),
        contact=door.contact_pin is not None,
        direction=None if direction == "auto" else Direction(direction),
        auto_reset_s=settings.attendance.auto_reset_h * 3600,
        double_punch_s=settings.attendance.double_punch_s,
        trigger=recognition.trigger != "continuous",
        trigger_window_s=recognition.trigger_window_s,
        pad=PAD_LEVELS[settings.liveness.level],
        refuse_changed_camera=settings.camera.on_change == "refuse",
        challenge=_challenge_of(settings),
        lockout_s=settings.liveness.lockout_s,
        alarm_attacks=settings.liveness.alarm_attacks,
        alarm_window_s=settings.liveness.alarm_window_s,
        alarm_denials=settings.alarms.denials,
        alarm_denials_window_s=settings.alarms.denials_window_s,
        alarm_sound_s=settings.alarms.sound_s,
    )


def _challenge_of(settings: Settings) -> ChallengePolicy:
    liveness = settings.liveness
    return ChallengePolicy(
        count=liveness.movements if liveness.needs_mesh else 0,
        limit_s=liveness.challenge_s,
        movements=tuple(Movement(m) for m in liveness.ask_for),
        mirrored=settings.camera.mirror,
        doubt_s=liveness.doubt_s if liveness.steps_up else None,
        infra_red=liveness.infra_red == "challenge",
    )
