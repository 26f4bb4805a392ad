"""What happened at a gate, kept, exported and decided again."""

from __future__ import annotations

import gzip
import json
import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.core.gallery import Gallery, GalleryPerson, Template, unit
from gated.core.gate import Gate
from gated.core.messages import (
    Command,
    CredentialPresented,
    Event,
    GalleryReplaced,
    PlanReplaced,
)
from gated.core.plan import AccessPlan, Pass
from gated.core.policy import GatePolicy
from gated.core.sketch import DIMENSIONS, TrackSketch, placed
from gated.core.values import Method
from gated.database.records import Person
from gated.enrollment.enrollments import Enrollments
from gated.errors import SourceError
from gated.evaluation.incident import Incident, decide_again, differences, gather, moment_of
from gated.people.people import People
from gated.runtime.incident_tape import IncidentTape
from gated.workspace import Workspace
from tests.changes import done_by
from tests.core.policies import policy_with
from tests.core.scenes import (
    ANN,
    BOB,
    CALIBRATION,
    CLEO,
    DIMENSION,
    MODEL,
    STRANGE,
    SURE,
    UNSURE,
    UTC,
    WEAK,
    Scene,
    at,
    face,
    like,
)  # fmt: skip
from tests.storage.writer import settings
from tests.workspaces import open_workspace

POLICY = policy_with()
MANY = 8 << 20


@given(st.integers(0, 2**32 - 1), st.integers(1, DIMENSIONS), st.floats(0.0, 2.0))
def test_a_sketch_keeps_the_angles_between_the_encodings_of_a_track(
    seed: int, count: int, spread: float
) -> None:
    chance = np.random.default_rng(seed)
    middle = chance.standard_normal(128)
    faces = (middle + spread * chance.standard_normal((count, 128))).astype(np.float32)
    sketch = TrackSketch()
    kept = np.stack([placed(sketch.add(one), 7, i) for i, one in enumerate(faces)])
    assert np.allclose(kept @ kept.T, unit(faces) @ unit(faces).T, atol=1e-4)


def test_a_sketch_says_nothing_of_whom_it_is_of() -> None:
    """Two people, each looked at from the same angles: the same numbers."""
    chance = np.random.default_rng(1)
    turns = chance.standard_normal((6, 128)).astype(np.float32)
    turned, _ = np.linalg.qr(chance.standard_normal((128, 128)))
    one, other = TrackSketch(), TrackSketch()
    for turn in turns:
        assert np.allclose(one.add(turn), other.add(turned.astype(np.float32) @ turn), atol=1e-4)


class TapedScene(Scene):
    """A scene before a gate that keeps what happens."""

    def __init__(self, tape: IncidentTape, gallery: Gallery, policy: GatePolicy = POLICY) -> None:
        super().__init__(policy, gallery)
        self.tape = tape

    def send(self, event: Event) -> list[Command]:
        commands = super().send(event)
        self.tape.offer(event, at(self.now), commands)
        return commands


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(settings(tmp_path)) as workspace:
        yield workspace


@pytest.fixture
def people(workspace: Workspace) -> list[Person]:
    return [
        done_by(
            "test", People.of(workspace).create,
            {"first_name": name, "last_name": "Surname", "personnel_code": f"code-{name}"},
        )
        for name in ("Ann", "Bob", "Cleo")
    ]  # fmt: skip


@pytest.fixture
def gallery(people: list[Person]) -> Gallery:
    members = [GalleryPerson(p.ref) for p in people]
    templates = [Template(p.id, p.id, like({p.id: 1.0}), MODEL) for p in people]
    return Gallery.build(MODEL, "cosine", members, templates)


@pytest.fixture
def tape(workspace: Workspace, gallery: Gallery) -> IncidentTape:
    def crashed(name: str, error: BaseException) -> None:
        raise AssertionError(name) from error

    return IncidentTape(workspace.ring, MANY, gallery, workspace.journal.ledger.read, crashed)


def kept(tape: IncidentTape) -> None:
    """Let the tape write all that it was given."""
    tape.start()
    tape.stop()
    tape.join(20)
    assert not tape.is_alive()
    assert tape.dropped == 0


def exported(workspace: Workspace, policy: GatePolicy = POLICY) -> Incident:
    """The incident of the whole scene, by way of its file."""
    file = workspace.settings.storage.state_dir / "door.incident"
    gather(workspace, policy, CALIBRATION, UTC + 90, UTC + 10_000).write(file)
    return Incident.read(file)


def some_minutes(scene: Scene, seed: int) -> None:
    """People come, are recognised or not, leave, come again."""
    chance = random.Random(seed)
    for track in range(1, 13):
        who = chance.choice([ANN, BOB, CLEO])
        cosine = chance.choice([SURE, SURE, WEAK, 0.47, UNSURE, STRANGE])
        for _ in range(chance.randint(2, 12)):
            looks = {who: cosine + chance.uniform(-0.05, 0.05), who % 3 + 1: 0.05}
            flaws = ("blurred",) if chance.random() < 0.1 else ()
            scene.see(face(looks, track=track, eye=chance.choice([20.0, 60.0]), flaws=flaws))
        scene.lose(track)
        scene.wait(chance.choice([0.1, 4.0, 30.0]))


