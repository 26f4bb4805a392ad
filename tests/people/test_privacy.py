"""Consent, leaving, retention, erasure and export: what is owed is done, and the journal holds."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gated.accounts.accounts import Accounts
from gated.accounts.audit import Audit
from gated.attendance import attendance_store
from gated.attendance.attendance import Attendance, Correction
from gated.config import GateSettings, PrivacySettings, Settings, StorageSettings
from gated.core.values import Direction, Instant, PersonRef, moment
from gated.database.records import Person
from gated.devices.clock import ManualClock
from gated.enrollment import enrollment_store
from gated.enrollment.gallery_cache import open_gallery
from gated.errors import Conflict, ConsentMissing, NotFound, RetentionHold, TextRefused
from gated.journal.journal import decision_entry
from gated.people.groups import Groups
from gated.people.people import People
from gated.people.preconditions import require_consent
from gated.privacy.export import archive_of, record_export
from gated.privacy.privacy import Privacy
from gated.workspace import Workspace
from tests.changes import done_by
from tests.people.people import grant
from tests.workspaces import open_workspace

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
            enrollment_store.add(
                session,
                enrollment_store.NewEnrollment(
                    person_id=person.id,
                    face_image_path=paths[0],
                    face_encoding_path=paths[1],
                    confidence_score=0.9,
                    model="m1",
                ),
            )
        return paths

    def passage(self, person: PersonRef | None, days_ago: float = 0.0) -> None:
        now = self.clock.now()
        at = Instant(now.mono, now.utc - days_ago * DAY)
        decision = replace(grant(person), at=at)
        self.workspace.journal.append([decision_entry(decision, "north", "camera", "works")])

    def named(self) -> list[int | None]:
        with self.workspace.database.read() as session:
            return [row.person_id for row in attendance_store.list_(session)]

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
        workspace, clock = open_workspace(settings), ManualClock()
        opened.append(workspace)
        return World(workspace, clock, People(workspace, clock), Privacy(workspace, clock))

    yield world
    for workspace in opened:
        assert workspace.journal.verify().ok
        workspace.close()


# --- consent ---


def test_consent_is_recorded_replaced_and_withdrawn(make: Make) -> None:
    world = make()
    anna = done_by("test", world.people.create, ANNA)
    with pytest.raises(NotFound):
        world.privacy.consent(anna.id)
    done_by("olga", world.privacy.record_consent, anna.id, FORM)
    again = {**FORM, "notice_version": "2026-2"}
    done_by("olga", world.privacy.record_consent, anna.id, again)
    assert world.privacy.consent(anna.id).notice_version == "2026-2"
    done_by("olga", world.privacy.withdraw_consent, anna.id)
    with pytest.raises(NotFound):
        done_by("olga", world.privacy.withdraw_consent, anna.id)
    kinds = [r.kind for r in Audit(world.workspace).page(limit=10, actor="olga").rows]
    assert kinds == ["consent_withdrawn", "consent_given", "consent_given"]


def test_where_consent_is_required_nothing_is_enrolled_without_it(make: Make) -> None:
    world = make(require_consent=True)
    anna = done_by("test", world.people.create, ANNA)
    settings, now = world.workspace.settings, world.clock.now()

    def ask() -> None:
        with world.workspace.database.read() as session:
            require_consent(session, settings, now, anna.id)

    with pytest.raises(ConsentMissing):
        ask()
    over = {**FORM, "expires_at": moment(now)}
    done_by("test", world.privacy.record_consent, anna.id, over)
    with pytest.raises(ConsentMissing):
        ask()
    valid = {**FORM, "expires_at": moment(now) + timedelta(seconds=1)}
    done_by("test", world.privacy.record_consent, anna.id, valid)
    ask()


@pytest.mark.parametrize("required", [True, False])
def test_withdrawn_consent_takes_the_photos_along_where_it_is_required(
    make: Make, required: bool
) -> None:
    world = make(require_consent=required)
    anna = done_by("test", world.people.create, ANNA)
    done_by("test", world.privacy.record_consent, anna.id, FORM)
    paths = world.enroll(anna)
    done_by("test", world.privacy.withdraw_consent, anna.id)
    assert [world.is_there(p) for p in paths] == [not required] * 2


def test_the_job_removes_what_consent_no_longer_covers(make: Make) -> None:
    world = make(require_consent=True)
    soon = {**FORM, "expires_at": moment(world.clock.now()) + timedelta(days=1)}
    people = [
        done_by("test", world.people.create, ANNA | {"personnel_code": c, "email": None})
        for c in "abc"
    ]
    done_by("test", world.privacy.record_consent, people[0].id, FORM)
    done_by("test", world.privacy.record_consent, people[1].id, soon)
    paths = [world.enroll(p)[0] for p in people]
    assert world.privacy.apply().consents_over == 1
    assert [world.is_there(p) for p in paths] == [True, True, False]
    world.clock.advance(DAY)
    assert world.privacy.apply().consents_over == 1
    assert [world.is_there(p) for p in paths] == [True, False, False]


def test_who_consents_while_the_job_runs_keeps_the_photos(make: Make) -> None:
    world = make(require_consent=True)
    anna = done_by("test", world.people.create, ANNA)
    paths = world.enroll(anna)

    def consents() -> bool:
        done_by("olga", world.privacy.record_consent, anna.id, FORM)
        return True

    assert world.privacy.apply(consents).consents_over == 0
    assert all(world.is_there(p) for p in paths)


def test_a_job_that_is_to_end_leaves_photos_without_consent_to_the_next_one(make: Make) -> None:
    world = make(require_consent=True)
    paths = world.enroll(done_by("test", world.people.create, ANNA))
    assert world.privacy.apply(lambda: False).consents_over == 0
    assert all(world.is_there(p) for p in paths)


# --- retention ---


def test_access_log_and_attendance_have_periods_of_their_own(make: Make) -> None:
    world = make(access_log_days=30, attendance_days=90)
    anna = done_by("test", world.people.create, ANNA)
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
    anna = done_by("test", world.people.create, ANNA)
    path, _ = world.enroll(anna)
    world.passage(anna.ref, 5000)
    done = world.privacy.apply()
    assert (done.photos, done.attendance, done.audit) == (0, 0, 0)
    assert world.is_there(path)
    assert world.named() == [anna.id]


def test_more_than_a_batch_is_redacted_in_one_run(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gated.privacy.privacy.BATCH", 3)
    world = make(attendance_days=1)
    anna = done_by("test", world.people.create, ANNA)
    for _ in range(8):
        world.passage(anna.ref, 2)
    assert world.privacy.apply(lambda: False).attendance == 0, "asked to stop"
    assert world.privacy.apply().attendance == 8
    assert world.named() == [None] * 8


def test_old_photos_go_and_templates_stay(make: Make) -> None:
    world = make(photos_days=10)
    # rows are stamped by the real clock
    world.clock.step_utc(datetime.now(UTC).timestamp() - world.clock.utc)
    anna = done_by("test", world.people.create, ANNA)
    photo, template = world.enroll(anna)
    assert world.privacy.apply().photos == 0
    world.clock.advance(11 * DAY)
    assert world.privacy.apply().photos == 1
    assert (world.is_there(photo), world.is_there(template)) == (False, True)


def test_acts_lose_their_names_and_stay(make: Make) -> None:
    world = make(audit_days=10)
    done_by("olga", world.people.create, ANNA)
    world.clock.advance(9 * DAY)
    assert world.privacy.apply().audit == 0
    world.clock.advance(2 * DAY)
    assert world.privacy.apply().audit == 2
    rows = Audit(world.workspace).page(limit=10).rows
    created = next(r for r in rows if r.kind == "person_created")
    assert (created.actor, created.subject) == (None, None)


def test_who_corrected_the_log_is_forgotten_as_who_did_anything_else(make: Make) -> None:
    world = make(audit_days=10)
    anna = done_by("test", world.people.create, ANNA)
    world.passage(anna.ref)
    with world.workspace.database.read() as session:
        (row,) = attendance_store.list_(session)
    attendance = Attendance(world.workspace, world.clock)
    later = Correction(direction=Direction.EXIT)
    done_by("olga", attendance.correct, row.id, later, cause="the wrong gate")
    world.clock.advance(11 * DAY)
    world.privacy.apply()
    with world.workspace.database.read() as session:
        kept = session.connection().exec_driver_sql("SELECT role, payload FROM journal_private")
        parts = [tuple(part) for part in kept]
    assert not any("olga" in payload for role, payload in parts if role == "actor")
    assert world.named() == [anna.id], "the passage has a period of its own"


# --- leaving ---


def test_who_has_left_is_inactive_from_the_next_day_on(make: Make) -> None:
    world = make()
    today = moment(world.clock.now()).date()
    anna = done_by("test", world.people.create, {**ANNA, "leaves_on": today})
    world.privacy.apply()
    assert world.people.get(anna.id).is_active
    world.clock.advance(DAY)
    assert world.privacy.apply().left == 1
    assert not world.people.get(anna.id).is_active
    with pytest.raises(Conflict, match="leaves_on"):
        done_by("test", world.people.set_active, anna.id, True)
    done_by("test", world.people.update, anna.id, {"leaves_on": None})
    assert done_by("test", world.people.set_active, anna.id, True).is_active
    gone = done_by("test", world.people.update, anna.id, {"leaves_on": today})
    assert not gone.is_active, "a day in the past counts at once"


def test_a_last_day_is_over_when_it_is_over_at_the_site(tmp_path: Path) -> None:
    """At nine in the evening in Los Angeles it is the next day in Greenwich."""
    settings = Settings(
        gate=GateSettings(timezone="America/Los_Angeles"),
        storage=StorageSettings(state_dir=tmp_path),
    )
    clock = ManualClock(utc=datetime(2026, 12, 2, 5, tzinfo=UTC).timestamp())
    with open_workspace(settings) as workspace:
        people = People(workspace, clock)
        anna = done_by("test", people.create, {**ANNA, "leaves_on": date(2026, 12, 1)})
        assert anna.is_active
        assert people.list_(left=True) == ([], 0)
        assert people.list_(left=False)[1] == 1
        clock.advance(4 * 3600)
        assert people.list_(left=True)[1] == 1


def test_who_has_left_is_erased_when_the_time_is_over(make: Make) -> None:
    world = make(leavers_days=10, hold_days=15)
    today = moment(world.clock.now()).date()
    anna = done_by("test", world.people.create, {**ANNA, "leaves_on": today})
    stays = done_by("test", world.people.create, {"personnel_code": "E2"})
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


def test_who_comes_back_while_the_job_runs_is_not_erased(make: Make) -> None:
    world = make(leavers_days=10)
    today = moment(world.clock.now()).date()
    people = [
        done_by("test", world.people.create, {"personnel_code": code, "leaves_on": today})
        for code in ("E1", "E2")
    ]
    world.clock.advance(12 * DAY)

    def comes_back() -> bool:
        done_by("olga", world.people.update, people[1].id, {"leaves_on": None})
        return True

    assert world.privacy.apply(comes_back).erased == 1
    assert world.people.get(people[1].id).personnel_code == "E2"


def test_the_account_of_the_last_administrator_outlasts_the_person(make: Make) -> None:
    world = make(leavers_days=1)
    today = moment(world.clock.now()).date()
    people = [
        done_by("test", world.people.create, {"personnel_code": code, "leaves_on": today})
        for code in ("E1", "E2")
    ]
    accounts = Accounts(world.workspace, world.clock)
    accounts.create("e1", "admin", "Correct-horse-9", actor="test", person_id=people[0].id)
    world.clock.advance(2 * DAY)
    assert world.privacy.apply().erased == 2
    for person in people:
        with pytest.raises(NotFound):
            world.people.get(person.id)
    (kept,) = accounts.list_()
    assert (kept.role, kept.is_active, kept.person_id) == ("admin", True, None)
    assert accounts.sign_in("e1", "Correct-horse-9", "192.0.2.1")
    (told,) = Audit(world.workspace).page(limit=1, kind="account_kept").rows
    assert told.actor == {"name": "retention"}


# --- erasure ---


def test_an_erasure_leaves_nothing_and_says_so(make: Make, tmp_path: Path) -> None:
    world = make()
    anna = done_by("test", world.people.create, ANNA)
    done_by("test", world.privacy.record_consent, anna.id, FORM)
    groups = Groups(world.workspace, world.clock)
    done_by("test", groups.join, done_by("test", groups.add, "staff", None).id, anna.id)
    accounts = Accounts(world.workspace, world.clock)
    password = "Correct-horse-battery-9"
    accounts.create("anna.arendt", "viewer", password, actor="test", person_id=anna.id)
    accounts.sign_in("anna.arendt", password, "here")
    paths = world.enroll(anna)
    open_gallery(world.workspace, "m1", "cosine").load()
    world.passage(anna.ref)
    receipt = done_by("olga", world.people.delete, anna.id, reason="Anna asked for it")
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
    anna = done_by("test", world.people.create, ANNA)
    world.passage(anna.ref, 29)
    with pytest.raises(RetentionHold):
        done_by("olga", world.people.delete, anna.id)
    with pytest.raises(Conflict, match="reason"):
        done_by("olga", world.people.delete, anna.id, override=True)
    assert world.named() == [anna.id]
    receipt = done_by("olga", world.people.delete, anna.id, override=True, reason="court order 7")
    assert receipt.overridden
    row = Audit(world.workspace).page(limit=1, kind="person_erased").rows[0]
    assert (row.actor or {})["reason"] == "court order 7"
    assert "court" not in str(row.body)


def test_the_reason_of_an_erasure_must_not_name_who_is_erased(make: Make) -> None:
    world = make()
    anna = done_by("test", world.people.create, ANNA)
    for text in ("Ms Arendt asked for it", "her words, from A@B.org", "e1 has left"):
        with pytest.raises(TextRefused, match="without name"):
            done_by("olga", world.people.delete, anna.id, reason=text)
    assert world.people.get(anna.id) == anna
    done_by("olga", world.people.delete, anna.id, reason="she asked for it")


def test_who_is_called_left_can_leave(make: Make) -> None:
    world = make(leavers_days=1)
    today = moment(world.clock.now()).date()
    fields = {"last_name": "Left", "personnel_code": "E1", "leaves_on": today}
    done_by("test", world.people.create, fields)
    world.clock.advance(3 * DAY)
    assert world.privacy.apply().erased == 1


def test_a_hold_ends(make: Make) -> None:
    world = make(hold_days=30)
    anna = done_by("test", world.people.create, ANNA)
    world.passage(anna.ref, 31)
    assert not done_by("olga", world.people.delete, anna.id).overridden


# --- export ---


def test_an_export_holds_everything_and_no_secret(make: Make) -> None:
    world = make()
    anna = done_by("test", world.people.create, ANNA)
    other = {**ANNA, "personnel_code": "E2", "email": None, "first_name": "Bert"}
    bert = done_by("test", world.people.create, other)
    done_by("test", world.privacy.record_consent, anna.id, FORM)
    password = "Correct-horse-battery-9"
    accounts = Accounts(world.workspace, world.clock)
    accounts.create("anna", "viewer", password, actor="test", person_id=anna.id)
    world.enroll(anna)
    world.passage(anna.ref)
    world.passage(bert.ref)
    with world.workspace.change("olga", world.clock) as change:
        record_export(change, anna.id)
    archive = zipfile.ZipFile(io.BytesIO(archive_of(world.workspace, anna)))
    content = {n: archive.read(n) for n in archive.namelist()}
    person = json.loads(content["person.json"])
    assert (person["last_name"], person["consent"]["method"]) == ("Arendt", "signed form")
    (enrollment,) = json.loads(content["enrollments.json"])
    assert enrollment["template"] == [1.0, 1.0, 1.0, 1.0]
    assert content[f"photos/{enrollment['id']}.jpg"] == b"a photo of Anna"
    (row,) = json.loads(content["attendance.json"])
    assert row["person_id"] == anna.id
    at = datetime.fromisoformat(row["created_at"])
    assert row["local_time"] == at.astimezone(ZoneInfo(row["timezone"])).isoformat()
    assert row["gate_uid"] == world.workspace.journal.gate_uid()
    kinds = {r["kind"] for r in json.loads(content["journal.json"])}
    assert {"person_created", "consent_given", "decision", "person_exported"} <= kinds
    everything = b"".join(content.values())
    assert b"argon2" not in everything
    assert b"Bert" not in everything


def test_a_damaged_photo_keeps_nothing_else_of_a_person_back(make: Make) -> None:
    world = make()
    anna = done_by("test", world.people.create, ANNA)
    photo, template = world.enroll(anna)
    whole = world.enroll(anna)
    for path in (photo, template):
        (world.workspace.files.uploads / path).write_bytes(b"torn")
    archive = zipfile.ZipFile(io.BytesIO(archive_of(world.workspace, anna)))
    torn, other = json.loads(archive.read("enrollments.json"))
    assert [line.partition(":")[0] for line in torn["unreadable"]] == ["template", "photo"]
    assert (torn["template"], other["unreadable"]) == (None, [])
    assert archive.read(f"photos/{other['id']}.jpg") == b"a photo of Anna"
    assert f"photos/{torn['id']}.jpg" not in archive.namelist()
    assert all(world.is_there(path) for path in whole)
