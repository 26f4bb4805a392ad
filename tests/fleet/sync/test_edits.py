"""Edits: made at a gate by an operator of the hub, good for all when the hub says so."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Concatenate, ParamSpec, TypeVar

import httpx
import PIL.Image
import pytest
import sqlalchemy as sa

from gated.accounts.accounts import Accounts
from gated.accounts.operator_keys import OperatorKey
from gated.change import Change
from gated.config import ApiSettings
from gated.core.roles import Principal
from gated.core.values import Instant
from gated.database.records import Person
from gated.database.tables import metadata, new_uid
from gated.enrollment import enrollment_store
from gated.enrollment.enrollment_context import EnrollmentContext
from gated.enrollment.enrollment_queue import EnrollmentQueue
from gated.errors import (
    AssetError,
    BelongsToHub,
    Conflict,
    DuplicateFace,
    EditConflict,
    EnrollmentRefused,
    HubError,
    NotAllowed,
    NotFound,
    SignInAgain,
    TooMany,
)
from gated.fleet.gate import edge_edit_store, replica
from gated.fleet.gate.client import HubAddress, HubClient
from gated.fleet.gate.hub_editor import HubEditor
from gated.fleet.gate.offline_edits import EditSender
from gated.fleet.gate.uplink import Uplink
from gated.fleet.hub import edit_store
from gated.fleet.hub.edit_intake import MOST_PENDING, EditIntake
from gated.fleet.hub.review import Review
from gated.fleet.wire.edits import EditHead, sealed_for
from gated.fleet.wire.signing import Envelopes
from gated.link.status_board import StatusBoard
from gated.people.groups import Groups
from gated.people.people import People
from gated.web.app import create_app
from gated.web.server import ApiServer
from gated.web.services import ApiServices, api_services
from gated.workspace import Workspace
from tests.changes import done_by, done_in
from tests.enrollment.offices import kit_of, portrait
from tests.fixtures.server import serving
from tests.fleet.sync.test_contact import proxy
from tests.fleet.sync.test_down import MODEL, gallery, hire, pull_all, vector
from tests.fleet.sync.world import ACTOR, JoinedGate, World
from tests.people.people import entry

P = ParamSpec("P")
R = TypeVar("R")

PASSWORD = "Correct-horse-battery-9"
ADA = {"first_name": "Ada", "last_name": "Unforgettable", "personnel_code": "E1"}


@dataclasses.dataclass
class Edged:
    """A gate where Olga, an operator of the hub, is signed in."""

    gate: JoinedGate
    services: ApiServices
    olga: Principal

    @property
    def editor(self) -> HubEditor:
        editor = self.services.editor(self.olga)
        assert isinstance(editor, HubEditor)
        return editor

    def do(self, method: Callable[Concatenate[Change, P], R], *args: P.args, **more: P.kwargs) -> R:
        return done_in(self.gate.workspace, "olga", method, *args, **more)

    def create(self, **fields: str) -> Person:
        return self.do(self.editor.create, {**ADA, **fields})

    def change(self, person: Person, **fields: str) -> None:
        here = self.find(person.uid)
        assert here is not None
        self.do(self.editor.update, here.id, fields)

    def switch(self, person: Person, active: bool) -> None:
        here = self.find(person.uid)
        assert here is not None
        self.do(self.editor.set_active, here.id, active)

    def find(self, uid: str) -> Person | None:
        with self.gate.workspace.database.read() as session:
            return replica.find(session, uid)

    def send(self) -> int:
        """Send everything that waits; how much that was."""
        sender, n = EditSender(self.gate.workspace, self.gate.client), 0
        while sender.send():
            n += 1
        return n

    def verdicts(self) -> list[tuple[str, str, str | None]]:
        """(kind, state, reason) of all edits, oldest first."""
        found = self.services.offline_edits.list_(limit=100)
        return [(e.kind, e.state, e.reason) for e in reversed(found)]


def olga_on(world: World, *names: str) -> None:
    hub = world.hub.services
    known = {g.name for g in hub.groups.list_()}
    for name in names:
        if name not in known:
            done_by(ACTOR, hub.groups.add, name, None)
    hub.accounts.create("olga", "operator", PASSWORD, actor=ACTOR)
    hub.operators.allow("olga", names, everyone=not names, actor=ACTOR)
    hub.accounts.sign_in("olga", PASSWORD, "desk")


def services_of(workspace: Workspace) -> ApiServices:
    settings = workspace.settings.model_copy(update={"api": ApiSettings(port=0)})
    return api_services(settings, workspace, Accounts.of(workspace), StatusBoard())


def edged(world: World, name: str = "north", model: str = MODEL, **wanted: Any) -> Edged:
    wanted = {"edits": "at_once", **(wanted or {"everyone": True})}
    gate = world.gate(name, **wanted)
    pull_all(gate, model)
    services = services_of(gate.workspace)
    token, _ = services.accounts.sign_in("olga", PASSWORD, "desk")
    return Edged(gate, services, services.accounts.verify_token(token))


def pending(world: World) -> list[int]:
    return [e.edit.id for e in world.hub.services.review.list_(limit=100, state="pending")]


def enroll_here(at: Edged, person: Person, replaces: str | None = None) -> str:
    """As the desk does, with a template of no model's making; the uid of the photo."""
    workspace, signer = at.gate.workspace, at.editor.signer
    path = workspace.files.save_encoding(vector(), MODEL)
    with workspace.change("olga") as change:
        session = change.session
        here = replica.find(session, person.uid)
        assert here is not None
        made = enrollment_store.add(
            session,
            enrollment_store.NewEnrollment(
                person_id=here.id,
                face_encoding_path=path,
                face_image_path=None,
                confidence_score=0.9,
                model=MODEL,
                image_sha256="ab" * 32,
                is_active=signer.at_once,
            ),
        )
        change.delete_files(*signer.enrolled(change, here, made, replaces))
    return made.uid


