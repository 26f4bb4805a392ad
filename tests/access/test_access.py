"""Stored rules become the gate's plan; each change has its journal entry."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from gated.access.access_plan import load_plan
from gated.access.credentials import Credentials
from gated.access.rules import Access, GroupRule
from gated.config import AttendanceSettings, GateSettings, Settings, StorageSettings
from gated.core.plan import AccessPlan, AntiPassback, SiteRules, UnsetClock
from gated.core.schedule import ALWAYS, Hours
from gated.devices.clock import ManualClock
from gated.enrollment import enrollment_store
from gated.errors import ChangedMeanwhile, Conflict, NotFound, RuleMisfit
from gated.people.groups import Groups
from gated.people.people import People
from gated.workspace import Workspace
from tests.changes import done_by, rotate_keys
from tests.databases import Server
from tests.people.people import enroll
from tests.workspaces import open_workspace

ADA = {"first_name": "Ada", "last_name": "Byron", "personnel_code": "A1"}
OFFICE = {"name": "Office", "week": [["08:00-17:00"]] * 5 + [[], []], "holiday": []}
MONDAY_NOON = datetime(2026, 11, 23, 11, tzinfo=UTC).timestamp()
"""12 o'clock in Berlin."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        gate=GateSettings(name="north", timezone="Europe/Berlin"),
        storage=StorageSettings(state_dir=tmp_path),
        attendance=AttendanceSettings(direction="entry"),
    )


@pytest.fixture
def rules(workspace: Workspace) -> Access:
    return Access(workspace, ManualClock())


def kinds(workspace: Workspace) -> list[str]:
    with workspace.database.read() as session:
        rows = session.connection().exec_driver_sql("SELECT kind FROM journal ORDER BY seq")
        return [str(row[0]) for row in rows][1:]


def test_an_empty_database_lets_everybody_pass(workspace: Workspace) -> None:
    plan = load_plan(workspace)
    assert plan.rules == SiteRules()
    assert plan.ungrouped == AccessPlan().ungrouped == (ALWAYS,)
    assert not plan.people


def test_the_plan_says_what_was_stored(workspace: Workspace, rules: Access) -> None:
    office = done_by("eve", rules.add_schedule, OFFICE)
    done_by("eve", rules.set_exception, office.id, date(2026, 11, 24), ["22:00-02:00"])
    done_by("eve", rules.set_holiday, date(2026, 12, 25), "Christmas")
    longer = {**ADA, "extended_unlock": True}
    ada = done_by("eve", People(workspace, ManualClock()).create, longer)
    groups = Groups(workspace, ManualClock())
    staff, other = (done_by("eve", groups.add, name, None) for name in ("Staff", "Talkers"))
    for group in (staff, other):
        done_by("eve", groups.join, group.id, ada.id)
    done_by(
        "eve",
        rules.set_rules_of_group,
        staff.id,
        [GroupRule("north", office.id), GroupRule("south")],
    )
    until = datetime(2027, 1, 1, tzinfo=UTC)
    done_by("eve", rules.set_of_person, ada.id, {"valid_until": until, "exempt": True})
    plan = load_plan(workspace)
    own = plan.people[ada.id]
    assert own.person == ada.ref
    assert (own.valid_until, own.valid_from, own.exempt) == (until.timestamp(), None, True)
    assert own.extended
    assert [g.name for g in plan.groups_of(own)] == ["Staff"]
    assert plan.schedules_of(own) == (office.id,)
    assert plan.is_open(office.id, MONDAY_NOON)
    assert not plan.is_open(office.id, MONDAY_NOON + 6 * 3600)
    assert plan.schedules[office.id].exceptions == {date(2026, 11, 24): (Hours(22 * 60, 2 * 60),)}
    assert date(2026, 12, 25) in plan.holidays


