from __future__ import annotations

from gated.core.alarms import AlarmSounder, RepetitionCounter


def quiet_from(alarms: AlarmSounder) -> float | None:
    return alarms.sounds_until


def test_news_is_no_alarm() -> None:
    alarms = AlarmSounder()
    alarms.recorded("door_rex", "info", 0.0)
    assert (alarms.standing, alarms.sounds_until) == ({}, None)


def test_a_warning_stands_and_makes_no_sound() -> None:
    alarms = AlarmSounder()
    alarms.recorded("repeated_denials", "warning", 0.0)
    assert (alarms.standing, alarms.sounds_until) == ({"repeated_denials": "warning"}, None)


def test_a_lost_camera_is_no_reason_for_a_siren() -> None:
    alarms = AlarmSounder()
    alarms.recorded("camera_lost", "alarm", 0.0)
    assert (dict(alarms.standing), alarms.sounds_until) == ({"camera_lost": "alarm"}, None)


def test_an_alarm_sounds_until_it_is_acknowledged() -> None:
    alarms = AlarmSounder(sound_s=180.0)
    alarms.recorded("door_forced", "alarm", 10.0)
    alarms.recorded("door_tamper", "alarm", 20.0)
    alarms.acknowledged("door_forced")
    assert quiet_from(alarms) == 200.0, "another one stands"
    alarms.acknowledged("door_tamper")
    assert (alarms.standing, alarms.sounds_until) == ({}, None)


def test_the_sound_is_bounded_and_begins_again_when_it_happens_again() -> None:
    alarms = AlarmSounder(sound_s=180.0)
    alarms.recorded("door_forced", "alarm", 0.0)
    alarms.advance(179.9)
    assert quiet_from(alarms) == 180.0
    alarms.advance(180.0)
    assert quiet_from(alarms) is None
    assert alarms.standing == {"door_forced": "alarm"}
    alarms.recorded("door_forced", "alarm", 500.0)
    assert alarms.sounds_until == 680.0


def test_a_warning_does_not_make_an_alarm_of_the_same_kind_less() -> None:
    alarms = AlarmSounder()
    alarms.recorded("camera_lost", "alarm", 0.0)
    alarms.recorded("camera_lost", "warning", 1.0)
    assert alarms.standing == {"camera_lost": "alarm"}


def test_repetition_counts_within_the_window_only() -> None:
    often = RepetitionCounter(3, 60.0)
    assert [often.happened(t) for t in (0.0, 59.0, 60.0)] == [False, False, False]
    assert often.happened(61.0)
    assert not often.happened(62.0), "it counts anew"