@contextmanager
def api_of(services: ApiServices) -> Iterator[httpx.Client]:
    with serving(ApiServer(create_app(services), services.settings.api)) as url:
        sign_in = {"username": "olga", "password": PASSWORD}
        token = httpx.post(
            f"{url}/api/auth/login", json=sign_in, trust_env=False, timeout=60
        ).json()
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        with httpx.Client(base_url=url, headers=headers, timeout=20, trust_env=False) as client:
            yield client


def test_enrolled_at_one_gate_accepted_by_the_hub_known_at_all_and_forgotten(world: World) -> None:
    """The whole way, over the API of gate and hub, with a real face."""
    model, face = kit_of("sface").model, portrait("obama")
    hub = world.hub
    olga_on(world, "staff")
    a = edged(world, "a", model, groups=["staff"])
    b = world.gate("b", groups=["staff"])
    pull_all(b, model)
    with api_of(a.services) as at_a:
        made = at_a.post("/api/persons", json=ADA)
        assert made.status_code == 201, made.text
        files = {"file": ("ada.jpg", face, "image/jpeg")}
        data = {"person_id": str(made.json()["id"])}
        enrolled = at_a.post("/api/enrollment", data=data, files=files)
        assert enrolled.status_code == 201, enrolled.text
        uid = made.json()["uid"]
        assert list(gallery(a.gate.workspace, model)) == [(uid, True)]
        assert a.send() == 2
        pull_all(b, model)
        assert gallery(b.workspace, model) == gallery(hub.workspace, model) == {}
        token, _ = hub.services.accounts.sign_in("olga", PASSWORD, "desk")
        headers = {"Authorization": f"Bearer {token}"}
        desk = httpx.Client(base_url=hub.url, headers=headers, timeout=60, trust_env=False)
        with desk:
            edits = desk.get("/api/fleet/edits", params={"state": "pending"}).json()
            assert [(e["kind"], e["gate"], e["operator"], e["waits"]) for e in edits] == [
                ("create", "a", "olga", None),
                ("enroll", "a", "olga", edits[0]["id"]),
            ]
            wants = desk.get(f"/api/fleet/edits/{edits[0]['id']}").json()["wants"]
            assert wants["fields"].items() >= ADA.items()
            assert wants["groups"] == ["staff"]
            image = desk.get(f"/api/fleet/edits/{edits[1]['id']}/image")
            assert image.content[:3] == b"\xff\xd8\xff"
            for edit in edits:
                answer = desk.post(f"/api/fleet/edits/{edit['id']}/accept", json={})
                assert (answer.status_code, answer.json()["state"]) == (200, "accepted")
        for gate in (a.gate, b):
            pull_all(gate, model)
            assert list(gallery(gate.workspace, model)) == [(uid, True)]
            assert gallery(gate.workspace, model) == gallery(hub.workspace, model)
        shown = at_a.get("/api/edits").json()
        assert [e["state"] for e in shown] == ["accepted", "accepted"]
    (ada,) = People.of(hub.workspace).list_()[0]
    done_by(ACTOR, People.of(hub.workspace).delete, ada.id)
    for gate in (a.gate, b):
        pull_all(gate, model)
    for workspace in (a.gate.workspace, b.workspace, hub.workspace):
        assert nowhere(workspace, "Unforgettable") == []
        assert list(workspace.settings.storage.uploads.rglob("*.sealed")) == []
        assert workspace.journal.verify().ok


