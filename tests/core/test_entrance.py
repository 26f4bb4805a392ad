"""The door's part of the gate: passages, modes, alarms, as scenes."""

from __future__ import annotations

import pytest

from gated.core.alarms import DETAILS
from gated.core.gallery import Gallery, GalleryPerson, Template
from gated.core.messages import (
    AlarmsAcknowledged,
    CameraEvent,
    Condition,
    DoorEvent,
    Lock,
    Notice,
    OperatorUnlock,
    RecordEvent,
    ReleaseFailed,
    ResetFire,
    Restored,
    SetDoorMode,
    Silenced,
    Unlock,
)
from gated.core.values import CameraEventKind, Direction, DoorEventKind, DoorMode, Light, Reason
from tests.core.policies import door_rules, policy_with
from tests.core.scenes import (
    ANN,
    BOB,
    MODEL,
    STRANGE,
    SURE,
    Scene,
    at,
    decisions,
    face,
    like,
    person,
    records,
)

OPENED = DoorEvent(DoorEventKind.CONTACT_OPEN)
CLOSED = DoorEvent(DoorEventKind.CONTACT_CLOSED)
REX = DoorEvent(DoorEventKind.REX)
FIRE = DoorEvent(DoorEventKind.FIRE)
LOCKDOWN = SetDoorMode(DoorMode.LOCKDOWN, "op", "drill")
NORMAL = SetDoorMode(DoorMode.NORMAL, "op", "over")

ann = face({ANN: SURE})


def with_contact(**changes: object) -> Scene:
    return Scene(policy_with(contact=True, **changes))


def passages(scene: Scene) -> list[tuple[str, int]]:
    return [
        (c.kind, c.body["visit"])
        for c in scene.commands
        if isinstance(c, RecordEvent) and c.kind in {"passed", "not_used"}
    ]


def kinds(scene: Scene) -> list[str]:
    return [c.kind for c in scene.commands if isinstance(c, RecordEvent)]


# --- passages -------------------------------------------------------------------------------------


def after_a_passage() -> Scene:
    """Somebody has gone out by the button, and the leaf has just closed."""
    scene = with_contact()
    scene.send(REX)
    scene.send(OPENED)
    scene.wait(2.0)
    scene.send(CLOSED)
    scene.watch(ann)
    return scene


def test_a_rebound_is_nobodys_passage() -> None:
    scene = after_a_passage()
    scene.send(OPENED)
    scene.wait(0.1)
    scene.send(CLOSED)
    assert passages(scene) == []
    scene.wait(60.0)
    assert passages(scene) == [("not_used", 1)]
    assert "door_forced" not in kinds(scene)


@pytest.mark.parametrize("for_s", [0.6, 2.0, 30.0])
def test_who_follows_at_once_has_passed(for_s: float) -> None:
    scene = after_a_passage()
    scene.send(OPENED)
    scene.wait(for_s)
    scene.send(CLOSED)
    scene.wait(60.0)
    assert passages(scene) == [("passed", 1)]


def test_a_grant_is_a_passage_when_the_door_is_opened() -> None:
    scene = with_contact()
    scene.watch(ann)
    scene.wait(2.0)
    scene.send(OPENED)
    scene.wait(60.0)
    assert passages(scene) == [("passed", 1)]


def test_without_a_contact_a_grant_counts_unless_the_door_was_not_released() -> None:
    scene = Scene()
    scene.watch(ann)
    assert records(scene.send(ReleaseFailed())) == [("not_used", "info")]
    assert passages(scene) == [("not_used", 1)]
    assert scene.send(ReleaseFailed()) == []


def test_with_a_contact_who_was_not_released_may_open_by_a_key() -> None:
    scene = with_contact()
    scene.watch(ann)
    assert scene.send(ReleaseFailed()) == []
    scene.wait(1.0)
    scene.send(OPENED)
    assert passages(scene) == [("passed", 1)]


def test_a_grant_that_nobody_uses_is_told_and_the_next_direction_stays() -> None:
    scene = with_contact()
    scene.watch(ann)
    assert scene.wait(4.1)[0] == Lock("deadline")
    assert passages(scene) == [("not_used", 1)]
    scene.lose(1)
    scene.wait(10.0)
    scene.watch(face({ANN: SURE}, track=2))
    again = decisions(scene.commands)[-1]
    assert (again.direction, again.flags) == (Direction.ENTRY, ())
    scene.send(OPENED)
    scene.send(CLOSED)
    scene.lose(2)
    scene.wait(10.0)
    scene.watch(face({ANN: SURE}, track=3))
    assert decisions(scene.commands)[-1].direction is Direction.EXIT


