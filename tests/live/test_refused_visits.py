"""Templates of refused visits: answered in words, gone in time, with people and the setting."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from gated.config import Settings
from gated.core.gallery import Gallery, GalleryPerson, Template
from gated.core.messages import Attention, Decision, Observation
from gated.core.values import Instant, Outcome, Reason, TrackedFace
from gated.database.records import Person
from gated.devices.clock import ManualClock
from gated.enrollment import enrollment_store
from gated.errors import NotFound
from gated.live.refused_visits import (
    FRAMES,
    TRACKS,
    Likeness,
    RefusalTaker,
    RefusedVisit,
    RefusedVisits,
    Scale,
    VisitComparison,
)
from gated.people.people import People
from gated.ports import Frame
from gated.runtime.snapshot_writer import SnapshotWriter
from gated.workspace import Workspace
from tests.changes import done_by
from tests.core.scenes import ANN, BOB, DIMENSION, MODEL, UTC, face
from tests.enrollment.offices import kinds

SCALE = Scale(MODEL, threshold=0.5, floor=0.36, frames=3)
HOURS = 12
VISIT = "0198-ab-7"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    kept = {"denials_hours": HOURS}
    return Settings.model_validate({"storage": {"state_dir": tmp_path}, "privacy": kept})


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(utc=UTC)


@pytest.fixture
def refused(workspace: Workspace, clock: ManualClock) -> RefusedVisits:
    return RefusedVisits(workspace, clock)


@pytest.fixture
def people(workspace: Workspace) -> dict[int, Person]:
    """Ann and Bob, each with the template of the scenes."""
    made = {}
    for number, name in ((ANN, "Ann"), (BOB, "Bob")):
        fields = {"first_name": name, "last_name": "X", "personnel_code": name}
        made[number] = done_by("root", People(workspace, ManualClock()).create, fields)
        template = np.eye(DIMENSION, dtype=np.float32)[number]
        path = workspace.files.save_encoding(template, MODEL)
        with workspace.database.write() as session:
            enrollment_store.add(
                session,
                enrollment_store.NewEnrollment(
                    person_id=made[number].id,
                    face_image_path=None,
                    face_encoding_path=path,
                    confidence_score=0.9,
                    model=MODEL,
                ),
            )
    return made


@pytest.fixture
def gallery(people: dict[int, Person]) -> Gallery:
    members = [GalleryPerson(person.ref) for person in people.values()]
    axes = np.eye(DIMENSION, dtype=np.float32)
    known = enumerate(people.items(), start=1)
    templates = [Template(i, person.id, axes[n], MODEL) for i, (n, person) in known]
    return Gallery.build(MODEL, "cosine", members, templates)


def denied(track_id: int | None = 1) -> Decision:
    now = Instant(5.0, UTC + 5.0)
    return Decision(now, Outcome.DENIED, Reason.NO_MATCH, visit=7, track_id=track_id)


def watch(taker: RefusalTaker, faces: Sequence[TrackedFace]) -> None:
    for number, one in enumerate(faces):
        frame = Frame(np.zeros((48, 64, 3), np.uint8), float(number), number)
        seen = Observation(number, float(number), 640, 480, (one,))
        taker.tapped(partial(answer, seen))(frame, Attention())


def answer(seen: Observation, _frame: Frame, _attention: Attention) -> Observation:
    return seen


def visit(*faces: TrackedFace) -> RefusedVisit:
    taker = RefusalTaker()
    watch(taker, faces)
    taken = taker.take(denied())
    assert taken is not None
    return taken


def asked(refused: RefusedVisits, person: Person, uid: str = VISIT) -> VisitComparison:
    return done_by("root", refused.compare, uid, person.id)


# --- what is answered -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cosine", "likeness"),
    [(0.8, Likeness.ALIKE), (0.42, Likeness.ALMOST), (0.2, Likeness.UNLIKE)],
)
def test_a_refused_visit_and_a_person_are_compared_in_words(
    refused: RefusedVisits,
    people: dict[int, Person],
    gallery: Gallery,
    workspace: Workspace,
    cosine: float,
    likeness: Likeness,
) -> None:
    looks = face({ANN: cosine})
    flawed = face(flaws=("blurred", "turned_away"))
    refused.keep(visit(looks, flawed, face(flaws=("blurred",)), looks), VISIT, SCALE, gallery)
    told = asked(refused, people[ANN])
    assert told == VisitComparison(VISIT, "no_match", likeness, 2, 1, ("blurred", "turned_away"))
    assert asked(refused, people[BOB]).likeness is Likeness.UNLIKE
    assert kinds(workspace)[-2:] == ["refused_visit_compared"] * 2


def test_without_a_usable_frame_or_a_template_nothing_is_compared(
    refused: RefusedVisits, people: dict[int, Person], gallery: Gallery
) -> None:
    refused.keep(visit(face(flaws=("too_dark",))), VISIT, SCALE, gallery)
    told = asked(refused, people[ANN])
    assert (told.likeness, told.usable, told.missing) == (Likeness.NOT_COMPARED, 0, 3)
    other = Scale("another/1", 0.5, 0.36, 3)
    refused.keep(visit(face({ANN: 0.9})), VISIT, other, None)
    assert asked(refused, people[ANN]).likeness is Likeness.NOT_COMPARED


def test_the_last_refusal_of_a_visit_stands_for_it(
    refused: RefusedVisits, people: dict[int, Person], gallery: Gallery, workspace: Workspace
) -> None:
    refused.keep(visit(face({ANN: 0.9})), VISIT, SCALE, gallery)
    refused.keep(visit(face({BOB: 0.9})), VISIT, SCALE, gallery)
    assert len(workspace.refused.names()) == 1
    assert asked(refused, people[ANN]).likeness is Likeness.UNLIKE
    with pytest.raises(NotFound, match="nothing is kept"):
        asked(refused, people[ANN], "0198-ab-8")


# --- what is taken --------------------------------------------------------------------------------


def test_only_faces_that_were_refused_are_taken() -> None:
    taker = RefusalTaker()
    watch(taker, [face({ANN: 0.9})])
    granted = Decision(Instant(5.0, UTC), Outcome.GRANTED, Reason.GRANTED, track_id=1)
    assert taker.take(granted) is None
    assert taker.take(denied(track_id=None)) is None
    assert taker.take(denied(track_id=9)) is None
    assert taker.take(denied()) is not None


def test_of_a_crowd_the_last_tracks_and_frames_are_remembered() -> None:
    taker = RefusalTaker()
    watch(taker, [face({ANN: 0.9}, track=n) for n in range(TRACKS + 1)])
    assert taker.take(denied(track_id=0)) is None
    watch(taker, [face({BOB: 0.9}, track=1)] * FRAMES)
    taken = taker.take(denied(track_id=1))
    assert taken is not None
    assert taken.mean is not None
    assert taken.usable == FRAMES + 1
    assert taken.mean[BOB] == pytest.approx(0.9, abs=1e-4)


# --- when it goes ---------------------------------------------------------------------------------


def test_it_is_sealed_and_goes_when_its_time_is_over(
    refused: RefusedVisits,
    people: dict[int, Person],
    gallery: Gallery,
    workspace: Workspace,
    clock: ManualClock,
) -> None:
    refused.keep(visit(face({ANN: 0.9})), VISIT, SCALE, gallery)
    folder = workspace.settings.storage.state_dir / "refused"
    (file,) = folder.iterdir()
    assert b"no_match" not in file.read_bytes()
    assert file.stat().st_mode & 0o077 == 0
    clock.advance(HOURS * 3600.0 - 10.0)
    assert refused.expire() == 0
    clock.advance(20.0)
    with pytest.raises(NotFound):
        asked(refused, people[ANN])
    assert list(folder.iterdir()) == []


def test_it_goes_with_the_setting(
    refused: RefusedVisits, gallery: Gallery, workspace: Workspace
) -> None:
    refused.keep(visit(face({ANN: 0.9})), VISIT, SCALE, gallery)
    privacy = workspace.settings.privacy.model_copy(update={"denials_hours": 0})
    workspace.settings = workspace.settings.model_copy(update={"privacy": privacy})
    assert refused.expire() == 1
    assert workspace.refused.names() == []


def test_it_goes_with_whom_it_resembles(
    refused: RefusedVisits, people: dict[int, Person], gallery: Gallery, workspace: Workspace
) -> None:
    alone = gallery.only(people[BOB].id)
    refused.keep(visit(face({ANN: 0.9})), VISIT, SCALE, gallery)
    refused.keep(visit(face({BOB: 0.9})), "0198-ab-8", SCALE, alone)
    done_by("root", People.of(workspace).delete, people[ANN].id, reason="wanted", override=True)
    assert [n.partition("-")[2] for n in workspace.refused.names()] == ["0198-ab-8"]
    refused.keep(visit(face({ANN: 0.9})), VISIT, SCALE, gallery)  # it was on its way
    assert len(workspace.refused.names()) == 1


def test_the_writer_looks_after_what_is_kept_in_between() -> None:
    looked: list[int] = []
    writer = SnapshotWriter(looked.append, lambda *_: None, "x", lambda: looked.append(0))
    writer.offer(7)
    writer.stop()
    writer.work()
    assert looked == [0, 7]