def nowhere(workspace: Workspace, name: str) -> list[str]:
    """The tables and files of the database in which a name is."""
    with workspace.database.read() as session:
        found = [
            table.name
            for table in metadata.sorted_tables
            if name in repr(session.execute(sa.select(table)).all())
        ]
    files = workspace.settings.storage.state_dir.glob("attendance.db*")
    return found + [f.name for f in files if name.encode() in f.read_bytes()]


def test_a_refused_edit_is_undone_where_it_was_made(world: World) -> None:
    hub = world.hub
    known = hire(hub.workspace)
    olga_on(world)
    at = edged(world)
    new, passer = at.create(), at.create(personnel_code="E2")
    at.gate.workspace.journal.append([entry(passer.ref)])
    at.change(known, last_name="Other")
    enroll_here(at, known)
    before = gallery(hub.workspace)
    assert gallery(at.gate.workspace) != before
    at.send()
    for id_ in pending(world):
        hub.services.review.refuse(id_, actor="anna", reason="not now")
    pull_all(at.gate)
    assert gallery(at.gate.workspace) == before
    assert at.find(new.uid) is None
    bare, same = at.find(passer.uid), at.find(known.uid)
    assert bare is not None
    assert not bare.is_active  # the log needs the name, and nothing else
    assert same is not None
    assert same.last_name == known.last_name
    assert set(at.verdicts()) == {(k, "refused", "not now") for k in ("create", "change", "enroll")}


def test_what_the_hub_tells_meanwhile_leaves_open_edits_in_force(world: World) -> None:
    hub = world.hub.workspace
    person = hire(hub)
    olga_on(world)
    at = edged(world)
    at.change(person, last_name="Edited")
    photo = enroll_here(at, person)
    done_by(ACTOR, People.of(hub).update, person.id, {"department": "Night"})
    pull_all(at.gate)
    here = at.find(person.uid)
    assert here is not None
    assert (here.last_name, here.department) == ("Edited", "Night")
    with at.gate.workspace.database.read() as session:
        assert photo in {e.uid for e in enrollment_store.list_(session, person_id=here.id)}
    assert len(gallery(at.gate.workspace)[person.uid, True]) == 2


def test_the_hubs_order_decides_and_conflicts_are_shown(world: World) -> None:
    hub = world.hub
    person = hire(hub.workspace)
    olga_on(world)
    at = edged(world)
    at.change(person, last_name="First")
    at.change(person, last_name="Second")
    at.send()
    done_by(ACTOR, People.of(hub.workspace).update, person.id, {"last_name": "Hubs"})
    first, second = pending(world)
    review = hub.services.review
    shown = review.get(first)
    assert (shown.conflict, shown.has) == (True, {"last_name": "Hubs"})
    assert shown.wants == {"fields": {"last_name": "First"}}
    assert review.get(second).waits == first
    with pytest.raises(Conflict, match=f"edit {first} first"):
        review.accept(second, actor="anna")
    with pytest.raises(EditConflict):
        review.accept(first, actor="anna")
    review.accept(first, actor="anna", anyway=True)
    # what was built on an accepted edit knew it
    assert not review.get(second).conflict
    review.accept(second, actor="anna")
    with pytest.raises(Conflict, match="already"):
        review.refuse(second, actor="anna")
    pull_all(at.gate)
    assert People.of(hub.workspace).get(person.id).last_name == "Second"
    here = at.find(person.uid)
    assert here is not None
    assert here.last_name == "Second"


