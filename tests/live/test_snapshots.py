"""Pictures of attacks: few, sealed, for a limited time, gone with the person."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gated.config import Settings
from gated.core.messages import Attention, Decision, Observation
from gated.core.values import Box, Image, Instant, Outcome, PersonRef, Reason
from gated.devices.clock import ManualClock
from gated.errors import NotFound, StorageError
from gated.live.file_sweep import sweep_files
from gated.live.snapshots import PER_DAY, Caps, Snapshots, SnapshotTaker
from gated.people.people import People
from gated.ports import Frame
from gated.privacy.privacy import Privacy
from gated.runtime.snapshot_writer import WAITING, SnapshotWriter
from gated.vision.decoding import decode
from gated.workspace import Workspace
from tests.changes import done_by
from tests.core.scenes import face
from tests.enrollment.offices import kinds, stored

DAY_S = 86_400.0
BOX = Box(200.0, 150.0, 100.0, 120.0)
ATTACKS = frozenset({Reason.SPOOF})


def decision(
    reason: Reason = Reason.SPOOF,
    at: float = 100.0,
    captured_at: float = 99.9,
    person: PersonRef | None = None,
    box: Box | None = BOX,
) -> Decision:
    now = Instant(at, 1_800_000_000.0 + at)
    denied = Decision(now, Outcome.DENIED, reason, person, visit=7, pad=0.1)
    return Decision(
        **{
            name: getattr(denied, name)
            for name in denied.__dataclass_fields__
            if name not in {"captured_at", "box"}
        },
        captured_at=captured_at,
        box=box,
    )


def frame(captured_at: float = 99.9, level: int = 90) -> Frame:
    return Frame(np.full((480, 640, 3), level, np.uint8), captured_at, 1)


def analyse(seen: Frame, attention: Attention) -> Observation:
    return Observation(seen.number, seen.captured_at, 640, 480, (face(),))


def taker(reasons: frozenset[Reason] = ATTACKS) -> SnapshotTaker:
    """One that has seen a frame."""
    made = SnapshotTaker(reasons)
    made.tapped(analyse)(frame(), Attention())
    return made


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    kept = {"unknown_faces_days": 3}
    return Settings.model_validate({"storage": {"state_dir": tmp_path}, "privacy": kept})


@pytest.fixture
def pictures(workspace: Workspace) -> Snapshots:
    return Snapshots(workspace, ManualClock())


# --- which pictures -------------------------------------------------------------------------------


def test_the_picture_of_an_attack_shows_the_face_and_what_is_around_it() -> None:
    taken = taker().take(decision())
    assert taken is not None
    assert taken.image.shape == (300, 300, 3)
    corner = taker().take(decision(box=Box(-20.0, -20.0, 100.0, 100.0)))
    assert corner is not None
    assert corner.image.shape == (155, 155, 3)


def test_the_driver_may_use_its_buffer_again() -> None:
    seen, made = frame(), SnapshotTaker(ATTACKS)
    made.tapped(analyse)(seen, Attention())
    seen.image[:] = 0
    taken = made.take(decision())
    assert taken is not None
    assert taken.image.min() == 90


@pytest.mark.parametrize(
    "unwanted",
    [
        decision(Reason.GRANTED),
        decision(Reason.NO_MATCH),
        decision(box=None),
        decision(captured_at=1.0),
    ],
)
def test_nothing_else_is_photographed(unwanted: Decision) -> None:
    assert taker().take(unwanted) is None


def test_the_settings_say_of_whom_pictures_are_kept() -> None:
    def reasons(**days: object) -> frozenset[Reason] | None:
        workspace = type("Only", (), {"settings": Settings.model_validate(days)})()
        made = SnapshotTaker.of(workspace)
        return made._reasons if made else None

    assert reasons() is None
    three = {"unknown_faces_days": 3}
    assert reasons(privacy=three) == ATTACKS
    strangers = {"keep_stranger_pictures": True}
    assert reasons(privacy=three, storage=strangers) == ATTACKS | {Reason.NO_MATCH}
    with pytest.raises(ValueError, match="unknown_faces_days"):
        Settings.model_validate({"storage": strangers})


def test_a_poster_is_photographed_once_in_a_while() -> None:
    caps, elsewhere = Caps(), Box(400.0, 150.0, 100.0, 120.0)
    assert [caps.allow(BOX, t) for t in (0.0, 10.0, 599.0, 600.0)] == [True, False, False, True]
    assert caps.allow(elsewhere, 601.0)


def test_a_day_has_only_so_many() -> None:
    caps = Caps()
    places = [Box(500.0 * n, 0.0, 100.0, 100.0) for n in range(2 * PER_DAY)]
    assert sum(caps.allow(place, float(n)) for n, place in enumerate(places)) == PER_DAY
    assert caps.allow(BOX, DAY_S)


# --- how they are kept ----------------------------------------------------------------------------


def keep(pictures: Snapshots, person: PersonRef | None = None, at: float = 100.0) -> None:
    taken = taker().take(decision(person=person, at=at))
    assert taken is not None
    pictures.keep(taken)


def test_a_kept_picture_is_sealed_and_each_look_at_it_is_journaled(
    workspace: Workspace, pictures: Snapshots
) -> None:
    keep(pictures)
    (row,) = pictures.list_(10)
    assert (row.reason, row.visit, row.pad, row.person_id) == ("spoof", 7, 0.1, None)
    (file,) = stored(workspace)
    assert b"JFIF" not in file.read_bytes()
    image: Image = decode(pictures.image(row.id, actor="root"))
    assert image.shape == (300, 300, 3)
    assert kinds(workspace)[-1] == "snapshot_viewed"
    with pytest.raises(NotFound):
        pictures.image(row.id + 1, actor="root")
    assert workspace.files.sweep(set(), grace_s=-1.0) == 1
    keep(pictures)
    assert sweep_files(workspace) == 0
    assert len(stored(workspace)) == 1


def test_what_a_write_left_that_was_cut_off_is_swept_up(workspace: Workspace) -> None:
    state = workspace.settings.storage.state_dir
    left = [
        state / ".journal.head.0123456789abcdef.tmp",
        state / "keys" / f".token.key.{'0' * 16}.tmp",
    ]
    others = [state / ".someones.tmp", state / "notes.tmp"]
    for path in (*left, *others):
        path.write_text("half")
    assert sweep_files(workspace) == 0, "somebody may be writing them"
    assert sweep_files(workspace, grace_s=-1.0) == len(left)
    assert [path.exists() for path in (*left, *others)] == [False, False, True, True]


def test_they_go_when_their_time_is_over(workspace: Workspace, pictures: Snapshots) -> None:
    keep(pictures)
    clock = ManualClock(utc=1_800_000_000.0 + 2 * DAY_S)
    assert Privacy(workspace, clock).apply().snapshots == 0
    clock.advance(DAY_S + 200.0)
    assert Privacy(workspace, clock).apply().snapshots == 1
    assert (pictures.list_(10), stored(workspace)) == ([], [])


def test_they_go_with_the_person_in_whose_name_the_attack_was(
    workspace: Workspace, pictures: Snapshots
) -> None:
    people = People(workspace, ManualClock())
    anna = done_by(
        "root", people.create, {"first_name": "Anna", "last_name": "A", "personnel_code": "E1"}
    )
    ref = PersonRef(anna.id, anna.uid, "E1", "Anna A")
    keep(pictures, ref)
    assert [row.person_id for row in pictures.list_(10)] == [anna.id]
    assert done_by("root", people.delete, anna.id).files == 1
    assert (pictures.list_(10), stored(workspace)) == ([], [])
    keep(pictures, ref)  # it was on its way
    assert (pictures.list_(10), stored(workspace)) == ([], [])


# --- on the way -----------------------------------------------------------------------------------


def test_the_door_never_waits_for_a_picture_and_a_full_disk_ends_nothing() -> None:
    tried: list[int] = []
    crashed: list[str] = []

    def fail(number: int) -> None:
        tried.append(number)
        raise StorageError("the disk is full")

    writer = SnapshotWriter(fail, lambda name, error: crashed.append(name))
    for number in range(WAITING + 5):
        writer.offer(number)
    writer.stop()
    writer.work()
    assert (tried, writer.dropped, crashed) == (list(range(WAITING)), 5, [])