def test_who_did_not_go_through_is_not_inside() -> None:
    scene = with_contact()
    scene.watch(ann)
    assert scene.gate.admission.access.presence.since(ANN) is not None
    scene.wait(5.0)
    assert scene.gate.admission.access.presence.since(ANN) is None


def test_at_shift_change_people_follow_each_other_through_the_open_door() -> None:
    scene = with_contact()
    scene.watch(ann)
    scene.send(OPENED)
    scene.watch(face({BOB: SURE}, track=2))
    assert passages(scene) == [("passed", 1), ("passed", 2)]


def test_a_forced_door_is_nobodys_passage() -> None:
    scene = with_contact()
    scene.watch(ann)
    scene.send(LOCKDOWN)
    scene.wait(1.5)
    scene.send(OPENED)
    scene.wait(60.0)
    assert passages(scene) == [("not_used", 1)]


def test_without_a_contact_nothing_is_told() -> None:
    scene = Scene()
    scene.watch(ann)
    scene.wait(60.0)
    assert passages(scene) == []


def test_a_person_who_needs_more_time_gets_it() -> None:
    members = [GalleryPerson(person(ANN), extended=True)]
    people = Gallery.build(MODEL, "cosine", members, [Template(1, ANN, like({ANN: 1.0}), MODEL)])
    scene = Scene(policy_with(extended_unlock_s=12.0), people)
    scene.watch(ann)
    scene.wait(60.0)
    assert scene.door == [(0.3, "unlock"), (12.3, "lock")]


# --- modes ----------------------------------------------------------------------------------------


def test_lockdown_never_opens_by_face_and_never_shuts_anybody_in() -> None:
    scene = Scene()
    assert records(scene.send(LOCKDOWN)) == [("door_mode", "info")]
    scene.watch(ann)
    assert scene.verdicts == [(Reason.LOCKDOWN, "Ann")]
    assert Unlock(3.0, "rex") in scene.send(REX)
    scene.wait(10.0)
    scene.send(NORMAL)
    scene.lose(1)
    scene.wait(3.0)
    scene.watch(face({ANN: SURE}, track=2))
    assert scene.verdicts[-1] == (Reason.GRANTED, "Ann")


def test_who_sets_a_mode_is_named_in_the_private_part_only() -> None:
    record = Scene().send(LOCKDOWN)[0]
    assert isinstance(record, RecordEvent)
    assert (record.actor, record.cause) == ("op", "drill")
    assert record.body == {"mode": "lockdown", "before": "normal"}


def test_a_mode_that_holds_already_is_no_news() -> None:
    scene = Scene()
    scene.send(LOCKDOWN)
    assert scene.send(LOCKDOWN) == []


def test_an_operator_does_not_open_in_a_lockdown_and_the_attempt_is_recorded() -> None:
    scene = Scene()
    scene.send(LOCKDOWN)
    record, notice = scene.send(OperatorUnlock("op", "parcel"))
    assert isinstance(record, RecordEvent)
    assert (record.kind, record.body, record.actor) == (
        "door_remote_refused",
        {"reason": "lockdown"},
        "op",
    )
    assert notice == Notice(None, "lockdown")


def test_the_mantrap_lets_in_once_the_other_door_is_shut() -> None:
    scene = Scene()
    scene.send(DoorEvent(DoorEventKind.OTHER_OPEN))
    scene.watch(ann, frames=10)
    assert scene.verdicts == [(Reason.INTERLOCK, "Ann")]
    scene.send(DoorEvent(DoorEventKind.OTHER_CLOSED))
    scene.watch(ann)
    assert scene.verdicts[-1] == (Reason.GRANTED, "Ann"), "who waits need not step back"


@pytest.mark.parametrize("mode", [DoorMode.LOCKDOWN, DoorMode.OUT_OF_SERVICE])
def test_a_closed_door_stays_closed_over_a_restart(mode: DoorMode) -> None:
    scene = Scene()
    assert records(scene.send(Restored(mode))) == []
    assert scene.gate.state.mode is mode


def test_a_mode_that_the_log_does_not_have_yet_is_recorded() -> None:
    scene = Scene()
    sent = scene.send(Restored(DoorMode.LOCKDOWN, unlogged=True))
    assert records(sent) == [("door_mode", "info")]
    assert scene.gate.state.mode is DoorMode.LOCKDOWN


