"""As many of a kind as there may be: the next one is refused, whoever asks."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.access.credential_store import NewCredential
from gated.access.credential_store import add as add_credential
from gated.access.rules import Access
from gated.accounts.accounts import Accounts
from gated.accounts.devices import Devices
from gated.database.limits import (
    ACCOUNTS,
    CREDENTIALS,
    DEVICES,
    EXCEPTIONS,
    GATES,
    GROUPS,
    HOLIDAYS,
    LIMITS,
    PHOTOS,
    SCHEDULES,
    Limit,
)
from gated.database.records import WeeklySchedule
from gated.enrollment import enrollment_store
from gated.errors import LimitReached
from gated.fleet.gate.replica_rules import put_site
from gated.fleet.hub.fleet import Fleet
from gated.fleet.wire.states import SiteState
from gated.people.groups import Groups
from gated.workspace import Workspace
from tests.changes import done_by
from tests.people.people import add_person

DAY = date(2020, 1, 1)
UNIQUE = {"uid", "name", "name_key", "username", "username_key", "digest", "device"}
AT_ONCE = 5000


def fill(session: Session, limit: Limit) -> None:
    """Copy the one row that there is until there are as many as there may be."""
    table = limit.table
    row = dict(session.execute(sa.select(table).order_by(*table.primary_key)).mappings().one())
    row.pop("id", None)
    rows = [copy_of(row, n) for n in range(1, limit.most)]
    for start in range(0, len(rows), AT_ONCE):
        session.execute(sa.insert(table), rows[start : start + AT_ONCE])


def copy_of(row: Mapping[str, Any], n: int) -> dict[str, Any]:
    copied = {
        key: f"{value}-{n}" if key in UNIQUE and value else value for key, value in row.items()
    }
    if "day" in copied:
        copied["day"] = DAY + timedelta(days=n)
    return {**copied, **{key: None for key in ("invite", "token_digest") if key in copied}}


class Makers:
    """Adds one of each kind, the n-th."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._access = Access(workspace, workspace.clock)
        with workspace.database.write() as session:
            self._person = add_person(session, personnel_code="E17").id
        self._schedule = self.schedule(-1).id

    def schedule(self, n: int) -> WeeklySchedule:
        fields: dict[str, Any] = {"name": f"s{n}", "week": [[]] * 7, "holiday": None}
        return done_by("test", self._access.add_schedule, fields)

    def exception(self, n: int) -> None:
        day = DAY - timedelta(days=n)
        done_by("test", self._access.set_exception, self._schedule, day, [])

    def holiday(self, n: int) -> None:
        done_by("test", self._access.set_holiday, DAY - timedelta(days=n), "a day")

    def group(self, n: int) -> None:
        done_by("test", Groups(self._workspace, self._workspace.clock).add, f"g{n}", None)

    def card(self, n: int) -> None:
        with self._workspace.database.write() as session:
            add_credential(session, self._person, NewCredential("card", digest=f"d{n}"))

    def photo(self, n: int) -> None:
        with self._workspace.database.write() as session:
            new = enrollment_store.NewEnrollment(
                person_id=self._person,
                face_image_path=None,
                face_encoding_path=f"encodings/{n}",
                confidence_score=0.9,
                model="m",
            )
            enrollment_store.add(session, new)

    def account(self, n: int) -> None:
        accounts = Accounts(self._workspace, self._workspace.clock)
        accounts.create(f"account{n}", "viewer", "Correct horse, 17 times", actor="test")

    def device(self, n: int) -> None:
        done_by("test", Devices(self._workspace, self._workspace.clock).add, f"device{n}")

    def gate(self, n: int) -> None:
        Fleet.of(self._workspace).invite(f"gate{n}", "site", {}, actor="test")


MAKE: dict[Limit, Callable[[Makers, int], object]] = {
    EXCEPTIONS: Makers.exception,
    HOLIDAYS: Makers.holiday,
    GROUPS: Makers.group,
    CREDENTIALS: Makers.card,
    PHOTOS: Makers.photo,
    ACCOUNTS: Makers.account,
    DEVICES: Makers.device,
    GATES: Makers.gate,
}


@pytest.mark.parametrize("limit", MAKE, ids=lambda limit: limit.table.name + str(limit.within))
def test_one_more_than_there_may_be_is_refused(workspace: Workspace, limit: Limit) -> None:
    makers, make = Makers(workspace), MAKE[limit]
    make(makers, 0)
    with workspace.database.write() as session:
        fill(session, limit)
    with pytest.raises(LimitReached, match=f"there are {limit.most} {limit.what}"):
        make(makers, 1)


def test_a_schedule_more_than_there_may_be_is_refused(workspace: Workspace) -> None:
    makers = Makers(workspace)
    with workspace.database.write() as session:
        fill(session, SCHEDULES)
    with pytest.raises(LimitReached):
        makers.schedule(0)


def test_what_is_there_may_be_changed_at_the_limit(workspace: Workspace) -> None:
    makers = Makers(workspace)
    access = Access(workspace, workspace.clock)
    makers.holiday(0)
    with workspace.database.write() as session:
        fill(session, HOLIDAYS)
    done_by("test", access.set_holiday, DAY, "another name")
    done_by("test", access.set_holiday, DAY, None)
    makers.holiday(1)


def test_a_gate_takes_the_holidays_of_its_site_beside_those_of_all_sites(
    workspace: Workspace,
) -> None:
    many = {DAY + timedelta(days=n): "a day" for n in range(2 * HOLIDAYS.most)}
    with workspace.database.write() as session:
        put_site(session, SiteState(rules={}, holidays=many), 1)
    access = Access(workspace, workspace.clock)
    assert len(access.holidays()) == len(many)


def test_the_page_says_how_many_there_may_be() -> None:
    page = (Path(__file__).parents[2] / "docs" / "scale.md").read_text(encoding="utf-8")
    table = page.split("<!-- limits -->")[1].split("<!-- end of limits -->")[0]
    said = re.findall(r"^\| (.+) \| ([\d,]+) \|$", table, re.MULTILINE)
    assert [(what, int(most.replace(",", ""))) for what, most in said] == [
        (limit.what, limit.most) for limit in LIMITS
    ]