def test_a_deactivation_counts_at_once_and_always_wins(world: World) -> None:
    hub = world.hub
    person = hire(hub.workspace)
    olga_on(world)
    at, other = edged(world), world.gate("south")
    pull_all(other)
    done_by(ACTOR, People.of(hub.workspace).update, person.id, {"last_name": "Newer"})
    at.switch(person, False)
    assert list(gallery(at.gate.workspace)) == [(person.uid, False)]
    at.send()
    assert pending(world) == []
    pull_all(other), pull_all(at.gate)
    assert list(gallery(other.workspace)) == [(person.uid, False)]
    assert at.verdicts() == [("deactivate", "accepted", None)]
    # switching on is for the hub to say, at the gate as well
    at.switch(person, True)
    assert list(gallery(at.gate.workspace)) == [(person.uid, False)]
    assert [e.at_once for e in at.services.offline_edits.list_(limit=2)] == [False, True]
    # and of somebody new, however late the hub decides
    new = at.create()
    enroll_here(at, new)
    at.switch(new, False)
    at.send()
    assert len(pending(world)) == 4
    hub.services.review.accept(pending(world)[1], actor="anna")
    assert People.of(hub.workspace).by_code("E1").is_active is False
    while left := pending(world):
        hub.services.review.accept(left[0], actor="anna")
    assert People.of(hub.workspace).by_code("E1").is_active is False
    pull_all(at.gate)
    assert (new.uid, False) in gallery(at.gate.workspace)
    assert (person.uid, True) in gallery(at.gate.workspace)


def test_where_edits_wait_nothing_opens_before_the_hub_accepts(world: World) -> None:
    hub = world.hub
    known = hire(hub.workspace)
    olga_on(world)
    at = edged(world, edits="pending", everyone=True)
    before = gallery(at.gate.workspace)
    new = at.create()
    enroll_here(at, new)
    enroll_here(at, known)
    at.change(known, last_name="Other")
    here, shell = at.find(known.uid), at.find(new.uid)
    assert here is not None
    assert shell is not None
    assert (here.last_name, shell.is_active) == (known.last_name, False)
    with at.gate.workspace.database.read() as session:
        old = enrollment_store.list_(session, person_id=here.id)[0]
    at.do(at.editor.delete_photo, old.id)
    assert gallery(at.gate.workspace) == before
    at.send()
    for id_ in pending(world):
        hub.services.review.accept(id_, actor="anna")
    pull_all(at.gate)
    assert gallery(at.gate.workspace) == gallery(hub.workspace)
    assert len(gallery(hub.workspace)[new.uid, True]) == 1
    assert len(gallery(hub.workspace)[known.uid, True]) == 1


@pytest.mark.long
def test_photos_are_replaced_and_removed_from_a_gate(world: World) -> None:
    hub = world.hub
    person = hire(hub.workspace)
    olga_on(world)
    at = edged(world)
    here = at.find(person.uid)
    assert here is not None
    with at.gate.workspace.database.read() as session:
        (old,) = enrollment_store.list_(session, person_id=here.id)
    new = enroll_here(at, person, replaces=old.uid)
    with at.gate.workspace.database.read() as session:
        assert [e.uid for e in enrollment_store.list_(session, person_id=here.id)] == [new]
    at.send()
    (edit,) = pending(world)
    hub.services.review.accept(edit, actor="anna")
    with hub.workspace.database.read() as session:
        assert [e.uid for e in enrollment_store.list_(session)] == [new]
    pull_all(at.gate)
    assert gallery(at.gate.workspace) == gallery(hub.workspace)
    receipt = at.do(at.editor.withdraw_biometrics, here.id)
    assert receipt.enrollments == 1
    at.send()
    (edit,) = pending(world)
    hub.services.review.accept(edit, actor="anna")
    pull_all(at.gate)
    for workspace in (at.gate.workspace, hub.workspace):
        assert gallery(workspace) == {}
        assert list(workspace.settings.storage.uploads.rglob("*.sealed")) == []


@pytest.mark.long
def test_a_hub_without_models_takes_templates_and_knows_doubles(world: World) -> None:
    def none() -> EnrollmentContext:
        raise AssetError("no models here")

    model = kit_of("sface").model
    hub = world.hub.workspace
    review = Review.with_queue(hub, EnrollmentQueue(hub, none))
    olga_on(world)
    at = edged(world, model=model)
    face = portrait("obama")
    for code in ("E1", "E2"):
        person = at.create(personnel_code=code)
        at.editor.enroll(person.id, face, "a test")
    at.send()
    first, photo, second, double = pending(world)
    for id_ in (first, photo, second):
        review.accept(id_, actor="anna")
    with pytest.raises(DuplicateFace):
        review.accept(double, actor="anna")
    review.accept(double, actor="anna", override="twins")
    pull_all(at.gate, model)
    assert gallery(at.gate.workspace, model) == gallery(hub, model)
    assert len(gallery(hub, model)) == 2


