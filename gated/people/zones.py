"""In which time zone something is: of this machine, of a site, of a row of the log.

A machine goes by its own setting (`gate.timezone`), else by the zone of its site, else by UTC. A
row says where it was made; one from before rows did goes by its site.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.config import Settings
from gated.config.zones import find_zone
from gated.core.text import code_key
from gated.database import site_zones
from gated.database.tables import gates
from gated.workspace import Workspace

REPORTED = "timezone"
"""Key of a gate's status: the zone that it goes by."""


@dataclass(frozen=True, slots=True)
class Zones:
    """here: of this machine. sites: of those that have one. others: that gates say they go by."""

    here: tzinfo
    sites: Mapping[str, tzinfo]
    others: frozenset[tzinfo] = frozenset()

    def at(self, site: str) -> tzinfo:
        """The zone of a site."""
        known = self.sites.get(site) or self.sites.get(code_key(site))
        return known or self.sites.get(site_zones.ALL) or self.here

    def of(self, timezone: str | None, site: str) -> tzinfo:
        """The zone of a row that says this of itself and of its site."""
        return find_zone(timezone) or self.at(site)

    def everywhere(self) -> Iterator[tzinfo]:
        """Every zone in which a gate stands, as far as is known."""
        yield self.here
        yield from self.sites.values()
        yield from self.others

    def names(self) -> set[str]:
        """Their names, as rows of the log tell them."""
        return {str(zone) for zone in self.everywhere()}

    def earliest_day(self, utc: float) -> date:
        """The date where it is earliest: days before it are over at every site."""
        return min(datetime.fromtimestamp(utc, zone).date() for zone in self.everywhere())

    def latest_day(self, utc: float) -> date:
        """The date where it is latest."""
        return max(datetime.fromtimestamp(utc, zone).date() for zone in self.everywhere())


def zones(workspace: Workspace, session: Session, *, fleet: bool = False) -> Zones:
    """The zones as they are set now. fleet: with those that gates report."""
    return _zones(workspace.settings, session, fleet)


def _zones(settings: Settings, session: Session, fleet: bool) -> Zones:
    found = {
        s: zone for s, name in site_zones.timezones(session).items() if (zone := find_zone(name))
    }
    found |= {code_key(site): zone for site, zone in found.items()}
    gate = settings.gate
    of_site = found.get(code_key(gate.site)) or found.get(site_zones.ALL) or UTC
    here = find_zone(gate.timezone) or of_site
    if gate.role == "gate":
        found[gate.site] = found[code_key(gate.site)] = here  # a gate's own wins for itself
    return Zones(here, found, _reported(session) if fleet else frozenset())


def zone_here(workspace: Workspace, session: Session) -> tzinfo:
    """The zone that this machine goes by."""
    return zones(workspace, session).here


def _reported(session: Session) -> frozenset[tzinfo]:
    statuses = session.execute(sa.select(gates.c.status).where(gates.c.account_id.is_not(None)))
    said = (status.get(REPORTED) for (status,) in statuses)
    return frozenset(
        zone for name in said if isinstance(name, str) and (zone := find_zone(name)) is not None
    )
