"""What comes down: whom the gate carries and nobody else, once, in order, and gone when gone."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from gated import __version__
from gated.core.values import Vector
from gated.database import change_feed
from gated.database import stored_settings as settings_store
from gated.database.records import Person
from gated.database.tables import groups as groups_table
from gated.database.tables import mirrored, new_uid
from gated.enrollment import enrollment_store
from gated.enrollment.enrollments import Enrollments
from gated.enrollment.gallery_cache import open_gallery
from gated.errors import HubError, HubUnreachable, SealError
from gated.fleet.gate import replica
from gated.fleet.gate.client import HubClient
from gated.fleet.gate.downlink import REFUSED_BY, Downlink
from gated.fleet.gate.uplink import Uplink
from gated.fleet.hub.feed import Feed
from gated.people import person_store
from gated.people.groups import Groups
from gated.people.people import People
from gated.workspace import Workspace
from tests.changes import done_by
from tests.fleet.sync.world import ACTOR, JoinedGate, World
from tests.people.people import entry

MODEL = "m1/0"

_numbers = iter(range(1, 10_000))


def vector() -> Vector:
    rng = np.random.default_rng(next(_numbers))
    return np.asarray(rng.normal(size=128), np.float32)


def hire(hub: Workspace, *groups: str, model: str = MODEL, photo: bytes | None = None) -> Person:
    """A person on the hub with one template, in groups that are made when needed."""
    number = next(_numbers)
    fields = {"first_name": "Ada", "last_name": f"N{number}", "personnel_code": f"c{number}"}
    person = done_by(ACTOR, People.of(hub).create, fields)
    enroll(hub, person, model, photo)
    known = {g.name: g.id for g in Groups.of(hub).list_()}
    for name in groups:
        id_ = known.get(name) or done_by(ACTOR, Groups.of(hub).add, name, None).id
        done_by(ACTOR, Groups.of(hub).join, id_, person.id)
    return person


def enroll(hub: Workspace, person: Person, model: str = MODEL, photo: bytes | None = None) -> int:
    path = hub.files.save_encoding(vector(), model)
    image = None if photo is None else hub.files.save_image(photo)
    with hub.database.write() as session:
        return enrollment_store.add(
            session,
            enrollment_store.NewEnrollment(
                person_id=person.id,
                face_encoding_path=path,
                face_image_path=image,
                confidence_score=0.9,
                model=model,
            ),
        ).id


def downlink(gate: JoinedGate, model: str = MODEL) -> Downlink:
    return Downlink.of(gate.workspace, gate.client, model)


def pull_all(gate: JoinedGate, model: str = MODEL) -> int:
    down, pages = downlink(gate, model), 1
    while down.pull():
        pages += 1
        assert pages < 100
    return pages


def gallery(workspace: Workspace, model: str = MODEL) -> dict[tuple[str, bool], list[Any]]:
    """(uid, active) -> templates, as a gate would match with them."""
    found = open_gallery(workspace, model, "cosine").load()
    rows: dict[tuple[str, bool], list[Any]] = {}
    for owner, row in zip(found.owners, found.vectors, strict=True):
        member = found.members[owner]
        rows.setdefault((member.person.uid, member.active), []).append(row.tobytes())
    return {key: sorted(value) for key, value in rows.items()}


def uids(workspace: Workspace) -> set[str]:
    with workspace.database.read() as session:
        return {p.uid for p in person_store.list_(session)[0]}


def test_a_new_gate_is_given_everybody_and_then_what_changes(world: World) -> None:
    hub = world.hub.workspace
    people = [hire(hub) for _ in range(5)]
    gate = world.gate("north")
    pull_all(gate)
    assert gallery(gate.workspace) == gallery(hub)
    assert len(gallery(hub)) == 5
    done_by(ACTOR, People.of(hub).set_active, people[0].id, False)
    done_by(ACTOR, People.of(hub).update, people[1].id, {"last_name": "Lovelace"})
    done_by(ACTOR, Enrollments.of(hub).withdraw_biometrics, people[2].id)
    enroll(hub, people[3])
    done_by(ACTOR, People.of(hub).delete, people[4].id)
    hire(hub, "night shift")
    assert gallery(gate.workspace) != gallery(hub)
    pull_all(gate)
    assert gallery(gate.workspace) == gallery(hub)
    with gate.workspace.database.read() as session:
        renamed = replica.find(session, people[1].uid)
        assert [g.name for g in _groups(session)] == ["night shift"]
    assert renamed is not None
    assert renamed.last_name == "Lovelace"
    assert gate.workspace.journal.verify().ok


def _groups(session: Any) -> Any:
    from gated.people import group_store as groups

    return groups.list_(session)


def test_a_gate_is_given_only_the_people_of_its_groups(world: World) -> None:
    hub = world.hub.workspace
    mine, both = hire(hub, "staff"), hire(hub, "staff", "guests")
    other = hire(hub, "guests")
    gate = world.gate("north", groups=["staff"])
    pull_all(gate)
    assert uids(gate.workspace) == {mine.uid, both.uid}
    ids = {g.name: g.id for g in Groups.of(hub).list_()}
    done_by(ACTOR, Groups.of(hub).leave, ids["staff"], both.id)
    done_by(ACTOR, Groups.of(hub).join, ids["staff"], other.id)
    pull_all(gate)
    assert uids(gate.workspace) == {mine.uid, other.uid}
    files = {p.name for p in gate.workspace.settings.storage.uploads.rglob("*.sealed")}
    assert len(files) == 2
    fleet = world.hub.services.fleet
    fleet.update(fleet.by_name("north").gate.id, {"groups": ["guests"]}, actor=ACTOR)
    pull_all(gate)
    assert uids(gate.workspace) == {both.uid, other.uid}


def test_who_has_passed_keeps_a_name_in_the_log_and_nothing_else(world: World) -> None:
    hub = world.hub.workspace
    person = hire(hub, "staff")
    gate = world.gate("north", groups=["staff"])
    pull_all(gate)
    with gate.workspace.database.read() as session:
        here = replica.find(session, person.uid)
    assert here is not None
    gate.workspace.journal.append([entry(here.ref)])
    done_by(ACTOR, Groups.of(hub).leave, Groups.of(hub).list_()[0].id, person.id)
    pull_all(gate)
    assert gallery(gate.workspace) == {}
    with gate.workspace.database.read() as session:
        bare = replica.find(session, person.uid)
    assert bare is not None
    assert (bare.name, bare.is_active) == (here.name, False)
    assert gate.workspace.journal.verify().ok
    done_by(ACTOR, Groups.of(hub).join, Groups.of(hub).list_()[0].id, person.id)
    pull_all(gate)
    assert gallery(gate.workspace) == gallery(hub)


def test_no_template_of_another_model_is_sent_and_photos_only_where_they_may_be(
    world: World,
) -> None:
    hub = world.hub.workspace
    person = hire(hub, photo=b"a photo")
    bare, trusted = world.gate("bare"), world.gate("trusted", everyone=True, photos=True)
    for gate in (bare, trusted):
        pull_all(gate, "m2/0")
        assert uids(gate.workspace) == {person.uid}
        assert gallery(gate.workspace, "m2/0") == {}

    def photos(gate: JoinedGate) -> list[bytes]:
        with gate.workspace.database.read() as session:
            stale = enrollment_store.list_(session)
        assert [e.model for e in stale] == [MODEL]
        paths = [e.face_image_path for e in stale if e.face_image_path]
        return [gate.workspace.files.load_image(p) for p in paths]

    assert photos(bare) == []
    assert photos(trusted) == [b"a photo"]
    # the gate's engine is changed back: what it is given follows
    pull_all(bare)
    assert gallery(bare.workspace) == gallery(hub)


def test_people_are_sealed_for_the_gate_that_asked(world: World) -> None:
    hub = world.hub.workspace
    person = hire(hub)
    gate, thief = world.gate("north"), world.gate("thief")
    page = gate.client.get("/api/sync/snapshot")
    assert person.last_name not in repr(page)
    (item,) = (item for item in page["items"] if item["kind"] == "person")
    stolen = thief.member.credentials.keys.opener(page["ephemeral"])
    with pytest.raises(SealError):
        stolen.open(item["sealed"], '["gated sync","person","' + person.uid + '"]')


class Cut(HubClient):
    """Loses answers, and gives some twice."""

    def __init__(self, real: HubClient, fails: int) -> None:
        self.real, self.fails = real, fails
        self.credentials = real.credentials

    def get(self, path: str, timeout: float = 20) -> Any:
        told = self.real.get(path, timeout)
        self.fails -= 1
        if self.fails % 2 == 0:
            raise HubUnreachable("cut")
        return told


def test_a_page_that_was_cut_off_is_taken_up_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gated.fleet.gate.downlink.PAGE", 3)
    hub = world.hub.workspace
    for _ in range(10):
        hire(hub)
    gate = world.gate("north")
    down = Downlink.of(gate.workspace, Cut(gate.client, 40), MODEL)
    tries = 0
    while tries < 60:
        tries += 1
        try:
            if not down.pull():
                break
        except HubUnreachable:
            down = Downlink.of(gate.workspace, Cut(gate.client, 40), MODEL)  # and a restart
    assert gallery(gate.workspace) == gallery(hub)
    files = list(gate.workspace.settings.storage.uploads.rglob("*.sealed"))
    assert len(files) == 10


def test_a_failed_page_leaves_nothing_behind(world: World) -> None:
    hub = world.hub.workspace
    hire(hub)
    gate = world.gate("north")
    with gate.workspace.database.write() as session:
        session.execute(sa.text("CREATE TRIGGER no BEFORE INSERT ON enrollments BEGIN SELECT RAISE(ABORT, 'no'); END"))  # fmt: skip # noqa: E501
    with pytest.raises(HubUnreachable):
        downlink(gate).pull()
    assert uids(gate.workspace) == set()
    assert list(gate.workspace.settings.storage.uploads.rglob("*.sealed")) == []
    assert downlink(gate).place().cursor is None


def test_old_cursors_and_those_of_others_lead_to_a_snapshot(world: World) -> None:
    hub = world.hub.workspace
    kept, gone = hire(hub), hire(hub)
    gate = world.gate("north")
    pull_all(gate)
    done_by(ACTOR, People.of(hub).delete, gone.id)
    from gated.database.tables import utcnow

    with hub.database.write() as session:
        assert change_feed.forget(session, utcnow()) == 1
    with pytest.raises(HubError) as refused:
        gate.client.get(f"/api/sync/changes?since={downlink(gate).place().cursor}")
    assert refused.value.hub_code == "snapshot_needed"
    pull_all(gate)
    assert uids(gate.workspace) == {kept.uid}
    with hub.database.write() as session:
        change_feed.renew(session)
    for wrong in ("", "x", "a.1.1", "..", downlink(gate).place().cursor):
        with pytest.raises(HubError) as refused:
            gate.client.get(f"/api/sync/changes?since={wrong}")
        assert refused.value.hub_code == "snapshot_needed", wrong
    pull_all(gate)
    assert gallery(gate.workspace) == gallery(hub)


def test_an_erasure_erases_what_the_gates_journal_says_too(world: World) -> None:
    hub = world.hub.workspace
    person, other = hire(hub), hire(hub)
    gate = world.gate("north")
    pull_all(gate)
    with gate.workspace.database.read() as session:
        here = replica.find(session, person.uid)
    assert here is not None
    gate.workspace.journal.append([entry(here.ref)])
    Uplink.of(gate.workspace, gate.client).send()
    done_by(ACTOR, People.of(hub).delete, person.id)
    pull_all(gate)
    assert uids(gate.workspace) == {other.uid}
    for workspace in (gate.workspace, hub):
        _nowhere(workspace, person)
        assert workspace.journal.verify().ok, workspace.journal.verify()


def _nowhere(workspace: Workspace, person: Person) -> None:
    """Neither in a row nor in a file of the database."""
    with workspace.database.read() as session:
        for table in ("persons", "journal_private", "enrollments"):
            rows = session.execute(sa.text(f"SELECT * FROM {table}")).all()  # noqa: S608
            assert person.last_name not in repr(rows), table
    for path in workspace.settings.storage.state_dir.glob("attendance.db*"):
        assert person.last_name.encode() + b'"' not in path.read_bytes(), path


def test_own_people_stay_until_the_hub_knows_them(world: World) -> None:
    hub = world.hub.workspace
    gate = world.gate("north")
    with gate.workspace.database.write() as session:
        local = person_store.add(session, first_name="L", last_name="ocal", personnel_code="own")
        twin = person_store.add(session, first_name="T", last_name="win", personnel_code="both")
    pull_all(gate)
    assert uids(gate.workspace) == {local.uid, twin.uid}
    fields = {"first_name": "T", "last_name": "Hub", "personnel_code": "both"}
    known = done_by(ACTOR, People.of(hub).create, fields)
    pull_all(gate)
    assert uids(gate.workspace) == {local.uid, known.uid}
    with gate.workspace.database.read() as session:
        here = replica.find(session, known.uid)
    assert here is not None
    assert (here.id, here.last_name) == (twin.id, "Hub")


def test_codes_and_names_may_pass_from_one_to_another(world: World) -> None:
    hub = world.hub.workspace
    a, b = hire(hub, "x"), hire(hub, "y")
    gate = world.gate("north")
    pull_all(gate)
    people, groups = People.of(hub), Groups.of(hub)
    ids = {g.name: g.id for g in groups.list_()}
    done_by(ACTOR, people.update, a.id, {"personnel_code": "free"})
    done_by(ACTOR, people.update, b.id, {"personnel_code": a.personnel_code})
    done_by(ACTOR, people.update, a.id, {"personnel_code": b.personnel_code})
    done_by(ACTOR, groups.update, ids["x"], {"name": "free"})
    done_by(ACTOR, groups.update, ids["y"], {"name": "x"})
    done_by(ACTOR, groups.update, ids["x"], {"name": "y"})
    pull_all(gate)
    with gate.workspace.database.read() as session:
        here = {p.uid: p.personnel_code for p in person_store.list_(session)[0]}
        names = {g.uid: g.name for g in _groups(session)}
    assert here == {a.uid: b.personnel_code, b.uid: a.personnel_code}
    assert names == {g.uid: g.name for g in groups.list_()}


def test_a_revoked_gate_is_told_nothing_even_while_it_waits(world: World) -> None:
    hub = world.hub.workspace
    hire(hub)
    gate = world.gate("north")
    pull_all(gate)
    fleet = world.hub.services.fleet
    revoking = threading.Timer(
        0.5, lambda: (fleet.revoke(fleet.by_name("north").gate.id, actor=ACTOR), hire(hub))
    )
    revoking.start()
    with pytest.raises(HubError) as refused:
        downlink(gate).pull(wait=20)
    assert refused.value.status == 409
    revoking.join()


def test_who_waits_is_told_at_once(world: World) -> None:
    hub = world.hub.workspace
    hire(hub)
    gate = world.gate("north")
    pull_all(gate)
    told: list[float] = []

    def wait() -> None:
        downlink(gate).pull(wait=30)
        told.append(time.monotonic())

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.7)
    assert not told
    person = hire(hub)
    began = time.monotonic()
    waiting.join(30)
    pull_all(gate)
    assert person.uid in uids(gate.workspace)
    assert told[0] - began < 25  # far from the 30 s that it would have waited


def test_an_item_that_makes_no_sense_keeps_no_other_away(world: World) -> None:
    hub = world.hub.workspace
    hire(hub), hire(hub)
    gate = world.gate("north")

    class Garbler(Cut):
        def get(self, path: str, timeout: float = 20) -> Any:
            told = self.real.get(path, timeout)
            items: list[Mapping[str, Any]] = told["items"]
            items = [i for i in items if i["kind"] == "person"]
            return {**told, "items": [{**items[0], "sealed": "AAAA"}, *items[1:], {"op": "sing"}]}

    Downlink.of(gate.workspace, Garbler(gate.client, 0), MODEL).pull()
    assert len(uids(gate.workspace)) == 1
    with gate.workspace.database.read() as session:
        told = session.execute(sa.text("SELECT body FROM journal WHERE kind = 'sync_applied'"))
        assert '"refused":2' in told.scalar_one()


def test_a_snapshot_takes_nobody_away_whom_it_names_and_cannot_tell(world: World) -> None:
    """What this version cannot read it leaves as it was, until a version that can reads it."""
    hub = world.hub.workspace
    ada, eve = hire(hub), hire(hub)
    gate = world.gate("north")
    pull_all(gate)
    Feed.of(hub).renew(actor=ACTOR)
    done_by(ACTOR, People.of(hub).delete, eve.id)

    class Unread(Cut):
        def get(self, path: str, timeout: float = 20) -> Any:
            told = self.real.get(path, timeout)
            return {**told, "items": [self._garbled(item) for item in told["items"]]}

        def _garbled(self, item: Mapping[str, Any]) -> Mapping[str, Any]:
            return {**item, "sealed": "AAAA"} if item["uid"] == ada.uid else item

    down = Downlink.of(gate.workspace, Unread(gate.client, 0), MODEL)
    while down.pull():
        pass
    assert uids(gate.workspace) == {ada.uid}
    assert list(gallery(gate.workspace)) == [(ada.uid, True)]


def test_what_one_version_could_not_read_the_next_one_asks_for(world: World) -> None:
    hub = world.hub.workspace
    ada = hire(hub)
    gate = world.gate("north")

    class Unread(Cut):
        def get(self, path: str, timeout: float = 20) -> Any:
            told = self.real.get(path, timeout)
            return {**told, "items": [self._garbled(item) for item in told["items"]]}

        def _garbled(self, item: Mapping[str, Any]) -> Mapping[str, Any]:
            return {**item, "sealed": "AAAA"} if item["uid"] == ada.uid else item

    down = Downlink.of(gate.workspace, Unread(gate.client, 0), MODEL)
    while down.pull():
        pass
    pull_all(gate)
    assert uids(gate.workspace) == set(), "the same version reads it no better"
    with gate.workspace.database.write() as session:
        assert settings_store.get(session, REFUSED_BY) == __version__
        settings_store.set_(session, REFUSED_BY, "0.0.0")  # as one before this wrote it
    pull_all(gate)
    assert uids(gate.workspace) == {ada.uid}
    assert downlink(gate).place().snapshot == 2
    pull_all(gate)
    assert downlink(gate).place().snapshot == 2, "once"


def test_who_was_erased_before_a_gate_joined_costs_it_next_to_nothing(world: World) -> None:
    """A company has thousands of them after some years, and each snapshot names them all."""
    hub, many = world.hub.workspace, [new_uid() for _ in range(400)]
    with hub.database.write() as session:
        change_feed.note_erasures(session, many)
        for uid in many:
            change_feed.close(session, uid, [])
    gate = world.gate("north")
    statements, forgotten = 0, list[Sequence[str]]()

    def count(*_: Any) -> None:
        nonlocal statements
        statements += 1

    gate.workspace.journal.on_gone = forgotten.append
    sa.event.listen(gate.workspace.database.engine, "before_cursor_execute", count)
    pull_all(gate)
    assert statements < len(many), "not some for each of them"
    assert [sorted(uids) for uids in forgotten] == [sorted(many)], "in one go"
    assert gate.workspace.journal.ledger.read() == set(many)
    ledger = gate.workspace.journal.ledger.path.stat().st_size
    Feed.of(hub).renew(actor=ACTOR)
    pull_all(gate)
    assert len(forgotten) == 1
    assert gate.workspace.journal.ledger.path.stat().st_size == ledger, "they are known by then"


def test_a_first_page_that_is_full_leads_to_the_next_one(world: World) -> None:
    """Groups, rules and verdicts come before the first person, however many they are."""
    hub = world.hub.workspace
    people = [hire(hub) for _ in range(3)]
    many = [{"name": f"{n:0200}", "name_key": f"{n:0200}"} for n in range(12_000)]
    with hub.database.write() as session:
        session.execute(sa.insert(groups_table), many)
    world.gate("north")
    gate = world.hub.services.fleet.by_name("north").gate
    feed, after, named = world.hub.services.feed, "", list[str]()
    for _ in range(10):
        page = feed.snapshot(gate, after, MODEL, 2)
        named += [item.uid for item in page.items if item.kind == "person"]
        if page.after is None:
            break
        after = page.after
    assert named == sorted(p.uid for p in people)


def test_the_hub_keeps_count_of_who_was_given(world: World) -> None:
    hub = world.hub.workspace
    person = hire(hub)
    gate = world.gate("north")
    pull_all(gate)
    with gate.workspace.database.read() as session:
        columns = (mirrored.c.kind, mirrored.c.uid, mirrored.c.snapshot)
        rows = session.execute(sa.select(*columns).where(mirrored.c.kind == "person")).all()
    assert rows == [("person", person.uid, 1)]
    assert dataclasses.asdict(downlink(gate).place())["next_cursor"] is None


def test_a_change_of_a_gate_that_changes_nothing_gives_it_nothing_anew(world: World) -> None:
    hire(world.hub.workspace, "staff")
    gate = world.gate("north", groups=["staff"])
    pull_all(gate)
    fleet = world.hub.services.fleet
    row = fleet.by_name("north").gate
    same = {"name": "north", "site": "works", "groups": ["staff"], "everyone": False}
    assert fleet.update(row.id, same, actor=ACTOR).gate.version == row.version
    pull_all(gate)
    assert downlink(gate).place().snapshot == 1
    changes: list[dict[str, Any]] = [{"groups": []}, {"groups": ["staff"]}, {"photos": True}]
    for changed in changes:
        before = downlink(gate).place().snapshot
        fleet.update(row.id, changed, actor=ACTOR)
        pull_all(gate)
        assert downlink(gate).place().snapshot == before + 1, changed


def test_a_group_that_a_snapshot_does_not_name_goes_and_one_of_the_gate_stays(world: World) -> None:
    hub = world.hub.workspace
    hire(hub, "night shift")
    gate = world.gate("north")
    done_by(ACTOR, Groups.of(gate.workspace).add, "our own", None)
    pull_all(gate)
    row = world.hub.services.fleet.by_name("north").gate
    changed = {"everyone": False, "groups": []}
    world.hub.services.fleet.update(row.id, changed, actor=ACTOR)
    pull_all(gate)
    with gate.workspace.database.read() as session:
        assert [g.name for g in _groups(session)] == ["our own"]


def test_several_gates_are_told_the_same_change_as_it_is_then(world: World) -> None:
    """It is read once for those that carry everybody, and never for one that does not."""
    hub = world.hub.workspace
    ada = hire(hub, "staff")
    north, south = world.gate("north"), world.gate("south")
    east = world.gate("east", groups=["staff"])
    for gate in (north, south, east):
        pull_all(gate)
    guest = hire(hub)
    for gate in (north, east, south):
        pull_all(gate)
    assert uids(north.workspace) == uids(south.workspace) == {ada.uid, guest.uid}
    assert uids(east.workspace) == {ada.uid}
    for name in ("Byron", "Lovelace"):
        done_by(ACTOR, People.of(hub).update, ada.id, {"last_name": name})
        for gate in (north, south, east):
            pull_all(gate)
            with gate.workspace.database.read() as session:
                assert name in {p.last_name for p in person_store.list_(session)[0]}
