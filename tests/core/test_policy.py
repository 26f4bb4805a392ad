"""The policy of a gate is what its settings say."""

from __future__ import annotations

from gated.config import AccessSettings, AttendanceSettings, Settings
from gated.config.gate_policy import gate_policy


def test_a_policy_follows_the_settings() -> None:
    settings = Settings(
        access=AccessSettings(cooldown_s=77.0), attendance=AttendanceSettings(direction="entry")
    )
    policy = gate_policy(settings)
    assert (policy.cooldown_s, policy.direction) == (77.0, "entry")