def test_who_has_a_card_and_no_photo_is_not_asked_for_the_face(
    workspace: Workspace, rules: Access
) -> None:
    ada = done_by("eve", People(workspace, ManualClock()).create, ADA)
    done_by("eve", rules.set_of_person, ada.id, {"exempt": True})
    assert load_plan(workspace).people[ada.id].face
    Credentials(workspace, ManualClock()).add(ada.id, "card", "4711", {}, actor="eve")
    assert not load_plan(workspace).people[ada.id].face
    with workspace.database.write() as session:
        photo = enroll(session, ada)
    assert load_plan(workspace).people[ada.id].face
    with workspace.database.write() as session:
        enrollment_store.update(session, photo.id, is_active=False)
    assert not load_plan(workspace).people[ada.id].face


def test_a_group_that_opens_another_gate_only_opens_nothing_here(
    workspace: Workspace, rules: Access
) -> None:
    ada = done_by("eve", People(workspace, ManualClock()).create, ADA)
    groups = Groups(workspace, ManualClock())
    staff = done_by("eve", groups.add, "Staff", None)
    done_by("eve", groups.join, staff.id, ada.id)
    assert load_plan(workspace).schedules_of(load_plan(workspace).people[ada.id]) == (ALWAYS,)
    done_by("eve", rules.set_rules_of_group, staff.id, [GroupRule("south")])
    plan = load_plan(workspace)
    assert plan.schedules_of(plan.people[ada.id]) == ()


def test_rules_of_the_site_are_stored_and_keep_what_was_not_named(
    workspace: Workspace, rules: Access
) -> None:
    assert rules.site_rules().version == 0
    done_by("eve", rules.set_site_rules, {"anti_passback": "hard", "forgive_at": 180})
    done_by("eve", rules.set_site_rules, {"unset_clock": "trust", "ungrouped": False}, versions={1})
    plan = load_plan(workspace)
    assert plan.rules == SiteRules(
        anti_passback=AntiPassback.HARD, forgive_at=180, unset_clock=UnsetClock.TRUST
    )
    assert plan.ungrouped == ()
    with pytest.raises(ChangedMeanwhile):
        done_by("eve", rules.set_site_rules, {"occupancy": 5}, versions={1})
    with pytest.raises(NotFound):
        done_by("eve", rules.set_site_rules, {"first_in": 17})


@pytest.mark.parametrize(
    ("role", "direction", "mode", "refused"),
    [
        ("gate", "auto", "hard", True),
        ("gate", "auto", "timed", True),
        ("gate", "auto", "soft", False),
        ("gate", "exit", "hard", False),
        ("hub", "auto", "hard", False),
    ],
)
def test_a_gate_that_takes_every_second_passage_for_an_exit_keeps_nobody_out_as_inside(
    tmp_path: Path, role: str, direction: str, mode: str, refused: bool
) -> None:
    none = {"driver": "none"}
    told = {
        "gate": {"name": "north", "site": "works", "role": role},
        "storage": {"state_dir": tmp_path / "other"},
        "attendance": {"direction": direction},
        **({"camera": none, "door": none} if role == "hub" else {}),
    }
    with open_workspace(Settings.model_validate(told)) as workspace:
        rules = Access(workspace, ManualClock())
        for site in ("", "works"):
            if refused:
                with pytest.raises(RuleMisfit, match="direction: auto"):
                    done_by("eve", rules.set_site_rules, {"anti_passback": mode}, site=site)
                assert rules.site_rules().rules["anti_passback"] == "off"
            else:
                done_by("eve", rules.set_site_rules, {"anti_passback": mode}, site=site)
                assert rules.site_rules(site).rules["anti_passback"] == mode


def test_a_schedule_of_a_rule_of_the_site_stays(rules: Access) -> None:
    office = done_by("eve", rules.add_schedule, OFFICE)
    done_by("eve", rules.set_site_rules, {"two_factors": office.id})
    with pytest.raises(Conflict, match="two_factors"):
        done_by("eve", rules.delete_schedule, office.id)


