"""Time zones of sites."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.core.text import code_key
from gated.database.tables import sites

ALL = ""
"""The site that stands for every site."""


def timezones(session: Session) -> dict[str, str]:
    """Site (ALL: all of them) -> the IANA name of its time zone, of those that have one."""
    found = sa.select(sites.c.name, sites.c.timezone).where(sites.c.timezone.is_not(None))
    return dict(session.execute(found).all())


def timezone_at(session: Session, site: str) -> str | None:
    """The time zone of a site: its own, or that of all sites."""
    known = {code_key(name): zone for name, zone in timezones(session).items()}
    return known.get(code_key(site)) or known.get(ALL)
