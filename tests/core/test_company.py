from __future__ import annotations

from gated.core.messages import RecordEvent
from tests.core.scenes import ANN, BOB, SURE, Scene, face

ann = face({ANN: SURE})
behind = face({}, track=2)


def reported(scene: Scene) -> list[object]:
    return [
        (c.body["faces"], c.severity)
        for c in scene.commands
        if isinstance(c, RecordEvent) and c.kind == "tailgating"
    ]


def test_who_stands_close_behind_somebody_let_in_is_reported_once() -> None:
    scene = Scene()
    scene.watch(ann, behind, frames=60)
    scene.wait(60.0)
    assert reported(scene) == [(1, "warning")]


def test_who_was_there_for_a_moment_counts_too() -> None:
    scene = Scene()
    scene.watch(ann, frames=3)
    scene.see(behind)
    scene.lose(2)
    scene.wait(60.0)
    assert reported(scene) == [(1, "warning")]


def test_who_is_let_in_as_well_follows_nobody() -> None:
    scene = Scene()
    scene.watch(ann, frames=3)
    scene.watch(ann, face({BOB: SURE}, track=2), frames=60)
    assert reported(scene) == []


def test_a_broken_track_of_the_same_person_follows_nobody() -> None:
    scene = Scene()
    scene.watch(ann, frames=3)
    scene.lose(1)
    scene.watch(face({ANN: SURE}, track=3), frames=60)
    assert reported(scene) == []


def test_nobody_far_away_and_nobody_later_is_reported() -> None:
    scene = Scene()
    scene.watch(ann, face({}, track=2, eye=20.0), face({}, track=3, flaws=("blurred",)), frames=4)
    scene.wait(3.0)
    scene.watch(behind, frames=20)
    assert reported(scene) == []
