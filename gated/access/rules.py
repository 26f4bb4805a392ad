"""Reads and changes rules of access, each change with a journal entry."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from sqlalchemy.orm import Session

from gated.access import access_store, site_store
from gated.access import schedule_store as schedules
from gated.access.access_plan import (
    ONE_DIRECTION,
    UNGROUPED,
    rule_conflict,
    rules_here,
    site_rules_of,
)
from gated.access.site_store import StoredRules
from gated.change import RULES, Change
from gated.core.text import is_same
from gated.database import change_feed as feed
from gated.database import hub_ownership, limits
from gated.database.records import GroupRule, Holiday, PersonAccess, WeeklySchedule
from gated.database.rows import Versions, require_version
from gated.database.site_zones import ALL
from gated.errors import NotFound, RuleMisfit
from gated.people import group_store, person_store
from gated.workspace import Service

__all__ = ["Access", "GroupRule", "Holiday", "PersonAccess", "WeeklySchedule"]


TIMEZONE = "timezone"
"""Beside the rules: the time zone of schedules, days and dates at a site."""


@dataclass(frozen=True, slots=True)
class SiteRulesView:
    """All rules in force. own: the names of those that one site has of its own."""

    rules: Mapping[str, Any]
    own: Collection[str]
    version: int


class Access(Service):
    """The rules of access in a workspace.

    At a gate, rules that came from its hub cannot be changed. Raises: BelongsToHub.
    """

    # --- schedules ----------------------------------------------------------------------------

    def schedules(self) -> list[WeeklySchedule]:
        """Return all schedules by name."""
        with self._workspace.database.read() as session:
            return schedules.list_(session)

    def schedule(self, id_: int) -> WeeklySchedule:
        """Return the schedule with this id. Raises: NotFound."""
        with self._workspace.database.read() as session:
            return schedules.get(session, id_)

    def add_schedule(self, change: Change, fields: Mapping[str, Any]) -> WeeklySchedule:
        """Add a schedule (name, week, holiday).

        Raises: Conflict when the name is taken, LimitReached.
        """
        change.touches(RULES)
        session = change.session
        limits.SCHEDULES.require_room(session)
        added = schedules.add(session, **fields)
        _record_schedule(change, "schedule_created", added)
        return added

    def update_schedule(
        self, change: Change, id_: int, changes: Mapping[str, Any], *, versions: Versions = None
    ) -> WeeklySchedule:
        """Change fields; NotFound, Conflict, ChangedMeanwhile when `versions` are over."""
        change.touches(RULES)
        session = change.session
        require_version(versions, self._own_schedule(session, id_).version)
        changed = schedules.update(session, id_, **changes)
        _record_schedule(change, "schedule_changed", changed)
        return changed

    def delete_schedule(self, change: Change, id_: int) -> None:
        """Remove a schedule; NotFound, Conflict while a group or a rule of the site needs it."""
        change.touches(RULES)
        session = change.session
        gone = self._own_schedule(session, id_)
        site_store.require_unused(session, id_)
        schedules.delete(session, id_)
        _record_schedule(change, "schedule_deleted", gone)

    def set_exception(
        self, change: Change, id_: int, day: date, hours: Sequence[str] | None
    ) -> WeeklySchedule:
        """Give one day hours of its own, or (None) its usual hours again.

        Raises: NotFound, LimitReached.
        """
        change.touches(RULES)
        session = change.session
        known = self._own_schedule(session, id_).exceptions
        if hours is not None and day not in known:
            limits.EXCEPTIONS.require_room(session, id_)
        if schedules.set_exception(session, id_, day, hours):
            more = {"day": day.isoformat(), "hours": None if hours is None else list(hours)}
            changed = schedules.get(session, id_)
            _record_schedule(change, "schedule_changed", changed, more)
        return schedules.get(session, id_)

    def holidays(self, site: str = ALL) -> list[Holiday]:
        """List the holidays of all sites, or those at one, by day.

        Raises: NotFound for the site.
        """
        with self._workspace.database.read() as session:
            self._require_site(session, site)
            return site_store.list_holidays(session, site)

    def set_holiday(self, change: Change, day: date, name: str | None, *, site: str = ALL) -> None:
        """Make a day a holiday, or (None) an ordinary day.

        site: at this site only. Raises: NotFound when it is no holiday, LimitReached.
        """
        change.touches(RULES)
        session = change.session
        self._require_site(session, site)
        self._require_own_site(session)
        if name is not None:
            site_store.require_room(session, day, site)
        if site_store.set_holiday(session, day, name, site):
            kind = "holiday_removed" if name is None else "holiday_set"
            body = {"day": day.isoformat(), "name": name, **_at(site)}
            change.record(kind, body)
        elif name is None:
            raise NotFound(f"{day} is no holiday")

    # --- groups, persons, site ----------------------------------------------------------------

    def rules_of_group(self, group_id: int) -> list[GroupRule]:
        """List where and when members of a group pass. Raises: NotFound."""
        with self._workspace.database.read() as session:
            return access_store.rules_of_group(session, group_id)

    def set_rules_of_group(
        self, change: Change, group_id: int, rules: Sequence[GroupRule]
    ) -> list[GroupRule]:
        """Replace the rules of a group. Raises: NotFound for the group or a schedule."""
        change.touches(RULES)
        session = change.session
        group = group_store.get(session, group_id)
        hub_ownership.require_own(session, feed.GROUP, group.uid, f"group {group.name}")
        access_store.set_rules_of_group(session, group_id, rules)
        stored = access_store.rules_of_group(session, group_id)
        body = {"group": group.uid, "name": group.name, "rules": [asdict(r) for r in stored]}
        change.record("group_rules_changed", body)
        return stored

    def of_person(self, person_id: int) -> PersonAccess:
        """Return the rights of a person. Raises: NotFound."""
        with self._workspace.database.read() as session:
            return access_store.of_person(session, person_id)

    def set_of_person(
        self,
        change: Change,
        person_id: int,
        changes: Mapping[str, Any],
        *,
        versions: Versions = None,
    ) -> PersonAccess:
        """Change the rights of a person.

        Raises: NotFound, ChangedMeanwhile for old `versions`.
        """
        change.touches(RULES)
        session = change.session
        person = person_store.get(session, person_id)
        hub_ownership.require_own(session, feed.PERSON, person.uid, f"person {person_id}")
        before = access_store.of_person(session, person_id)
        require_version(versions, before.version)
        changed = {k: v for k, v in changes.items() if getattr(before, k) != v}
        if not changed:
            return before
        after = access_store.set_of_person(session, person_id, changed)
        change.record_person("person_access_changed", person, sorted(changed))
        return after

    def site_rules(self, site: str = ALL) -> SiteRulesView:
        """Return the rules of all sites, or those in force at one.

        Raises: NotFound for the site.
        """
        with self._workspace.database.read() as session:
            self._require_site(session, site)
            return _view(site_store.rules(session, site), site)

    def set_site_rules(
        self,
        change: Change,
        changes: Mapping[str, Any],
        *,
        site: str = ALL,
        versions: Versions = None,
    ) -> SiteRulesView:
        """Change rules or the time zone of all sites, or of one site, where they win.

        Raises: NotFound for a schedule or a site, ChangedMeanwhile, RuleMisfit.
        """
        change.touches(RULES)
        session = change.session
        before = self._site_to_change(session, site, versions)
        for name in site_store.SCHEDULES:
            if changes.get(name) is not None:
                schedules.get(session, changes[name])
        known = {**before.own} if site else _complete(before.values)
        known[TIMEZONE] = before.own_timezone
        changed = {k: v for k, v in changes.items() if k not in known or known[k] != v}
        if not changed:
            return _view(before, site)
        self._store(session, site, before, changed)
        self._require_fit(session)
        change.record("site_rules_changed", {"rules": changed, **_at(site)})
        return _view(site_store.rules(session, site), site)

    @staticmethod
    def _store(
        session: Session, site: str, before: StoredRules, changed: Mapping[str, Any]
    ) -> None:
        if TIMEZONE in changed:
            site_store.set_timezone(session, site, changed[TIMEZONE])
        if rules := {k: v for k, v in changed.items() if k != TIMEZONE}:
            site_store.set_rules(session, site, {**before.own, **rules})

    def end_site_rules(self, change: Change, site: str, *, versions: Versions = None) -> None:
        """Remove the rules that a site has of its own. Raises: NotFound, ChangedMeanwhile.

        The site keeps its time zone, as it does not move.
        """
        change.touches(RULES)
        session = change.session
        before = self._site_to_change(session, site, versions)
        if before.own:
            site_store.set_rules(session, site, {})
            self._require_fit(session)
            body = {"rules": dict.fromkeys(before.own), **_at(site)}
            change.record("site_rules_changed", body)

    def _site_to_change(self, session: Session, site: str, versions: Versions) -> StoredRules:
        self._require_site(session, site)
        self._require_own_site(session)
        found = site_store.rules(session, site)
        require_version(versions, found.version)
        return found

    def _require_site(self, session: Session, site: str) -> None:
        """Refuse a site without gates. Raises: NotFound."""
        own = self._workspace.settings.gate.site
        known = {ALL, own, *site_store.sites_with_gates(session)}
        if not any(is_same(site, s) for s in known):
            raise NotFound(f"no gate stands at a site {site}")

    def _require_fit(self, session: Session) -> None:
        """Refuse rules that this gate could not keep. Raises: RuleMisfit."""
        rules = site_rules_of(rules_here(self._workspace, session).values)
        if problem := rule_conflict(self._workspace.settings, rules):
            raise RuleMisfit(problem, ONE_DIRECTION)

    # --- what changes have in common ----------------------------------------------------------

    @staticmethod
    def _own_schedule(session: Session, id_: int) -> WeeklySchedule:
        found = schedules.get(session, id_)
        hub_ownership.require_own(session, feed.SCHEDULE, found.uid, f"schedule {found.name}")
        return found

    @staticmethod
    def _require_own_site(session: Session) -> None:
        what = "what holds for the whole site"
        hub_ownership.require_own(session, feed.SITE, hub_ownership.HERE, what)


def _record_schedule(
    change: Change, kind: str, schedule: WeeklySchedule, more: Mapping[str, Any] | None = None
) -> None:
    change.record(kind, {"schedule": schedule.uid, "name": schedule.name, **(more or {})})


def _view(stored: StoredRules, site: str) -> SiteRulesView:
    has_zone = {TIMEZONE} if stored.own_timezone else set()
    own = sorted({*stored.own} | has_zone) if site else ()
    rules = {**_complete(stored.values), TIMEZONE: stored.timezone}
    return SiteRulesView(rules, own, stored.version)


def _complete(values: Mapping[str, Any]) -> dict[str, Any]:
    return {**asdict(site_rules_of(values)), UNGROUPED: values.get(UNGROUPED, True)}


def _at(site: str) -> dict[str, str]:
    return {"site": site} if site else {}