@pytest.mark.parametrize("seed", range(5))
def test_what_was_kept_is_decided_as_it_was(
    workspace: Workspace, tape: IncidentTape, gallery: Gallery, seed: int
) -> None:
    scene = TapedScene(tape, gallery)
    some_minutes(scene, seed)
    kept(tape)
    incident = exported(workspace)
    then, now = decide_again(incident, incident.policy)
    assert len(then) == len(scene.verdicts) > 3
    assert differences(then, now) == []


def test_the_pooled_evidence_of_many_frames_is_decided_as_it_was(
    workspace: Workspace, tape: IncidentTape, gallery: Gallery
) -> None:
    """Frames that differ say more together: that needs the angles between their encodings."""
    pooling = replace(CALIBRATION, pools=2.0)
    scene = TapedScene(tape, gallery)
    scene.gate = Gate(POLICY, gallery, pooling)
    for direction in (5, 6, 7):
        vector = np.zeros(DIMENSION, np.float32)
        vector[[ANN, direction]] = 0.4, np.sqrt(1 - 0.4**2)
        scene.see(face(vector))
    assert [reason for reason, _ in scene.verdicts] == ["granted"]
    kept(tape)
    found = gather(workspace, POLICY, pooling, UTC + 90, UTC + 10_000)
    assert differences(*decide_again(found, POLICY)) == []
    assert differences(*decide_again(replace(found, calibration=CALIBRATION), POLICY)) != []


def test_other_settings_decide_otherwise_and_where_is_told(
    workspace: Workspace, tape: IncidentTape, gallery: Gallery
) -> None:
    scene = TapedScene(tape, gallery)
    scene.watch(face({ANN: SURE}, track=1), frames=4)
    scene.lose(1)
    scene.wait(10)
    scene.watch(face({BOB: 0.5}, track=2), frames=20)
    assert [reason for reason, _ in scene.verdicts] == ["granted", "granted"]
    kept(tape)
    incident = exported(workspace)
    stricter = replace(incident.policy, similarity=0.6)
    (part,) = differences(*decide_again(incident, stricter))
    assert [(v.outcome, v.person, v.track) for v in part.then] == [("granted", 2, 2)]
    assert [v.reason for v in part.now] == ["no_match"]


def test_a_face_behind_a_card_is_decided_as_it_was(
    workspace: Workspace, tape: IncidentTape, gallery: Gallery, people: list[Person]
) -> None:
    """A claim is held against one person, who need not be among the two most alike."""
    ann = people[0]
    plan = AccessPlan(people={ann.id: Pass(ann.ref, two_factors=True)})
    scene = TapedScene(tape, gallery)
    scene.send(PlanReplaced(plan))
    scene.send(CredentialPresented(Method.CARD, ann.id))
    scene.watch(face({ANN: 0.4, BOB: 0.5, CLEO: 0.6}), frames=6)
    assert [d[0] for d in scene.verdicts] == ["granted"]
    kept(tape)
    incident = replace(exported(workspace), plan=AccessPlan(
        people={1: Pass(replace(ann.ref, id=1), two_factors=True)}
    ))  # fmt: skip
    assert differences(*decide_again(incident, POLICY)) == []


def test_nothing_names_anybody_in_a_file(
    workspace: Workspace, tape: IncidentTape, gallery: Gallery, people: list[Person]
) -> None:
    scene = TapedScene(tape, gallery)
    some_minutes(scene, 1)
    kept(tape)
    exported(workspace)
    with gzip.open(workspace.settings.storage.state_dir / "door.incident") as file:
        text = file.read().decode()
    for person in people:
        for told in (person.uid, person.personnel_code, person.first_name, "Surname"):
            assert told not in text
    assert "embedding" not in text
    assert set(json.loads(text)["gallery"]["people"]) == {"1", "2", "3"}


def erase(workspace: Workspace, person: Person) -> None:
    done_by("test", People.of(workspace).delete, person.id, reason="wanted", override=True)


def test_nothing_of_a_person_outlives_their_erasure(
    workspace: Workspace, tape: IncidentTape, gallery: Gallery, people: list[Person]
) -> None:
    ann, bob, _ = people
    scene = TapedScene(tape, gallery)
    scene.watch(face({ANN: SURE, BOB: 0.1}), frames=4)
    kept(tape)
    assert ann.uid in {uid for piece in workspace.ring.pieces() for uid in piece.about}
    erase(workspace, ann)
    assert list(workspace.ring.pieces()) == []
    # what the door had still in hand
    late = IncidentTape(
        workspace.ring, MANY, gallery, workspace.journal.ledger.read, lambda *_: None
    )
    scene = TapedScene(late, gallery)
    scene.watch(face({ANN: SURE, BOB: 0.1}), frames=4)
    kept(late)
    assert list(workspace.ring.pieces()) == []
    others = IncidentTape(
        workspace.ring, MANY, gallery.only(bob.id), workspace.journal.ledger.read, lambda *_: None
    )
    TapedScene(others, gallery.only(bob.id)).watch(face({BOB: SURE}), frames=4)
    kept(others)
    assert [piece.about for piece in workspace.ring.pieces()] == [{bob.uid}]


