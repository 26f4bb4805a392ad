"""What must hold before a person is changed, enrolled or erased."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from gated.config import Settings
from gated.core.model import Instant
from gated.errors import ConsentMissing, RetentionHold
from gated.storage import changes, consents, mirror, retention
from gated.storage.records import Person


def require_consent(session: Session, settings: Settings, now: Instant, person_id: int) -> None:
    """ConsentMissing unless the person has consented, or consent is not asked for."""
    if not settings.privacy.require_consent:
        return
    found = consents.find(session, person_id)
    if found is None or (found.expires_at is not None and found.expires_at <= moment(now)):
        raise ConsentMissing(
            "the person has not consented to face recognition, or the consent is over: record it "
            "first (PUT /api/persons/{id}/consent)"
        )


def require_no_hold(session: Session, settings: Settings, now: Instant, person_id: int) -> None:
    """RetentionHold while passages of the person must be kept."""
    days = settings.privacy.hold_days
    last = retention.last_passage(session, person_id) if days else None
    if last is None or (until := last + timedelta(days=days)) <= moment(now):
        return
    raise RetentionHold(
        f"the attendance record must be kept until {until.date()}: wait, or override with a reason",
        until,
    )


def require_own(session: Session, person: Person) -> None:
    """BelongsToHub for a person of the hub: here others than its operators change nothing."""
    mirror.require_own(session, changes.PERSON, person.uid, f"person {person.id}")


def moment(at: Instant) -> datetime:
    """The aware UTC time of an instant."""
    return datetime.fromtimestamp(at.utc, UTC)


def local_day(settings: Settings, at: Instant) -> date:
    """The day at the gate's site."""
    return moment(at).astimezone(ZoneInfo(settings.gate.timezone)).date()
