"""Limits on how many of a kind there may be: pages and the door load such lists whole.

Services ask before they add one. What a hub sends to its gates was counted there.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.database.tables import (
    accounts,
    credentials,
    enrollments,
    gates,
    groups,
    holidays,
    schedule_exceptions,
    schedules,
)
from gated.errors import LimitReached


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many rows of a table, counted within one value of a column where it is given."""

    what: str
    most: int
    table: sa.Table
    within: str | None = None

    def require_room(self, session: Session, value: object = None) -> None:
        """Refuse one more of them. Raises: LimitReached."""
        counted = sa.select(sa.func.count()).select_from(self.table)
        if self.within is not None:
            counted = counted.where(self.table.c[self.within] == value)
        if session.execute(counted).scalar_one() >= self.most:
            raise LimitReached(f"there are {self.most} {self.what}, as many as there may be")


SCHEDULES = Limit("schedules", 1000, schedules)
EXCEPTIONS = Limit("exceptions of this schedule", 1000, schedule_exceptions, "schedule_id")
HOLIDAYS = Limit("holidays of this site", 2000, holidays, "site_id")
GROUPS = Limit("groups", 5000, groups)
CREDENTIALS = Limit("cards, badges and PINs of this person", 50, credentials, "person_id")
PHOTOS = Limit("photos of this person", 100, enrollments, "person_id")
ACCOUNTS = Limit("accounts", 250_000, accounts)
DEVICES = Limit("devices, gates among them", 25_000, accounts, "role")
GATES = Limit("gates", 20_000, gates)

LIMITS = (
    SCHEDULES, EXCEPTIONS, HOLIDAYS, GROUPS, CREDENTIALS, PHOTOS, ACCOUNTS, DEVICES, GATES,
)  # fmt: skip