def test_free_access_ends_with_the_program_and_that_is_recorded() -> None:
    scene = Scene()
    assert records(scene.send(Restored(DoorMode.FREE_ACCESS))) == [("door_mode", "info")]
    assert scene.gate.state.mode is DoorMode.NORMAL
    assert scene.door == []


# --- fire -----------------------------------------------------------------------------------------


def test_a_fire_is_reset_by_hand_through_the_adapter() -> None:
    scene = Scene()
    reset = ResetFire("op", "false alarm")
    assert scene.send(reset) == []
    scene.send(FIRE)
    record, command = scene.send(reset)
    assert isinstance(record, RecordEvent)
    assert (record.kind, record.actor, record.cause) == ("door_fire_reset", "op", "false alarm")
    assert command == reset
    assert scene.gate.state.door == "fire", "until the adapter says so"
    assert scene.send(DoorEvent(DoorEventKind.FIRE_CLEARED))[-1] == Lock("fire cleared")


# --- alarms ---------------------------------------------------------------------------------------


def test_an_alarm_stands_sounds_for_a_bounded_time_and_is_acknowledged() -> None:
    scene = Scene(policy_with(alarm_sound_s=60.0))
    scene.send(OPENED)
    assert scene.gate.state.alarms == {"door_forced": "alarm"}
    assert Light.ALARM in scene.gate.state.lights
    scene.wait(60.0)
    assert Light.ALARM not in scene.gate.state.lights
    assert scene.gate.state.alarms == {"door_forced": "alarm"}
    scene.send(AlarmsAcknowledged("door_forced"))
    assert scene.gate.state.alarms == {}


def test_a_silenced_alarm_stands() -> None:
    scene = Scene()
    scene.send(OPENED)
    assert scene.send(Silenced("op")) == [RecordEvent(at(scene.now), "alarm_silenced", actor="op")]
    assert Light.ALARM not in scene.gate.state.lights
    assert scene.gate.state.alarms == {"door_forced": "alarm"}


def test_alarms_of_before_the_restart_stand_and_are_quiet() -> None:
    scene = Scene()
    scene.send(Restored(alarms={"door_tamper": "alarm"}))
    assert scene.gate.state.alarms == {"door_tamper": "alarm"}
    assert Light.ALARM not in scene.gate.state.lights


def test_the_buzzer_warns_before_the_alarm_of_a_door_held_open() -> None:
    scene = with_contact(door=door_rules(held_open_s=20.0, held_warning_s=5.0))
    scene.watch(ann)
    scene.send(OPENED)
    scene.wait(17.9)
    assert Light.HELD_WARNING not in scene.gate.state.lights
    scene.wait(0.2)
    assert Light.HELD_WARNING in scene.gate.state.lights
    scene.wait(5.0)
    assert Light.HELD_WARNING not in scene.gate.state.lights
    assert kinds(scene)[-2:] == ["door_held_warning", "door_held_open"]


def test_many_denials_are_a_warning() -> None:
    scene = Scene(policy_with(alarm_denials=3, alarm_denials_window_s=60.0))
    for track in range(1, 4):
        scene.watch(face({ANN: STRANGE}, track=track), frames=25)
        scene.lose(track)
    assert kinds(scene) == ["repeated_denials"]
    assert scene.gate.state.alarms == {"repeated_denials": "warning"}


@pytest.mark.parametrize(
    ("begins", "ends", "told"),
    [
        (DoorEvent(DoorEventKind.TAMPER), DoorEvent(DoorEventKind.TAMPER_CLEARED), "door_tamper"),
        (
            DoorEvent(DoorEventKind.POWER_FAIL),
            DoorEvent(DoorEventKind.POWER_RESTORED),
            "door_power_fail",
        ),
        (Condition("disk_low", True), Condition("disk_low", False), "disk_low"),
    ],
)
def test_what_is_over_stands_until_somebody_has_seen_it(
    begins: DoorEvent | Condition, ends: DoorEvent | Condition, told: str
) -> None:
    scene = Scene()
    scene.send(begins)
    scene.send(ends)
    assert list(scene.gate.state.alarms) == [told]
    assert scene.door == []