@pytest.mark.long
def test_a_photo_of_the_hubs_person_is_replaced_by_one_with_a_row_of_its_own(world: World) -> None:
    olga_on(world)
    at = edged(world, model=kit_of("sface").model)
    person = at.create()
    old = at.editor.enroll(person.id, portrait("obama")).enrollment
    new = at.editor.replace_photo(old.id, portrait("obama2")).enrollment
    assert new.uid != old.uid
    assert [e.uid for e in at.services.references.list_(person_id=person.id)] == [new.uid]
    with pytest.raises(EnrollmentRefused):
        at.editor.replace_photo(new.id, portrait("biden"))
    kinds = [kind for kind, *_ in at.verdicts()]
    assert kinds == ["create", "enroll", "enroll"]


def test_only_operators_of_the_hub_change_its_people(world: World) -> None:
    hub = world.hub.workspace
    mine, others = hire(hub, "staff"), hire(hub, "guests")
    olga_on(world, "staff")
    at = edged(world, groups=["staff", "guests"])
    own = done_by("admin", at.services.people.create, {**ADA, "personnel_code": "L1"})
    here, there = at.find(mine.uid), at.find(others.uid)
    assert here is not None
    assert there is not None
    people, references = at.services.people, at.services.references
    for act in (
        lambda: done_by("admin", people.update, here.id, {"last_name": "X"}),
        lambda: done_by("admin", people.set_active, here.id, False),
        lambda: done_by("admin", people.delete, here.id),
        lambda: done_by("admin", references.withdraw_biometrics, here.id),
        lambda: done_by("admin", references.delete, 1),
    ):
        with pytest.raises(BelongsToHub):
            act()
    with pytest.raises(NotAllowed):
        at.change(others, last_name="X")
    with pytest.raises(NotAllowed):
        at.do(at.editor.create, ADA, groups=["guests"])
    # people of the gate stay the gate's, whoever changes them
    at.do(at.editor.update, own.id, {"last_name": "Own"})
    done_by("admin", people.delete, own.id)
    assert at.verdicts() == []


@pytest.mark.long
def test_who_was_signed_in_before_a_restart_signs_in_again(world: World) -> None:
    person = hire(world.hub.workspace)
    olga_on(world)
    at = edged(world)
    restarted, here = services_of(at.gate.workspace), at.find(person.uid)
    assert here is not None
    with pytest.raises(SignInAgain):
        at.do(restarted.editor(at.olga).set_active, here.id, False)
    still = at.find(person.uid)
    assert still is not None
    assert still.is_active


class Wire:
    """Makes edits as they travel, of what somebody has who stole a gate."""

    def __init__(self, at: Edged, **head: Any) -> None:
        self.at = at
        given = {"uid": new_uid(), "kind": "create", "person": new_uid(), "base": 0, "after": None}
        self.head = EditHead(
            **{**given, **head},
            gate=at.gate.member.gate,
            operator=at.editor.signer.editor.uid,
            made_at="2026-01-01T00:00:00+00:00",
        )

    def signed(self, key: OperatorKey, content: Mapping[str, Any]) -> dict[str, Any]:
        plain = json.dumps(content).encode()
        envelopes = Envelopes.to(self.at.gate.member.hub_seal)
        told = {k: v for k, v in dataclasses.asdict(self.head).items() if k != "gate"}
        told["ephemeral"] = envelopes.ephemeral
        told["sealed"] = envelopes.seal(plain, sealed_for(self.head.uid))
        return {**told, "signature": key.sign(self.head.message(plain))}

    def reason(self, world: World, wire: Mapping[str, Any]) -> tuple[str, str | None]:
        """Send it; what the hub made of it."""
        self.at.gate.client.post("/api/sync/edits", wire)
        found = world.hub.services.review.list_(limit=100)
        return next((e.edit.state, e.edit.reason) for e in found if e.edit.uid == self.head.uid)