def test_every_change_is_told_once(workspace: Workspace, rules: Access) -> None:
    office = done_by("eve", rules.add_schedule, OFFICE)
    done_by("eve", rules.update_schedule, office.id, {"holiday": None}, versions={office.version})
    with pytest.raises(ChangedMeanwhile):
        done_by("eve", rules.update_schedule, office.id, {"holiday": []}, versions={office.version})
    done_by("eve", rules.set_exception, office.id, date(2026, 11, 24), [])
    done_by("eve", rules.set_exception, office.id, date(2026, 11, 24), [])
    done_by("eve", rules.delete_schedule, office.id)
    done_by("eve", rules.set_holiday, date(2026, 12, 25), "Christmas")
    done_by("eve", rules.set_holiday, date(2026, 12, 25), None)
    with pytest.raises(NotFound):
        done_by("eve", rules.set_holiday, date(2026, 12, 25), None)
    ada = done_by("eve", People(workspace, ManualClock()).create, ADA)
    done_by("eve", rules.set_of_person, ada.id, {"may_escort": True}, versions={0})
    done_by("eve", rules.set_of_person, ada.id, {"may_escort": True})
    done_by("eve", rules.set_site_rules, {"occupancy": 5})
    done_by("eve", rules.set_site_rules, {"occupancy": 5})
    assert kinds(workspace) == [
        "schedule_created",
        "schedule_changed",
        "schedule_changed",
        "schedule_deleted",
        "holiday_set",
        "holiday_removed",
        "person_created",
        "person_access_changed",
        "site_rules_changed",
    ]
    assert workspace.journal.verify().ok


@pytest.mark.long
def test_many_who_change_rules_at_a_time_do_not_wait_for_each_other_crosswise(
    tmp_path: Path, postgresql: Server
) -> None:
    """Processes of one hub: PostgreSQL ends one of two that wait so, SQLite has one writer."""
    key = tmp_path / "seal.key"
    key.write_text("42" * 32)
    key.chmod(0o600)
    none, url = {"driver": "none"}, postgresql.migrated()

    def process(number: int) -> Workspace:
        storage = {"state_dir": tmp_path / f"{number}", "database_url": url, "key_file": key}
        gate = {"name": f"hub-{number}", "role": "hub"}
        told = {"gate": gate, "storage": storage, "camera": none, "door": none}
        return open_workspace(Settings.model_validate(told))

    def work(workspace: Workspace) -> int:
        chance, done = random.Random(workspace.settings.gate.name), 0
        acts = _acts(workspace, chance)
        end = time.monotonic() + 6
        while time.monotonic() < end:
            with contextlib.suppress(Conflict, NotFound):
                chance.choice(acts)()
                done += 1
        return done

    with contextlib.ExitStack() as stack, ThreadPoolExecutor(5) as pool:
        processes = [stack.enter_context(process(number)) for number in range(5)]
        assert all(pool.map(work, processes))


def _acts(workspace: Workspace, chance: random.Random) -> list[Callable[[], object]]:
    rules, groups = Access.of(workspace), Groups.of(workspace)
    people, given = People.of(workspace), Credentials.of(workspace)

    def any_of(found: Sequence[Any]) -> int:
        return int(chance.choice(found).id) if found else 0

    def whom() -> int:
        return any_of(people.list_()[0])

    def name() -> str:
        return f"{chance.getrandbits(48)}"

    def group() -> int:
        return any_of(groups.list_())

    def hours() -> int:
        return any_of(rules.schedules())

    return [
        lambda: done_by("eve", people.create, {**ADA, "personnel_code": name()}),
        lambda: done_by("eve", people.delete, whom()),
        lambda: done_by("eve", groups.add, name(), None),
        lambda: done_by("eve", groups.delete, group()),
        lambda: done_by("eve", groups.join, group(), whom()),
        lambda: done_by("eve", groups.leave, group(), whom()),
        lambda: done_by("eve", rules.add_schedule, {**OFFICE, "name": name()}),
        lambda: done_by("eve", rules.delete_schedule, hours()),
        lambda: done_by("eve", rules.set_rules_of_group, group(), [GroupRule(None, hours())]),
        lambda: done_by("eve", rules.set_site_rules, {"two_factors": hours() or None}),
        lambda: done_by("eve", rules.set_holiday, date(2026, 12, chance.randint(1, 9)), name()),
        lambda: done_by("eve", rules.set_of_person, whom(), {"visitor": chance.random() < 0.5}),
        lambda: given.add(whom(), "card", name(), {}, actor="eve"),
        lambda: rotate_keys("eve", workspace),
    ]
