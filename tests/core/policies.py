"""Policies that tests of decisions start from: the defaults of gate.yaml, liveness left out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gated.config import AttendanceSettings, LivenessSettings, Settings
from gated.config.gate_policy import gate_policy
from gated.core.challenge import ChallengePolicy
from gated.core.door import DoorRules
from gated.core.policy import GatePolicy

_PLAIN = gate_policy(
    Settings(
        liveness=LivenessSettings(level="off"), attendance=AttendanceSettings(double_punch_s=0.0)
    )
)


def policy_with(**changes: Any) -> GatePolicy:
    """Return a gate's policy without liveness and double punches, with these fields otherwise."""
    return replace(_PLAIN, **changes)


def door_rules(**changes: Any) -> DoorRules:
    """Return the rules of a door, with these fields otherwise."""
    return replace(_PLAIN.door, **changes)


def asking(count: int, **changes: Any) -> ChallengePolicy:
    """Return a challenge of so many movements, with these fields otherwise."""
    return replace(_PLAIN.challenge, count=count, **changes)