def test_a_stolen_gate_gets_nobody_enrolled_and_nothing_undone(world: World) -> None:
    hub = world.hub
    person, guest = hire(hub.workspace, "staff"), hire(hub.workspace, "guests")
    olga_on(world, "staff")
    stolen, other = edged(world, "stolen", groups=["staff"]), edged(world, "b", groups=["staff"])
    other.switch(person, False)
    other.send()
    other.change(person, last_name="Signed at another gate")
    with other.gate.workspace.database.read() as session:
        waiting = edge_edit_store.to_send(session)
    assert waiting is not None
    assert waiting.wire is not None
    before = gallery(hub.workspace)
    assert (person.uid, False) in before
    thief, olgas = OperatorKey("guessed-at-random", "00" * 16), stolen.editor.signer.key
    assert olgas is not None
    staff = next(g.uid for g in Groups.of(hub.workspace).list_() if g.name == "staff")
    ada = {"fields": ADA, "groups": [staff]}
    on = {"kind": "activate", "person": person.uid}
    off = {"kind": "deactivate", "person": person.uid}
    for head, key, content, why in (
        ({}, thief, ada, "bad_signature"),
        (on, thief, {}, "bad_signature"),
        (off, thief, {}, "bad_signature"),
        # with the operator's key it is still only about the people of both
        ({}, olgas, {**ada, "groups": []}, "other_people"),
        ({}, olgas, {**ada, "groups": [new_uid()]}, "other_people"),
        ({"kind": "deactivate", "person": guest.uid}, olgas, {}, "other_people"),
        ({"person": person.uid}, olgas, ada, "exists"),
        ({"kind": "activate"}, olgas, {}, "not_found"),
        ({}, olgas, {"fields": {"is_admin": True}, "groups": [staff]}, "malformed"),
        ({"kind": "promote"}, olgas, {}, "malformed"),
    ):
        wire = Wire(stolen, **head)
        assert wire.reason(world, wire.signed(key, content)) == ("refused", why)
    # what was signed at another gate counts there alone
    replayed = Wire(stolen, uid=waiting.uid)
    assert replayed.reason(world, waiting.wire) == ("refused", "bad_signature")
    assert pending(world) == []
    with pytest.raises(HubError) as refused:
        stolen.gate.client.get("/api/fleet/edits")
    assert refused.value.status == 403
    assert gallery(hub.workspace) == before
    kinds = [row.kind for row in hub.services.audit.page(limit=50).rows]
    assert kinds.count("edit_refused") == 11


@pytest.mark.long
def test_an_edit_is_taken_once_and_decided_once(world: World) -> None:
    olga_on(world)
    at = edged(world)
    wire = Wire(at)
    key = at.editor.signer.key
    assert key is not None
    told = wire.signed(key, {"fields": ADA, "groups": []})
    for _ in range(3):
        at.gate.client.post("/api/sync/edits", told)
    (edit,) = pending(world)
    world.hub.services.review.accept(edit, actor="anna")
    at.gate.client.post("/api/sync/edits", told)
    assert pending(world) == []
    assert len(People.of(world.hub.workspace).list_()[0]) == 1
    with pytest.raises(HubError) as refused:
        at.gate.client.post("/api/sync/edits", wire.signed(key, {"fields": {}, "groups": []}))
    assert refused.value.status == 409


def test_erasing_somebody_takes_the_edits_along(world: World) -> None:
    hub = world.hub
    person = hire(hub.workspace)
    olga_on(world)
    at = edged(world)
    at.change(person, last_name="Unforgettable")
    at.send()
    at.change(person, first_name="Unforgettable")
    done_by(ACTOR, People.of(hub.workspace).delete, person.id)
    at.send()
    assert pending(world) == []
    # somebody new whom the hub never knew can be forgotten as well
    new = at.create()
    at.gate.workspace.journal.append([entry(new.ref)])
    at.send()
    (edit,) = pending(world)
    hub.services.review.refuse(edit, actor="anna", erase=True)
    pull_all(at.gate)
    for workspace in (hub.workspace, at.gate.workspace):
        assert nowhere(workspace, "Unforgettable") == []
        assert workspace.journal.verify().ok
    with pytest.raises(NotFound):
        hub.services.review.get(edit)