def without(gallery: Gallery, person_id: int) -> Gallery:
    """The gallery after the last template of this person was removed."""
    there = [m for m in gallery.members if m.person.id != person_id]
    templates = [Template(m.person.id, m.person.id, like({m.person.id: 1.0}), MODEL) for m in there]
    return Gallery.build(MODEL, "cosine", there, templates)


def test_nothing_of_a_person_outlives_their_consent(
    workspace: Workspace, tape: IncidentTape, gallery: Gallery, people: list[Person]
) -> None:
    """Also in what the door has in hand, and whoever removed the last template."""
    ann, bob, _ = people
    ring = workspace.ring
    TapedScene(tape, gallery).watch(face({ANN: SURE, BOB: 0.1}), frames=4)
    kept(tape)
    after = IncidentTape(ring, MANY, gallery, workspace.journal.ledger.read, lambda *_: None)
    scene = TapedScene(after, gallery)
    scene.watch(face({ANN: SURE, BOB: 0.1}), frames=4)
    scene.send(GalleryReplaced(without(gallery, ann.id)))
    scene.watch(face({BOB: SURE}, track=2), frames=4)
    kept(after)
    about = {uid for piece in ring.pieces() for uid in piece.about}
    assert (ann.uid in about, bob.uid in about) == (False, True)


def test_who_is_switched_off_stays_in_what_is_kept(
    workspace: Workspace, tape: IncidentTape, gallery: Gallery, people: list[Person]
) -> None:
    scene = TapedScene(tape, gallery)
    scene.watch(face({ANN: SURE, BOB: 0.1}), frames=4)
    off = [replace(m, active=False) for m in gallery.members]
    scene.send(GalleryReplaced(replace(gallery, members=tuple(off))))
    kept(tape)
    assert people[0].uid in {uid for piece in workspace.ring.pieces() for uid in piece.about}


def test_a_withdrawal_empties_the_ring_while_no_door_runs(
    workspace: Workspace, tape: IncidentTape, gallery: Gallery, people: list[Person]
) -> None:
    TapedScene(tape, gallery).watch(face({ANN: SURE, BOB: 0.1}), frames=4)
    kept(tape)
    assert list(workspace.ring.pieces())
    with workspace.change("test") as change:
        Enrollments.of(workspace).withdraw_biometrics(change, people[0].id)
    assert list(workspace.ring.pieces()) == []


def test_a_withdrawal_while_no_door_ran_empties_the_ring_at_the_next_start(
    workspace: Workspace, tape: IncidentTape, gallery: Gallery, people: list[Person]
) -> None:
    """As a hub's, which comes as templates that are gone."""
    TapedScene(tape, gallery).watch(face({ANN: SURE, BOB: 0.1}), frames=4)
    kept(tape)
    assert list(workspace.ring.pieces())
    ledger = workspace.journal.ledger.read
    kept(IncidentTape(workspace.ring, MANY, gallery, ledger, lambda *_: None))
    assert list(workspace.ring.pieces()), "all are in the gallery still"
    left = without(gallery, people[0].id)
    kept(IncidentTape(workspace.ring, MANY, left, ledger, lambda *_: None))
    assert list(workspace.ring.pieces()) == []


def test_a_tape_that_is_full_counts_and_never_waits(
    workspace: Workspace, tape: IncidentTape, gallery: Gallery
) -> None:
    scene = TapedScene(tape, gallery)
    done = threading.Event()

    def come() -> None:
        scene.watch(face({ANN: UNSURE}), frames=600)
        done.set()

    threading.Thread(target=come, daemon=True).start()
    assert done.wait(30), "the gate waits for its tape"
    assert tape.dropped > 0


@pytest.mark.parametrize(
    "content", [b"", b"no gzip", gzip.compress(b"{}", mtime=0), gzip.compress(b"[1]", mtime=0)]
)
def test_what_is_no_incident_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "some.incident"
    file.write_bytes(content)
    with pytest.raises(SourceError, match="is no incident"):
        Incident.read(file)


def test_a_time_is_that_of_the_gate_unless_it_says_which() -> None:
    assert moment_of("2026-11-30T08:15", "Europe/Berlin") == moment_of("2026-11-30T07:15Z", "UTC")
    with pytest.raises(SourceError, match="is no time"):
        moment_of("yesterday", "UTC")


def test_a_time_of_which_nothing_is_kept_is_said(workspace: Workspace) -> None:
    with pytest.raises(SourceError, match="nothing is kept"):
        gather(workspace, POLICY, CALIBRATION, 0.0, 1.0)
