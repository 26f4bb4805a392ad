"""What a changed camera means for those who stand before it."""

from __future__ import annotations

from gated.core.messages import Condition
from gated.core.values import Reason
from tests.core.policies import policy_with
from tests.core.scenes import ANN, SURE, Scene, face, records

CHANGED, ACCEPTED = (
    Condition("camera_changed", True, "x", "alarm"),
    Condition("camera_changed", False),
)


def test_a_changed_camera_is_an_alarm_and_lets_nobody_in_where_the_gate_is_told_so() -> None:
    scene = Scene(policy_with(refuse_changed_camera=True))
    assert records(scene.send(CHANGED)) == [("camera_changed", "alarm")]
    assert scene.gate.state.faults == {"camera_changed": "x"}
    scene.watch(face({ANN: SURE}))
    assert scene.verdicts == [(Reason.CAMERA_CHANGED, "Ann")]
    assert records(scene.send(ACCEPTED)) == [("camera_changed_over", "info")]
    assert scene.gate.state.faults == {}
    scene.lose(1)
    scene.wait(5.0)
    scene.watch(face({ANN: SURE}, track=2))
    assert scene.verdicts[1:] == [(Reason.GRANTED, "Ann")]


def test_elsewhere_it_is_an_alarm_only() -> None:
    scene = Scene()
    assert records(scene.send(CHANGED)) == [("camera_changed", "alarm")]
    assert scene.gate.state.faults == {}
    scene.watch(face({ANN: SURE}))
    assert scene.verdicts == [(Reason.GRANTED, "Ann")]
