"""Why somebody would or would not pass, from what is stored."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gated.access.access_plan import load_plan
from gated.access.explain import explain
from gated.access.rules import Access, GroupRule
from gated.config import AttendanceSettings, GateSettings, Settings, StorageSettings
from gated.core.access import RULES
from gated.core.gate import Gate
from gated.core.messages import (
    CredentialPresented,
    Decision,
    PlanReplaced,
    RecordDecision,
    RecordEvent,
)
from gated.core.values import Direction, Instant, Method, Outcome, PersonRef, Reason
from gated.devices.clock import ManualClock
from gated.enrollment import enrollment_store
from gated.errors import NotFound
from gated.live.recording import Recorder
from gated.people.groups import Groups
from gated.people.people import People
from gated.workspace import Workspace
from tests.changes import done_by
from tests.core.policies import policy_with
from tests.core.scenes import CALIBRATION, gallery
from tests.workspaces import open_workspace

MONDAY = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
"""10:00 in Berlin."""

OFFICE = {"name": "office", "week": [["08:00-17:00"]] * 5 + [[], []], "holiday": []}


class Site:
    """A site with one person in a group with office hours."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.clock = ManualClock(utc=MONDAY.timestamp())
        self.people, self.access = People(workspace, self.clock), Access(workspace, self.clock)
        groups = Groups(workspace, self.clock)
        self.ann = done_by("test", self.people.create, {"personnel_code": "A", "first_name": "Ann"})
        schedule = done_by("test", self.access.add_schedule, OFFICE)
        staff = done_by("test", groups.add, "staff", None)
        done_by("test", self.access.set_rules_of_group, staff.id, [GroupRule(None, schedule.id)])
        done_by("test", groups.join, staff.id, self.ann.id)
        with workspace.database.write() as session:
            enrollment_store.add(
                session,
                enrollment_store.NewEnrollment(
                    person_id=self.ann.id,
                    face_encoding_path=None,
                    face_image_path=None,
                    confidence_score=0.9,
                    model=None,
                ),
            )

    def reason(self, at: str | None = None, *shown: Method) -> str:
        moment = datetime.fromisoformat(at) if at else None
        return explain(self.workspace, "A", moment, shown, self.clock).reason

    def record(self, kind: str, **body: object) -> None:
        event = RecordEvent(self.clock.now(), kind, body)
        Recorder(self.workspace, self.workspace.settings).append([event])

    def enters(self, person: PersonRef) -> None:
        decision = Decision(self.clock.now(), Outcome.GRANTED, Reason.GRANTED, person)
        Recorder(self.workspace, self.workspace.settings).append([RecordDecision(decision)])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    settings = Settings(
        gate=GateSettings(timezone="Europe/Berlin"),
        attendance=AttendanceSettings(direction="entry"),
        storage=StorageSettings(state_dir=tmp_path),
    )
    with open_workspace(settings) as workspace:
        yield Site(workspace)


def test_all_is_told(site: Site) -> None:
    told = explain(site.workspace, "A", clock=site.clock)
    assert (told.outcome, told.reason, told.direction) == ("granted", "granted", "entry")
    assert f"{told.at:%A %H:%M %Z}" == "Monday 10:00 CET"
    assert (told.groups, told.schedules, told.shown) == (("staff",), ("office",), ("face",))
    assert told.lacks == ""
    assert [said.rule for said in told.rules] == ["door", "camera", *(name for name, _ in RULES)]
    assert {said.outcome for said in told.rules} == {"passed"}


def test_times_are_those_of_the_site(site: Site) -> None:
    assert site.reason("2026-11-23T07:59") == "outside_schedule"
    assert site.reason("2026-11-23T08:00") == "granted"
    assert site.reason("2026-11-23T08:00+00:00") == "granted"
    assert site.reason("2026-11-23T16:00+00:00") == "outside_schedule"


def test_the_next_opening_is_told(site: Site) -> None:
    friday_night = datetime(2026, 11, 27, 20, 0)  # noqa: DTZ001 - on the clock of the site
    told = explain(site.workspace, "A", friday_night, clock=site.clock)
    assert told.opens_at == datetime(2026, 11, 30, 7, 0, tzinfo=UTC)
    assert told.text == "closed at Friday, 2026-11-27 20:00: office"
    refused = [said for said in told.rules if said.outcome == "refused"]
    assert [(said.rule, said.text) for said in refused] == [("schedule", told.text)]


def test_a_clock_that_nobody_set(site: Site) -> None:
    site.clock.clock_ok = False
    assert site.reason() == "clock_unset"
    assert site.reason("2026-11-23T10:00") == "granted", "as if it were that time"


def test_who_is_inside_is_known_from_the_log(site: Site) -> None:
    done_by("test", site.access.set_site_rules, {"anti_passback": "hard"})
    site.enters(site.ann.ref)
    site.clock.advance(60)
    assert site.reason() == "anti_passback"
    site.record("presence_forgiven", cause="fire", people=1, everybody=True)
    assert site.reason() == "granted"


def test_the_mode_of_the_door(site: Site) -> None:
    site.record("door_mode", mode="lockdown", before="normal")
    told = explain(site.workspace, "A", clock=site.clock)
    assert (told.outcome, told.reason, told.rule) == ("denied", "lockdown", "door lockdown")


def test_what_somebody_shows(site: Site) -> None:
    assert site.reason(None, Method.CARD) == "face_missing"
    assert site.reason(None, Method.CARD, Method.FACE) == "granted"
    done_by("test", site.access.set_of_person, site.ann.id, {"face": False, "two_factors": True})
    told = explain(site.workspace, "A", clock=site.clock)
    assert (told.shown, told.outcome) == (("card",), "waits")
    assert told.reason == "second_factor_missing"
    assert told.lacks == "this person has no card"


def test_nobody_has_this_code(site: Site) -> None:
    with pytest.raises(NotFound, match="personnel code B"):
        explain(site.workspace, "B")


@pytest.mark.parametrize("hour", [7, 8, 12, 16, 17])
@pytest.mark.parametrize("own", [{}, {"valid_until": MONDAY}, {"visitor": True}])
def test_the_gate_says_the_same(site: Site, hour: int, own: dict[str, object]) -> None:
    done_by("test", site.access.set_of_person, site.ann.id, {"face": False, **own})
    moment = MONDAY.replace(hour=hour)
    told = explain(site.workspace, "A", moment, [Method.CARD], site.clock)
    gate = Gate(policy_with(direction=Direction.ENTRY), gallery(), CALIBRATION)
    now = Instant(1000.0, moment.timestamp())
    gate.handle(PlanReplaced(load_plan(site.workspace)), now)
    commands = gate.handle(CredentialPresented(Method.CARD, site.ann.id), now)
    (decision,) = [c.decision for c in commands if isinstance(c, RecordDecision)]
    assert (decision.reason, decision.rule) == (told.reason, told.rule)