CONDITIONS = (
    Condition("disk_low", True, "200 MiB free", values={"free_mib": 200}),
    Condition("clock_wrong", True, "in doubt", values={"why": "clock_in_doubt"}),
    Condition("log_delayed", True, "10 s", "alarm", {"seconds": 10, "waiting": 3}),
    Condition("vision_starved", True, "slow", "alarm", {"why": "frames_slow", "slow_s": "2.5"}),
)


@pytest.mark.parametrize("begins", CONDITIONS)
def test_the_detail_of_an_alarm_has_its_values_for_words_of_ones_own(begins: Condition) -> None:
    (told,) = (c for c in Scene().send(begins) if isinstance(c, RecordEvent))
    why = str(begins.values.get("why", begins.name))
    assert {name: told.body[name] for name in DETAILS[why]} | {"detail": begins.detail} == {
        name: value for name, value in told.body.items() if name != "why"
    }


def test_a_value_that_no_detail_has_is_not_recorded() -> None:
    values: dict[str, int | str] = {"free_mib": 3, "severity": "info", "why": "door_forced"}
    (told,) = (
        c
        for c in Scene().send(Condition("reader_lost", True, "x", values=values))
        if isinstance(c, RecordEvent)
    )
    assert told.body == {"detail": "x"}


def test_a_fault_shows_as_long_as_it_lasts() -> None:
    scene = Scene()
    scene.send(Condition("disk_low", True, "50 MiB"))
    assert Light.FAULT in scene.gate.state.lights
    scene.send(Condition("disk_low", False))
    assert Light.FAULT not in scene.gate.state.lights


@pytest.mark.parametrize(
    ("begins", "ends", "name"),
    [
        (
            DoorEvent(DoorEventKind.FAULT, "line 17: I/O error"),
            DoorEvent(DoorEventKind.FAULT_OVER),
            "door_fault",
        ),
        (
            Condition("relay_lost", True, "line 17: I/O error", "alarm"),
            Condition("relay_lost", False),
            "relay_lost",
        ),
    ],
)
def test_a_fault_of_the_hardware_lasts_until_it_is_over_acknowledged_or_not(
    begins: DoorEvent | Condition, ends: DoorEvent | Condition, name: str
) -> None:
    scene = Scene()
    scene.send(begins)
    assert scene.gate.state.alarms == {name: "alarm"}
    scene.send(AlarmsAcknowledged(name))
    assert scene.gate.state.alarms == {}
    assert scene.gate.state.faults == {name: "line 17: I/O error"}
    assert Light.FAULT in scene.gate.state.lights
    assert records(scene.send(ends)) == [(f"{name}_over", "info")]
    assert scene.gate.state.faults == {}
    assert Light.FAULT not in scene.gate.state.lights


def test_the_gate_shows_that_it_looks() -> None:
    scene = Scene()
    assert scene.gate.state.lights == {Light.IDLE}
    scene.see(face({ANN: STRANGE}))
    assert scene.gate.state.lights == {Light.LOOK_HERE}
    scene.watch(ann, frames=4)
    scene.lose(1)
    assert scene.gate.state.lights == {Light.IDLE}


@pytest.mark.parametrize("kind", [CameraEventKind.COVERED, CameraEventKind.TURNED])
@pytest.mark.parametrize("end", [CameraEventKind.CLEAR, CameraEventKind.OPENED])
def test_a_view_that_somebody_has_changed_is_a_trouble_until_it_is_well(
    kind: CameraEventKind, end: CameraEventKind
) -> None:
    scene = with_contact()
    scene.send(CameraEvent(kind, "look at the lens"))
    assert Light.FAULT in scene.gate.state.lights
    assert f"camera_{kind}" in scene.gate.state.alarms
    scene.send(CameraEvent(end))
    assert Light.FAULT not in scene.gate.state.lights


@pytest.mark.parametrize("kind", [CameraEventKind.DARK, CameraEventKind.GLARE])
def test_a_dark_picture_is_no_trouble_and_ends_none(kind: CameraEventKind) -> None:
    scene = with_contact()
    scene.send(CameraEvent(kind, "the same picture for 10 s"))
    scene.send(CameraEvent(CameraEventKind.CLEAR))
    assert scene.gate.state.alarms == {}
    assert Light.FAULT not in scene.gate.state.lights
    scene.send(CameraEvent(CameraEventKind.LOST, "unplugged"))
    scene.send(CameraEvent(CameraEventKind.CLEAR))
    assert Light.FAULT in scene.gate.state.lights
    assert kinds(scene) == [f"camera_{kind}", "camera_clear", "camera_lost", "camera_clear"]
