"""Consent, leaving, retention, erasure and export: what is owed is done, and the journal holds."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gated.config import PrivacySettings, Settings, StorageSettings
from gated.core.model import Instant, PersonRef
from gated.devices.clock import ManualClock
from gated.errors import Conflict, ConsentMissing, NotFound, RetentionHold
from gated.services.accounts import Accounts
from gated.services.audit import Audit
from gated.services.groups import Groups
from gated.services.obligations import moment, require_consent
from gated.services.people import People
from gated.services.privacy import Privacy
from gated.services.workspace import Workspace
from gated.storage import attendance, enrollments
from gated.storage.journal import decision_entry
from gated.storage.records import Person
from tests.storage.people import grant

ANNA = {"first_name": "Anna", "last_name": "Arendt", "personnel_code": "E1", "email": "a@b.org"}
DAY = 86_400.0
FORM: dict[str, Any] = {
    "notice_version": "2026-1",
    "given_at": datetime(2026, 1, 1, tzinfo=UTC),
    "expires_at": None,
    "method": "signed form",
}


@dataclass
class World:
    workspace: Workspace
    clock: ManualClock
    people: People
    privacy: Privacy

    def enroll(self, person: Person) -> tuple[str, str]:
        files = self.workspace.files
        paths = (
            files.save_image(b"a photo of Anna"),
            files.save_encoding(np.ones(4, np.float32), "m1"),
        )
        with self.workspace.database.write() as session:
            enrollments.add(
                session,
                person_id=person.id,
                face_image_path=paths[0],
                face_encoding_path=paths[1],
                confidence_score=0.9,
                model="m1",
            )
        return paths

    def passage(self, person: PersonRef | None, days_ago: float = 0.0) -> None:
        now = self.clock.now()
        at = Instant(now.mono, now.utc - days_ago * DAY)
        decision = replace(grant(person), at=at)
        self.workspace.journal.append([decision_entry(decision, "north", "camera", "works")])

    def named(self) -> list[int | None]:
        with self.workspace.database.read() as session:
            return [row.person_id for row in attendance.list_(session)]

    def is_there(self, path: str) -> bool:
        return (self.workspace.files.uploads / path).exists()


Make = Callable[..., World]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    opened = []

    def world(**privacy: Any) -> World:
        settings = Settings(
            storage=StorageSettings(state_dir=tmp_path), privacy=PrivacySettings(**privacy)
        )
        workspace, clock = Workspace(settings), ManualClock()
        opened.append(workspace)
        return World(workspace, clock, People(workspace, clock), Privacy(workspace, clock))

    yield world
    for workspace in opened:
        assert workspace.journal.verify().ok
        workspace.close()


# --- consent ---


def test_consent_is_recorded_replaced_and_withdrawn(make: Make) -> None:
    world = make()
    anna = world.people.create(ANNA, actor="test")
    with pytest.raises(NotFound):
        world.privacy.consent(anna.id)
    world.privacy.record_consent(anna.id, FORM, actor="olga")
    again = {**FORM, "notice_version": "2026-2"}
    world.privacy.record_consent(anna.id, again, actor="olga")
    assert world.privacy.consent(anna.id).notice_version == "2026-2"
    world.privacy.withdraw_consent(anna.id, actor="olga")
    with pytest.raises(NotFound):
        world.privacy.withdraw_consent(anna.id, actor="olga")
    kinds = [r.kind for r in Audit(world.workspace).page(limit=10, actor="olga").rows]
    assert kinds == ["consent_withdrawn", "consent_given", "consent_given"]


def test_where_consent_is_required_nothing_is_enrolled_without_it(make: Make) -> None:
    world = make(require_consent=True)
    anna = world.people.create(ANNA, actor="test")
    settings, now = world.workspace.settings, world.clock.now()

    def ask() -> None:
        with world.workspace.database.read() as session:
            require_consent(session, settings, now, anna.id)

    with pytest.raises(ConsentMissing):
        ask()
    over = {**FORM, "expires_at": moment(now)}
    world.privacy.record_consent(anna.id, over, actor="test")
    with pytest.raises(ConsentMissing):
        ask()
    valid = {**FORM, "expires_at": moment(now) + timedelta(seconds=1)}
    world.privacy.record_consent(anna.id, valid, actor="test")
    ask()


@pytest.mark.parametrize("required", [True, False])
def test_withdrawn_consent_takes_the_photos_along_where_it_is_required(
    make: Make, required: bool
) -> None:
    world = make(require_consent=required)
    anna = world.people.create(ANNA, actor="test")
    world.privacy.record_consent(anna.id, FORM, actor="test")
    paths = world.enroll(anna)
    world.privacy.withdraw_consent(anna.id, actor="test")
    assert [world.is_there(p) for p in paths] == [not required] * 2


def test_the_job_removes_what_consent_no_longer_covers(make: Make) -> None:
    world = make(require_consent=True)
    soon = {**FORM, "expires_at": moment(world.clock.now()) + timedelta(days=1)}
    people = [
        world.people.create(ANNA | {"personnel_code": c, "email": None}, actor="test")
        for c in "abc"
    ]
    world.privacy.record_consent(people[0].id, FORM, actor="test")
    world.privacy.record_consent(people[1].id, soon, actor="test")
    paths = [world.enroll(p)[0] for p in people]
    assert world.privacy.apply().consents_over == 1
    assert [world.is_there(p) for p in paths] == [True, True, False]
    world.clock.advance(DAY)
    assert world.privacy.apply().consents_over == 1
    assert [world.is_there(p) for p in paths] == [True, False, False]


# --- retention ---


def test_access_log_and_attendance_have_periods_of_their_own(make: Make) -> None:
    world = make(access_log_days=30, attendance_days=90)
    anna = world.people.create(ANNA, actor="test")
    for days_ago in (100, 91, 89, 1):
        world.passage(anna.ref, days_ago)
    refused = replace(grant(anna.ref), at=Instant(0.0, world.clock.now().utc - 31 * DAY))
    refused = replace(refused, outcome=grant(None).outcome, reason=grant(None).reason)
    entry = decision_entry(refused, "north", "camera", "works")
    world.workspace.journal.append([entry])
    done = world.privacy.apply()
    assert (done.access_log, done.attendance) == (1, 2)
    assert sorted(world.named(), key=str) == [anna.id, anna.id, None, None, None]
    again = world.privacy.apply()
    assert (again.access_log, again.attendance) == (0, 0)


def test_without_periods_everything_is_kept(make: Make) -> None:
    world = make()
    anna = world.people.create(ANNA, actor="test")
    path, _ = world.enroll(anna)
    world.passage(anna.ref, 5000)
    done = world.privacy.apply()
    assert (done.photos, done.attendance, done.audit) == (0, 0, 0)
    assert world.is_there(path)
    assert world.named() == [anna.id]


def test_more_than_a_batch_is_redacted_in_one_run(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gated.services.privacy.BATCH", 3)
    world = make(attendance_days=1)
    anna = world.people.create(ANNA, actor="test")
    for _ in range(8):
        world.passage(anna.ref, 2)
    assert world.privacy.apply(lambda: False).attendance == 0, "asked to stop"
    assert world.privacy.apply().attendance == 8
    assert world.named() == [None] * 8


def test_old_photos_go_and_templates_stay(make: Make) -> None:
    world = make(photos_days=10)
    # rows are stamped by the real clock
    world.clock.step_utc(datetime.now(UTC).timestamp() - world.clock.utc)
    anna = world.people.create(ANNA, actor="test")
    photo, template = world.enroll(anna)
    assert world.privacy.apply().photos == 0
    world.clock.advance(11 * DAY)
    assert world.privacy.apply().photos == 1
    assert (world.is_there(photo), world.is_there(template)) == (False, True)


def test_acts_lose_their_names_and_stay(make: Make) -> None:
    world = make(audit_days=10)
    world.people.create(ANNA, actor="olga")
    world.clock.advance(9 * DAY)
    assert world.privacy.apply().audit == 0
    world.clock.advance(2 * DAY)
    assert world.privacy.apply().audit == 2
    rows = Audit(world.workspace).page(limit=10).rows
    created = next(r for r in rows if r.kind == "person_created")
    assert (created.actor, created.subject) == (None, None)


# --- leaving ---


def test_who_has_left_is_inactive_from_the_next_day_on(make: Make) -> None:
    world = make()
    today = moment(world.clock.now()).date()
    anna = world.people.create({**ANNA, "leaves_on": today}, actor="test")
    world.privacy.apply()
    assert world.people.get(anna.id).is_active
    world.clock.advance(DAY)
    assert world.privacy.apply().left == 1
    assert not world.people.get(anna.id).is_active
    with pytest.raises(Conflict, match="leaves_on"):
        world.people.set_active(anna.id, True, actor="test")
    world.people.update(anna.id, {"leaves_on": None}, actor="test")
    assert world.people.set_active(anna.id, True, actor="test").is_active
    gone = world.people.update(anna.id, {"leaves_on": today}, actor="test")
    assert not gone.is_active, "a day in the past counts at once"


def test_who_has_left_is_erased_when_the_time_is_over(make: Make) -> None:
    world = make(leavers_days=10, hold_days=15)
    today = moment(world.clock.now()).date()
    anna = world.people.create({**ANNA, "leaves_on": today}, actor="test")
    stays = world.people.create({"personnel_code": "E2"}, actor="test")
    world.clock.advance(10 * DAY)
    assert world.privacy.apply().erased == 0, "the tenth day after the last one is not over"
    world.passage(anna.ref, days_ago=9)
    world.clock.advance(DAY)
    assert world.privacy.apply().erased == 0, "the record must be kept until 15 days later"
    world.clock.advance(5 * DAY)
    assert world.privacy.apply().erased == 1
    with pytest.raises(NotFound):
        world.people.get(anna.id)
    assert world.people.get(stays.id) == stays
    assert world.named() == [None]
    (told,) = Audit(world.workspace).page(limit=1, kind="person_erased").rows
    assert told.actor == {"name": "retention", "reason": "left"}


def test_the_last_administrator_who_left_does_not_stop_the_job(make: Make) -> None:
    world = make(leavers_days=1)
    today = moment(world.clock.now()).date()
    people = [
        world.people.create({"personnel_code": code, "leaves_on": today}, actor="test")
        for code in ("E1", "E2")
    ]
    accounts = Accounts(world.workspace, world.clock)
    accounts.create("e1", "admin", "Correct-horse-9", actor="test", person_id=people[0].id)
    world.clock.advance(2 * DAY)
    assert world.privacy.apply().erased == 1
    assert not world.people.get(people[0].id).is_active
    with pytest.raises(NotFound):
        world.people.get(people[1].id)


# --- erasure ---


def test_an_erasure_leaves_nothing_and_says_so(make: Make, tmp_path: Path) -> None:
    world = make()
    anna = world.people.create(ANNA, actor="test")
    world.privacy.record_consent(anna.id, FORM, actor="test")
    groups = Groups(world.workspace, world.clock)
    groups.join(groups.add("staff", None, actor="test").id, anna.id, actor="test")
    accounts = Accounts(world.workspace, world.clock)
    password = "Correct-horse-battery-9"
    accounts.create("anna.arendt", "viewer", password, actor="test", person_id=anna.id)
    accounts.sign_in("anna.arendt", password, "here")
    paths = world.enroll(anna)
    world.workspace.gallery("m1", "cosine").load()
    world.passage(anna.ref)
    receipt = world.people.delete(anna.id, actor="olga", reason="Anna asked for it")
    told = {
        name: getattr(receipt, name)
        for name in ("enrollments", "files", "accounts", "groups", "consents", "overridden")
    }
    assert told == {
        "enrollments": 1,
        "files": 2,
        "accounts": 1,
        "groups": 1,
        "consents": 1,
        "overridden": False,
    }
    assert not any(world.is_there(p) for p in paths)
    assert not (tmp_path / "cache" / "gallery.bin").exists()
    assert world.named() == [None]
    world.workspace.database.truncate_log()
    stored = (tmp_path / "attendance.db").read_bytes()
    for word in (b"Arendt", b"anna.arendt", b"a@b.org"):
        assert word not in stored


def test_a_hold_is_overridden_with_a_reason_only(make: Make) -> None:
    world = make(hold_days=30)
    anna = world.people.create(ANNA, actor="test")
    world.passage(anna.ref, 29)
    with pytest.raises(RetentionHold):
        world.people.delete(anna.id, actor="olga")
    with pytest.raises(Conflict, match="reason"):
        world.people.delete(anna.id, actor="olga", override=True)
    assert world.named() == [anna.id]
    receipt = world.people.delete(anna.id, actor="olga", override=True, reason="court order 7")
    assert receipt.overridden
    row = Audit(world.workspace).page(limit=1, kind="person_erased").rows[0]
    assert (row.actor or {})["reason"] == "court order 7"
    assert "court" not in str(row.body)


def test_a_hold_ends(make: Make) -> None:
    world = make(hold_days=30)
    anna = world.people.create(ANNA, actor="test")
    world.passage(anna.ref, 31)
    assert not world.people.delete(anna.id, actor="olga").overridden


# --- export ---


def test_an_export_holds_everything_and_no_secret(make: Make) -> None:
    world = make()
    anna = world.people.create(ANNA, actor="test")
    other = {**ANNA, "personnel_code": "E2", "email": None, "first_name": "Bert"}
    bert = world.people.create(other, actor="test")
    world.privacy.record_consent(anna.id, FORM, actor="test")
    password = "Correct-horse-battery-9"
    accounts = Accounts(world.workspace, world.clock)
    accounts.create("anna", "viewer", password, actor="test", person_id=anna.id)
    world.enroll(anna)
    world.passage(anna.ref)
    world.passage(bert.ref)
    archive = zipfile.ZipFile(io.BytesIO(world.privacy.export(anna.id, actor="olga")))
    content = {n: archive.read(n) for n in archive.namelist()}
    person = json.loads(content["person.json"])
    assert (person["last_name"], person["consent"]["method"]) == ("Arendt", "signed form")
    (enrollment,) = json.loads(content["enrollments.json"])
    assert enrollment["template"] == [1.0, 1.0, 1.0, 1.0]
    assert content[f"photos/{enrollment['id']}.jpg"] == b"a photo of Anna"
    assert [r["person_id"] for r in json.loads(content["attendance.json"])] == [anna.id]
    kinds = {r["kind"] for r in json.loads(content["journal.json"])}
    assert {"person_created", "consent_given", "decision", "person_exported"} <= kinds
    everything = b"".join(content.values())
    assert b"argon2" not in everything
    assert b"Bert" not in everything