@pytest.mark.long
def test_a_right_that_ended_ends_the_edits_on_their_way(world: World) -> None:
    person = hire(world.hub.workspace)
    olga_on(world)
    at = edged(world)
    at.change(person, last_name="Other")
    world.hub.services.operators.forbid("olga", actor=ACTOR)
    at.send()
    pull_all(at.gate)
    assert at.verdicts() == [("change", "refused", "operator_unknown")]
    here = at.find(person.uid)
    assert here is not None
    assert here.last_name == person.last_name


@pytest.mark.long
def test_both_journals_say_who_did_it_where_and_who_accepted(world: World) -> None:
    olga_on(world)
    at = edged(world)
    new = at.create()
    at.send()
    (edit,) = pending(world)
    world.hub.services.review.accept(edit, actor="anna")

    def acts(services: ApiServices, kind: str) -> tuple[str, str]:
        row = next(r for r in services.audit.page(limit=50).rows if r.kind == kind)
        assert row.actor is not None
        return row.actor["name"], row.body["person"]

    assert acts(at.services, "edit_made") == ("olga", new.uid)
    assert acts(world.hub.services, "person_created") == ("olga at north", new.uid)
    assert acts(world.hub.services, "edit_accepted") == ("anna", new.uid)


@pytest.mark.long
def test_a_gate_sends_no_more_than_the_hub_will_look_at(world: World) -> None:
    class Still:
        def now(self) -> Instant:
            return Instant(mono=0.0, utc=1_800_000_000.0)

    olga_on(world)
    at = edged(world)
    intake = EditIntake(world.hub.workspace, Still(), a_minute=3)
    row = world.hub.services.fleet.by_name("north").gate
    sealed = {"ephemeral": "11" * 32, "sealed": "AAAA"}
    for _ in range(3):
        intake.take(row, Wire(at).head, sealed, "00" * 64)
    with pytest.raises(TooMany):
        intake.take(row, Wire(at).head, sealed, "00" * 64)


@pytest.mark.long
def test_a_hub_that_was_restored_gets_open_edits_again(world: World) -> None:
    olga_on(world)
    at = edged(world)
    at.create()
    at.send()
    assert at.send() == 0
    with world.hub.workspace.database.write() as session:
        session.execute(sa.text("DELETE FROM fleet_edits"))  # an older database
    world.hub.services.feed.renew(actor=ACTOR)
    pull_all(at.gate)
    assert at.send() == 1
    assert len(pending(world)) == 1


@pytest.mark.long
def test_a_gate_that_leaves_keeps_people_and_forgets_operators(world: World) -> None:
    person = hire(world.hub.workspace)
    olga_on(world)
    at = edged(world)
    new = at.create()
    at.change(person, last_name="Edited")
    at.gate.membership.leave(actor=ACTOR)
    assert at.services.accounts.list_() == []
    here = at.find(new.uid)
    assert here is not None
    people = at.services.people
    done_by("admin", people.update, here.id, {"last_name": "Own"})
    assert at.verdicts() == [("create", "refused", "left_hub"), ("change", "refused", "left_hub")]


def test_an_edit_that_is_not_taken_holds_up_those_of_nobody_else(world: World) -> None:
    """A proxy with a limit keeps one back; those about other people still arrive."""
    olga_on(world)
    person = hire(world.hub.workspace)
    at = edged(world)
    at.create(last_name="x" * 200, department="y" * 200, position="z" * 200)
    at.change(person, last_name="Byron")
    with proxy(world.hub.url, 1200) as between:
        address = HubAddress(f"http://127.0.0.1:{between.server_port}")
        client = HubClient(address, at.gate.member.credentials)
        sender = EditSender(at.gate.workspace, client)
        with pytest.raises(HubError, match="too large"):
            sender.send()
        assert sender.send()
        assert len(pending(world)) == 1
        with pytest.raises(HubError, match="too large"):
            sender.send()
        between.limit = 10_000_000
        assert sender.send()
        assert not sender.send()
        client.close()
    assert len(pending(world)) == 2


