"""The rules of access, changed with a journal entry each: schedules, groups, persons, the site."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from sqlalchemy.orm import Session

from gated.errors import ChangedMeanwhile, NotFound, RuleMisfit
from gated.services.access_plan import UNGROUPED, misfit_of, rules_here, site_rules_of
from gated.services.people import person_entry
from gated.services.workspace import Service
from gated.storage import access, gates, groups, mirror, mirror_rules, persons, schedules, sites
from gated.storage import changes as feed
from gated.storage.journal import Entry
from gated.storage.records import GroupRule, Holiday, PersonAccess, WeeklySchedule
from gated.storage.settings import lock_rules
from gated.storage.sites import ALL, StoredRules

__all__ = ["Access", "GroupRule", "Holiday", "PersonAccess", "WeeklySchedule"]


@dataclass(frozen=True, slots=True)
class SiteRulesView:
    """The rules that hold, all of them. own: those that one site has before those of all."""

    rules: Mapping[str, Any]
    own: Collection[str]
    version: int


class Access(Service):
    """The rules of access in a workspace; `actor` is who makes a change.

    What the hub has given to a gate is refused to be changed there: BelongsToHub.
    """

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
        with self._changing() as session:
            added = schedules.add(session, **fields)
            self._record_schedule(session, "schedule_created", added, actor)
        return added

    def update_schedule(
        self, id_: int, changes: Mapping[str, Any], *, actor: str, version: int | None = None
    ) -> WeeklySchedule:
        """Change fields; NotFound, Conflict, ChangedMeanwhile when `version` is over."""
        with self._changing() as session:
            _require(version, self._own_schedule(session, id_).version)
            changed = schedules.update(session, id_, **changes)
            self._record_schedule(session, "schedule_changed", changed, actor)
        return changed

    def delete_schedule(self, id_: int, *, actor: str) -> None:
        """Remove a schedule; NotFound, Conflict while a group or a rule of the site needs it."""
        with self._changing() as session:
            gone = self._own_schedule(session, id_)
            sites.require_unused(session, id_)
            schedules.delete(session, id_)
            self._record_schedule(session, "schedule_deleted", gone, actor)

    def set_exception(
        self, id_: int, day: date, hours: Sequence[str] | None, *, actor: str
    ) -> WeeklySchedule:
        """Give one day hours of its own, or (None) those that it had before; NotFound."""
        with self._changing() as session:
            self._own_schedule(session, id_)
            if schedules.set_exception(session, id_, day, hours):
                more = {"day": day.isoformat(), "hours": None if hours is None else list(hours)}
                changed = schedules.get(session, id_)
                self._record_schedule(session, "schedule_changed", changed, actor, more)
            return schedules.get(session, id_)

    def holidays(self, site: str = ALL) -> list[Holiday]:
        """The holidays of all sites, or all that hold at one, by day; NotFound for no site."""
        with self._workspace.database.read() as session:
            self._require_site(session, site)
            return sites.list_holidays(session, site)

    def set_holiday(self, day: date, name: str | None, *, actor: str, site: str = ALL) -> None:
        """Make a day a holiday, or (None) a day like others again; NotFound for no holiday.

        site: there and nowhere else.
        """
        with self._changing() as session:
            self._require_site(session, site)
            self._require_own_site(session)
            if sites.set_holiday(session, day, name, site):
                kind = "holiday_removed" if name is None else "holiday_set"
                body = {"day": day.isoformat(), "name": name, **_at(site)}
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
        with self._changing() as session:
            group = groups.get(session, group_id)
            mirror.require_own(session, feed.GROUP, group.uid, f"group {group.name}")
            access.set_rules_of_group(session, group_id, rules)
            stored = access.rules_of_group(session, group_id)
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
        with self._changing() as session:
            person = persons.get(session, person_id)
            mirror.require_own(session, feed.PERSON, person.uid, f"person {person_id}")
            before = access.of_person(session, person_id)
            _require(version, before.version)
            changed = {k: v for k, v in changes.items() if getattr(before, k) != v}
            if not changed:
                return before
            after = access.set_of_person(session, person_id, changed)
            entry = person_entry(
                self._clock.now(), "person_access_changed", person, actor, sorted(changed)
            )
            self._workspace.journal.append([entry], session)
        return after

    def site_rules(self, site: str = ALL) -> SiteRulesView:
        """The rules of all sites, or those that hold at one; NotFound for no site."""
        with self._workspace.database.read() as session:
            self._require_site(session, site)
            return _view(sites.rules(session, site), site)

    def set_site_rules(
        self,
        changes: Mapping[str, Any],
        *,
        actor: str,
        site: str = ALL,
        version: int | None = None,
    ) -> SiteRulesView:
        """Change rules of all sites, or of one, where they come before those of all.

        NotFound for a schedule or a site, ChangedMeanwhile, RuleMisfit.
        """
        with self._changing() as session:
            before = self._site_to_change(session, site, version)
            for name in sites.SCHEDULES:
                if changes.get(name) is not None:
                    schedules.get(session, changes[name])
            known = before.own if site else _complete(before.values)
            changed = {k: v for k, v in changes.items() if k not in known or known[k] != v}
            if not changed:
                return _view(before, site)
            sites.set_rules(session, site, {**before.own, **changed})
            self._require_fit(session)
            self._record(session, "site_rules_changed", {"rules": changed, **_at(site)}, actor)
            return _view(sites.rules(session, site), site)

    def end_site_rules(self, site: str, *, actor: str, version: int | None = None) -> None:
        """Let the rules of all sites hold at this one, too; NotFound, ChangedMeanwhile."""
        with self._changing() as session:
            before = self._site_to_change(session, site, version)
            if before.own:
                sites.set_rules(session, site, {})
                self._require_fit(session)
                body = {"rules": dict.fromkeys(before.own), **_at(site)}
                self._record(session, "site_rules_changed", body, actor)

    def _site_to_change(self, session: Session, site: str, version: int | None) -> StoredRules:
        self._require_site(session, site)
        self._require_own_site(session)
        found = sites.rules(session, site)
        _require(version, found.version)
        return found

    def _require_site(self, session: Session, site: str) -> None:
        """NotFound for a site at which no gate stands."""
        known = {ALL, self._workspace.settings.gate.site, *gates.sites(session)}
        if site not in known:
            raise NotFound(f"no gate stands at a site {site}")

    def _require_fit(self, session: Session) -> None:
        """RuleMisfit where this very gate could not keep the rules."""
        rules = site_rules_of(rules_here(self._workspace, session).values)
        if problem := misfit_of(self._workspace.settings, rules):
            raise RuleMisfit(problem)

    # --- what changes have in common ----------------------------------------------------------

    @contextmanager
    def _changing(self) -> Iterator[Session]:
        with self._workspace.database.write() as session:
            lock_rules(session)
            yield session

    @staticmethod
    def _own_schedule(session: Session, id_: int) -> WeeklySchedule:
        found = schedules.get(session, id_)
        mirror.require_own(session, feed.SCHEDULE, found.uid, f"schedule {found.name}")
        return found

    @staticmethod
    def _require_own_site(session: Session) -> None:
        what = "what holds for the whole site"
        mirror.require_own(session, feed.SITE, mirror_rules.HERE, what)

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


def _view(stored: StoredRules, site: str) -> SiteRulesView:
    own = sorted(stored.own) if site else ()
    return SiteRulesView(_complete(stored.values), own, stored.version)


def _complete(values: Mapping[str, Any]) -> dict[str, Any]:
    return {**asdict(site_rules_of(values)), UNGROUPED: values.get(UNGROUPED, True)}


def _at(site: str) -> dict[str, str]:
    return {"site": site} if site else {}


def _require(wanted: int | None, present: int) -> None:
    if wanted not in (None, present):
        raise ChangedMeanwhile("it was changed meanwhile: read it again")
