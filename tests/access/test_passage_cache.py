"""What is kept of the last passages gives the same answer as reading everything anew."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest

from gated.access.explain import explain
from gated.access.passage_cache import ANEW_S, PassageCache
from gated.access.presence import inside
from gated.access.rules import Access
from gated.attendance.attendance import Attendance, Correction
from gated.config import AttendanceSettings, Settings, StorageSettings
from gated.core.messages import Decision
from gated.core.values import Direction, Outcome, PersonRef, Reason
from gated.devices.clock import ManualClock
from gated.journal.journal import Entry, decision_entry, subject_of
from gated.people.people import People
from tests.changes import done_by
from tests.workspaces import open_workspace

BEGIN = datetime(2026, 3, 2, 8, tzinfo=UTC).timestamp()
ACTOR = "test"


class House:
    """A gate and its people on a clock that is given."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock(utc=BEGIN)
        settings = Settings(
            storage=StorageSettings(state_dir=folder),
            attendance=AttendanceSettings(auto_reset_h=4),
        )
        self.workspace = open_workspace(settings, clock=self.clock)
        self.kept = PassageCache(lambda: self.clock.now().mono)
        self.staff: list[PersonRef] = []
        self._codes = count()

    def hire(self) -> PersonRef:
        fields = {"first_name": "A", "last_name": "B", "personnel_code": f"P{next(self._codes)}"}
        self.staff.append(done_by(ACTOR, People.of(self.workspace).create, fields).ref)
        return self.staff[-1]

    def passes(self, who: PersonRef, way: Direction) -> None:
        decision = Decision(
            at=self.clock.now(), outcome=Outcome.GRANTED, reason=Reason.GRANTED, person=who,
            direction=way,
        )  # fmt: skip
        self.workspace.journal.append([decision_entry(decision, "north", "cam", "works")])

    def forgives(self, who: PersonRef | None) -> None:
        body = {"everybody": who is None}
        private = {} if who is None else {"subject": subject_of(who)}
        entry = Entry(
            self.clock.now(), "presence_forgiven", body, {**private, "actor": {"name": ACTOR}}
        )
        self.workspace.journal.append([entry])

    def corrects(self, chance: random.Random) -> None:
        log = Attendance(self.workspace, self.clock)
        rows = log.page(limit=20).rows
        if not rows:
            return
        row = chance.choice(rows)
        if chance.random() < 0.3:
            correction = Correction(status="void" if row.status == "granted" else "granted")
        elif chance.random() < 0.5:
            other = Direction.EXIT if row.direction == "entry" else Direction.ENTRY
            correction = Correction(direction=other)
        else:
            whom = chance.choice([p for p in self.staff if p.id != row.person_id])
            correction = Correction(person_id=whom.id)
        done_by(ACTOR, log.correct, row.id, correction, cause="wrong")

    def check(self) -> None:
        assert inside(self.workspace, self.clock, self.kept) == inside(self.workspace, self.clock)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    with house.workspace:
        yield house


SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 12))]


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_kept_is_what_would_be_read(house: House, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(4):
        house.hire()
    counts = set()
    for _ in range(25):
        what = chance.random()
        if what < 0.6:
            house.passes(chance.choice(house.staff), chance.choice([*Direction]))
        elif what < 0.75:
            house.corrects(chance)
        elif what < 0.8:
            house.forgives(chance.choice([None, *house.staff]))
        elif what < 0.83:
            house.hire()
        elif what < 0.86 and len(house.staff) > 3:
            gone = house.staff.pop(chance.randrange(len(house.staff)))
            done_by(ACTOR, People.of(house.workspace).delete, gone.id)
        house.clock.advance(chance.choice([0.5, 60.0, 1800.0]))
        house.check()
        counts.add(len(inside(house.workspace, house.clock, house.kept).people))
    assert len(counts) > 2
    house.clock.advance(ANEW_S + 1)
    house.check()


def test_only_what_is_new_is_read(house: House) -> None:
    ann, bob = house.hire(), house.hire()
    house.passes(ann, Direction.ENTRY)
    house.check()
    with house.workspace.database.write() as session:
        # somebody who writes the database without the log: who is kept is not looked at again
        session.connection().exec_driver_sql("UPDATE attendance_logs SET direction = 'exit'")
    house.clock.advance(1.0)
    house.passes(bob, Direction.ENTRY)
    found = inside(house.workspace, house.clock, house.kept).people
    assert [p.person for p in found] == [ann, bob]
    house.clock.advance(ANEW_S)
    assert [p.person for p in inside(house.workspace, house.clock, house.kept).people] == [bob]


def test_a_full_house_is_explained_by_what_is_kept(house: House) -> None:
    ann, bob = house.hire(), house.hire()
    done_by(ACTOR, Access.of(house.workspace).set_site_rules, {"occupancy": 1})
    house.passes(ann, Direction.ENTRY)
    for kept in (house.kept, None):
        told = explain(house.workspace, bob.personnel_code, clock=house.clock, kept=kept)
        assert (told.outcome, told.reason) == ("denied", "occupancy")
