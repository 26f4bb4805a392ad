"""The rules of access, changed with a journal entry each: schedules, groups, persons, the site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

from sqlalchemy.orm import Session

from gated.errors import ChangedMeanwhile, NotFound
from gated.services.access_plan import UNGROUPED, site_rules_of
from gated.services.people import person_entry
from gated.services.workspace import Service
from gated.storage import access, groups, persons, schedules
from gated.storage.journal import Entry
from gated.storage.records import GroupRule, Holiday, PersonAccess, WeeklySchedule

__all__ = ["Access", "GroupRule", "Holiday", "PersonAccess", "WeeklySchedule"]


class Access(Service):
    """The rules of access in a workspace; `actor` is who makes a change."""

    # --- schedules ----------------------------------------------------------------------------

    def schedules(self) -> list[WeeklySchedule]:
        """All schedules by name."""
        with self._workspace.database.read() as session:
            return schedules.list_(session)

    def schedule(self, id_: int) -> WeeklySchedule:
        """The schedule with this id; NotFound."""
        with self._workspace.database.read() as session:
            return schedules.get(session, id_)

    def add_schedule(self, fields: Mapping[str, Any], *, actor: str) -> WeeklySchedule:
        """Add a schedule (name, week, holiday); Conflict when the name is taken."""
        with self._workspace.database.write() as session:
            added = schedules.add(session, **fields)
            self._record_schedule(session, "schedule_created", added, actor)
        return added

    def update_schedule(
        self, id_: int, changes: Mapping[str, Any], *, actor: str, version: int | None = None
    ) -> WeeklySchedule:
        """Change fields; NotFound, Conflict, ChangedMeanwhile when `version` is over."""
        with self._workspace.database.write() as session:
            _require(version, schedules.get(session, id_).version)
            changed = schedules.update(session, id_, **changes)
            self._record_schedule(session, "schedule_changed", changed, actor)
        return changed

    def delete_schedule(self, id_: int, *, actor: str) -> None:
        """Remove a schedule; NotFound, Conflict while a group or a rule of the site needs it."""
        with self._workspace.database.write() as session:
            gone = schedules.get(session, id_)
            access.require_unused(session, id_)
            schedules.delete(session, id_)
            self._record_schedule(session, "schedule_deleted", gone, actor)

    def set_exception(
        self, id_: int, day: date, hours: Sequence[str] | None, *, actor: str
    ) -> WeeklySchedule:
        """Give one day hours of its own, or (None) those that it had before; NotFound."""
        with self._workspace.database.write() as session:
            if schedules.set_exception(session, id_, day, hours):
                more = {"day": day.isoformat(), "hours": None if hours is None else list(hours)}
                changed = schedules.get(session, id_)
                self._record_schedule(session, "schedule_changed", changed, actor, more)
            return schedules.get(session, id_)

    def holidays(self) -> list[Holiday]:
        """The holidays of the site by day."""
        with self._workspace.database.read() as session:
            return schedules.list_holidays(session)

    def set_holiday(self, day: date, name: str | None, *, actor: str) -> None:
        """Make a day a holiday, or (None) a day like others again; NotFound for no holiday."""
        with self._workspace.database.write() as session:
            if schedules.set_holiday(session, day, name):
                kind = "holiday_removed" if name is None else "holiday_set"
                body = {"day": day.isoformat(), "name": name}
                self._record(session, kind, body, actor)
            elif name is None:
                raise NotFound(f"{day} is no holiday")

    # --- groups, persons, site ----------------------------------------------------------------

    def rules_of_group(self, group_id: int) -> list[GroupRule]:
        """Where and when members of a group pass; none: the group says nothing. NotFound."""
        with self._workspace.database.read() as session:
            return access.rules_of_group(session, group_id)

    def set_rules_of_group(
        self, group_id: int, rules: Sequence[GroupRule], *, actor: str
    ) -> list[GroupRule]:
        """Put these rules in the place of those before; NotFound for the group or a schedule."""
        with self._workspace.database.write() as session:
            access.set_rules_of_group(session, group_id, rules)
            stored = access.rules_of_group(session, group_id)
            group = groups.get(session, group_id)
            body = {"group": group.uid, "name": group.name, "rules": [asdict(r) for r in stored]}
            self._record(session, "group_rules_changed", body, actor)
        return stored

    def of_person(self, person_id: int) -> PersonAccess:
        """What a person may do; NotFound."""
        with self._workspace.database.read() as session:
            return access.of_person(session, person_id)

    def set_of_person(
        self,
        person_id: int,
        changes: Mapping[str, Any],
        *,
        actor: str,
        version: int | None = None,
    ) -> PersonAccess:
        """Change what a person may do; NotFound, ChangedMeanwhile when `version` is over."""
        with self._workspace.database.write() as session:
            before = access.of_person(session, person_id)
            _require(version, before.version)
            changed = {k: v for k, v in changes.items() if getattr(before, k) != v}
            if not changed:
                return before
            after = access.set_of_person(session, person_id, changed)
            person = persons.get(session, person_id)
            entry = person_entry(
                self._clock.now(), "person_access_changed", person, actor, sorted(changed)
            )
            self._workspace.journal.append([entry], session)
        return after

    def site_rules(self) -> tuple[Mapping[str, Any], int]:
        """The rules of the site, all of them, and their version."""
        with self._workspace.database.read() as session:
            return _complete(access.site_rules(session))

    def set_site_rules(
        self, changes: Mapping[str, Any], *, actor: str, version: int | None = None
    ) -> tuple[Mapping[str, Any], int]:
        """Change rules of the site; NotFound for a schedule, ChangedMeanwhile."""
        with self._workspace.database.write() as session:
            before, known = _complete(access.site_rules(session))
            _require(version, known)
            for name in ("two_factors", "first_in"):
                if changes.get(name) is not None:
                    schedules.get(session, changes[name])
            changed = {k: v for k, v in changes.items() if before[k] != v}
            if not changed:
                return before, known
            after = access.set_site_rules(session, {**before, **changed})
            self._record(session, "site_rules_changed", {"rules": changed}, actor)
            return _complete(after)

    # --- what changes have in common ----------------------------------------------------------

    def _record_schedule(
        self,
        session: Session,
        kind: str,
        schedule: WeeklySchedule,
        actor: str,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        body = {"schedule": schedule.uid, "name": schedule.name, **(more or {})}
        self._record(session, kind, body, actor)

    def _record(self, session: Session, kind: str, body: Mapping[str, Any], actor: str) -> None:
        entry = Entry(self._clock.now(), kind, dict(body), {"actor": {"name": actor}})
        self._workspace.journal.append([entry], session)


def _complete(stored: Mapping[str, Any]) -> tuple[Mapping[str, Any], int]:
    rules = {**asdict(site_rules_of(stored)), UNGROUPED: stored.get(UNGROUPED, True)}
    return rules, stored.get("version", 0)


def _require(wanted: int | None, present: int) -> None:
    if wanted not in (None, present):
        raise ChangedMeanwhile("it was changed meanwhile: read it again")
