"""Which keys a hub may set, and which only the file beside the gate.

`runtime`: how strict, how long, how often; a hub may set them for its gates. `file`: what could
take the door or the machine away, or is true of one gate only: wiring, devices, paths, addresses,
keys, names, bounds that keep people safe, and whatever is accepted in words. A hub sets none of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

Reach = Literal["file", "runtime"]


class _Section(NamedTuple):
    runtime: str = ""
    file: str = ""


_TABLE = {
    "gate": _Section(file="name role site timezone demo"),
    "camera": _Section(
        file="driver name device url source loop realtime width height fps rotate mirror "
        "open_timeout_s read_timeout_s frozen_after_s on_change certificate zone"
    ),
    "vision": _Section(
        runtime="idle_fps min_detection min_eye_distance max_yaw max_pitch max_roll min_sharpness "
        "min_brightness max_brightness enroll_min_eye_distance enroll_good_eye_distance",
        file="engine detection_size threads assets_dir",
    ),
    "recognition": _Section(
        runtime="trigger_window_s frames fpir face_tolerance margin max_frame_age_s max_attempts "
        "decide_after_s visit_closes_after_s denial_interval_s max_denials_per_visit",
        file="trigger calibration accept_lax_tolerance",
    ),
    "liveness": _Section(
        runtime="level lockout_s alarm_attacks alarm_window_s movements ask_for challenge_s"
    ),
    "access": _Section(runtime="cooldown_s"),
    "credentials": _Section(
        runtime="badges badge_interval_s pin_digits",
        file="reader device card_length key_timeout_s",
    ),
    "door": _Section(
        runtime="unlock_s extended_unlock_s held_open_s held_warning_s",
        file="driver relay_pin relay_active_high lock_type contact_pin rex_pin fire_pin "
        "trigger_pin tamper_pin power_fail_pin other_door_pin fire_reset_pin debounce_s "
        "max_unlock_s relock mounting accept_outside_relay accept_boot_glitch rex_releases",
    ),
    "indicators": _Section(
        file="active_high buzzer_pin alarm_pin idle_pin look_here_pin granted_pin denied_pin "
        "fault_pin"
    ),
    "alarms": _Section(runtime="denials denials_window_s sound_s"),
    "attendance": _Section(
        runtime="auto_reset_h double_punch_s day_start_h",
        file="direction",
    ),
    "storage": _Section(
        runtime="keep_stranger_pictures keep_acknowledged_days",
        file="state_dir database_url upload_dir key_file journal_queue reserve_mb when_full",
    ),
    "api": _Section(
        file="enabled host port insecure tls_certificate tls_key docs trusted_proxies cors_origins"
    ),
    "auth": _Section(
        runtime="access_token_expire_minutes registration door_confirmation_s door_acts_per_minute",
        file="secret_key",
    ),
    "privacy": _Section(
        runtime="require_consent photos_days access_log_days attendance_days audit_days "
        "leavers_days hold_days unknown_faces_days"
    ),
    "sync": _Section(
        runtime="catch_up_after_h presence_stale_s",
        file="hub_url ca_file insecure snapshots forget_days take_over_within_s trial_s",
    ),
    "ui": _Section(file="enabled"),
    "logging": _Section(runtime="level"),
}

REACH: Mapping[tuple[str, str], Reach] = {
    **{(s, k): "runtime" for s, marked in _TABLE.items() for k in marked.runtime.split()},
    **{(s, k): "file" for s, marked in _TABLE.items() for k in marked.file.split()},
}
"""(section, key) -> who may set it; tests hold that every key of gate.yaml is here."""
