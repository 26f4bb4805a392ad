"""Checks what must hold before a person is changed, enrolled or erased."""

from __future__ import annotations

from datetime import date, timedelta

from sqlalchemy.orm import Session

from gated.config import Settings
from gated.core.values import Instant, moment
from gated.database import change_feed, hub_ownership
from gated.database.records import Person
from gated.errors import ConsentMissing, RetentionHold
from gated.journal import retention
from gated.people import consent_store
from gated.people.zones import zone_here, zones
from gated.workspace import Workspace


def require_consent(session: Session, settings: Settings, now: Instant, person_id: int) -> None:
    """Check for consent where it is required. Raises: ConsentMissing."""
    if not settings.privacy.require_consent:
        return
    found = consent_store.find(session, person_id)
    if found is None or (found.expires_at is not None and found.expires_at <= moment(now)):
        raise ConsentMissing(
            "the person has not consented to face recognition, or the consent is over: record it "
            "first (PUT /api/persons/{id}/consent)"
        )


def require_no_hold(session: Session, workspace: Workspace, now: Instant, person_id: int) -> None:
    """Check that no passage of the person must be kept any more. Raises: RetentionHold."""
    days = workspace.settings.privacy.hold_days
    last = retention.last_passage(session, person_id) if days else None
    if last is None or ((until := last + timedelta(days=days)) <= moment(now) and now.sure):
        return
    if until <= moment(now):
        raise RetentionHold(
            "the clock is not known to be right, and with it whether the attendance record must "
            "still be kept: confirm the clock first, or override with a reason",
            until,
        )
    day = until.astimezone(zone_here(workspace, session)).date()
    raise RetentionHold(
        f"the attendance record must be kept until {day}: wait, or override with a reason",
        until,
    )


def require_own(session: Session, person: Person) -> None:
    """Check that a person is not the hub's, as only its operators may. Raises: BelongsToHub."""
    hub_ownership.require_own(session, change_feed.PERSON, person.uid, f"person {person.id}")


def earliest_day(workspace: Workspace, session: Session, at: Instant) -> date:
    """Return the earliest present day of all sites: a last day before it is over at each.

    Where it is over before, the gate there refuses already: see `core.plan.Pass`.
    """
    return zones(workspace, session, fleet=True).earliest_day(at.utc)