def test_who_is_switched_off_waits_for_no_other_edit(world: World) -> None:
    """Neither for a queue at the gate, nor for a hub where more wait than anybody decides."""
    olga_on(world)
    person = hire(world.hub.workspace)
    at = edged(world)
    gate = world.hub.services.fleet.by_name("north").gate
    rest = {"kind": "change", "base": 0, "after": None, "gate_id": gate.id, "operator": "o"}
    with world.hub.workspace.database.write() as session:
        for _ in range(MOST_PENDING):
            own = {"uid": new_uid(), "person": new_uid(), "digest": "d", "content": None}
            edit_store.add(session, **rest, **own, made_at=datetime.now(UTC))
    new = at.create()
    at.switch(new, False)
    at.switch(person, False)
    sender = EditSender(at.gate.workspace, at.gate.client)
    assert sender.send()
    assert not world.hub.services.people.get(person.id).is_active
    with pytest.raises(HubError, match="too many edits"):
        sender.send()
    assert edge_edit_kinds(at) == ["create", "deactivate"], "of one person in their order"


def edge_edit_kinds(at: Edged) -> list[str]:
    """The kinds of edits that wait, in the order in which they are sent."""
    kinds = []
    with at.gate.workspace.database.write() as session:
        while (edit := edge_edit_store.to_send(session)) is not None:
            kinds.append(edit.kind)
            edge_edit_store.sent(session, edit.uid)
    return kinds


def test_a_gate_that_joins_as_another_one_sends_no_edits_of_the_one_it_was(world: World) -> None:
    """They are signed for that one: the hub would refuse them as forgeries, or not take them."""
    olga_on(world)
    at = edged(world)
    at.create()
    fleet = world.hub.services.fleet
    fleet.revoke(fleet.by_name("north").gate.id, actor=ACTOR)
    code = world.hub.invite("south", everyone=True, edits="at_once")
    member = at.gate.membership.join(world.hub.url, code, actor=ACTOR, again=True)
    assert at.verdicts() == [("create", "refused", "left_hub")]
    client = at.gate.membership.client(member)
    assert not EditSender(at.gate.workspace, client).send()
    client.close()
    assert world.hub.services.review.list_(limit=10) == []


def test_who_passed_before_the_hub_knew_them_is_named_in_its_log(world: World) -> None:
    olga_on(world)
    at = edged(world)
    new, other = at.create(), at.create(personnel_code="E2")
    at.gate.workspace.journal.append([entry(new.ref), entry(other.ref), entry(None)])
    uplink = Uplink.of(at.gate.workspace, at.gate.client)
    while uplink.send():
        pass
    at.send()
    first, _ = pending(world)
    hub = world.hub
    hub.services.review.accept(first, actor="anna")
    known = People.of(hub.workspace).by_code("E1")
    rows = hub.services.attendance.page(limit=10).rows
    assert sorted(str(row.person_id) for row in rows) == sorted([str(known.id), "None", "None"])
    assert hub.workspace.journal.verify().ok


@pytest.mark.long
def test_photos_of_the_hubs_people_go_through_the_api_of_a_gate(world: World) -> None:
    model, face = kit_of("sface").model, portrait("obama")
    again = io.BytesIO()
    PIL.Image.open(io.BytesIO(face)).save(again, "JPEG", quality=80)
    olga_on(world)
    at = edged(world, model=model)
    with api_of(at.services) as api:
        person = api.post("/api/persons", json=ADA).json()
        data = {"person_id": str(person["id"])}
        files = [("photos", ("1.jpg", face, "image/jpeg"))]
        (first,) = api.post("/api/enrollment/several", data=data, files=files).json()
        old = first["enrolled"]["id"]
        taken = api.put(f"/api/enrollment/{old}", files={"file": ("2.jpg", again.getvalue())})
        assert taken.status_code == 200, taken.text
        new = taken.json()["id"]
        assert (new != old, api.get(f"/api/enrollment/{old}").status_code) == (True, 404)
        refused = api.patch(f"/api/enrollment/{new}/toggle-active")
        assert (refused.status_code, refused.json()["code"]) == (409, "belongs_to_hub")
        assert api.delete(f"/api/enrollment/{new}").status_code == 204
        withdrawn = api.post(f"/api/persons/{person['id']}/withdraw-biometrics")
        assert withdrawn.status_code == 200
    at.send()
    while left := pending(world):
        world.hub.services.review.accept(left[0], actor="anna")
    pull_all(at.gate, model)
    kinds = [kind for kind, state, _ in at.verdicts() if state == "accepted"]
    assert kinds == ["create", "enroll", "enroll", "remove", "withdraw"]
    assert gallery(at.gate.workspace, model) == gallery(world.hub.workspace, model) == {}
